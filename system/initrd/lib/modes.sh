# shellcheck shell=sh disable=SC2154
# What is not a start of the system: a shell, and the programs that work from here.

modes_shell() {
    tell "a shell of the initramfs ($1). It ends with a restart."
    macula-initrd coldplug
    setsid cttyhack sh
    reboot -f
}

# modes_program NAME: recovery or reset, as a process of its own: when it ends, however it does, the machine restarts.
modes_program() {
    program=/usr/libexec/macula/$1
    report_hand_over
    [ -x "$program" ] || modes_shell "this initramfs has no $program"
    mode=$mode slot=$slot esp_uuid=$esp_uuid setsid cttyhack "$program"
    tell "$1 has ended: restarting"
    sync
    reboot -f
}
