# Kernel modules by name, with what they need.
# shellcheck shell=sh disable=SC2154

# module_names LIST: the words of a list that count for this architecture.
module_names() {
    sed -n -e '/^#/d' -e "s/^$ARCH: //p" -e '/^[a-z0-9]*: /d' -e '/./p' "$1" | tr -s ' ' '\n' | sort -u
}

# files_of NAME ROOT KERNEL: the files of a module, of what it depends on and of its soft dependencies; fails when there is
# none of that name. What the host has configured for its own modules does not count.
files_of() {
    mkdir -p unconfigured
    modprobe -C unconfigured -d "$2" -S "$3" --show-depends "$1" >depends 2>/dev/null || return 1
    sed -n 's/^insmod \([^ ]*\).*/\1/p' depends
}

# copy_modules LIST FROM TO KERNEL: FROM and TO are roots with lib/modules; the copies are not compressed. Stops at a
# name that the kernel does not know, so that a list is true or the build says so.
copy_modules() {
    mkdir -p "$3/lib/modules/$4"
    module_names "$1" >names
    : >files
    while read -r module; do
        if ! files_of "$module" "$2" "$4" >>files; then
            echo "$module"
        fi
    done <names >unknown
    [ ! -s unknown ] || fail "kernel $4 has no module $(tr '\n' ' ' <unknown)" "correct $(basename "$1")"
    sort -u files | while read -r file; do
        target="$3/lib/modules/${file#*/lib/modules/}"
        mkdir -p "$(dirname "$target")"
        case $file in
        *.xz) xz -dc "$file" >"${target%.xz}" ;;
        *) cp "$file" "$target" ;;
        esac
    done
    for index in builtin builtin.modinfo order; do cp "$2/lib/modules/$4/modules.$index" "$3/lib/modules/$4/"; done
    depmod -b "$3" "$4"
    check_soft_dependencies "$2" "$3" "$4"
    sort -u files | wc -l >count
}

# check_soft_dependencies FROM TO KERNEL: what the modules in TO want loaded before them must be there when FROM has it.
# It is no dependency that the kernel knows, so a module that lacks it loads, and drives nothing (r8169 without realtek).
check_soft_dependencies() {
    awk '/^softdep / { when = ""; for (i = 3; i <= NF; i++) if ($i ~ /^(pre|post):$/) when = $i; else if (when == "pre:") print $2, $i }' \
        "$2/lib/modules/$3/modules.softdep" >wanted
    while read -r module want; do
        files_of "$want" "$1" "$3" >soft || continue
        while read -r file; do
            file=${file#*/lib/modules/}
            [ -e "$2/lib/modules/${file%.xz}" ] || echo "$(basename "${file%.ko*}") (for $module)"
        done <soft
    done <wanted | sort -u >missing
    [ ! -s missing ] || fail "without a module that another one wants before it: $(tr '\n' ' ' <missing)" "name it in the list, too"
    rm wanted missing
}

# check_initramfs SYSTEM INITRAMFS: the installer runs in the system and writes to every disk that has a driver there; what
# it has installed starts only when the initramfs drives that disk, too, and the buses that disks are behind (pci/controller).
# Whoever can type in the system can type in the recovery. zram is memory.
check_initramfs() {
    for root in "$1" "$2"; do
        (cd "$root/lib/modules" && find . -name '*.ko' | grep -E '/drivers/(ata|block|cdrom|hid|input/(keyboard|serio)|message|mmc|nvme|pci/controller|scsi|usb/(host|storage))/' |
            grep -v '/zram/' | sort) >"drivers.$(basename "$root")"
    done
    comm -23 "drivers.$(basename "$1")" "drivers.$(basename "$2")" | sed 's/.*\/\(.*\)\.ko/\1/' >missing
    [ ! -s missing ] || fail "the system has drivers of disks or keyboards that the initramfs lacks: $(tr '\n' ' ' <missing)" \
        "name them in modules-initramfs.list, too"
    rm missing drivers.*
}
