# Packages of the image's suite: which, from where, and kept where.
# shellcheck shell=sh disable=SC2154,SC2034,SC1091,SC2016,SC2046 # $(…) in formats is apt's; lists are words
#
# Sources are the host's own, with the suite replaced: whoever can install packages here can build the image, and no
# file of the project names a mirror. packages.lock says which version of each package is taken, with its checksum; the
# .debs are kept in the cache, so that a lock can be built again after the archive has moved on.

apt_root=$cache/apt/$SUITE-$ARCH
debs=$cache/debs/$SUITE-$ARCH
lock_file=$images/packages-$SUITE-$ARCH.lock

# unreachable WHAT REMEDY: ends the stage with 75, which is no fault of the tree.
unreachable() {
    (fail "$@") || exit 75
}

# apt_sources: the host's Debian sources, for the image's suite.
apt_sources() {
    host=$(. /etc/os-release && echo "$VERSION_CODENAME")
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v host="$host" -v suite="$SUITE" -v arch="$ARCH" -v keyring="$keyring" '
            $3 == "main" && ($2 == host || index($2, host "-") == 1) && index($2, "backports") == 0 {
                sub("^" host, suite, $2)
                print "deb [arch=" arch " signed-by=" keyring "] " $1 " " $2 " " $3
            }' | sort -u
}

# apt_get ARGUMENT...: apt-get with a state of its own; nothing of the host's changes.
apt_get() {
    apt-get -q -o "Dir::Etc::SourceList=$apt_root/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
        -o "Dir::State=$apt_root/state" -o "Dir::State::Status=$apt_root/status" -o "Dir::Cache=$apt_root/cache" \
        -o "APT::Architecture=$ARCH" -o "APT::Architectures=$ARCH" -o APT::Install-Recommends=false \
        -o Acquire::ForceHash=SHA256 -o APT::Sandbox::User=root -o Debug::NoLocking=true "$@"
}

# apt_update: the indexes of the suite, once a run; another build waits until this one has what it needs.
apt_update() {
    [ -z "${apt_updated:-}" ] || return 0
    mkdir -p "$apt_root/state/lists/partial" "$apt_root/cache/archives/partial" "$debs"
    exec 8>"$apt_root.lock"
    flock 8
    : >"$apt_root/status"
    apt_sources >"$apt_root/sources.list"
    [ -s "$apt_root/sources.list" ] ||
        fail "apt on this host has no Debian source to take $SUITE from" "apt-get update, and see /etc/apt/sources.list*"
    # By default an index that cannot be fetched is only a warning.
    apt_get -o APT::Update::Error-Mode=any update >"$apt_root/log" 2>&1 ||
        { tail -n 5 "$apt_root/log" >&2 && unreachable "apt-get update for $SUITE failed; its last words are above" "check the network"; }
    apt_updated=1
}

# Lines of a lock: `SET NAME=VERSION SHA256 FILE`, sorted. SET is root or kernel.

# uris_to_lock SET: from `apt-get --print-uris` on standard input.
uris_to_lock() {
    sed -n "s/^'[^']*' \([^ ]*\) [0-9]* SHA256:\([0-9a-f]*\)\$/\1 \2/p" | while read -r file sum; do
        package=${file%%_*}
        version=${file#*_}
        version=$(echo "${version%_*}" | sed 's/%3a/:/g')
        echo "$1 $package=$version $sum $file"
    done
}

# essential_packages: those that the suite itself calls essential (apt counts itself among them; it is not needed).
essential_packages() {
    apt_get indextargets --format '$(FILENAME)' 'Created-By: Packages' | while read -r index; do
        /usr/lib/apt/apt-helper cat-file "$index"
    done | awk '/^Package: / { name = $2 } /^Essential: yes/ { print name }' | sort -u
}

# kernel_package: what the meta package stands for today.
kernel_package() {
    apt_get -s install "$KERNEL_META" 2>/dev/null | sed -n 's/^Inst \(linux-image-[0-9][^ ]*\) .*/\1/p' | head -n 1
}

# resolve: the lock that today's archive gives.
resolve() {
    apt_update
    # shellcheck disable=SC2086 # a list of words
    { apt_get -y --print-uris install $(essential_packages) $PACKAGES | uris_to_lock root &&
        apt_get --print-uris download "$(kernel_package)" | uris_to_lock kernel; } | sort
}


# not_kept LOCK: its lines whose .deb is not in the cache with the right checksum.
not_kept() {
    while read -r set package sum file; do
        if [ "$(sha256sum "$debs/$file" 2>/dev/null | cut -d' ' -f1)" != "$sum" ]; then
            echo "$set $package $sum $file"
        fi
    done <"$1"
}

# offered: `NAME=VERSION SHA256` of everything in today's archive.
offered() {
    apt_get indextargets --format '$(FILENAME)' 'Created-By: Packages' | while read -r index; do
        /usr/lib/apt/apt-helper cat-file "$index"
    done | awk '/^Package: / { name = $2 } /^Version: / { version = $2 } /^SHA256: / { print name "=" version, $2 }'
}

# fetch LOCK: brings its packages into the cache. Lines that the archive does not have go to standard output, and
# nothing is fetched then.
fetch() {
    mkdir -p "$debs"
    not_kept "$1" >lock.missing
    [ -s lock.missing ] || return 0
    apt_update
    offered | sort >lock.offered
    cut -d' ' -f2,3 lock.missing | sort | comm -23 - lock.offered >lock.gone
    if [ -s lock.gone ]; then
        cut -d' ' -f1 lock.gone
        return 0
    fi
    cut -d' ' -f2 lock.missing | (cd "$debs" && apt_root=$apt_root xargs_apt_download) >"$apt_root/log" 2>&1 ||
        { tail -n 5 "$apt_root/log" >&2 && unreachable "the packages could not be fetched" "check the network and run it again"; }
    not_kept "$1" >lock.missing
    [ ! -s lock.missing ] || fail "fetched, but of another checksum: $(cut -d' ' -f2 lock.missing | tr '\n' ' ')" \
        "rm -r $debs; if it stays, the archive is not what the lock was made from"
}

xargs_apt_download() {
    # shellcheck disable=SC2046 # a list of words
    apt_get download $(cat)
}
