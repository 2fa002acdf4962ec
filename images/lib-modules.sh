# Kernel modules by name, with what they need.
# shellcheck shell=sh disable=SC2154

# module_names LIST: the words of a list that count for this architecture.
module_names() {
    sed -n -e '/^#/d' -e "s/^$ARCH: //p" -e '/^[a-z0-9]*: /d' -e '/./p' "$1" | tr -s ' ' '\n' | sort -u
}

# copy_modules LIST FROM TO KERNEL: FROM and TO are roots with lib/modules; the copies are not compressed. Stops at a
# name that the kernel does not know, so that a list is true or the build says so.
copy_modules() {
    mkdir -p "$3/lib/modules/$4"
    module_names "$1" >names
    : >files
    while read -r module; do
        if modprobe -d "$2" -S "$4" --ignore-install --show-depends "$module" >depends 2>/dev/null; then
            sed -n 's/^insmod \([^ ]*\).*/\1/p' depends >>files
        else
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
    sort -u files | wc -l >count
}
