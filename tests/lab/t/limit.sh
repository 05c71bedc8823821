#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# `limit`: what it makes of a command's end, and that nothing of the command stays
# behind, whatever ends it: not what is in a session of its own, what ignores SIGTERM,
# or an emulator; not when only `make` is killed.
# timeout: 600

lab=$(cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=tests/lab/tap.sh
. "$lab/tap.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/kvmlab-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
tap_show=("$work/err")
unset LAB_FACTOR LAB_SUPERVISOR MAKEFLAGS MAKELEVEL MFLAGS

# A child, a grandchild in a session of its own, an orphan, and one that ignores SIGTERM.
cat >"$work/family" <<'END'
#!/bin/bash
sleep 1000 &
setsid bash -c 'sleep 1001; sleep 1002' &
(setsid sleep 1003 &)
bash -c 'trap "" TERM; while :; do sleep 1; done' &
[ "$1" = leaves ] || sleep 1004
END
chmod 755 "$work/family"

# What was started with this mark in its environment.
living() { grep -s -l -z -x -F "MARK=$work" /proc/[0-9]*/environ | sed 's/environ/cmdline/'; }

# Ending a lab may take a moment, and what ignores SIGTERM gets five seconds.
none_left() {
	for _ in {1..300}; do
		[ -n "$(living)" ] || return 0
		sleep 0.1
	done
	living | xargs cat | tr '\0' ' ' | sed 's/^/# left: /'
	echo
	return 1
}

ends_with() {	# STATUS LIMIT-ARGUMENTS...
	local got=0

	env "MARK=$work" "$lab/limit" "${@:2}" >"$work/out" 2>"$work/err" || got=$?
	equal "$1" "$got"
}

echo "1..15"
verdict "a command's own status" ends_with 7 10 sh -c 'exit 7'
verdict "a command that is killed" ends_with 137 10 sh -c 'kill -KILL $$'
verdict "a command that is not there" ends_with 127 10 no-such-command
verdict "time is up" ends_with 124 1 sleep 100
verdict "and it says so" grep -q 'limit: no end after 1 seconds' "$work/err"
LAB_FACTOR=300 verdict "a slow machine has more time" ends_with 124 1 sleep 100
verdict "and that is said" grep -q 'limit: no end after 3 seconds' "$work/err"
: >"$work/said"
verdict "nothing said" ends_with 124 --silence "$work/said" 2 100 \
	sh -c "for i in 1 2 3 4; do sleep 1; echo \$i >>$work/said; done; sleep 100"
verdict "but as long as it was" [ "$(wc -l <"$work/said")" = 4 ]

verdict "a family beyond its time" ends_with 124 2 "$work/family"
verdict "leaves nobody" none_left
verdict "a family whose head goes first" ends_with 0 100 "$work/family" leaves
verdict "leaves nobody" none_left

complete() { living | xargs -r cat 2>/dev/null | grep -q -a -e "$1"; }	# PATTERN

# Once what was started is complete, its head alone is killed.
killed() {	# PATTERN COMMAND...
	local pid

	env "MARK=$work" "${@:2}" >/dev/null 2>"$work/err" &
	pid=$!
	# A lab may wait for what another makes.
	for _ in {1..3000}; do
		complete "$1" && break
		sleep 0.1
	done
	complete "$1" || { echo "# no $1 was started"; return 1; }
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	none_left
}

# As `make check` runs its script: one that goes on below `limit`.
cat >"$work/supervised" <<END
#!/bin/bash
. $lab/lib.sh
supervise "\$0"
$work/family
END
chmod 755 "$work/supervised"
grep '^check:' -A 2 "$(dirname "$lab")/../Makefile" | sed "s|tests/lab/check|$work/supervised|" >"$work/Makefile"
verdict "make alone killed, as make check is" killed 1004 make -s -f "$work/Makefile" check
verdict "a lab's limit killed" killed qemu-system "$lab/limit" 400 "$lab/run" --no-modules -- sleep 1000
exit "$tap_failed"
