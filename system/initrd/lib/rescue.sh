# shellcheck shell=sh disable=SC2154 # variables of the other files
# A data partition that cannot be written: what makes the node this node is taken along into memory, so that it keeps its
# name, keys and configuration. Its stores (streams of the bus, downloads of an upgrade) stay behind: they may be larger
# than the memory. Of the rest, which nobody here knows, whatever is small comes, too.

rescue=/run/initramfs/rescue
rescue_to=/sysroot/data/maculaos
rescue_small_k=16384 # of one entry that is not named here
rescue_s=600         # of all of it
# What shuts the console and the page of the set-up first.
rescue_always='.configured .password identity config.yaml config.d init_cmd hostname clock credentials secrets ca ssh net firstboot applied generations'

# rescue_shut TEXT: a node whose configuration cannot be read was most likely set up: nobody may set it up anew, nor log in
# without a password, because its disk has decayed.
rescue_shut() {
    mkdir -p "$rescue_to"
    : >"$rescue_to/.configured"
    : >"$rescue_to/.password"
    problem "$1, so the console lets nobody in without a password and the page of the set-up stays closed"
}

# rescue_within COMMAND…: for what reads the partition. A disk that is dying tries a block again for half a minute and longer:
# the watchdog is fed meanwhile, until the time is over; what has not been read by then cannot be read.
rescue_within() {
    uptime_now
    [ "${now%.*}" -lt "$rescue_until" ] && macula-initrd run "$((rescue_until - ${now%.*}))" "$@"
}

rescue_copy() { rescue_within cp -a "$rescue/maculaos/$1" "$rescue_to/" 2>>"$log" || rescue_lost="$rescue_lost $1"; }

# What is only in the way of memory is no loss.
rescue_copy_small() {
    case " $rescue_always " in *" $1 "*) return ;; esac
    size=$(rescue_within du -sk "$rescue/maculaos/$1" 2>>"$log" | cut -f1)
    if [ "${size:-$rescue_small_k}" -lt "$rescue_small_k" ] && rescue_within cp -a "$rescue/maculaos/$1" "$rescue_to/" 2>>"$log"; then return; fi
    rm -rf "${rescue_to:?}/$1"
    note "$1 was left on the data partition"
}

rescue_read() {
    # A name whose inode cannot be read makes `ls` fail: nothing is missed in silence.
    rescue_within ls -A "$rescue" >"$rescue.names" 2>>"$log" || return 1
    grep -qx maculaos "$rescue.names" || return 0
    mkdir -p "$rescue_to" && chmod "$(rescue_within stat -c %a "$rescue/maculaos")" "$rescue_to"
    rescue_lost=
    rescue_within ls -A "$rescue/maculaos" >"$rescue.names" 2>>"$log" || rescue_lost=' maculaos'
    for name in $rescue_always; do
        ! grep -qxF "$name" "$rescue.names" || rescue_copy "$name"
    done
    while IFS= read -r name; do rescue_copy_small "$name"; done <"$rescue.names"
    if [ -z "$rescue_lost" ]; then
        problem "identity and configuration were read from it; changes are forgotten at the next start"
    else
        rescue_shut "not all of the node's identity and configuration could be read from it (missing:$rescue_lost)"
    fi
}

data_rescue() {
    mkdir -p "$rescue"
    uptime_now
    rescue_until=$((${now%.*} + rescue_s))
    if ! rescue_within mount -t ext4 -o ro,noload,nodev,nosuid "$data" "$rescue" 2>>"$log"; then
        rescue_shut "identity and configuration could not be read from it"
        return
    fi
    rescue_read || rescue_shut "identity and configuration could not be read from it"
    umount "$rescue"
}
