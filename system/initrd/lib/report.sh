# shellcheck shell=sh disable=SC2154,SC2034 # variables of the other files, and those that macula-initrd prints
# What the initramfs says: every line into /run/initramfs/log; what a person must know also onto the console. The phases,
# with the seconds since the kernel began, into /run/initramfs/phases.

log=/run/initramfs/log
data_problem=

# report_terminals: which consoles answer. Without a serial port the kernel takes the last one of the command line for
# /dev/console all the same; and with one, a person before the screen should see no less than who is at the line.
report_terminals() {
    terminals=
    read -r consoles </sys/class/tty/console/active || return 0
    for console in $consoles; do
        [ "$console" != tty0 ] || console=tty1
        if [ -t 0 ] 2>/dev/null </dev/"$console"; then terminals="$terminals /dev/$console"; fi
    done
}

# show TEXT: on all of them.
show() {
    [ -n "${terminals:-}" ] || echo "$*"
    for terminal in ${terminals:-}; do echo "$*" >"$terminal"; done
}

show_lines() { while IFS= read -r line; do show "$line"; done; }

uptime_now() { read -r now _ </proc/uptime; }

note() {
    uptime_now
    echo "[$now] $*" >>"$log"
    [ "${trace:-0}" = 0 ] || echo "macula: [$now] $*"
}

# tell TEXT: a person at the console should see it.
tell() {
    uptime_now
    echo "[$now] $*" >>"$log"
    show "MaculaOS: $*"
}

phase() {
    uptime_now
    echo "$1 $now" >>/run/initramfs/phases
    note "phase $1"
}

# problem TEXT: something about the data partition; the node runs, and says it again at login.
problem() {
    tell "$1"
    data_problem="${data_problem:+$data_problem; }$1"
}

# fatal TEXT [CAUSE]: this system cannot be started. A slot on trial is given back to the boot loader, which counts the try; the
# others would fail the same way each time, so a person gets the recovery.
fatal() {
    tell "cannot start: $1"
    case $mode in
    disk | live | install) ;;
    *) modes_shell "$1" ;;
    esac
    if [ "$mode" = disk ] && [ "$pending" = 1 ]; then
        trial_end "${2:-start}" "$1"
        tell "slot $slot is on trial: restarting in 5 seconds"
        sleep 5
        reboot -f
    fi
    modes_program recovery
}

quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"; }

# What the system is told; each line may be evaluated by a shell.
report_hand_over() {
    problem_line=$(quoted "$data_problem")
    trial_line=$(quoted "$trial_text")
    cat >/run/initramfs/boot.env <<END
mode=$mode
slot=$slot
pending=$pending
failed=$failed
version=${version:-}
disk=${disk:-}
esp=${esp:-}
data=${data:-}
data_problem=$problem_line
persistent=${persistent:-0}
verity=${verity_state:-off}
watchdog=${watchdog:-}
watchdog_s=$watchdog_s
state_lost=$state_lost
tries_lost=$tries_lost
medium=${medium:-}
starts=${starts_device:+$starts_device:$starts_sector}
trial=${trial_device:+$trial_device:$trial_sector}
trial_slot=$trial_slot
trial_id=$trial_id
trial_starts=$trial_starts
trial_stage=$trial_stage
trial_cause=$trial_cause
trial_text=$trial_line
END
}
