# Who logs in at a terminal of a node that was never configured is asked what it shall be. Ctrl-C leads to the shell.
# shellcheck shell=sh
if [ ! -e /var/lib/maculaos/.configured ] && [ -d /run/macula/firstboot ]; then
    case $(tty) in
    /dev/tty[0-9]* | /dev/ttyS* | /dev/console) doas maculaos setup ;;
    esac
fi
