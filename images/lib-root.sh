# What turns a configured Debian into the root file system of a node. Each function takes the root's directory.
# shellcheck shell=sh disable=SC2154

# debs_of_suite: sets $suite_debs: the .debs in DEBS, or those of stage 00-packages, without headers and symbols.
debs_of_suite() {
    suite_debs=
    from=${DEBS:-}
    if [ -z "$from" ] && [ -x "$images/00-packages" ]; then
        need 00-packages
        from=$(result 00-packages)
    fi
    [ -n "$from" ] || return 0
    for deb in "$(readlink -f "$from")"/*.deb; do
        case $(basename "$deb") in
        *-dev_*.deb | *-dbg_*.deb | *-dbgsym_*.deb | '*.deb') ;;
        *) suite_debs="$suite_debs $deb" ;;
        esac
    done
    [ -n "$suite_debs" ] || fail "there is no .deb in $from" "give DEBS=DIRECTORY, or leave it out to have them built"
}

install_suite() {
    [ -n "$suite_debs" ] || { note "without the suite: neither DEBS nor stage 00-packages is there" && return 0; }
    mkdir "$1/debs"
    for deb in $suite_debs; do cp "$deb" "$1/debs/"; done
    # Nothing is started: there is no init here, and policy-rc.d says so to those who would ask.
    printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
    chmod 755 "$1/usr/sbin/policy-rc.d"
    chroot "$1" env DEBIAN_FRONTEND=noninteractive sh -c 'dpkg --force-confdef -i /debs/*.deb' >dpkg.log 2>&1 ||
        { tail -n 20 dpkg.log >&2 && fail "the packages of the suite do not install; see above" \
            "a missing dependency belongs into PACKAGES in images/versions.sh; then images/update-lock"; }
    rm -rf "$1/debs" "$1/usr/sbin/policy-rc.d" dpkg.log
}

# lay_over FROM ROOT: git keeps of a file's mode the executable bit alone, so that is all that counts here too.
lay_over() {
    [ -d "$1" ] || { note "without overlay/" && return 0; }
    rm -rf over
    cp -a "$1" over
    find over -type d -exec chmod 755 {} +
    find over -type f -perm /100 -exec chmod 755 {} +
    find over -type f ! -perm /100 -exec chmod 644 {} +
    chown -hR 0:0 over
    rm -f over/README.md over/finish # about the files, and done with them
    # Into the merged /usr: overlay/sbin would else replace the link.
    for directory in bin sbin lib; do [ ! -d "over/$directory" ] || fail "overlay/$directory" "it is usr/$directory"; done
    tar -C over -cf - . | tar -C "$2" -xpf - --keep-directory-symlink --numeric-owner
    rm -rf over
}

# add_keys ROOT: who may sign new versions: the OpenPGP public keys (*.asc, *.gpg) in IMAGE_KEYS.
add_keys() {
    if [ -z "${IMAGE_KEYS:-}" ]; then
        note "without IMAGE_KEYS: a node with this image upgrades only with maculaos.upgrade.signing_keys"
        return 0
    fi
    mkdir -p "$1/usr/share/maculaos/keys"
    for key in "$IMAGE_KEYS"/*.asc "$IMAGE_KEYS"/*.gpg; do
        [ -f "$key" ] || continue
        ! grep -q 'PRIVATE KEY BLOCK' "$key" || fail "$key is a private key" "gpg --armor --export makes the public one"
        install -m 644 "$key" "$1/usr/share/maculaos/keys/"
    done
    ls "$1"/usr/share/maculaos/keys/* >/dev/null 2>&1 || fail "IMAGE_KEYS=$IMAGE_KEYS has no *.asc or *.gpg"
}

brand() {
    release=$1/usr/lib/os-release
    grep -q '^ID=macula' "$release" || printf '%s\n' 'NAME="MaculaOS"' 'ID=maculaos' 'ID_LIKE=debian' \
        'PRETTY_NAME="MaculaOS"' >"$release"
    sed -i -e '/^VERSION_ID=/d' -e '/^IMAGE_VERSION=/d' -e '/^IMAGE_ID=/d' "$release"
    printf '%s\n' "VERSION_ID=$VERSION" "IMAGE_ID=macula-os-$ARCH" "IMAGE_VERSION=$VERSION" >>"$release"
}

create_users() {
    ls "$1"/usr/lib/sysusers.d/*.conf >/dev/null 2>&1 || return 0
    chroot "$1" systemd-sysusers >/dev/null 2>sysusers.log || { cat sysusers.log >&2 && fail "users could not be created"; }
    rm -f sysusers.log
}

# key_maps ROOT: the layouts that maculaos.keyboard may name, as busybox' loadkmap reads them. Each lies over the kernel's
# own map, as if it were loaded after it, so that none leaves anything of the one before. Without accents that two keys
# make beyond those of the kernel itself, and without the few maps that are not of this form (of Arabic and Persian).
key_maps() {
    maps=$1/usr/share/maculaos/keymaps
    mkdir -p "$maps"
    kernels=/usr/share/keymaps/i386/qwerty/defkeymap.kmap.gz
    for source in "$1"/usr/share/keymaps/i386/*/*.kmap.gz; do
        map=$maps/$(basename "$source" .kmap.gz).bmap
        chroot "$1" /usr/bin/loadkeys -q -b -u "$kernels" "${source#"$1"}" >"$map" 2>/dev/null || rm "$map"
    done
    sed '/^#/d' "$images/key-maps.list" | while read -r name map; do
        [ -s "$maps/$map.bmap" ] || fail "there is no key map $map for the layout $name" "images/key-maps.list names it"
        ln -sf "$map.bmap" "$maps/$name.bmap"
    done
}

prune() {
    for package in $PRUNED_PACKAGES; do
        for list in "$1/var/lib/dpkg/info/$package.list" "$1/var/lib/dpkg/info/$package:$ARCH.list"; do
            [ -f "$list" ] || continue
            while read -r path; do
                if [ -L "$1$path" ] || [ -f "$1$path" ]; then rm -f "$1$path"; fi
            done <"$list"
        done
    done
    for path in $PRUNED_PATHS; do
        # shellcheck disable=SC2086 # a pattern
        rm -rf "$1"$path
    done
    # The runlevels are the overlay's alone.
    [ ! -d "$project/overlay/etc/runlevels" ] || cp -a --no-preserve=mode,ownership "$project/overlay/etc/runlevels" "$1/etc/"
}

# busybox_commands: busybox stands in for every command that no package gives, and is the init.
busybox_commands() {
    find "$1/usr/bin" "$1/usr/sbin" -xtype l -delete
    chroot "$1" /usr/bin/busybox --list-full >applets
    while read -r applet; do
        command=$(basename "$applet")
        case $command in dpkg | dpkg-deb | rpm | rpm2cpio | httpd | run-init | linuxrc) continue ;; esac
        if [ -e "$1/usr/bin/$command" ] || [ -e "$1/usr/sbin/$command" ]; then continue; fi
        case $applet in
        */sbin/*) ln -s ../bin/busybox "$1/usr/sbin/$command" ;;
        *) ln -s busybox "$1/usr/bin/$command" ;;
        esac
    done <applets
    rm applets
    for command in init reboot poweroff halt; do ln -sf ../bin/busybox "$1/usr/sbin/$command"; done
}

# clean: no traces of the building, and the directories that the initramfs mounts on.
clean() {
    rm -rf "${1:?}"/var/lib/apt "$1"/var/backups "$1"/tmp/* "$1"/run/* "$1"/etc/*- "$1"/var/lib/systemd "${1:?}"/dev/*
    mkdir -p "$1/data" "$1/boot" "$1/var/log" "$1/var/cache" "$1/var/lib/maculaos" "$1/var/lib/rancher" "$1/var/lib/data"
    rm -f "$1/etc/resolv.conf"
    : >"$1/etc/machine-id"
    ln -sf /proc/self/mounts "$1/etc/mtab"
    rm -f "$1/var/cache/ldconfig/aux-cache"
}
