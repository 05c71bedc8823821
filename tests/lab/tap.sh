# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Results in TAP, of the tests that are shell scripts, on this machine and in the
# lab host. Sourced, never run.

tap_number=0 tap_failed=0
tap_show=()	# the files that tell more of a failure

# One result: ok if the condition holds.
verdict() {	# NAME CONDITION...
	local name=$1 ok='ok'

	shift
	tap_number=$((tap_number + 1))
	"$@" || ok='not ok' tap_failed=1
	echo "$ok $tap_number $name"
	[ "$ok" != ok ] || return 0
	[ ${#tap_show[@]} = 0 ] || tail -q -n 40 "${tap_show[@]}" 2>/dev/null | sed 's/^/# /'
	return 1
}

same() {	# NAME WANTED GOT
	verdict "$1" equal "$2" "$3"
}

equal() {	# WANTED GOT
	[ "$1" != "$2" ] || return 0
	printf 'wanted %s\ngot    %s\n' "$1" "$2" | sed 's/^/# /'
	return 1
}

# The seconds that a test's source asks for, "timeout: SECONDS".
time_limit() {	# ORDINARILY FILE...
	local seconds

	seconds=$(cat "${@:2}" 2>/dev/null | sed -n 's/.*\<timeout: \([0-9][0-9]*\).*/\1/p' | head -n 1)
	echo "${seconds:-$1}"
}

# Set `rounds` to the number that this machine has time for (speed.sh).
choose_rounds_of() {	# ALL
	rounds=$(($1 * ${LAB_ROUNDS:-100} / 100))
	[ $rounds -gt 0 ] || rounds=1
	echo "# rounds: $rounds of $1"
}

skip_all() {	# REASON
	echo "1..0 # SKIP $1"
	exit 0
}
