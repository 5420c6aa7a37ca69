#!/bin/bash
# Puts the pebble of Debian's next release beside the one of Debian 12 (2.4), which knows neither renewal information
# (RFC 9773) nor profiles. It needs nothing but libc. Verified by apt as always; the machine's own sources and packages
# stay as they are. Run by setup.sh, as root.
set -euo pipefail
into=/usr/local/lib/windlass-tests
suite=forky
if [ -x "$into/pebble" ]; then exit 0; fi
echo "setup: fetching the pebble of Debian $suite (to test renewal information and profiles)"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] http://deb.debian.org/debian $suite main" >"$work/sources.list"
apt=(apt-get -qq -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=-
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o Acquire::Languages=none
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o APT::Sandbox::User=root)
cd "$work"
if ! { "${apt[@]}" update && "${apt[@]}" download pebble; }; then
    echo "setup: it cannot be had now; the tests of acme/tests/renewal_info.rs will say so" >&2
    exit 0
fi
dpkg-deb --extract pebble_*.deb unpacked
install -D -m 0755 unpacked/usr/bin/pebble "$into/pebble"
