#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What `make bench-mmu` makes of counts: a target that is missed fails, and so does a count
# that is missing; and each row of tests/lab/mmu-rows is one that bench/mmu can print.

lab=$(cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=tests/lab/tap.sh
. "$lab/tap.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/kvmlab-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
tap_show=("$work/out")

cat >"$work/rows" <<'END'
# a comment
nested | a/share  | <.5  | short | of <400 MiB>
nested | a/own    | =1.1 |       | ours alone
nested | a/least  | >.9  |       | at least
shadow | b/none   | -    | amd   | no target
END

# The counts of three rows: their verdicts and the status.
table() {	# OURS-OF-SHARE OURS-OF-OWN OURS-OF-LEAST OPTION...
	printf 'amd nested ours a/share %s\namd nested stock a/share 100\namd nested ours a/own %s
amd nested ours a/least %s\namd nested stock a/least 100\namd shadow ours b/none 7\namd shadow stock b/none 1\n' \
		"$1" "$2" "$3" >"$work/counts"
	shift 3
	"$lab/mmu-table" -v vendors=amd -v wanted=. "$@" "$work/rows" "$work/counts" >"$work/out"
	echo "$? $(grep -o -w -E 'met|MISSED|no count' "$work/out" | head -n -1 | paste -s -d ' ')"
}

same "all targets met" "0 met met met" "$(table 50 1.1 90)"
same "a hundredth is not seen" "0 met met met" "$(table 50.4 1.104 89.6)"
same "a share that is too large" "1 MISSED met met" "$(table 51 1.1 90)"
same "ours itself too large" "1 met MISSED met" "$(table 50 1.2 90)"
same "a share that is too small" "1 met met MISSED" "$(table 50 1.1 80)"
same "no count" "1 no count met met" "$(sed -i '/a.share/d' "$work/counts"
	"$lab/mmu-table" -v vendors=amd -v wanted=. "$work/rows" <(printf 'amd nested ours a/own 1\namd nested ours a/least 1
amd nested stock a/least 1\namd shadow ours b/none 1\namd shadow stock b/none 1\n') >"$work/out"
	echo "$? $(grep -o -w -E 'met|MISSED|no count' "$work/out" | head -n -1 | paste -s -d ' ')")"
same "the short form has its rows" "0 met" "$(table 50 9 9 -v short=1)"
same "no row is no success" "1" "$(table 50 1 90 -v wanted=other | tr -d ' ')"
table 50 1.1 90 -v csv="$work/csv" >/dev/null
same "the CSV" "amd,nested,a/share,\"of 400 MiB\",50.00,100,0.500,<.5,met" "$(sed -n 2p "$work/csv")"

names=$(sed -n 's/^[a-z]* *| *\([^ ]*\) .*/\1/p' "$lab/mmu-rows" | grep -v -E '^(flat/spread|tables/growth|forks/exec)$' | sort -u)
unknown=$(for name in $names; do
	grep -q "{ \"${name%/*}\"," "$lab"/../bench/mmu-*.c && grep -q "\"${name#*/}\"" "$lab"/../bench/mmu-*.c || echo "$name"
done)
same "all rows are there" "" "$unknown"
echo "1..$tap_number"
exit $tap_failed
