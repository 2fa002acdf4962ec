# shellcheck shell=sh disable=SC2154 # variables of disk.env
# The node's own programs, for what only they can do: from a slot, over the data partition, while the node is down.

system_root=/run/recovery/system
data_root=/run/recovery/data

data_is_mounted() { grep -q " $data_root " /proc/mounts; }

data_mount() {
    [ -n "$data" ] || refuse 1 "${disk:-the disk} has no data partition"
    data_is_mounted && return 0
    mkdir -p "$data_root"
    mount -t ext4 -o "$1,noatime,nodev,nosuid" "$data" "$data_root" 2>/dev/null ||
        refuse 1 "the data partition $data cannot be mounted: check it (macula-recovery check), then repair it"
}

data_unmount() {
    data_is_mounted || return 0
    sync
    umount "$data_root" || refuse 1 "$data_root is in use"
}

# Mounted without verification: a damaged block is an error here, and must not restart the recovery. The active slot first:
# the other one may be of a version that knows less of the data, or more.
system_mount() {
    mkdir -p "$system_root"
    set -- "$slot_a" "$slot_b"
    [ "$(recover active 2>/dev/null)" != b ] || set -- "$slot_b" "$slot_a"
    for slot; do
        [ -n "$slot" ] || continue
        mount -t squashfs -o ro,nodev "$slot" "$system_root" 2>/dev/null || continue
        [ -x "$system_root/usr/libexec/macula/confd-offline" ] && return 0
        umount "$system_root"
    done
    # The slot that this start could not use may still be in use by what it tried.
    if [ -x /sysroot/usr/libexec/macula/confd-offline ] && mount --bind /sysroot "$system_root"; then return 0; fi
    refuse 1 "neither slot can be read: install again, or write a slot from another machine"
}

system_unmount() {
    for place in var/lib/maculaos var/lib run dev proc ''; do umount "$system_root/$place" 2>/dev/null; done
}

# system_run COMMAND…: in a slot, with the node's state in its place.
system_run() {
    was_mounted=1
    data_is_mounted || was_mounted=0
    data_mount rw
    system_mount
    mount -t tmpfs -o mode=755 run "$system_root/run"
    mount -t tmpfs -o mode=755 lib "$system_root/var/lib"
    mount --bind /dev "$system_root/dev"
    mount --bind /proc "$system_root/proc"
    mkdir -p "$system_root/var/lib/maculaos" "$data_root/maculaos"
    mount --bind "$data_root/maculaos" "$system_root/var/lib/maculaos"
    chroot "$system_root" "$@"
    code=$?
    system_unmount
    [ "$was_mounted" = 1 ] || data_unmount
    return "$code"
}
