# shellcheck shell=sh disable=SC2154 # variables of the other files
# init_cmd of the configuration, in the root of the system that is about to start and before any program of it. confd lays
# the commands down (services/confd/confd-apply-init.h), as nobody here reads YAML. What one does to the start, or how
# long it takes, is its own affair within its timeout; then it and what it started is killed, and the start goes on.

commands_file=/sysroot/var/lib/maculaos/init_cmd
commands_script=/run/initramfs/init_cmd

commands_mount() {
    for place in dev proc sys run; do mount --bind "/$place" "/sysroot/$place" 2>>"$log" || note "init_cmd: no /$place"; done
}

# Lazily: what a command left running may hold them.
commands_unmount() {
    for place in dev proc sys run; do umount -l "/sysroot/$place" 2>>"$log"; done
}

commands_one() {
    note "init_cmd[$1]: begins, at most $2 s"
    code=0
    HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        /bin/macula-initrd run "$2" /bin/chroot /sysroot /bin/sh "$commands_script" </dev/null >>"$log" 2>&1 || code=$?
    case $code in
    0) note "init_cmd[$1]: done" ;;
    124) tell "init_cmd[$1] was killed after its timeout of $2 s; what it said: /run/initramfs/log" ;;
    *) tell "init_cmd[$1] failed with exit code $code; what it said: /run/initramfs/log" ;;
    esac
}

# One record a command: "SECONDS LENGTH", a line feed, so many bytes, a line feed.
commands_run() {
    [ -s "$commands_file" ] || return 0
    commands_mount
    number=0
    while read -r seconds length <&4; do
        case $seconds:$length in
        *[!0-9:]* | :* | *:)
            tell "$commands_file is damaged: the rest of init_cmd is not run; the node writes it again"
            break
            ;;
        esac
        # Exactly so many bytes, and not one more, out of the open file.
        (umask 077 && dd bs="$length" count=1 <&4 >"$commands_script" 2>>"$log")
        read -r _ <&4
        commands_one "$number" "$seconds" 4<&-
        number=$((number + 1))
    done 4<"$commands_file"
    rm -f "$commands_script"
    commands_unmount
}
