# Programs of the root file system for the initramfs, with the libraries that they load.
# shellcheck shell=sh disable=SC2154

# copy_program ROOT TO PATH: to the same path; a library once.
copy_program() {
    [ ! -e "$2$3" ] || return 0
    [ -e "$1$3" ] || fail "the root file system has no $3 for the initramfs" "see system/initrd/programs"
    mkdir -p "$2$(dirname "$3")"
    cp -L "$1$3" "$2$3"
    readelf -ld "$2$3" 2>/dev/null | sed -n 's/.*\[Requesting program interpreter: \(.*\)\]/\1/p;s/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        while read -r library; do
            case $library in
            /*) copy_program "$1" "$2" "/usr/${library#/}" ;;
            *) copy_program "$1" "$2" "$(library_path "$1" "$library")" ;;
            esac
        done
}

library_path() {
    find "$1/usr/lib" -name "$2" -printf '/usr/lib/%P\n' | head -n 1
}

# merged_usr TO: /bin, /sbin, /lib are links into /usr, as in the root file system.
merged_usr() {
    mkdir -p "$1/usr/bin" "$1/usr/sbin" "$1/usr/lib"
    for directory in bin sbin lib; do ln -sfn "usr/$directory" "$1/$directory"; done
    if [ "$ARCH" = amd64 ]; then
        mkdir -p "$1/usr/lib64"
        ln -sfn usr/lib64 "$1/lib64"
    fi
}
