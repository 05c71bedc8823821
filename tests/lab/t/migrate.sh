#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A few rows of `make check-migrate`: a guest under load that is saved, restored, moved; and
# that its matrix has all pairs.
# timeout: 900

lab=$(cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=tests/lab/tap.sh
. "$lab/tap.sh"
results=$(mktemp "${TMPDIR:-/tmp}/kvmlab-test.XXXXXX")
trap 'rm -f "$results"' EXIT
tap_show=("$results")

passed() { grep -q "^PASS $1 *[0-9]* hops" "$results"; }

# Of the first six words of each line, all pairs, sorted.
pairs() {
	awk '{ for (i = 1; i <= 6; i++) for (j = i + 1; j <= 6; j++) print i, $i, j, $j }' | sort -u
}

all_pairs() {
	LIST=all "$lab/../migrate/check" | pairs >"$results"
	[ "$(wc -l <"$results")" -gt 100 ] &&
		[ -z "$(LIST=1 "$lab/../migrate/check" | pairs | comm -23 "$results" -)" ]
}

rows=("npt=1 postcopy on 2 ring 7.2"
	"npt=0 savevm on 2 bitmap 7.2")
echo "1..$((1 + ${#rows[@]}))"
verdict "each pair of values is in the matrix" all_pairs
SHORT=1 HOPS=2 MODULES_DIR="$LAB_MODULES_DIR" "$lab/../migrate/check" >"$results" 2>&1
for row in "${rows[@]}"; do
	verdict "$row" passed "$row"
done
exit $tap_failed
