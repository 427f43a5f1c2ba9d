#!/bin/sh
# Installs what Hookgate needs beside Rust, on Debian and Ubuntu: as root, or as a user who may use sudo.
#   scripts/install-deps.sh         to build and run
#   scripts/install-deps.sh test    also Node.js, npm, Python and HAProxy, for the tests that use published packages or a load balancer
# Nothing is downloaded when nothing is missing. The services of packages that it installs are neither started nor
# enabled (Hookgate starts private servers), and servers that exist already are left alone.
set -eu

packages=""
need() { packages="$packages $1"; }
has() { command -v "$1" >/dev/null 2>&1; }
# Under Debian the servers' programs can be outside a user's PATH.
PATH="$PATH:/usr/sbin:/sbin"

if ! has cc || ! has make; then need build-essential; fi
if ! has pkg-config; then need pkg-config; fi
if ! has curl; then need curl; fi
if ! has pkg-config || ! pkg-config --exists libpq; then need libpq-dev; fi
has_postgres() {
  for directory in /usr/lib/postgresql/*/bin; do
    if [ -x "$directory/initdb" ] && [ -x "$directory/psql" ]; then return 0; fi
  done
  has postgres && has initdb && has psql
}
if ! has_postgres; then need postgresql; fi
if ! has redis-server && ! has valkey-server; then need redis-server; fi
if [ "${1:-}" = test ]; then
  if ! has node; then need nodejs; fi
  if ! has npm; then need npm; fi
  if ! has haproxy; then need haproxy; fi
  if ! has python3 || ! python3 -c 'import ensurepip' 2>/dev/null; then need python3-venv; fi
fi

if [ -n "$packages" ]; then
  if ! has apt-get; then
    echo "Install these with your system's package manager (Debian's names):$packages" >&2
    exit 1
  fi
  as_root=""
  if [ "$(id -u)" -ne 0 ]; then
    if ! has sudo; then
      echo "Run this as root, or install sudo: these packages are missing:$packages" >&2
      exit 1
    fi
    as_root=sudo
  fi
  echo "Installing$packages"

  # Undone at the end, whatever happens: a policy that no service is started, and no cluster is made.
  policy=/usr/sbin/policy-rc.d
  cluster=/etc/postgresql-common/createcluster.d/hookgate.conf
  undo=""
  undo_all() { for file in $undo; do $as_root rm -f "$file"; done; }
  trap undo_all EXIT
  trap 'exit 130' INT TERM
  place() { # place <file> <content> <mode>
    $as_root mkdir -p "$(dirname "$1")"
    undo="$undo $1"
    printf "$2" | $as_root tee "$1" >/dev/null
    $as_root chmod "$3" "$1"
  }
  if [ ! -e "$policy" ]; then place "$policy" '#!/bin/sh\nexit 101\n' 755; fi

  apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@"; }
  install() { apt install -y -qq --no-install-recommends "$@"; }
  apt update -qq
  case "$packages" in
    *" postgresql"*)
      # First the package that reads the setting, then the one that would make a cluster of its own.
      install postgresql-common
      if [ ! -e "$cluster" ]; then place "$cluster" 'create_main_cluster = false\n' 644; fi ;;
  esac
  # shellcheck disable=SC2086 # a list of names
  install $packages
  case "$packages" in
    *" redis-server"*)
      # A new package enables its service for the next start of the machine.
      if has systemctl; then $as_root systemctl disable redis-server >/dev/null 2>&1 || true; fi
      if has update-rc.d; then $as_root update-rc.d redis-server disable >/dev/null 2>&1 || true; fi ;;
  esac
fi

if ! has cargo && [ ! -x "$HOME/.cargo/bin/cargo" ]; then
  echo "Rust is missing: install it with rustup (https://rustup.rs), then run this again." >&2
  exit 1
fi
