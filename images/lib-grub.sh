# GRUB's own images, for disks and for media.
# shellcheck shell=sh disable=SC2154,SC2016 # what dpkg-query puts in

grub_common='part_gpt part_msdos fat squash4 xzio gzio loadenv linux normal configfile search search_label test true echo
    regexp serial terminal reboot minicmd sleep probe hashsum gcry_crc'

# grub_packages: `NAME VERSION ARCH` of the host's packages that GRUB's images are made of.
grub_packages() {
    for platform in $GRUB_BIOS $GRUB_EFI; do dpkg-query -S "/usr/lib/grub/$platform/moddep.lst"; done 2>/dev/null | cut -d: -f1 |
        xargs -r dpkg-query -W -f '${Package} ${Version} ${Architecture}\n'
}

# grub_image PLATFORM FILE PREFIX MODULE...: and what every image has.
grub_image() {
    [ -d "/usr/lib/grub/${1%-eltorito}" ] || fail "GRUB for ${1%-eltorito} is not installed" "scripts/install-dependencies image"
    platform=$1
    file=$2
    prefix=$3
    shift 3
    # shellcheck disable=SC2086 # a list of words
    grub-mkimage -O "$platform" -o "$file" -p "$prefix" "$@" $grub_common >log 2>&1 ||
        { cat log >&2 && fail "grub-mkimage for $platform failed"; }
    rm log
}

# fat_image FILE SIZE LABEL DIRECTORY OPTIONS: a FAT file system with the contents of a directory, without mounting it.
fat_image() {
    truncate -s "$2" "$1"
    # shellcheck disable=SC2086 # options are words
    mkfs.vfat $5 -n "$3" -i 4D414355 --invariant "$1" >/dev/null
    in_order "$4"
    (cd "$4" && find . -mindepth 1 -type d | sort) | while read -r path; do mmd -D s -i "$1" "::/${path#./}"; done
    (cd "$4" && find . -type f | sort) | while read -r path; do mcopy -m -i "$1" "$4/${path#./}" "::/${path#./}"; done
}
