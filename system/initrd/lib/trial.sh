# shellcheck shell=sh disable=SC2154,SC2034 # variables of the other files
# What became of a version on trial. A start that ends in a crash leaves nothing behind it on a file system, so each start of
# a version on trial is noted before anything of it is mounted, in the last sector but one of the partition `bios` (beside
# the count of starts.sh): which version, how many starts, how far the last one got, and why it ended when somebody knew.
# The start after it adds what the hardware and the kernel's crash memory say of that end. The version before, once it
# is back, is told by /run/initramfs/boot.env.

trial_device=
trial_sector=
trial_slot='' trial_id='' trial_starts='' trial_stage='' trial_cause='' trial_text='' trial_over=''

# crash_memory: a piece of memory that no kernel and no firmware uses, so that it outlives a restart (grub.cfg names it).
# Only where the firmware itself calls it free memory, and nothing put the kernel there all the same.
firmware_map=/sys/firmware/memmap
iomem=/proc/iomem

crash_memory_is_free() {
    first=$(($1)) last=$(($1 + $2 - 1))
    while IFS=' -' read -r from to _ what _; do
        [ "$what" = Kernel ] || continue
        if [ $((0x$from)) -le "$last" ] && [ $((0x$to)) -ge "$first" ]; then return 1; fi
    done <"$iomem"
    for entry in "$firmware_map"/*; do
        read -r type <"$entry/type"
        read -r from <"$entry/start"
        read -r to <"$entry/end"
        if [ "$type" = "System RAM" ] && [ $((from)) -le "$first" ] && [ $((to)) -ge "$last" ]; then return 0; fi
    done 2>/dev/null
    return 1
}

# crash_read: the kernel's last words of the start before, when they were about its end, as crash_cause and crash_text.
crash_read() {
    crash_cause='' crash_text=''
    if [ -n "$crash_memory" ] && crash_memory_is_free "$crash_memory" 65536; then
        /sbin/modprobe ramoops "mem_address=$crash_memory" mem_size=65536 record_size=16384 console_size=0 ftrace_size=0 pmsg_size=0 \
            max_reason=4 ecc=1 2>>"$log" || note "there is no memory for the kernel's last words"
    fi
    # One part holds the end of what was said; a second one there is no room for.
    mount -t pstore -o nosuid,nodev,noexec,kmsg_bytes=1 pstore /sys/fs/pstore 2>>"$log" || return 0
    for words in /sys/fs/pstore/dmesg-*; do
        [ -e "$words" ] || continue
        crash_judge "$words"
        cat "$words" >>/run/initramfs/last-words
        rm -f "$words"
    done
    umount /sys/fs/pstore
    [ -z "$crash_cause" ] || tell "the start before ended with a crash: $crash_text (/run/initramfs/last-words)"
}

# crash_judge FILE: an orderly restart leaves its last words, too.
crash_judge() {
    for pattern in 'verity:\(.*data block [0-9]* is corrupted\)' 'hang:softdog: \(Initiating system reboot\)' \
        'hang:Kernel panic - not syncing: \(.*[Ll]ockup.*\|.*hung_task.*\)' 'panic:Kernel panic - not syncing: \(.*\)'; do
        found=$(sed -n "s/.*${pattern#*:}.*/\1/p" "$1" | head -n 1)
        [ -n "$found" ] || continue
        crash_cause=${pattern%%:*} crash_text=$found
        return
    done
}

# hung: the hardware says that it restarted the machine.
hung() {
    for file in /sys/class/watchdog/*/bootstatus; do
        read -r bits <"$file" && [ $((bits & 32)) != 0 ] && return 0 # WDIOF_CARDRESET
    done 2>/dev/null
    return 1
}

trial_read() {
    said=$(dd if="$trial_device" bs=512 skip="$trial_sector" count=1 2>/dev/null | tr -cd '\n -~')
    case $said in
    trial=*end) ;;
    *) return 1 ;;
    esac
    while IFS='=' read -r key value; do
        case $key in
        trial) trial_slot=${value%%:*} trial_id=${value#*:} ;;
        starts) trial_starts=$value ;;
        stage) trial_stage=$value ;;
        cause) trial_cause=$value ;;
        text) trial_text=$value ;;
        over) trial_over=$value ;;
        esac
    done <<END
$said
END
    case $trial_starts in '' | *[!0-9]*) trial_starts=1 ;; esac
    case $trial_slot in [ab]) ;; *) return 1 ;; esac
}

# One sector, in place: it is there or it is not.
trial_write() {
    [ -n "$trial_device" ] && [ -n "$trial_slot" ] || return 0
    trial_text=$(printf %s "$trial_text" | tr -cd ' -~' | cut -c1-300)
    printf 'trial=%s:%s\nstarts=%s\nstage=%s\nover=%s\ncause=%s\ntext=%s\nend\n' "$trial_slot" "$trial_id" "$trial_starts" \
        "$trial_stage" "$trial_over" "$trial_cause" "$trial_text" |
        dd of="$trial_device" bs=512 seek="$trial_sector" count=1 conv=notrunc,sync,fsync 2>/dev/null || note "the trial could not be noted"
}

# trial_end CAUSE TEXT: this start is over, and it is known why.
trial_end() {
    [ "$pending" = 1 ] || return 0
    trial_cause=$1 trial_text=$2
    trial_write
}

# How the start before ended, as far as anything says so; what it said itself stays where nothing else is known.
trial_judge() {
    crash_read
    if [ -n "$crash_cause" ]; then
        trial_cause=$crash_cause trial_text=$crash_text
    elif hung; then
        trial_cause=hang trial_text="the watchdog restarted the machine"
    fi
    [ -z "$trial_cause" ] || note "the start before ended: $trial_cause: $trial_text"
}

trial_place() {
    trial_device=$(partition_of bios) && read -r sectors <"/sys/class/block/${trial_device#/dev/}/size" || return 1
    trial_sector=$((sectors - 2))
}

trial_count() {
    if ! trial_place; then
        trial_device=
        return 0
    fi
    mine=${token%%:*}
    mine=${mine%"${mine#????????????????}"}
    if ! trial_read; then trial_slot='' trial_over=1 trial_cause='' trial_text=''; fi
    if [ "$pending" = 1 ]; then
        if [ "$trial_over" = 0 ] && [ "$trial_slot:$trial_id" = "$slot:$mine" ]; then
            trial_judge
            trial_starts=$((trial_starts + 1))
        else
            crash_read # of another version
            trial_starts=1 trial_cause='' trial_text=''
        fi
        trial_slot=$slot trial_id=$mine trial_stage=initramfs trial_over=0
        trial_write
    elif [ "$trial_over" = 0 ]; then
        trial_judge
        trial_over=1
        trial_write
    else
        crash_read # of a start that was no trial
    fi
}

# The slot's own init takes over: what comes next is no fault of the initramfs.
trial_handed_over() {
    [ "$pending" = 1 ] || return 0
    trial_stage=system
    trial_write
}
