# Sourced by every stage: paths, messages, and the cache of finished stages.
# shellcheck shell=sh disable=SC2034,SC1091 # variables are the stages'
#
# A stage is a function of its inputs: the script itself, this library, the versions, and the files and values that it
# names. Their hash is its key; what it made is kept under that key and taken from there the next time. A stage works
# in a directory of its own that becomes the result by one rename, so an interrupted stage leaves nothing half done.

set -eu
umask 022
export LC_ALL=C TZ=UTC
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

images=$(cd "$(dirname "$0")" && pwd)
project=$(dirname "$images")
. "$images/versions.sh"

# What a person gives as a path is meant from where they are; stages work in other directories.
for given in EXTRAS IMAGE_KEYS IMAGE_SIGNING_KEY IMAGE_DIR MACULA_CACHE; do
    eval "path=\${$given:-}"
    case $path in "" | /*) ;; *) export "$given=$PWD/$path" ;; esac
done

stage=$(basename "$0")
output=${IMAGE_DIR:-$project/build-image}
cache=${MACULA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/maculaos}
name=macula-os-$VERSION-$ARCH
begin=$(date +%s)

# say TEXT: the one line of a stage.
say() {
    printf '%-13s %s (%ss)\n' "$stage" "$1" "$(($(date +%s) - begin))"
}

# note TEXT: something that a person should know about this build.
note() {
    printf '%-13s NOTE: %s\n' "$stage" "$1" >&2
}

# fail WHAT REMEDY: ends the stage.
fail() {
    printf '%-13s FAILED: %s\n' "$stage" "$1" >&2
    [ $# -lt 2 ] || printf '%-13s         %s\n' "" "$2" >&2
    exit 1
}

# need_root: the stages set owners and modes of the files of the system.
need_root() {
    [ "$(id -u)" = 0 ] || fail "this stage makes files of other owners and runs as root only" "sudo -E make image"
}

# need_tools GROUP PROGRAM...
need_tools() {
    group=$1
    shift
    for program in "$@"; do
        command -v "$program" >/dev/null 2>&1 || fail "'$program' is not installed" "scripts/install-dependencies $group"
    done
}

# need STAGE: brings an earlier stage up to date (at no cost when the driver has just run it) and sets its directory.
need() {
    case " ${IMAGE_FINISHED:-} " in
    *" $1 "*) ;;
    *) IMAGE_NESTED=1 "$images/$1" ;;
    esac
    export IMAGE_FINISHED="${IMAGE_FINISHED:-} $1"
}

# own DIRECTORY: makes what is missing of it. What root makes in a directory of whom `sudo -E` was called by is theirs: make
# qemu and make packages write there without root.
own() {
    [ ! -d "$1" ] || return 0
    own "$(dirname "$1")"
    mkdir -p "$1"
    if [ "$(id -u)" = 0 ] && [ "$(stat -c %u "$(dirname "$1")")" = "${SUDO_UID:-0}" ]; then
        chown "${SUDO_UID:-0}:${SUDO_GID:-0}" "$1"
    fi
}

# result STAGE: the directory with what a stage made.
result() {
    echo "$output/stages/$1"
}

# digest_of PATH...: one hash over names, executable bits and contents, in any order of a directory, at any place.
digest_of() {
    for path in "$@"; do
        if [ -d "$path" ]; then
            (cd "$path" && find . -type l -printf '%p -> %l\n' -o -type f -perm /100 -printf '%p x\n' | sort &&
                find . -type f -print0 | sort -z | xargs -0 -r sha256sum)
        elif [ -e "$path" ]; then
            sha256sum <"$path"
        else
            echo "absent $(basename "$path")"
        fi
    done | sha256sum | cut -d' ' -f1
}

# begin_stage [INPUT...]: inputs are paths or words `name=value`. Returns 1 when the result is there already, else
# leaves $work as the current directory to fill.
begin_stage() {
    set -- "$images/versions.sh" "$images/lib.sh" "$images/$stage" "version=$VERSION" "arch=$ARCH" \
        "epoch=$SOURCE_DATE_EPOCH" "$@"
    key=$(for input in "$@"; do
        case $input in
        /*) printf '%s %s\n' "$(basename "$input")" "$(digest_of "$input")" ;;
        *) echo "$input" ;;
        esac
    done | sha256sum | cut -c1-32)
    store=$cache/stages/$stage/$key
    own "$output/stages"
    own "$cache"
    mkdir -p "$cache/stages/$stage"
    if [ -f "$store/.digest" ]; then
        touch "$store"
        ln -sfn "$store" "$output/stages/$stage"
        return 1
    fi
    work=$(mktemp -d "$cache/stages/$stage/.work-XXXXXX")
    chmod 755 "$work"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM HUP
    cd "$work"
}

# end_stage TEXT: the work becomes the result. Results of this stage that nobody used for a day go, but the last three;
# another build that runs at this moment still finds its own.
end_stage() {
    digest=$(digest_of "$work")
    echo "$digest" >"$work/.digest"
    cd "$project"
    # A stage that another run finished meanwhile has the same contents.
    if [ ! -e "$store" ]; then mv -T "$work" "$store"; fi
    ln -sfn "$store" "$output/stages/$stage"
    find "$cache/stages/$stage" -mindepth 1 -maxdepth 1 ! -name '.work-*' -printf '%T@ %p\n' | sort -rn | tail -n +4 |
        cut -d' ' -f2- | while read -r old; do find "$old" -maxdepth 0 -mtime +0; done | xargs -r rm -rf
    say "$1"
}

# unchanged: the line of a stage that had nothing to do; none when a later stage asked for it.
unchanged() {
    [ -n "${IMAGE_NESTED:-}" ] || say "unchanged"
}

# size_of FILE: in MB of 10^6 bytes, one decimal.
size_of() {
    stat -Lc %s "$1" | awk '{printf "%.1f MB", $1 / 1e6}'
}

# in_order DIRECTORY: its files get the time of the build, so that no archive of them differs.
in_order() {
    find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}
