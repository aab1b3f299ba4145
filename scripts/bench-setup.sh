#!/bin/sh
# Installs what `make bench` compares drmgr with, from Debian. Needs root, or a user with sudo. Starts no service.
set -eu
packages="pgbackrest barman rsync borgbackup"
missing=""
for package in $packages; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}
as_root apt-get -q -o DPkg::Lock::Timeout=300 update
# shellcheck disable=SC2086
as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing
