# shellcheck shell=sh disable=SC2154 # variables of the other files, and those that macula-initrd prints
# A configuration from outside: config.yaml on any disk, stick or partition (FAT, ISO 9660) with the label MACULA-CONF.
# A node that has one already never takes another this way: whoever plugs something in later changes nothing.

configuration_take() {
    file=/sysroot/var/lib/maculaos/config.yaml
    # .password with something in it: the installer has given this node all that it needs (boot-env).
    [ ! -e "$file" ] && [ ! -e "${file%/*}/.configured" ] && [ ! -s "${file%/*}/.password" ] || return 0
    found=$(macula-initrd configuration MACULA-CONF "$file" 2>>"$log")
    case $? in
    0)
        eval "$found"
        tell "the configuration was taken from $configuration"
        ;;
    1) ;;
    *) tell "the configuration on the medium MACULA-CONF was not taken: $(tail -n 1 "$log")" ;;
    esac
}
