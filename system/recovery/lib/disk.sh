# shellcheck shell=sh disable=SC2154,SC2034 # variables that macula-initrd prints, and the others'
# The disk of the node: which one it is, and its partitions, in /run/recovery/disk.env.

disk_save() {
    printf 'disk=%s\nesp=%s\nslot_a=%s\nslot_b=%s\ndata=%s\n' "$1" "$2" "$3" "$4" "$5" >/run/recovery/disk.env.new
    mv /run/recovery/disk.env.new /run/recovery/disk.env
}

# disk_partition DISK NAME: the device of the partition with that name on /dev/DISK; empty when there is none.
disk_partition() {
    for entry in /sys/class/block/"$1"/"$1"*/uevent; do
        if grep -qx "PARTNAME=$2" "$entry" 2>/dev/null; then
            entry=${entry%/uevent}
            echo "/dev/${entry##*/}"
            return
        fi
    done
}

# disk_take NAME: the disk /dev/NAME is the node's. False when it holds no node.
disk_take() {
    found_esp=$(disk_partition "$1" esp)
    found_a=$(disk_partition "$1" rootfs-A)
    [ -n "$found_esp" ] && [ -n "$found_a" ] || return 1
    disk_save "/dev/$1" "$found_esp" "$found_a" "$(disk_partition "$1" rootfs-B)" "$(disk_partition "$1" data)"
}

# data_look: the data partition is mounted to be read at $look, until data_look_away. In a place of its own, as each console
# has a menu that looks. As it lies on the disk: one that fails is not written to. A power cut may have left that half
# written; then as its journal makes it, which a start does, too. data_look ro: only as its journal makes it.
data_look() {
    [ $# != 0 ] || set -- ro,noload ro
    look=$(mktemp -d /run/recovery/look.XXXXXX) || return 1
    for how; do
        mount -t ext4 -o "$how,nodev,nosuid,noexec" "$data" "$look" 2>/dev/null && return
    done
    rmdir "$look"
    return 1
}

data_look_away() { umount "$look" && rmdir "$look"; }

# Disks that hold a node, a name each.
disk_candidates() {
    for entry in /sys/class/block/*; do
        [ ! -e "$entry/partition" ] || continue
        name=${entry##*/}
        [ -z "$(disk_partition "$name" rootfs-A)" ] || echo "$name"
    done
}

# The disk that the boot loader started from; from a live medium, which knows of none, the only one that holds a node.
disk_find() {
    if found=$(macula-initrd find -m ext4 -m squashfs -m sd_mod -m crc32c_generic -t 20 "${esp_uuid:--}" rootfs-A 2>/dev/null) &&
        [ -n "${esp_uuid:-}" ]; then
        eval "$found"
        disk_take "${disk#/dev/}" && return
    fi
    disk_take_only
}

disk_take_only() {
    # shellcheck disable=SC2046 # names of disks
    set -- $(disk_candidates)
    [ $# = 1 ] && disk_take "$1"
}
