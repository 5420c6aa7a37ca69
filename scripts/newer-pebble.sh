#!/bin/bash
# Puts the pebble of Debian's next release beside the one of Debian 12 (2.4), which knows neither renewal information
# (RFC 9773) nor profiles. It needs nothing but libc. From the machine's own mirror and verified by apt, as always; the
# machine's sources and packages stay as they are. Run by setup.sh, as root.
# Where it cannot be had, the tests that need it fail and say so by name.
set -euo pipefail
into=/usr/local/lib/windlass-tests
suite=forky
if [ -x "$into/pebble" ]; then exit 0; fi
# shellcheck source=tests/lab/base/apt.sh
. "$(dirname "$(readlink -f "$0")")/../tests/lab/base/apt.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
source_line "$suite" "$debian_suites" http://deb.debian.org/debian >"$work/sources.list"
echo "setup: fetching the pebble of Debian $suite (to test renewal information and profiles): $(cat "$work/sources.list")"
apt=(apt-get -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=-
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o Acquire::Languages=none
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o APT::Sandbox::User=root)
cd "$work"
if ! { "${apt[@]}" update && "${apt[@]}" download pebble; }; then
    echo "setup: it cannot be had now; the tests of acme/tests/renewal_info.rs will fail and say so" >&2
    exit 0
fi
dpkg-deb --extract pebble_*.deb unpacked
install -D -m 0755 unpacked/usr/bin/pebble "$into/pebble"
