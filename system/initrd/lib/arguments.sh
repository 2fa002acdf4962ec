# shellcheck shell=sh disable=SC2034 # the variables are the others'
# The kernel command line. A value that is none of the known ones counts as not given: it could be anybody's typing.

arguments_read() {
    mode=disk slot='' pending=0 failed='' esp_uuid='' token='' state_lost=0 tries_lost=0 medium_id=- trace=0 watchdog_s=60 crash_memory='' persistence=1
    read -r line </proc/cmdline
    set -f
    # shellcheck disable=SC2086 # words
    set -- $line
    set +f
    for word; do
        value=${word#*=}
        case $word in
        macula.mode=live | macula.mode=disk | macula.mode=install | macula.mode=recovery | macula.mode=shell | macula.mode=reset) mode=$value ;;
        macula.slot=[ab]) slot=$value ;;
        macula.pending=1) pending=1 ;;
        macula.failed=[ab]) failed=$value ;;
        macula.esp=*[!0-9A-Fa-f-]*) ;;
        macula.esp=*) esp_uuid=$value ;;
        macula.verity=*) token=$value ;;
        macula.state=lost) state_lost=1 ;;
        macula.tries=lost) tries_lost=1 ;;
        macula.medium=*[!0-9A-Za-z_.-]*) ;;
        macula.medium=*) medium_id=$value ;;
        macula.watchdog= | macula.watchdog=*[!0-9]* | macula.watchdog=?????*) ;;
        macula.watchdog=*) [ "$value" -gt 3600 ] || watchdog_s=$value ;;
        macula.trace=1) trace=1 ;;
        macula.persistence=0) persistence=0 ;;
        memmap=64K\$0x*[!0-9a-f]*) ;;
        memmap=64K\$0x*) crash_memory=${value#*\$} ;;
        esac
    done
    note "mode=$mode slot=$slot pending=$pending failed=$failed esp=$esp_uuid medium=$medium_id"
}
