#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What `run` makes of a command's end, and of a lab host in trouble.
# timeout: 400

run=$(cd -- "$(dirname -- "$0")/.." && pwd)/run
n=0 failed=0

result() {	# NAME WANTED GOT
	n=$((n + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $n $1"
	else
		echo "not ok $n $1: wanted '$2', got '$3'"
		failed=1
	fi
}

status_of() {	# WANTED NAME LAB-ARGUMENTS...
	local wanted=$1 name=$2 got=0 out

	shift 2
	out=$("$run" --timeout 60 "$@" 2>&1) || got=$?
	result "$name" "$wanted" "$got"
	[ "$wanted" = "$got" ] || printf '%s\n' "$out" | sed 's/^/# /'
}

echo "1..13"
status_of 7 "a command's own status" --no-modules -- sh -c 'exit 7'
status_of 0 "the distribution's modules" --stock -- test -c /dev/kvm
status_of 0 "kernel 6.12" --stock --kernel=6.12 -- sh -c 'uname -r | grep "^6\.12\."'
status_of 99 "a warning in the log fails a command that succeeds" --no-modules -- \
	sh -c 'echo "<4>WARNING: CPU: 0 PID: 1 at a test" >/dev/kmsg'
status_of 99 "a panic" --no-modules -- sh -c 'echo c >/proc/sysrq-trigger; sleep 10'
status_of 124 "a command that hangs" --no-modules --timeout 15 -- sleep 1000
status_of 125 "modules that do not load" --stock --cpu Nehalem -- true
status_of 137 "a command that is killed" --no-modules -- bash -c 'kill -KILL $$'
status_of 2 "an unknown option" --no-such-option -- true
status_of 2 "no command" --no-modules

got=$("$run" --no-modules -- printf '<%s>' 'a  b' "c'd" '' '$HOME' $'e\nf' 2>/dev/null)
result "arguments arrive as they are" $'<a  b><c\'d><><$HOME><e\nf>' "$got"

got=$(cd /usr/share && "$run" --no-modules --env 'WORD=x  y' -- sh -c 'echo "$PWD $WORD"; touch /tmp/a /run/a; touch /usr/a 2>/dev/null || echo read-only' 2>/dev/null)
result "directory, environment, and what is writable" $'/usr/share x  y\nread-only' "$got"

got=$("$run" --no-modules --append "rdinit=/none root=none" -- true 2>&1 | grep -c -e 'once more' -e 'kernel complained')
result "a boot that fails is tried twice" 2 "$got"
exit $failed
