#!/bin/sh
# agent.sh: what Windlass runs on this machine, as root, over SSH. Read it before you trust it.
#
# The worker copies this file to /var/lib/windlass/agent-<sha256 of its text> and calls
#
#     sh /var/lib/windlass/agent-… VERB [--fence N --holder WHO --cluster NAME] [ARGUMENTS]
#
# What it does: it takes in a set of files (a "release"), tries them out without touching anything, puts
# them in place, runs the commands that make services notice, and puts everything back as it was unless the
# worker comes back over a new connection and confirms. It opens no port and leaves no process behind.
#
#   status                  says what is here; changes nothing
#   claim                   notes the fence, so that everyone with a smaller one is refused from now on; says who
#                           held it before, and what is here
#   stage TOKEN             takes a tar.gz from stdin, verifies every file, installs missing packages
#   check TOKEN             runs the checks in private mount, network and process namespaces in which the
#                           new files are at their final paths; the machine itself does not notice
#   drain / undrain TOKEN   runs the commands that take this machine out of service and back in
#   activate TOKEN SECONDS  keeps copies, arms the dead-man, renames the new files into place, runs the
#                           forward steps; a step that fails makes everything go back at once
#   extend TOKEN SECONDS    gives the dead-man SECONDS more
#   confirm TOKEN           keeps the new release and disarms the dead-man
#   rollback TOKEN REASON   puts back what was there before; may be repeated
#   run SECONDS             runs the shell text on stdin (a probe) and says how it ended
#   logs UNIT LINES         the last lines of a unit's journal
#   read                    the stored files whose paths come on stdin, without secret ones
#   read-secret             the secret ones alone: a worker that lost its disk takes certificates back with it
#   forget                  removes what Windlass keeps here, but none of the files it manages
#   deadman TOKEN UNIT      called by the dead-man's timer; recover: called at boot. Both go back
#
# Every answer is lines of "key TAB value"; its last line is "end TAB ok|refused|failed|fenced|busy TAB words".
#   ok       done, or done already            refused  nothing was changed, and why
#   failed   it did not work; "phase" tells whether everything went back (rolled-back) or not (stuck)
#   fenced   a newer roll is at work here     busy     another call is at work here
#
# What it keeps, in /var/lib/windlass (readable by root only):
#   releases/DIGEST/        manifest, files/, release.json      current, previous   links into releases/
#   attempts/TOKEN/         turn (what to do), script/, log, phase, reason, armed (the timer's unit);
#                           changed: the paths that change, for the steps, as $WINDLASS_CHANGED
#                           keep.tar: the files as they were. By hand: tar -C / -xpf keep.tar
#                           came: the connection that activated; met: the worker came back over another one
#                           reserve: space for going back on a disk that has become full meanwhile
#   attempt                 the latest token                    confirmed  the token of the last one confirmed
#   fence                   highest number seen, and its holder: smaller numbers are refused
#   serials/PATH            the SOA serial of a zone file, digest of its text without and with it
#   adopted/PATH            files that were not ours and were replaced on request
#   dirs                    directories that this agent made, to be removed when they are empty
#   cluster, lock, journal, rolled-back
# Outside of it: windlass-recover.service, and in each directory for a moment `.windlass-new/`.
#
# How a power cut or kill -9 is survived: `phase` is written to disk before what it names is begun:
#   staged: nothing has changed · activating, activated: goes back unless confirmed · confirmed
#   rolling-back: goes on going back · rolled-back · stuck: going back failed; see `log`, mend, `rollback`
#
# Needs: sh, coreutils, findutils, grep, sed, awk, tar, gzip, util-linux, systemd; apt and dpkg for packages.

# shellcheck disable=SC2015,SC2016,SC2094 # every `a && b || c` here means just that
set -u
umask 077
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
# A lost connection must not stop a change half way.
trap '' HUP PIPE

root=${WINDLASS_ROOT:-/var/lib/windlass}
self=$0
tab='	'
unit_file=/etc/systemd/system/windlass-recover.service
policy=/usr/sbin/policy-rc.d
beside='s,\([^/]*\)$,.windlass-new/\1,S'
whole='--numeric-owner --acls --xattrs --xattrs-include=*'
fence='' holder='' cluster='' token='' at='' phase=none base=- target=- failed=''

# ---- Answers and small state -------------------------------------------------------------------------

end() { # end WORD SENTENCE: the answer's last line
	ending=$1
	shift
	printf 'end\t%s\t%s\n' "$ending" "$([ -z "$*" ] || printf '%s' "$*" | tr '\n\t' '  ')"
	[ "$ending" = ok ]
	exit
}

say() { # say SENTENCE: a line in the journal
	printf '%s %s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${token:--}" "$*" >>"$root/journal"
}

try() { # try WORDS COMMAND…: runs it, and ends with its last words when it fails
	words=$1
	shift
	"$@" 2>"$scratch/err" || end failed "$words: $(last_words)"
}

unwritable() { # the shell's own words do not tell a full disk from a read-only one
	dd status=none if=/dev/zero of="$root/probe" bs=4096 count=1 2>"$scratch/err"
	rm -f "$root/probe"
	end failed "cannot write to $root: $(last_words)"
}

last_words() {
	tail -n 3 "$scratch/err" 2>/dev/null | tr '\n' ' '
}

put() { # put FILE WORDS: a power cut leaves the old text or the new one
	printf '%s\n' "$2" >"$1.new" && sync "$1.new" && mv -f "$1.new" "$1" && sync "${1%/*}"
}

get() { # get FILE: its first line, empty where there is none
	got=''
	[ ! -f "$1" ] || read -r got <"$1" || true
}

point() { # point LINK DIGEST: a link into releases/, or none for "-"
	if [ "$2" = - ]; then
		rm -f "$root/$1"
	else
		ln -sfn "releases/$2" "$root/$1.new" && mv -fT "$root/$1.new" "$root/$1"
	fi
}

pointed() { # pointed LINK: sets $got to the digest it leads to, "-" where there is none
	got=-
	[ ! -L "$root/$1" ] || { got=$(readlink "$root/$1") && got=${got##*/}; }
}

set_phase() {
	put "$at/phase" "$1" || return 1
	phase=$1
	say "$1"
}

# ---- Who may act --------------------------------------------------------------------------------------

lock() { # lock [SECONDS]: one call at a time; children are not given the lock
	mkdir -p "$root" 2>"$scratch/err" && true 2>>"$scratch/err" >>"$root/lock" ||
		end failed "cannot write to $root: $(last_words)"
	exec 9>>"$root/lock"
	flock ${1:+-w "$1"} 9 || end busy "another call has been at work on this node for ${1-} seconds"
	restore_policy
}

guard() { # the lock, the cluster and the fence, in this order, before anything else
	case $fence in '' | *[!0-9]*) end refused "a fence is needed" ;; esac
	lock "${WINDLASS_LOCK_WAIT:-60}"
	get "$root/cluster"
	[ -z "$got" ] || [ "$got" = "$cluster" ] ||
		end refused "this node belongs to cluster $got, not to $cluster; \`forget\` would free it"
	[ -n "$got" ] || put "$root/cluster" "$cluster" || unwritable
	highest=0 by=''
	[ ! -f "$root/fence" ] || IFS=$tab read -r highest by <"$root/fence"
	[ "$fence" -ge "$highest" ] || end fenced "fence $fence is behind $highest, held by $by"
	if [ "$fence" -gt "$highest" ]; then
		put "$root/fence" "$fence$tab$holder" || unwritable
	elif [ "$holder" != "$by" ]; then
		end fenced "fence $fence is held by $by"
	fi
}

load() { # load TOKEN: sets at, phase, base, target
	case $1 in '' | .* | *[!A-Za-z0-9._-]*) end refused "not a token: $1" ;; esac
	token=$1 at=$root/attempts/$1
	[ -f "$at/phase" ] || end refused "there is no attempt $1 on this node"
	get "$at/phase"
	phase=$got
	read_turn "$at/turn"
}

read_turn() {
	while IFS=$tab read -r key value _; do
		case $key in
		base) base=$value ;;
		target) target=$value ;;
		install | remove | step) return ;;
		esac
	done <"$1"
}

connection() { # the SSH connection that this call came over, also through sudo; empty where it came over none
	pid=$$ got=''
	while [ -z "$got" ] && [ "$pid" -gt 1 ]; do
		got=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^SSH_CONNECTION=//p')
		pid=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$pid/status")
	done
}

refuse_same_connection() { # that one still stands says nothing: a firewall may let it live and refuse every new one
	connection
	came=$got
	get "$at/came"
	[ -z "$came" ] || [ "$came" != "$got" ] ||
		end refused "this is the connection that activated; only a new one shows that the node can be reached"
}

refuse_beside_another() { # one attempt at a time
	get "$root/attempt"
	other=$got
	[ -n "$other" ] && [ "$other" != "$1" ] || return 0
	get "$root/attempts/$other/phase"
	case $got in
	activating | activated | rolling-back | stuck) end refused "attempt $other is $got on this node" ;;
	esac
}

# ---- Looking at files: one stat and one sha256sum for all of them ---------------------------------------

look() { # look LIST: what is there, unsorted, as files in $scratch
	xargs -r stat -c "%n$tab%F$tab%04a$tab%U:%G" <"$1" >"$scratch/stat" 2>/dev/null
	sed -n "s/^\([^$tab]*\)${tab}regular .*/\1/p" "$scratch/stat" | xargs -r sha256sum >"$scratch/sums" 2>/dev/null
}

observe() { # observe LIST: sorted lines "path kind mode owner sha256" of what is there
	look "$1"
	sort -o "$scratch/stat" "$scratch/stat"
	sed "s/^\([0-9a-f]*\)  \(.*\)/\2$tab\1/" "$scratch/sums" | sort |
		join -t "$tab" -a 1 -e - -o 0,1.2,1.3,1.4,2.2 "$scratch/stat" -
}

wanted() { # wanted MANIFEST: lines "path sha256 mode owner flags", serials as they were bound
	[ -f "$1" ] || return 0
	# Only records are opened: some awks end at a directory.
	{ [ ! -d "$root/serials" ] || find "$root/serials" -xtype f -printf '/%P\n'; } |
		root=$root awk -F "$tab" -v OFS="$tab" '
			!listed { noted[$0]; next }
			$4 ~ /serial/ && $6 in noted {
				record = ENVIRON["root"] "/serials" $6
				if ((getline line <record) > 0) {
					split(line, field)
					$1 = field[3]
				}
				close(record)
			}
			{ print $6, $1, $2, $3, $4 }
		' - listed=1 "$1"
}

expected() { # expected MANIFEST: the same, sorted
	wanted "$1" >"$scratch/bound" && sort "$scratch/bound"
}

drift() { # drift DIGEST: lines "drift path kind" for files that are not as this release says
	wanted "$root/releases/$1/manifest" >"$scratch/want" || end failed "cannot read what release $1 consists of"
	cut -f 1 "$scratch/want" >"$scratch/paths"
	look "$scratch/paths"
	# Two digests that are digits and one "e" would be compared as numbers, if they were not made strings.
	awk -F "$tab" -v OFS="$tab" '
		FILENAME == ARGV[1] { kind[$1] = $2; looks[$1] = $3 " " $4; next }
		FILENAME == ARGV[2] { sum[substr($0, 67)] = substr($0, 1, 64); next }
		!($1 in kind) { print "drift", $1, "missing"; next }
		kind[$1] !~ /^regular/ || (sum[$1] "") != ($2 "") { print "drift", $1, "modified"; next }
		looks[$1] != ($3 " " $4) { print "drift", $1, "attributes" }
	' "$scratch/stat" "$scratch/sums" "$scratch/want" || end failed "cannot compare release $1 with this node"
}

of_turn() { # of_turn KEY: the values of this key, sorted
	sed -n "s/^$1$tab//p" "$at/turn" | sort -u
}

lists() { # the paths that this turn changes, as files in $scratch
	of_turn install >"$scratch/install"
	of_turn remove >"$scratch/remove"
	sort -u "$scratch/install" "$scratch/remove" >"$scratch/change"
	sed 's,/[^/]*$,,' "$scratch/install" | sort -u >"$scratch/dirs"
	expected "$root/releases/$target/manifest" >"$scratch/want.target" || return 1
	join -t "$tab" "$scratch/install" "$scratch/want.target" |
		sed -n "s/^\([^$tab]*\)$tab.*serial.*/\1/p" >"$scratch/zones"
	comm -23 "$scratch/install" "$scratch/zones" | sed 's,^,.,' >"$scratch/plain"
}

refuse_foreign() { # nothing that was changed by hand or is not ours is overwritten, unless adopted
	expected "$root/releases/$base/manifest" >"$scratch/want.base" ||
		end failed "cannot read what release $base consists of"
	observe "$scratch/change" >"$scratch/seen"
	adopt=" $(of_turn adopt | tr '\n' ' ')"
	true >"$scratch/foreign"
	true >"$scratch/adopted"
	true >"$scratch/refused"
	join -t "$tab" -a 1 -e - -o 0,2.2,2.3,2.4 "$scratch/change" "$scratch/want.base" |
		join -t "$tab" -a 1 -e - -o 0,1.2,1.3,1.4,2.2 - "$scratch/want.target" |
		join -t "$tab" -a 1 -e - -o 0,1.2,1.3,1.4,1.5,2.2,2.3,2.4,2.5 - "$scratch/seen" >"$scratch/facts"
	while IFS=$tab read -r path sha mode owner sha_new kind mode_now owner_now sha_now; do
		case $kind in
		-) [ "$sha" = - ] || [ "$sha_new" = - ] || suspect missing ;;
		regular*)
			[ "$sha $mode $owner" = "$sha_now $mode_now $owner_now" ] || [ "$sha_new" = "$sha_now" ] ||
				suspect "$([ "$sha" = - ] && echo 'not ours' || echo 'changed by hand')"
			;;
		symbolic*) suspect 'a symbolic link' ;;
		*) printf 'drift\t%s\t%s is in its place\n' "$path" "$kind" >>"$scratch/refused" ;;
		esac
	done <"$scratch/facts"
	excuse_conffiles
	[ -s "$scratch/refused" ] || return 0
	cat "$scratch/refused"
	end refused "files on the node are not as the last release left them, or are not ours: $(cut -f 2 "$scratch/refused" | head -n 5 | tr '\n' ' ')"
}

suspect() { # the file named by $path is not as expected: adopted, perhaps a package's, or refused
	case $adopt in
	*" $path "*) printf '%s\n' "$path" >>"$scratch/adopted" ;;
	*) if [ "$1" = 'not ours' ]; then
		printf '%s\n' "$path" >>"$scratch/foreign"
	else
		printf 'drift\t%s\t%s\n' "$path" "$1" >>"$scratch/refused"
	fi ;;
	esac
}

excuse_conffiles() { # a package's own configuration that nobody has edited may be replaced
	[ -s "$scratch/foreign" ] || return 0
	{
			dpkg-query -W -f '${Conffiles}\n' | sed -n 's/^ \(\/[^ ]*\) \([0-9a-f]\{32\}\).*/\2  \1/p'
		cat /var/lib/ucf/hashfile
	} 2>/dev/null | sort -u >"$scratch/conffiles"
	xargs md5sum <"$scratch/foreign" 2>/dev/null | sort | comm -12 - "$scratch/conffiles" | cut -c 35- | sort >"$scratch/pristine"
	sort -u "$scratch/foreign" | comm -23 - "$scratch/pristine" |
		sed "s/.*/drift$tab&${tab}not ours/" >>"$scratch/refused"
}

# ---- SOA serials: they change with the zone's text only, and only ever grow (RFC 1982) --------------------

recorded() { # recorded PATH: sets serial and canonical of a zone file
	serial=0 canonical=-
	[ -f "$root/serials$1" ] && IFS=$tab read -r serial canonical _ <"$root/serials$1"
}

# Zones that people keep have serials of any length, in places of their own, beside other numbers that look like one.
# Says line, bytes before it, and number; nothing where the first SOA record has no number that is a serial.
soa_reader='
function word(text, before) {
	if (owner) { owner = 0; return }
	if (field == 0) {
		if (toupper(text) ~ /^(IN|CH|HS|[0-9][0-9SMHDW]*)$/) return
		field = toupper(text) == "SOA" ? 1 : -1
	} else if (field > 0 && ++field == 4) {
		if (text ~ /^[0-9]+$/ && length(text) <= 10) {
			sub(/^0+/, "", text)
			print NR, before, text == "" ? 0 : text
		}
		exit
	}
}
{
	if (depth == 0) {
		if ($0 ~ /^\$/) next
		field = 0
		owner = $0 ~ /^[^ \t\r;()]/
	}
	for (i = 1; i <= length($0); i++) {
		c = substr($0, i, 1)
		if (c == ";") break
		if (c == "(") depth++
		else if (c == ")") { if (depth > 0) depth-- }
		else if (c !~ /[ \t\r]/) {
			begin = i
			quoted = 0
			for (; i <= length($0); i++) {
				c = substr($0, i, 1)
				if (c == "\\") i++
				else if (c == "\"") quoted = !quoted
				else if (!quoted && c ~ /[ \t\r;()]/) break
			}
			if (quoted) exit
			word(substr($0, begin, i - begin), begin - 1)
			i--
		}
	}
}'

soa() { # soa FILE: sets number, its SOA's serial, and line and before, its place; all 0 where there is none
	[ -f "$1" ] && awk "$soa_reader" "$1" >"$scratch/soa" 2>/dev/null && read -r line before number <"$scratch/soa" &&
		[ "$number" -le 4294967295 ] || line=0 before=0 number=0
}

replace_serial() { # replace_serial FILE: its SOA's serial becomes $serial; whether it can be read there afterwards
	soa "$1"
	[ "$line" -gt 0 ] && sed -i "${line}s/^\(.\{$before\}\)[0-9]*/\1$serial/" "$1" && soa "$1" && [ "$number" = "$serial" ]
}

ahead() { # ahead OTHER: whether this serial comes after $serial
	gap=$((($1 - serial) & 4294967295))
	[ "$1" -gt 0 ] && { [ "$serial" = 0 ] || { [ "$gap" -gt 0 ] && [ "$gap" -lt 2147483648 ]; }; }
}

raise_serial() { # raise_serial OTHER: sets $serial above itself, this one and today's
	for other in "$1" "$(date -u +%Y%m%d)00"; do
		! ahead "$other" || serial=$other
	done
	serial=$(((serial + 1) & 4294967295))
	[ "$serial" != 0 ] || serial=1
}

record() { # record DIR PATH TEXT-DIGEST: notes $serial and the digest of the file it was put into
	sum=$(sha256sum <"$at/bound$2")
	mkdir -p "$1${2%/*}" && put "$1$2" "$serial$tab$3$tab${sum%% *}"
}

bind_new() { # zone files of the target with their serials, in $at/bound; noted in $at/serials
	rm -rf "$at/bound" "$at/serials"
	mkdir -p "$at/bound" "$at/serials"
	[ -s "$scratch/zones" ] || return 0
	(cd "$root/releases/$target/files" && sed 's,^,.,' "$scratch/zones" | xargs cp -p --parents -t "$at/bound") || return 1
	while read -r path; do
		sha=$(grep "$tab$path\$" "$root/releases/$target/manifest" | cut -f 1)
		recorded "$path"
		soa "$path"
		[ "$canonical" = "$sha" ] && ! ahead "$number" || raise_serial "$number"
		sed -i "s/@WINDLASS_SERIAL@/$serial/g" "$at/bound$path" && record "$at/serials" "$path" "$sha" || return 1
	done <"$scratch/zones"
}

bind_old() { # the zones' old texts with a higher serial: with the old one, secondaries would keep the bad data
	rm -rf "$at/bound"
	mkdir -p "$at/bound"
	true >"$scratch/old"
	while read -r path; do
		sha=$(grep "$tab$path\$" "$root/releases/$base/manifest" 2>/dev/null | cut -f 1)
		mkdir -p "$at/bound${path%/*}"
		if [ -n "$sha" ]; then
			cp -p "$root/releases/$base/files$path" "$at/bound$path" || return 1
		elif tar -C "$at/bound" -xpf "$at/keep.tar" "./${path#/}" 2>/dev/null && [ ! -L "$at/bound$path" ]; then
			sha=adopted
		else
			continue
		fi
		recorded "$path"
		soa "$at/bound$path"
		[ "$canonical" = "$sha" ] && ! ahead "$number" || raise_serial "$number"
		if [ "$sha" != adopted ]; then
			sed -i "s/@WINDLASS_SERIAL@/$serial/g" "$at/bound$path" || return 1
		elif ! replace_serial "$at/bound$path"; then
			# As it was, from the copy: better an old serial than another number changed.
			say "no serial can be read in $path: put back as it was"
			continue
		fi
		record "$root/serials" "$path" "$sha" || return 1
		printf '.%s\n' "$path" >>"$scratch/old"
	done <"$scratch/zones"
}

# ---- Putting files in place ------------------------------------------------------------------------------

# Everywhere with the time of now: BIND loads a zone again only when its file is younger than what it has.
bring() { # bring DIR LIST: lays files of DIR beside their final places, with owner and mode
	[ -s "$2" ] || return 0
	rm -f "$scratch/broken"
	{ tar -C "$1" -cf - --no-recursion -T "$2" || true >"$scratch/broken"; } |
		(umask 022 && tar -C / -xmpf - --numeric-owner --transform "$beside") && [ ! -e "$scratch/broken" ]
}

swap() { # renames what was brought over what is there: each file is the old or the new one, never half
	while read -r dir; do
		[ -d "$dir/.windlass-new" ] || continue
		find "$dir/.windlass-new" -mindepth 1 -exec mv -f -t "$dir/" {} + && rmdir "$dir/.windlass-new" || return 1
	done <"$scratch/dirs"
}

drop_brought() { # what an activation left that never began to change anything
	sed 's,$,/.windlass-new,' "$scratch/dirs" | xargs -r rm -rf
	[ ! -f "$at/new-dirs" ] || sort -ru "$at/new-dirs" | xargs -r rmdir 2>/dev/null
	return 0
}

to_disk() { # one sync of each file system, not one of each file
	xargs -r sh -c 'for d; do [ ! -d "$d/" ] || printf "%s/\n" "$d"; done' dirs <"$scratch/dirs" | xargs -r sync -f "$root"
}

drop_empty_dirs() { # those that this agent made
	[ ! -s "$root/dirs" ] || sort -ru "$root/dirs" | xargs -r rmdir 2>/dev/null
	return 0
}

keep() { # copies of every file about to change, before anything does
	while read -r path; do
		if [ -e "$path" ] || [ -L "$path" ]; then printf '.%s\n' "$path"; else printf '%s\n' "$path" >&3; fi
	done <"$scratch/change" >"$scratch/present" 3>"$at/absent"
	# shellcheck disable=SC2086 # a list of options
	tar -C / -cf "$at/keep.tar" $whole --hard-dereference --no-recursion -T "$scratch/present" || return 1
	while read -r dir; do
		while [ -n "$dir" ] && [ ! -e "$dir" ]; do
			printf '%s\n' "$dir"
			dir=${dir%/*}
		done
	done <"$scratch/dirs" >"$at/new-dirs"
	[ -s "$scratch/adopted" ] || return 0
	mkdir -p "$root/adopted" && cd / && sed 's,^,.,' "$scratch/adopted" | xargs cp -a --parents -t "$root/adopted"
}

# ---- Steps, and going back -------------------------------------------------------------------------------

steps() { # steps KIND: runs the turn's commands of this kind in order; says in $failed what failed
	failed=''
	while IFS=$tab read -r key kind number limit label; do
		[ "$key" = step ] && [ "$kind" = "$1" ] || continue
		say "$kind $number: $label"
		# `timeout` holds the lock as long as the step runs, even if this shell is killed; the step does not.
		WINDLASS_CHANGED=$at/changed timeout -k 5 "$limit" sh -c 'exec 9>&-; exec sh -eu "$1"' step "$at/script/$kind-$number" \
			</dev/null >>"$at/log" 2>&1
		code=$?
		[ "$code" != 0 ] || continue
		failed="$label: exit status $code"
		[ "$code" != 124 ] || failed="$label: not done within $limit seconds"
		say "failed: $failed"
		# Going back, each service gets its chance.
		[ "$kind" = backward ] || return 1
	done <"$at/turn"
	[ -z "$failed" ]
}

arm() { # arm SECONDS: a timer of systemd's, so that it outlives us; the new one stands before the old one falls
	get "$at/armed"
	old=$got
	read -r now _ </proc/uptime
	unit=windlass-deadman-$token-${now%.*}${now#*.}
	systemd-run -q --collect --unit="$unit" --on-active="$1" --timer-property=AccuracySec=100ms \
		--setenv=WINDLASS_ROOT="$root" sh "$self" deadman "$token" "$unit" 9>&- || return 1
	put "$at/armed" "$unit" || return 1
	[ -z "$old" ] || systemctl stop "$old.timer" 2>/dev/null
	return 0
}

disarm() {
	get "$at/armed"
	[ -z "$got" ] || systemctl stop "$got.timer" 2>/dev/null
	rm -f "$at/armed"
}

go_back() { # go_back REASON: as it was before this attempt. Every part of it may be repeated
	rm -f "$at/reserve"
	put "$at/reason" "$1" && set_phase rolling-back || return 1
	if put_back 2>>"$at/log"; then steps backward; else failed='putting the files back'; fi
	if [ -n "$failed" ]; then
		put "$at/reason" "$1; going back failed: $failed"
		set_phase stuck
		return 1
	fi
	point current "$base" && get "$at/previous" && point previous "${got:--}" && rm -f "$root/confirmed"
	# Someone stopped the roll, or the worker died: that says nothing against the release.
	case $1 in
	cancelled*) ;;
	*) note_rolled_back ;;
	esac
	sync -f "$root"
	set_phase rolled-back || return 1
	disarm
	[ ! -e "$at/drained" ] || { steps undrain && rm -f "$at/drained"; }
	failed=''
}

note_rolled_back() { # the newest hundred, the latest last: every `status` tells them all
	{
		grep -vx "$target" "$root/rolled-back" 2>/dev/null
		printf '%s\n' "$target"
	} | tail -n 100 >"$root/rolled-back.new" && mv -f "$root/rolled-back.new" "$root/rolled-back"
}

put_back() {
	lists || return 1
	drop_brought
	bind_old || return 1
	# shellcheck disable=SC2086 # a list of options
	(umask 022 && tar -C / -xmpf "$at/keep.tar" $whole --transform "$beside") || return 1
	bring "$at/bound" "$scratch/old" || return 1
	sed 's,/[^/]*$,,' "$scratch/change" | sort -u >"$scratch/dirs"
	to_disk
	swap || return 1
	xargs -r rm -f <"$at/absent" || return 1
	drop_empty_dirs
	to_disk
}

failed_back() { # failed_back WHAT: the end of an activation that did not work
	what=$1
	go_back "$what" || true
	printf 'log\t%s\n' "$(tail -c 16384 "$at/log" 2>/dev/null | base64 -w 0)"
	printf 'phase\t%s\n' "$phase"
	end failed "$what"
}

# ---- Packages ---------------------------------------------------------------------------------------------

restore_policy() { # also after an installation that was killed
	[ -e "$root/policy-rc.d.ours" ] || return 0
	if [ -e "$root/policy-rc.d.kept" ]; then mv -f "$root/policy-rc.d.kept" "$policy"; else rm -f "$policy"; fi
	rm -f "$root/policy-rc.d.ours"
}

hold_services() { # nothing starts before its configuration is there
	[ ! -e "$policy" ] || cp -p "$policy" "$root/policy-rc.d.kept" || return 1
	true >"$root/policy-rc.d.ours" || return 1
	printf '#!/bin/sh\n# Windlass is installing packages.\nexit 101\n' >"$policy" && chmod 755 "$policy"
}

install_packages() { # install_packages TURN
	sed -n "s/^package$tab//p" "$1" | sort -u >"$scratch/packages"
	xargs -r dpkg-query -W -f '${db:Status-Abbrev}\t${Package}\n' <"$scratch/packages" 2>/dev/null |
		sed -n "s/^.i $tab//p" | sort -u | comm -23 "$scratch/packages" - >"$scratch/missing"
	[ -s "$scratch/missing" ] || return 0
	say "installing $(tr '\n' ' ' <"$scratch/missing")"
	hold_services || end failed "cannot write $policy"
	apt_install || { timeout -k 10 300 apt-get -q update && apt_install; } >>"$scratch/apt" 2>&1
	code=$?
	restore_policy
	[ "$code" = 0 ] && return 0
	printf 'log\t%s\n' "$(tail -n 20 "$scratch/apt" | base64 -w 0)"
	end failed "installing $(tr '\n' ' ' <"$scratch/missing"): $(grep '^E:' "$scratch/apt" | tail -n 2)"
}

apt_install() {
	xargs timeout -k 10 900 apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=60 \
		-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install \
		<"$scratch/missing" 9>&- >"$scratch/apt" 2>&1
}

# ---- Verbs ------------------------------------------------------------------------------------------------

verb_status() {
	read -r boot </proc/sys/kernel/random/boot_id
	printf 'boot\t%s\nclock\t%s\n' "$boot" "$(date +%s)"
	get "$root/cluster"
	[ -z "$got" ] || printf 'cluster\t%s\n' "$got"
	get "$root/fence"
	[ -z "$got" ] || printf 'fence\t%s\n' "$got"
	pointed previous
	[ "$got" = - ] || printf 'previous\t%s\n' "$got"
	get "$root/attempt"
	latest=$got
	get "$root/attempts/$latest/phase"
	case $got in staged | rolled-back)
		get "$root/confirmed"
		[ "$got" = "$latest" ] || tell_attempt standing "$got"
		;;
	esac
	tell_attempt attempt "$latest"
	[ ! -f "$root/rolled-back" ] || sed "s/^/rolled-back$tab/" "$root/rolled-back"
	pointed current
	if [ "$got" != - ]; then
		printf 'current\t%s\n' "$(base64 -w 0 "$root/current/release.json")"
		case $phase in activating | activated | rolling-back) ;; *) drift "$got" ;; esac
	fi
	end ok
}

tell_attempt() { # tell_attempt KEY TOKEN: and loads it
	[ -n "$2" ] && [ -f "$root/attempts/$2/phase" ] || return 0
	load "$2"
	get "$at/fence"
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$token" "$got" "$base" "$target" "$phase" \
		"$([ ! -f "$at/reason" ] || base64 -w 0 "$at/reason")"
}

verb_claim() { # under the lock: nothing happens between what was noted before and what is told
	guard
	printf 'before\t%s\t%s\n' "$highest" "$by"
	verb_status
}

verb_stage() { # verb_stage TOKEN
	case $1 in '' | .* | *[!A-Za-z0-9._-]*) end refused "not a token: $1" ;; esac
	guard
	token=$1 at=$root/attempts/$1 in=$root/incoming
	refuse_beside_another "$1"
	get "$at/phase"
	case $got in '' | staged) ;; *) end ok "already $got" ;; esac
	rm -rf "$in"
	mkdir -p "$in" "$root/releases" "$root/attempts"
	try "cannot unpack the release" tar -C "$in" -xzf - --no-same-owner --no-same-permissions
	verify
	read_turn "$in/turn"
	install_packages "$in/turn"
	dress
	install_recover
	printf '%s\n' "$fence" >"$in/fence" && printf 'staged\n' >"$in/phase" || unwritable
	try "cannot write to disk" sync -f "$in"
	shelve
	put "$root/attempt" "$token" || unwritable
	say "staged $target over $base"
	tidy
	printf 'phase\tstaged\n'
	end ok
}

verify() { # nothing counts before every file is what the manifest says, and nothing else is there
	[ -f "$in/manifest" ] && [ -f "$in/turn" ] && [ -f "$in/release.json" ] && [ -d "$in/files" ] ||
		end failed "the stream broke off: parts of the release are missing"
	[ -z "$(find "$in" ! -type f ! -type d | head -n 1)" ] && [ "$(find "$in/files" -type f | wc -l)" = "$(wc -l <"$in/manifest")" ] ||
		end failed "the stream holds other files than its manifest"
	[ -s "$in/manifest" ] || return 0
	sed "s,^\([0-9a-f]\{64\}\)$tab.*$tab/\(.*\)\$,\1  ./\2," "$in/manifest" >"$scratch/sums"
	(cd "$in/files" && sha256sum --quiet --strict -c "$scratch/sums") >"$scratch/err" 2>&1 ||
		end failed "a file arrived damaged: $(last_words)"
}

dress() { # owners and modes, one call for each combination
	cut -f 2,3 "$in/manifest" | sort -u >"$scratch/looks"
	while IFS=$tab read -r mode owner; do
		grep -F "$tab$mode$tab$owner$tab" "$in/manifest" | sed "s,.*$tab/,$in/files/," >"$scratch/list"
		try "owner $owner" xargs chown "$owner" <"$scratch/list"
		try "mode $mode" xargs chmod "$mode" <"$scratch/list"
	done <"$scratch/looks"
}

shelve() { # moves what has arrived to where it counts
	pointed current
	if [ "$got" != "$target" ]; then
		rm -rf "$root/releases/$target.old"
		mkdir "$in/release"
		mv "$in/manifest" "$in/release.json" "$in/files" "$in/release/"
		[ ! -d "$root/releases/$target" ] || mv "$root/releases/$target" "$root/releases/$target.old"
		try "cannot keep the release" mv "$in/release" "$root/releases/$target"
		rm -rf "$root/releases/$target.old"
	else
		rm -rf "$in/manifest" "$in/release.json" "$in/files"
	fi
	rm -rf "$at"
	try "cannot keep the attempt" mv "$in" "$at"
}

install_recover() { # at boot: go back if the machine went down before the release was confirmed
	ln -sfn "$self" "$root/agent.new" && mv -fT "$root/agent.new" "$root/agent"
	text="# Written by Windlass. It waits for no service and none waits for it, so that it may restart any.
[Unit]
Description=Go back to the last confirmed Windlass release
RequiresMountsFor=$root
[Service]
Type=simple
Environment=WINDLASS_ROOT=$root
ExecStart=/bin/sh $root/agent recover
KillMode=process
[Install]
WantedBy=multi-user.target"
	[ ! -f "$unit_file" ] || [ "$(cat "$unit_file")" != "$text" ] || return 0
	(umask 022 && printf '%s\n' "$text" >"$unit_file.new" && mv -f "$unit_file.new" "$unit_file") 2>"$scratch/err" &&
		systemctl enable -q windlass-recover.service 2>>"$scratch/err" ||
		end failed "cannot install windlass-recover.service: $(last_words)"
}

tidy() { # releases and attempts that nothing refers to
	get "$root/confirmed"
	last=$got
	kept=" $token $last "
	pointed current
	releases=" $got $base $target "
	pointed previous
	releases="$releases$got "
	for path in "$root"/attempts/* "$root"/releases/*; do
		case "$kept$releases" in *" ${path##*/} "*) ;; *) rm -rf "$path" ;; esac
	done
	for path in "$root"/agent-*; do [ "$path" = "$self" ] || rm -f "$path"; done
	[ "$(wc -l <"$root/journal")" -lt 20000 ] || { tail -n 10000 "$root/journal" >"$root/journal.new" && mv -f "$root/journal.new" "$root/journal"; }
}

verb_check() {
	guard
	load "$1"
	grep -q "^check$tab" "$at/turn" || end ok
	unshare -m -n --propagation private sh "$self" inside "$token" 2>"$scratch/err" 9>&- ||
		end failed "cannot try the release out in namespaces of its own: $(last_words)"
	end ok
}

# Runs inside the namespaces. Writes go to a tmpfs, so that a program that is started for trial can neither
# change the machine's files nor reach its daemons through sockets in /run.
verb_inside() {
	load "$1"
	lists && mount -t tmpfs -o mode=1777 windlass /tmp && mkdir -m 700 /tmp/.windlass || exit 1
	while read -r dir; do
		while [ ! -d "$dir/" ]; do dir=${dir%/*}; done
		printf '%s/\n' "$dir"
	done <"$scratch/dirs" >"$scratch/over"
	sed 's,[^/]*$,,' "$scratch/remove" >>"$scratch/over"
	printf '/run/\n/var/\n' >>"$scratch/over"
	above=/tmp/ count=0
	sort -u "$scratch/over" >"$scratch/sorted"
	while read -r dir; do
		case $dir in "$above"* | /tmp/*) continue ;; esac
		[ -d "$dir" ] || continue
		above=$dir count=$((count + 1))
		cover "$dir" "/tmp/.windlass/$count" || exit 1
	done <"$scratch/sorted"
	bring "$root/releases/$target/files" "$scratch/plain" && sed 's,^,.,' "$scratch/zones" >"$scratch/list" &&
		bring "$root/releases/$target/files" "$scratch/list" && swap || exit 1
	xargs -r rm -f <"$scratch/remove"
	xargs -r sed -i 's/@WINDLASS_SERIAL@/1/g' <"$scratch/zones"
	ip link set lo up 2>/dev/null
	run_checks
	exit 0
}

cover() { # cover DIR TMP: what is written below DIR from now on lands in TMP
	mkdir -p "$2/upper" "$2/work" && chown --reference="$1" "$2/upper" && chmod --reference="$1" "$2/upper" &&
		cd "$1" && mount -t overlay overlay -o "lowerdir=.,upperdir=$2/upper,workdir=$2/work" "$1" && cd /
}

run_checks() { # one process namespace each: nothing that a check starts outlives it
	while IFS=$tab read -r key number limit _; do
		[ "$key" = check ] || continue
		script=$at/script/check-$number
		mkdir "/tmp/check-$number" && cd "/tmp/check-$number" || exit 1
		[ ! -d "$script.d" ] || cp -R "$script.d/." .
		output=$({
			timeout -k 2 "$limit" env -i PATH="$PWD:$PATH" HOME=/root LC_ALL=C.UTF-8 \
				unshare -p -f --mount-proc --kill-child sh -eu "$script" </dev/null 2>&1
			echo $? >"$scratch/code"
		} | { head -c 65536 && cat >/dev/null; } | base64 -w 0)
		answer_exit "check$tab$number" "$output"
	done <"$at/turn"
}

answer_exit() { # answer_exit KEY OUTPUT
	read -r code <"$scratch/code"
	case $code in 124 | 137) code=timeout ;; esac
	printf '%s\t%s\t%s\n' "$1" "$code" "${2:--}"
}

verb_drain() {
	guard
	load "$2"
	[ "$1" = undrain ] || true >"$at/drained"
	steps "$1" || {
		printf 'log\t%s\n' "$(tail -c 16384 "$at/log" | base64 -w 0)"
		end failed "$failed"
	}
	[ "$1" = drain ] || rm -f "$at/drained"
	end ok
}

verb_activate() { # verb_activate TOKEN SECONDS
	guard
	load "$1"
	case $phase in
	staged) ;;
	activated | confirmed)
		printf 'phase\t%s\n' "$phase"
		end ok "already $phase"
		;;
	activating) failed_back "the activation was interrupted" ;;
	*) refuse_phase ;;
	esac
	refuse_beside_another "$token"
	pointed current
	[ "$got" = "$base" ] || end refused "this node holds release $got, but the turn was planned over $base"
	pointed previous
	printf '%s\n' "$got" >"$at/previous"
	connection
	printf '%s\n' "$got" >"$at/came"
	lists || end failed "cannot read what release $target consists of"
	refuse_foreign
	prepare
	arm "$2" || end failed "cannot arm the dead-man: systemd-run failed"
	set_phase activating || unwritable
	change_files 2>>"$at/log" || failed_back "putting the files in place: $(tail -n 1 "$at/log")"
	steps forward || failed_back "$failed"
	# The worker's time to come back begins now, however long the steps took.
	arm "$2" || failed_back "cannot arm the dead-man"
	set_phase activated || failed_back "cannot write to $root"
	printf 'phase\tactivated\n'
	end ok
}

prepare() { # all that may fail for want of space or rights, before anything has changed
	drop_brought
	prepare_files 2>"$scratch/err" && return 0
	why=$(last_words)
	drop_brought
	end failed "nothing was changed: $why"
}

prepare_files() {
	cp "$scratch/change" "$at/changed" && keep && bind_new && bring "$root/releases/$target/files" "$scratch/plain" || return 1
	sed 's,^,.,' "$scratch/zones" >"$scratch/list"
	bring "$at/bound" "$scratch/list" && reserve && to_disk
}

reserve() { # the old files once more, in whole blocks, and something for notes
	size=$(($(stat -c %s "$at/keep.tar") + 4096 * $(wc -l <"$scratch/present") + 1048576))
	fallocate -l "$size" "$at/reserve" || head -c "$size" /dev/zero >"$at/reserve"
}

change_files() {
	cat "$at/new-dirs" >>"$root/dirs" && cp -R "$at/serials/." "$root/serials/" && sync -f "$root" && swap || return 1
	xargs -r rm -f <"$scratch/remove" || return 1
	[ ! -s "$scratch/remove" ] || drop_empty_dirs
	to_disk
}

refuse_phase() {
	get "$at/reason"
	printf 'phase\t%s\n' "$phase"
	end refused "$phase: $got"
}

verb_extend() { # verb_extend TOKEN SECONDS
	guard
	load "$1"
	[ "$phase" = activated ] || [ "$phase" = confirmed ] || refuse_phase
	if [ "$phase" = activated ]; then
		refuse_same_connection
		arm "$2" && true >"$at/met" || end failed "cannot arm the dead-man"
	fi
	printf 'phase\t%s\n' "$phase"
	end ok
}

verb_confirm() {
	guard
	load "$1"
	case $phase in
	confirmed) ;;
	activated)
		refuse_same_connection
		rm -f "$at/reserve"
		put "$root/confirmed" "$token" && point previous "$base" && point current "$target" && sync -f "$root" &&
			set_phase confirmed || unwritable
		disarm
		rm -rf "$at/bound" "$at/serials"
		tidy
		;;
	*) refuse_phase ;;
	esac
	printf 'phase\tconfirmed\n'
	end ok
}

verb_rollback() { # verb_rollback TOKEN REASON
	guard
	load "$1"
	case $phase in
	rolled-back) ;;
	staged) retire "$2" ;;
	confirmed)
		refuse_beside_another "$token"
		get "$root/confirmed"
		[ "$got" = "$token" ] || end refused "attempt $got was confirmed after $token"
		# From now on it is what must be gone on with, also where another was staged since.
		put "$root/attempt" "$token" || unwritable
		back_or_stuck "$2"
		;;
	*) back_or_stuck "$2" ;;
	esac
	printf 'phase\trolled-back\n'
	end ok
}

retire() { # retire REASON: an attempt that has changed nothing
	leave_no_trace
	put "$at/reason" "$1" && set_phase rolled-back || {
		make_room
		put "$at/reason" "$1" && set_phase rolled-back
	} || unwritable
	disarm
}

make_room() { # a full disk must not keep an attempt that has changed nothing from being over
	rm -rf "$at/keep.tar" "$at/bound"
	pointed previous
	[ "$target" = "$base" ] || [ "$target" = "$got" ] || rm -rf "$root/releases/$target"
}

leave_no_trace() { # of an attempt that has changed nothing
	lists
	drop_brought
	[ ! -e "$at/drained" ] || { steps undrain && rm -f "$at/drained"; }
}

back_or_stuck() {
	go_back "$1" && return 0
	printf 'log\t%s\n' "$(tail -c 16384 "$at/log" | base64 -w 0)"
	printf 'phase\t%s\n' "$phase"
	end failed "going back: $failed"
}

verb_deadman() { # verb_deadman TOKEN UNIT: a timer that was replaced by a later one counts no more
	lock
	load "$1"
	get "$at/armed"
	case $phase in
	activating | activated)
		[ "$got" = "$2" ] || end ok "another timer is armed"
		# The release let the worker in: that it did not come again is not the release's fault.
		if [ -e "$at/met" ]; then
			back_or_stuck "cancelled: the worker came back, and then no more"
		else
			back_or_stuck "nobody confirmed in time"
		fi
		;;
	rolling-back) back_or_stuck "going back was interrupted" ;;
	staged) retire "nobody confirmed in time" ;;
	esac
	end ok "$phase"
}

verb_recover() {
	lock
	get "$root/attempt"
	[ -n "$got" ] && [ -f "$root/attempts/$got/phase" ] || end ok "there is nothing to do"
	load "$got"
	get "$at/armed"
	case $phase in
	activated)
		systemctl -q is-active "${got:-none}.timer" && end ok "the dead-man is armed"
		back_or_stuck "the node went down before the release was confirmed"
		;;
	activating) back_or_stuck "the activation was interrupted" ;;
	rolling-back | stuck) back_or_stuck "going back was interrupted" ;;
	staged) leave_no_trace ;;
	esac
	end ok "$phase"
}

verb_run() { # verb_run SECONDS
	cat >"$scratch/script"
	output=$({
		timeout -k 2 "$1" sh -eu "$scratch/script" </dev/null 2>&1
		echo $? >"$scratch/code"
	} | head -c 65536 | base64 -w 0)
	answer_exit exit "$output"
	end ok
}

verb_logs() { # verb_logs UNIT LINES
	printf 'log\t%s\n' "$(journalctl -u "$1" -n "$2" --no-pager -o short-iso 2>/dev/null | tail -c 65536 | base64 -w 0)"
	end ok
}

verb_read() { # verb_read '!p'|p: secret files are left out (!p), or nothing else is taken (p)
	sort -u >"$scratch/paths"
	expected "$root/current/manifest" >"$scratch/want" || end failed "cannot read what the current release consists of"
	sed -n "/${tab}[^$tab]*secret[^$tab]*\$/$1" "$scratch/want" |
		join -t "$tab" -o 0 "$scratch/paths" - | sed 's,^,.,' >"$scratch/list"
	[ ! -s "$scratch/list" ] ||
		printf 'tar\t%s\n' "$(tar -C "$root/current/files" -czf - --no-recursion -T "$scratch/list" | base64 -w 0)"
	end ok
}

verb_forget() {
	guard
	refuse_beside_another ''
	systemctl disable -q windlass-recover.service 2>/dev/null
	rm -f "$unit_file"
	find "$root" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +
	end ok
}

main() {
	verb=${1-}
	[ $# = 0 ] || shift
	while [ $# -gt 1 ]; do
		case $1 in
		--fence) fence=$2 ;;
		--holder) holder=$2 ;;
		--cluster) cluster=$2 ;;
		*) break ;;
		esac
		shift 2
	done
	scratch=$(mktemp -d /run/windlass.XXXXXX) || end failed "cannot write to /run"
	trap 'rm -rf "$scratch"' EXIT
	case $verb in
	status | claim | forget | recover) "verb_$verb" ;;
	read) verb_read '!p' ;;
	read-secret) verb_read p ;;
	stage | check | confirm | inside | run) "verb_$verb" "${1-}" ;;
	drain | undrain) verb_drain "$verb" "${1-}" ;;
	activate | extend | rollback | deadman | logs) "verb_$verb" "${1-}" "${2-}" ;;
	*) end refused "there is no verb $verb" ;;
	esac
}

main "$@"
