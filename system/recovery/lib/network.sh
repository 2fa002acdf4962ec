# shellcheck shell=sh
# Network: DHCP on every wired interface, and SSH with the keys of the node's administrators.

# What the node knows, copied while its data are mounted to be read only: host key and authorised keys.
network_keys() {
    mkdir -p /root/.ssh
    chmod 700 /root /root/.ssh
    [ -n "${data:-}" ] && data_look || return 0
    for file in home/macula root; do
        cat "$look/$file/.ssh/authorized_keys" 2>/dev/null
    done >/root/.ssh/authorized_keys
    chmod 600 /root/.ssh/authorized_keys
    (umask 077 && cp "$look/maculaos/identity/ssh_host_ed25519" /etc/dropbear/host_key 2>/dev/null)
    data_look_away
}

# Each once: those that have come since are started when this is asked again.
network_interfaces() {
    ip link set lo up
    for entry in /sys/class/net/*; do
        [ -e "$entry/device" ] || continue
        interface=${entry##*/}
        mkdir "/run/recovery/network.$interface" 2>/dev/null || continue
        ip link set "$interface" up
        udhcpc -i "$interface" -s /usr/libexec/macula/recovery-lease -b -p "/run/recovery/dhcp.$interface" >/dev/null 2>&1 &
    done
}

# Once more when another disk is worked on: for its keys.
network_start() {
    data=
    # shellcheck source=/dev/null
    [ ! -e /run/recovery/disk.env ] || . /run/recovery/disk.env
    network_keys
    network_interfaces
    [ -s /root/.ssh/authorized_keys ] && [ ! -e /run/recovery/dropbear.pid ] || return 0
    # Keys only, no forwarding. Without the node's own host key one is made, and is another one the next time.
    key='-R'
    [ ! -s /etc/dropbear/host_key ] || key='-r /etc/dropbear/host_key'
    # shellcheck disable=SC2086 # an option and its value
    dropbear -s -j -k $key -P /run/recovery/dropbear.pid >/dev/null 2>/run/recovery/dropbear.log
}
