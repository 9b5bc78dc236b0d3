#!/bin/sh
# Makes the secrets that are not there yet: what signs readers' tokens, the bridge's token, the
# admin's. To read one: docker-compose run --rm --entrypoint cat secrets /run/weir-secrets/admin.token
set -eu
umask 077
for name in auth.secret writer.token admin.token; do
    file=/run/weir-secrets/$name
    [ -s "$file" ] || head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$file"
done
