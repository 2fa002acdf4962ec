# Third-party parts that Debian does not have: see extras.manifest.
# shellcheck shell=sh disable=SC2154,SC2153

# add_extras ROOT: from the directory EXTRAS. What is there must be what the manifest says; nothing is ever fetched. What was
# added is in extras.list: `NAME VERSION SHA256 URL`.
add_extras() {
    : >extras.list
    [ -n "${EXTRAS:-}" ] || return 0
    [ -d "$EXTRAS" ] || fail "EXTRAS=$EXTRAS is not a directory" "put the files of images/extras.manifest there"
    sed '/^#/d; /^ *$/d' "$images/extras.manifest" >manifest
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
