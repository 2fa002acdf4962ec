# The build root: a plain Debian of one suite with what the packages need to be built, kept in the cache under the hash
# of its package list. Nothing is mounted in it and nothing of the host is changed; with a kept root no network is used.
# shellcheck shell=sh disable=SC2154 # suite, cache and fail are the caller's

# build_packages: the build dependencies, from debian/control; with the compiler cache.
build_packages() {
    awk '/^Build-Depends:/ { on = 1; sub(/^[^:]*:/, "") } on && /^[A-Z]/ { exit } on' packaging/debian/control |
        tr ',' '\n' | sed -e '/<!nocheck>/d' -e 's/debhelper-compat.*/debhelper/' -e 's/(.*)//' -e 's/ //g' -e '/^$/d'
    printf '%s\n' dpkg-dev gcc libc6-dev make ccache
}

# root_sources: the Debian archives that apt on this host uses, for the suite wanted.
root_sources() {
    host=$(. /etc/os-release && echo "$VERSION_CODENAME")
    # shellcheck disable=SC2016 # apt's own names
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v host="$host" -v suite="$suite" -v keyring=/usr/share/keyrings/debian-archive-keyring.gpg '
            $3 == "main" && ($2 == host || index($2, host "-") == 1) && !index($2, "backports") {
                sub("^" host, suite, $2)
                print "deb [signed-by=" keyring "] " $1 " " $2 " " $3
            }' | sort -u
}

# root_failed: ends with 75 when the archive cannot be reached, which is no fault of the tree.
root_failed() {
    if ! grep -qE 'Could not (resolve|connect)|Failed to fetch|Unable to connect|does not have a Release file' "$root.log"; then
        fail "mmdebstrap failed; its last words are above"
    fi
    (fail "the packages of $suite cannot be fetched; mmdebstrap's last words are above" "check the network") || exit 75
}

# find_root: sets $root, making it when it is not in the cache; holds its lock until the caller ends.
find_root() {
    key=$(build_packages | sort -u | sha256sum | cut -c1-16)
    mkdir -p "$cache/build-root"
    root=$cache/build-root/$suite-$(dpkg --print-architecture)-$key
    exec 9>"$root.lock"
    flock 9
    [ ! -f "$root/.complete" ] || return 0
    command -v mmdebstrap >/dev/null || fail "mmdebstrap is not installed" "scripts/install-dependencies pack"
    root_sources >"$root.sources"
    [ -s "$root.sources" ] || fail "apt on this host has no Debian source to take $suite from" "apt-get update"
    echo "Making a build root of $suite"
    rm -rf "$root" # what an interrupted run left
    mmdebstrap --quiet --mode=root --variant=buildd --include="$(build_packages | sort -u | paste -sd,)" \
        --aptopt='APT::Install-Recommends "false"' "$suite" "$root" - <"$root.sources" >"$root.log" 2>&1 ||
        { tail -n 20 "$root.log" >&2 && rm -rf "$root" && root_failed; }
    rm -rf "$root/var/cache/apt/archives" "$root/var/lib/apt/lists"
    : >"$root/.complete"
}
