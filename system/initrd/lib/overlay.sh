# shellcheck shell=sh disable=SC2154,SC2034 # variables of the other files, and those that macula-initrd prints
# What can be written, over the read-only slot. /etc begins anew at every start, in memory: it is the slot's, and what the
# configuration makes of it. /var, /opt and /usr/local keep their changes on the data partition.

# bind NAME TARGET: a directory of the data partition; the first time with what the slot has there, all of it or nothing:
# by one rename, when it is on the disk. What is big belongs elsewhere in the slot: nobody feeds the watchdog meanwhile.
bind() {
    if [ ! -d "/sysroot/data/$1" ]; then
        rm -rf "/sysroot/data/$1.new"
        if [ -d "/sysroot$2" ]; then cp -a "/sysroot$2" "/sysroot/data/$1.new"; else mkdir -p "/sysroot/data/$1.new"; fi 2>>"$log" &&
            sync && mv "/sysroot/data/$1.new" "/sysroot/data/$1" 2>>"$log"
    fi
    [ -d "/sysroot$2" ] || mkdir -p "/sysroot$2" 2>>"$log"
    mount --bind "/sysroot/data/$1" "/sysroot$2" 2>>"$log" || {
        problem "$2 could not be put onto the data partition: it is in memory"
        mount -t tmpfs -o mode=755 "$1" "/sysroot$2"
    }
}

# over DIRECTORY NAME: an overlay whose changes are kept.
over() {
    upper=/sysroot/data/overlay/$2/upper
    work=/sysroot/data/overlay/$2/work
    mkdir -p "$upper" "$work" 2>>"$log"
    mount -t overlay -o "lowerdir=/sysroot$1,upperdir=$upper,workdir=$work" "over-$2" "/sysroot$1" 2>>"$log" || {
        problem "changes of $1 cannot be kept: they are in memory"
        over_memory "$1" "$2"
    }
}

over_memory() {
    mkdir -p "/run/initramfs/over/$2/upper" "/run/initramfs/over/$2/work"
    mount -t overlay -o "lowerdir=/sysroot$1,upperdir=/run/initramfs/over/$2/upper,workdir=/run/initramfs/over/$2/work" \
        "over-$2" "/sysroot$1" || fatal "no overlay can be put over $1"
}

overlay_mount() {
    over_memory /etc etc
    over /var var
    over /opt opt
    over /usr/local local
    bind maculaos /var/lib/maculaos
    bind rancher /var/lib/rancher
    bind userdata /var/lib/data
    bind home /home
    bind root /root
    chmod 700 /sysroot/root
    machine_id
}

# One for the life of the node: kept with its other keys.
machine_id() {
    file=/sysroot/var/lib/maculaos/identity/machine-id
    id=
    [ ! -s "$file" ] || read -r id <"$file"
    case $id in
    *[!0-9a-f]* | '')
        read -r id </proc/sys/kernel/random/uuid
        id=$(echo "$id" | tr -d -)
        mkdir -p "${file%/*}" && chmod 700 "${file%/*}"
        echo "$id" >"$file.new" && sync "$file.new" 2>/dev/null
        mv "$file.new" "$file" 2>>"$log" || note "the machine id could not be kept"
        ;;
    esac
    echo "$id" >/sysroot/etc/machine-id
}

overlay_move() {
    for place in dev proc sys run; do mount --move "/$place" "/sysroot/$place"; done
}
