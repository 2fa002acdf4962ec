# What an image is made of; every stage reads this file. The environment may override what is written `${X:-…}`.
# shellcheck shell=sh disable=SC2034 # read by the stages

VERSION=${IMAGE_VERSION:-$(sed -n 's/^project(maculaos VERSION \([0-9.]*\).*/\1/p' "$project/CMakeLists.txt")}
ARCH=${ARCH:-amd64}
SUITE=trixie

# Every time stamp in the image. Later than any file of the suite's packages is not needed; equal in every build is.
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-1767225600}"

# xz: for release. gzip: for tests, ten times faster to make and a third larger.
COMPRESSION=${IMAGE_COMPRESSION:-xz}

# loose: take what the archive has when a locked package is gone from it, and say so. strict: stop.
LOCK=${IMAGE_LOCK:-loose}

# Partitions, MiB. The data partition grows to the end of its disk at the first boot.
ESP_MIB=64
SLOT_MIB=${IMAGE_SLOT_MIB:-512}
DATA_MIB=${IMAGE_DATA_MIB:-128}

# The root file system, on top of the essential packages of the suite.
PACKAGES='
    openrc udev kmod busybox systemd-standalone-sysusers systemd-standalone-tmpfiles
    iproute2 nftables wireguard-tools ca-certificates curl dropbear-bin
    cryptsetup-bin e2fsprogs dosfstools fdisk
    dbus avahi-daemon chrony nats-server jq opendoas
    libuv1t64 libjansson4 libyaml-0-2 libsqlite3-0 libprotobuf-c1 libcurl4t64 libsodium23 libcrypt1 zlib1g
    libqrencode4 gpgv
    kbd console-data
'
# Never unpacked into the image (dpkg's path-exclude, path-include).
PATH_EXCLUDES='
    /usr/share/man/* /usr/share/info/* /usr/share/doc/* /usr/share/locale/* /usr/share/lintian/* /usr/share/bug/*
    /usr/share/bash-completion/* /usr/share/zsh/* /usr/share/fish/* /usr/share/pixmaps/* /usr/lib/udev/hwdb.d/*
    /usr/lib/systemd/system/* /usr/lib/systemd/user/* /usr/lib/*/gconv/*
'
PATH_INCLUDES='/usr/share/doc/*/copyright'
# Needed to configure packages, not to run the node: their files are removed from the finished root.
# awk is there as busybox'; perl, dpkg and debconf have nobody left who calls them; of kbd's and console-data's key maps those
# are left that 10-rootfs has made of them.
PRUNED_PACKAGES='
    perl-base debconf dpkg init-system-helpers insserv startpar initscripts diffutils mawk kbd
    libtext-charwidth-perl libtext-wrapi18n-perl libtext-iconv-perl liblocale-gettext-perl
'
PRUNED_PATHS='
    /var/lib/dpkg /var/cache /var/log /usr/share/perl /usr/share/perl5 /usr/lib/*-linux-gnu/perl* /usr/share/debconf
    /usr/share/polkit-1 /usr/share/X11 /usr/share/pam-configs
    /usr/share/keymaps /usr/share/console /usr/share/consolefonts /usr/share/consoletrans
    /usr/share/mime /usr/share/bash-completion /usr/share/zsh
    /etc/rc?.d /etc/runlevels /etc/init.d/.depend.* /etc/resolv.conf /etc/hostname /etc/machine-id /var/lib/dbus/machine-id
    /etc/apt /etc/dpkg /etc/cron.d /etc/cron.daily /etc/logrotate.d /etc/kernel
'

# The kernel of the suite's meta package, and GRUB's platforms, by architecture.
case $ARCH in
amd64)
    KERNEL_META=linux-image-amd64
    GRUB_BIOS=i386-pc
    GRUB_EFI=x86_64-efi
    EFI_NAME=BOOTX64.EFI
    ;;
arm64)
    KERNEL_META=linux-image-arm64
    GRUB_BIOS=
    GRUB_EFI=arm64-efi
    EFI_NAME=BOOTAA64.EFI
    ;;
*)
    echo "images: unknown ARCH '$ARCH'; known: amd64 arm64" >&2
    exit 2
    ;;
esac
