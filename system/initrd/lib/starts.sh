# shellcheck shell=sh disable=SC2154 # variables of the other files, and those that macula-initrd prints
# Starts of the active slot after which no node answered. What breaks behind the mount (a block that has decayed, a program)
# ends in a restart that tells the next start nothing, and would be repeated for ever. So each start is noted before
# anything is mounted, in the last sector of the partition `bios`: no file system, one sector, written in place. The node
# that answers, or an orderly end, takes the note away. After five in a row the other version gets its three tries; when
# that has failed too, or there is none, a person gets the recovery, and the count begins anew.

starts_most=5
starts_device=
starts_sector=

# partition_of NAME: its device on the disk that we started from.
partition_of() {
    file=$(grep -l "^PARTNAME=$1\$" /sys/class/block/"${disk#/dev/}"/*/uevent 2>/dev/null) || return 1
    file=${file%/uevent}
    echo "/dev/${file##*/}"
}

starts_write() {
    echo "starts=$1" | dd of="$starts_device" bs=512 seek="$starts_sector" count=1 conv=notrunc,sync,fsync 2>/dev/null ||
        note "the start could not be counted"
}

starts_count() {
    [ "$pending" = 0 ] && starts_device=$(partition_of bios) || return 0
    read -r sectors <"/sys/class/block/${starts_device#/dev/}/size"
    starts_sector=$((sectors - 1))
    count=$(dd if="$starts_device" bs=512 skip="$starts_sector" count=1 2>/dev/null | sed -n '1s/^starts=\([0-9]\{1,3\}\)$/\1/p')
    count=${count:-0}
    note "starts of slot $slot without an answer: $count"
    if [ "$count" -lt "$starts_most" ]; then
        starts_write $((count + 1))
        return 0
    fi
    starts_write 0
    if [ -z "$failed" ] && starts_other; then
        tell "slot $slot was started $count times and its node never answered: restarting with the other version"
        reboot -f
    fi
    fatal "slot $slot was started $count times and its node never answered"
}

starts_other() {
    a=$(partition_of rootfs-A) && b=$(partition_of rootfs-B) &&
        /usr/libexec/macula/macula-recover --esp "$esp" --slot-a "$a" --slot-b "$b" previous >>"$log" 2>&1
}
