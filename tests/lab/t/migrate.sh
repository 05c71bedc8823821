#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A few rows of `make check-migrate`: a guest under load that is saved, restored, moved.
# timeout: 900

lab=$(cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=tests/lab/tap.sh
. "$lab/tap.sh"
results=$(mktemp "${TMPDIR:-/tmp}/kvmlab-test.XXXXXX")
trap 'rm -f "$results"' EXIT
tap_show=("$results")

passed() { grep -q "^PASS $1 *[0-9]* hops" "$results"; }

SHORT=1 HOPS=2 MODULES_DIR="$LAB_MODULES_DIR" "$lab/../migrate/check" >"$results" 2>&1
rows=("npt=1 unix on 2" "npt=1 file split 2" "npt=1 unix on 2 dirty-ring-size=4096" "npt=0 savevm on 2")
echo "1..${#rows[@]}"
for row in "${rows[@]}"; do
	verdict "$row" passed "$row"
done
exit $tap_failed
