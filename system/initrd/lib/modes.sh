# shellcheck shell=sh disable=SC2154
# What is not a start of the system: a shell, and the programs that work from here.
modes_programs=/usr/libexec/macula

modes_shell() {
    tell "a shell of the initramfs ($1). It ends with a restart."
    macula-initrd hotplug
    # The first terminal that the leader of a session opens becomes its own: Ctrl-C works.
    # shellcheck disable=SC2016 # the inner shell's
    setsid sh -c 'exec sh <"$1" >"$1" 2>&1' sh "${terminals##* }"
    reboot -f
}

# modes_program NAME: recovery or reset, as a process of its own: when it ends, however it does, the machine restarts. A
# reset that cannot be finished would fail the same way each time: a person gets the recovery. One that could only not
# remove all of it (exit code 4) is gone on with by the next start, which checks the file system first.
modes_program() {
    program=$modes_programs/$1
    report_hand_over
    [ -x "$program" ] || modes_shell "this initramfs has no $program"
    # A watchdog that was armed is fed by who waits, as long as a person works there; the recovery takes consoles of its own.
    feed=
    [ -z "${watchdog:-}" ] || feed='macula-initrd feed 0'
    if [ "$1" = recovery ]; then
        # shellcheck disable=SC2086 # words
        mode=$mode slot=$slot esp_uuid=$esp_uuid $feed setsid "$program"
    else
        # Nobody is asked: what it says is for every terminal, and none can interrupt it.
        { code=$({ {
            mode=$mode slot=$slot esp_uuid=$esp_uuid setsid "$program" 2>&1 </dev/null 3>&- 4>&-
            echo $? >&4
        } | show_lines >&3; } 4>&1); } 3>&1
        if [ "$code" != 0 ] && [ "$code" != 4 ]; then
            tell "cannot start: the factory reset was not finished"
            modes_program recovery
        fi
    fi
    tell "$1 has ended: restarting"
    sync
    reboot -f
}
