#!/bin/sh
# fresh.sh TEST_DECODE: what the installed wal2json says today is what the golden lines say, but for
# the transactions' numbers, positions and times; and the decoder reads it as jansson does.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mask() {
    sed -E 's/"xid":[0-9]+/"xid":0/; s/"timestamp":"[^"]*"/"timestamp":""/; s/"(next)?lsn":"[^"]*"/"\1lsn":""/g' "$1"
}
for name in golden cases; do
    "$here/capture.sh" "$here/$name.sql" >"$folder/$name.jsonl"
    mask "$here/$name.jsonl" >"$folder/expected"
    mask "$folder/$name.jsonl" >"$folder/seen"
    diff -u "$folder/expected" "$folder/seen"
    WEIR_GOLDEN="$folder/$name.jsonl" "$1" --filter 'decode/golden*'
    echo "$name: $(wc -l <"$folder/seen") messages are as expected"
done
