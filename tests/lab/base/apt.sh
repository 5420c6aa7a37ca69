# shellcheck shell=bash
# Where new root directories take Debian's packages from: this machine's own sources and proxy, so that it
# works wherever `apt-get install` does. Sourced by what runs mmdebstrap.

# How the suites of Debian proper call themselves: by name or by role.
debian_suites='^(bookworm|trixie|forky|sid|stable|oldstable|testing|unstable)$'

# "URI|signed-by" of the host's own Debian source whose suite matches $1.
host_source() {
    # shellcheck disable=SC2016 # the $(...) are apt's
    apt-get indextargets --format '$(REPO_URI)|$(SIGNED_BY)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' |
        awk -F'|' -v suite="$1" '$3 ~ suite && $4 == "main" { print $1 "|" ($2 ~ /^\$/ ? "" : $2); exit }'
}

# One sources.list line: suite $1, taken from the host's source $2 or else from $3.
source_line() {
    local found uri signed_by
    found=$(host_source "$2")
    uri=${found%%|*} signed_by=${found#*|}
    echo "deb ${signed_by:+[signed-by=$signed_by] }${uri:-$3} $1 main"
}

# A sources.list for the Debian release $1 with its updates.
debian_sources() {
    local security='^(bookworm|trixie|stable|oldstable)-security$'
    source_line "$1" "$debian_suites" http://deb.debian.org/debian
    source_line "$1-updates" "$debian_suites" http://deb.debian.org/debian
    source_line "$1-security" "$security" http://deb.debian.org/debian-security
}

# mmdebstrap's options that hand on the host's proxy and its credentials, one a line.
apt_options() {
    apt-config dump --format '%F "%v"%n' |
        grep -E '^Acquire::((https?|ftp)::(Proxy|Verify|CaInfo|Timeout)|Check-|Retries)' |
        sed 's/^/--aptopt=/' || true
    local credentials
    for credentials in /etc/apt/auth.conf /etc/apt/auth.conf.d; do
        if [ -e "$credentials" ]; then echo "--setup-hook=copy-in $credentials /etc/apt/"; fi
    done
}
