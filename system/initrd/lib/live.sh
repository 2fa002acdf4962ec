# shellcheck shell=sh disable=SC2154
# The live medium: an ISO, on an optical disk or a stick, with the slot's image as a file.

live_mount() {
    mkdir -p /run/live
    found=$(macula-initrd medium -t 60 -m isofs -m loop -m squashfs -m overlay -m sr_mod -m sd_mod "$medium_id" /run/live 2>>"$log") ||
        fatal "the live medium did not appear; was it pulled out?"
    eval "$found"
    note "live medium on $medium"
    mount -t squashfs -o ro,nodev,loop /run/live/live/slot.img /sysroot 2>>"$log" ||
        fatal "live/slot.img on $medium is damaged: write the medium again"
    slot_version
    clock_floor /sysroot/usr/lib/os-release
    [ "$mode" = install ] || watchdog_arm
}
