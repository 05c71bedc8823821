# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Test lines in TAP, for the scripts here: sourced.

tap_count=0 tap_failed=0

result() {	# STATUS TEXT
	local not='not '

	tap_count=$((tap_count + 1))
	if [ "$1" = 0 ]; then not=; else tap_failed=1; fi
	echo "${not}ok $tap_count - $2"
}

skip() {	# TEXT REASON
	result 0 "$1 # SKIP $2"
}

# The script's last words, and its status
plan() {
	echo "1..$tap_count"
	exit $tap_failed
}
