# Third-party parts that Debian does not have: see extras.manifest.
# shellcheck shell=sh disable=SC2154,SC2153

# refuse_unknown_extras MANIFEST: a file in EXTRAS that nobody knows is one that somebody believes to be in the image. Parts of
# other architectures may lie beside ours, and so may notes, checksums and signatures.
refuse_unknown_extras() {
    for given in "$EXTRAS"/*; do
        [ -e "$given" ] || continue
        given=${given##*/}
        case $given in *.txt | *.sha256 | *.asc | *.sig) continue ;; esac
        awk -v "file=$given" '$4 == file { found = 1 } END { exit !found }' "$1" ||
            fail "$given in $EXTRAS is no part that images/extras.manifest names" \
                "for $ARCH it names: $(awk -v "arch=$ARCH" '$3 == arch { printf "%s ", $4 }' "$1"); rename it, take it away, or add a line"
    done
}

# add_extras ROOT: from the directory EXTRAS. What is there must be what the manifest says; nothing is ever fetched. What was
# added is in extras.list: `NAME VERSION SHA256 URL`.
add_extras() {
    : >extras.list
    [ -n "${EXTRAS:-}" ] || return 0
    [ -d "$EXTRAS" ] || fail "EXTRAS=$EXTRAS is not a directory" "put the files of images/extras.manifest there"
    sed '/^#/d; /^ *$/d' "$images/extras.manifest" >manifest
    refuse_unknown_extras manifest
    while read -r part version arch file sum mode target url; do
        [ "$arch" = "$ARCH" ] || continue
        [ -f "$EXTRAS/$file" ] || continue
        url=$(echo "$url" | sed "s/{version}/$version/g")
        is=$(sha256sum <"$EXTRAS/$file" | cut -d' ' -f1)
        [ "$sum" != - ] || fail "$part $version: images/extras.manifest has no checksum for $file" \
            "check the file against $url, then write what 'sha256sum $EXTRAS/$file' prints into the manifest"
        [ "$is" = "$sum" ] || fail "$part $version: $file has the checksum $is, the manifest says $sum" "fetch it again: $url"
        mkdir -p "$1$(dirname "$target")"
        cp "$EXTRAS/$file" "$1$target"
        chmod "$mode" "$1$target"
        chown 0:0 "$1$target"
        echo "$part $version $sum $url" >>extras.list
        note "with $part $version"
    done <manifest
    rm manifest
}
