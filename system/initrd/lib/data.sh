# shellcheck shell=sh disable=SC2154,SC2034 # variables of the other files, and those that macula-initrd prints
# The data partition: extended, checked, mounted at /data. It is never formatted here: what cannot be mounted may still be
# rescued by a person, and until then the node runs from memory and says so.

persistent=0

data_memory() {
    mount -t tmpfs -o mode=755,nosuid,nodev,size=50% data /sysroot/data || fatal "there is no memory for the data"
}

# e2fsck is the slot's where the initramfs has none. Its bits: 1 and 2 mended, 4 not mended by itself, 8 and more: could
# not work.
# shellcheck disable=SC2086 # words
data_e2fsck() { macula-initrd feed 7200 $checker "$@" "$data" >>"$log" 2>&1; }

# data_check [forced]: one that was left in order is believed, unless it is known not to be.
data_check() {
    checker='chroot /sysroot /sbin/e2fsck'
    if [ -x /usr/sbin/e2fsck ]; then checker=/usr/sbin/e2fsck; else mount --bind /dev /sysroot/dev; fi
    code=4
    if [ $# = 0 ]; then
        data_e2fsck -p
        code=$?
    fi
    if [ $((code & 4)) != 0 ]; then
        tell "the data partition $data is damaged: repairing it, this may take a while"
        data_e2fsck -f -y
        code=$?
    fi
    umount /sysroot/dev 2>/dev/null
    case $code in
    0) ;;
    1 | 2 | 3) tell "errors on the data partition $data were repaired; details: /run/initramfs/log" ;;
    *) tell "the check of the data partition $data ended with code $code; details: /run/initramfs/log" ;;
    esac
}

data_grow() {
    found=$(macula-initrd grow "$disk" "$data_number" 2>>"$log") || return 0
    eval "$found"
    # shellcheck disable=SC2154
    [ "$grown" = 0 ] || tell "the data partition $data was extended to the end of $disk"
}

data_mount_ext4() { macula-initrd feed 600 mount -t ext4 -o rw,noatime,nodev,nosuid "$data" /sysroot/data 2>>"$log"; }

# With a byte: an empty file needs no block.
data_writable() { { echo 1 >/sysroot/data/.writable; } 2>>"$log"; }

# Some MiB are kept back while there is plenty: a node whose partition is full has to write before it can be told so.
data_reserve=/sysroot/data/.reserve
data_keep_back() {
    [ ! -e "$data_reserve" ] || return 0
    free=$(($(stat -f -c '%a * %S' /sysroot/data)))
    [ "$free" -lt 67108864 ] || fallocate -l 8388608 "$data_reserve" 2>>"$log" || note "nothing could be kept back on $data"
}

# data_of_live: a system that runs from a medium keeps its data where a person has made a place for them.
data_of_live() {
    [ "$persistence" = 1 ] || return 1
    found=$(macula-initrd labelled MACULA-LIVE 2>>"$log") || return 1
    eval "$found"
    note "the data of this live system are kept on $data"
}

data_mount() {
    case $mode in
    live) data_of_live || { data_memory && return; } ;;
    install) data_memory && return ;;
    esac
    if [ -z "${data:-}" ]; then
        data_memory
        problem "there is no data partition on $disk: this node forgets everything when it is switched off"
        return
    fi
    [ "$mode" = live ] || data_grow
    data_check
    if ! data_mount_ext4; then
        data_check forced
        data_mount_ext4
    fi
    # First, as a bigger disk may be what a full one was given.
    if grep -q ' /sysroot/data ext4 rw' /proc/mounts; then
        macula-initrd growfs "$data" /sysroot/data >>"$log" 2>&1 || problem "the file system on $data could not be extended"
    fi
    if data_writable; then
        persistent=1
        data_keep_back
    elif [ -e "$data_reserve" ] && rm -f "$data_reserve" 2>>"$log" && data_writable; then
        persistent=1
        problem "the data partition $data is full, and what was kept back for that is in use now: make room, for instance in /var/lib/data"
    else
        data_refused
    fi
    rm -f /sysroot/data/.writable 2>>"$log"
    clock_floor /sysroot/data/maculaos/clock
}

# Mounted but not to be written, or not mounted at all. A full one is written to where files are replaced: it stays.
data_refused() {
    if grep -q ' /sysroot/data ext4 rw' /proc/mounts && [ -d /sysroot/data/maculaos ]; then
        persistent=1
        problem "the data partition $data is full: make room, for instance in /var/lib/data"
        return
    fi
    umount /sysroot/data 2>/dev/null
    data_memory
    remedy='start the recovery to repair it'
    [ "$mode" != live ] || remedy="repair it: e2fsck -f $data" # a medium has no recovery that would look for it
    problem "the data partition $data cannot be used: the node runs from memory; $remedy"
    data_rescue
}
