# shellcheck shell=sh disable=SC2154,SC2034 # variables of the other files, and those that macula-initrd prints
# The slot: a squashfs in a partition of the disk that the boot loader started from, verified block by block when read.

# Modules that no device asks for.
# shellcheck disable=SC2086 # -m for each
modules='-m squashfs -m overlay -m ext4 -m sd_mod -m dm_verity -m sha256_generic -m crc32c_generic'

# watchdog_arm: hardware; where there is none, the kernel's own, which ends a hang of anything but the kernel.
watchdog_arm() {
    [ "$watchdog_s" -gt 0 ] || return 0
    found=$(macula-initrd watchdog "$watchdog_s") ||
        { /sbin/modprobe softdog 2>>"$log" && found=$(macula-initrd watchdog "$watchdog_s"); } || {
        note "there is no watchdog"
        return 0
    }
    eval "$found"
    note "watchdog $watchdog armed with $watchdog_s s"
}

slot_find() {
    [ -n "$slot" ] || fatal "the kernel command line names no slot (macula.slot=a or b)"
    [ -n "$esp_uuid" ] || fatal "the kernel command line does not say which disk it started from (macula.esp=)"
    partition=rootfs-A
    [ "$slot" = a ] || partition=rootfs-B
    # shellcheck disable=SC2086
    if ! found=$(macula-initrd find $modules -t "${find_s:-30}" "$esp_uuid" "$partition" data 2>>"$log"); then
        # Without its data partition a node still starts.
        # shellcheck disable=SC2086
        found=$(macula-initrd find $modules -t 5 "$esp_uuid" "$partition" 2>>"$log") ||
            fatal "the disk with the ESP $esp_uuid and its partition $partition did not appear"
    fi
    eval "$found"
    slot_device=$rootfs_A
    [ "$slot" = a ] || slot_device=$rootfs_B
    note "slot $slot is $slot_device, disk $disk, data ${data:-none}"
}

slot_verify() {
    if [ -z "$token" ]; then
        found=$(macula-initrd trailer "$slot_device" 2>>"$log") || {
            tell "slot $slot has no root hash: it is used unverified"
            return
        }
        eval "$found"
        token=$trailer_verity
    fi
    found=$(macula-initrd verity "$slot_device" "$token" 2>>"$log") || fatal "slot $slot cannot be verified ($(tail -n 1 "$log"))" verity
    eval "$found"
    slot_device=$verified
    verity_state=on
}

slot_version() {
    version=
    while IFS='=' read -r key value; do
        [ "$key" != IMAGE_VERSION ] || version=$value
    done </sysroot/usr/lib/os-release
    version=${version#\"}
    version=${version%\"}
}

slot_mount() {
    slot_find
    trial_count
    starts_count
    watchdog_arm
    slot_verify
    mount -t squashfs -o ro,nodev "$slot_device" /sysroot 2>>"$log" ||
        fatal "slot $slot on $slot_device is no file system of ours, or damaged" verity
    [ -x /sysroot/sbin/init ] || [ -L /sysroot/sbin/init ] || fatal "slot $slot has no /sbin/init"
    slot_version
    clock_floor /sysroot/usr/lib/os-release
}

# clock_floor FILE: machines without a clock of their own begin in 1970, when no certificate is valid. Time is never
# before that of the image, nor before what was written last.
clock_floor() {
    [ -e "$1" ] || return 0
    floor=$(stat -c %Y "$1")
    [ "$(date +%s)" -ge "$floor" ] || { date -s "@$floor" >/dev/null && note "clock set forward to $floor ($1)"; }
}

# What every start soon needs of the slot: unpacked now by the processor that is idle while this one checks and mounts. Only
# the page cache keeps it; where memory is short, it goes again.
slot_read_ahead() {
    list=usr/share/maculaos/read-ahead
    # shellcheck disable=SC2046 # a pattern a line
    [ ! -e "/sysroot/$list" ] || (cd /sysroot && cat $(grep -v '^#' "$list") >/dev/null 2>&1) &
}
