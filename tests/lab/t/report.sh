#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What `make check` says and counts: of a limit that strikes, of tests that did not
# run, of rounds; and how many rounds a slow machine takes.

lab=$(cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=tests/lab/lib.sh
. "$lab/lib.sh"
# shellcheck source=tests/lab/tap.sh
. "$lab/tap.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/kvmlab-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
tap_show=("$work/shown")

summarize() { "$lab/tap-summary" -v config=c -v expected="$1" -v totals="$work/totals" -v failed_list="$work/failed" >"$work/shown"; }	# TESTS

shows() { grep -q -e "$1" "$work/shown"; }

counts() { [ "$(cat "$work/totals")" = "$1" ]; }	# "PASSED FAILED SKIPPED"

echo "1..18"
printf '%s\n' '@@ begin a' 'ok 1' 'ok 2 # SKIP no time' '# rounds: 5 of 10' '@@ end a 0 12' \
	'@@ begin b' '1..3' 'ok 1' '@@ lab 124' | summarize "a b d e"
verdict "a test's time and rounds" shows '^ok .* a: 1 passed, 0 failed, 1 skipped (12 s, 5 of 10 rounds)$'
verdict "the test in which a configuration's limit struck" shows '^FAIL .* b: 1 passed, 1 failed'
verdict "and that it was this" shows "the configuration's time was up in this test"
verdict "a test that did not run" shows '^FAIL .* d: did not run$'
verdict "nor did another" shows '^FAIL .* e: did not run$'
verdict "all are counted" counts "2 3 1"
same "what failed is listed" "c b: the configuration's time was up in this test,c d: did not run,c e: did not run" \
	"$(paste -s -d , "$work/failed")"

: >"$work/failed"
printf '%s\n' '@@ begin a' '# one' 'ok 1' '# wanted 2' '# got 3' 'not ok 2 sum' '@@ end a 0 1' | summarize a
same "with what was said right before it" "c a: not ok 2 sum,    # wanted 2,    # got 3" \
	"$(paste -s -d , "$work/failed")"

rm "$work/totals"
printf '%s\n' '@@ begin a' 'ok 1' '@@ lab 125' | summarize a
verdict "a lab host that died" shows 'the lab host ended before the test did'
verdict "is counted" counts "1 1 0"

rm "$work/totals"
printf '%s\n' '@@ begin a' '1..3' 'ok 1' '@@ end a 124 5' | summarize a
verdict "a test's own limit" shows 'out of time'
verdict "and what did not come" shows '1 of the 3 planned results are missing'

rounds_at() (	# FACTOR ALL: how many this machine takes
	unset LAB_ROUNDS
	LAB_FACTOR=$1
	choose_rounds
	choose_rounds_of "$2" >/dev/null
	echo "$rounds"
)
same "an ordinary machine takes all rounds" 200 "$(rounds_at 100 200)"
same "one that takes half as long again, too" 200 "$(rounds_at 150 200)"
same "one that is half as fast, half" 100 "$(rounds_at 200 200)"
same "none takes less than a tenth" 20 "$(rounds_at 4000 200)"
same "nor none at all" 1 "$(rounds_at 4000 2)"
unset LAB_FACTOR
measure_speed 2>"$work/shown"
verdict "the speed is measured and told" shows 'times as long as an ordinary one'
exit "$tap_failed"
