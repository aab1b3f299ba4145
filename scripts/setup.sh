#!/bin/sh
# Prepares a Debian 12 or 13 machine: system packages, a restic that is new enough, and .venv with the locked
# Python packages. Safe to run again: what is there is left alone. Needs root, or a user with sudo.
set -eu
cd "$(dirname "$0")/.."

# postgresql, mariadb-server: servers and tools for scratch instances · fonts-noto-cjk: Chinese in the PDFs ·
# poppler-utils: tests read the PDFs back · python3-venv: Debian splits it from python3
packages="postgresql postgresql-contrib mariadb-server mariadb-backup fonts-noto-cjk poppler-utils ca-certificates python3-venv"
restic_wanted=0.18.0

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}
apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}
installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Debian's mariadb-server package starts a server of its own on every host. drmgr needs only the programs: while they are
# installed, Debian's own switch (policy-rc.d) says that no service may start, and the service is taken out of the next
# boot. A server that was there before is not touched, for then nothing is installed.
policy=/usr/sbin/policy-rc.d
forbid_starting_servers() {
    case "$missing" in *mariadb-server*) no_mariadb_service=yes ;; *) no_mariadb_service= ;; esac
    policy_is_ours=
    if [ ! -e "$policy" ]; then
        policy_is_ours=yes
        trap allow_starting_servers EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
}
allow_starting_servers() {
    if [ "$policy_is_ours" = yes ]; then as_root rm -f "$policy"; fi
    policy_is_ours=
    if [ "$no_mariadb_service" = yes ] && command -v systemctl >/dev/null; then
        as_root systemctl disable mariadb.service >/dev/null 2>&1 || true
    fi
    no_mariadb_service=
}

restic_is_new_enough() {
    command -v restic >/dev/null || return 1
    have=$(restic version | cut -d' ' -f2)
    dpkg --compare-versions "$have" ge "$restic_wanted"
}

# Debian 12 carries restic 0.14. Its next release carries 0.18.0, which needs nothing newer than libc6 2.34: that
# release is made visible for this one package only, from the mirror this machine already uses.
add_next_release_for_restic() {
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 'Component: main' | head -n 1)
    [ -n "$mirror" ] || { echo "setup: no mirror for Debian 12 found among the apt sources" >&2; exit 1; }
    as_root tee /etc/apt/sources.list.d/drmgr-restic.sources >/dev/null <<SOURCES
Types: deb
URIs: $mirror
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
    as_root tee /etc/apt/preferences.d/drmgr-restic >/dev/null <<PIN
Package: *
Pin: release n=trixie
Pin-Priority: -1

Package: restic
Pin: release n=trixie
Pin-Priority: 990
PIN
    apt update
}

missing=""
for package in $packages; do installed "$package" || missing="$missing $package"; done
if [ -n "$missing" ] || ! restic_is_new_enough; then apt update; fi
if [ -n "$missing" ]; then
    # Debian's postgresql package would start a cluster of its own; drmgr needs only the programs
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        as_root mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    forbid_starting_servers
    # shellcheck disable=SC2086
    apt install -y --no-install-recommends $missing
    allow_starting_servers
fi
if ! restic_is_new_enough; then
    case "$(. /etc/os-release && echo "$VERSION_CODENAME")" in
        bookworm) add_next_release_for_restic ;;
    esac
    apt install -y --no-install-recommends restic
    restic_is_new_enough || { echo "setup: restic $restic_wanted or newer is needed, this system offers $(restic version)" >&2; exit 1; }
fi

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "setup: Python 3.11 or newer is needed" >&2; exit 1; }
stamp=.venv/.locked
if ! cmp -s requirements.lock "$stamp"; then
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    # the lock names everything: a pip that resolves once more takes a newer release where a package is wanted with an extra
    .venv/bin/python -m pip install -q --no-deps --require-hashes -r requirements.lock
    .venv/bin/python -m pip install -q --no-deps --no-build-isolation -e .
    .venv/bin/python -m pip check -q
    cp requirements.lock "$stamp"
fi
