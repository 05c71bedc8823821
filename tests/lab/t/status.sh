#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What `run` makes of a command's end, and of a lab host in trouble.
# timeout: 400

lab=$(cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=tests/lab/tap.sh
. "$lab/tap.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/kvmlab-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
tap_show=("$work"/{out,err})

status_of() {	# WANTED NAME LAB-ARGUMENTS...
	local wanted=$1 name=$2 got=0

	shift 2
	"$lab/run" --timeout 60 "$@" >"$work/out" 2>"$work/err" || got=$?
	same "$name" "$wanted" "$got"
}

# Each boot takes some seconds, so several things are asked of some.
echo "1..14"
status_of 7 "a command's own status" --no-modules -- \
	bash -c 'printf "<%s>" "$@"; exit 7' bash 'a  b' "c'd" '' '$HOME' $'e\nf'
same "arguments arrive as they are" $'<a  b><c\'d><><$HOME><e\nf>' "$(cat "$work/out")"
status_of 0 "the distribution's modules" --stock --kernel=6.12 -- sh -c 'uname -r && test -c /dev/kvm'
same "kernel 6.12" 1 "$(grep -c '^6\.12\.' "$work/out")"
status_of 99 "a warning in the log fails a command that succeeds" --no-modules -- \
	sh -c 'echo "<4>WARNING: CPU: 0 PID: 1 at a test" >/dev/kmsg'
status_of 99 "a panic" --no-modules -- sh -c 'echo c >/proc/sysrq-trigger; sleep 10'
status_of 124 "a command that hangs" --no-modules --timeout 15 -- sleep 1000
status_of 125 "modules that do not load" --stock --cpu Nehalem -- true
cd /usr/share || exit
status_of 137 "a command that is killed" --no-modules --env 'WORD=x  y' -- \
	bash -c 'echo "$PWD $WORD"; touch /tmp/a /run/a; touch /usr/a 2>/dev/null || echo read-only; kill -KILL $$'
same "directory, environment, and what is writable" $'/usr/share x  y\nread-only' "$(cat "$work/out")"
status_of 2 "an unknown option" --no-such-option -- true
status_of 2 "no command" --no-modules

status_of 99 "a boot that fails" --no-modules --append "rdinit=/none root=none" -- true
same "is tried twice" 1 "$(grep -c 'once more' "$work/err")"
exit "$tap_failed"
