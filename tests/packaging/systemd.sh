#!/bin/bash
# The Debian package on a machine of its own, with systemd as its first process: installed, configured as
# docs/operations.md says, started, killed, started again by a reboot, upgraded and removed.
#
#   tests/packaging/systemd.sh          about ten minutes, as root; needs debootstrap, systemd-container,
#                                       slirp4netns, and a build in build/release
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/compose/engine.sh"
[ -n "${WEIR_ENGINE:-}" ] || enter systemd-nspawn cpack
inside_begin
before_end() { [ "$1" = 0 ] || tail -n 40 "$work/machine/root/journal" 2>/dev/null || true; }

base_image
machine=$work/machine
mkdir "$machine"
tar -C "$machine" -xf "$base"

say "the package"
(cd "$root/build/release" && cpack -G DEB -B "$work/deb" >/dev/null)
cp "$work"/deb/*.deb "$machine/root/weir.deb"
cp "$root/docs/operations.md" "$root/tests/packaging/machine.sh" "$machine/root/"
echo weir-machine >"$machine/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 weir-machine\n' >"$machine/etc/hosts"
cp -L /etc/resolv.conf "$machine/etc/resolv.conf"

say "a machine with systemd and Postgres"
systemd-nspawn -q --register=no --keep-unit --pipe -D "$machine" bash -euc '
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -y -q --no-install-recommends systemd systemd-sysv dbus postgresql-15 postgresql-15-wal2json \
        sudo curl ca-certificates
' >"$work/install.log" 2>&1 || { tail "$work/install.log"; exit 1; }

cat >"$machine/etc/systemd/system/test.service" <<'END'
[Unit]
Description=What is tested in this machine
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /root/machine.sh
StandardOutput=file:/root/log
StandardError=inherit
ExecStopPost=/bin/systemctl --no-block poweroff
[Install]
WantedBy=default.target
END
mkdir -p "$machine/etc/systemd/system/default.target.wants"
ln -s ../test.service "$machine/etc/systemd/system/default.target.wants/test.service"

boot() {
    say "boot: $1"
    echo "$1" >"$machine/root/stage"
    rm -f "$machine/root/log"
    timeout 600 systemd-nspawn -q --register=no --keep-unit -D "$machine" --boot >"$work/console.log" 2>&1 </dev/null ||
        fail "the machine did not end by itself: $(tail -n 5 "$work/console.log")"
    cat "$machine/root/log"
    grep -qx "$1: all of it" "$machine/root/log" || fail "$1 failed"
}

boot first
boot second
say "it works"
