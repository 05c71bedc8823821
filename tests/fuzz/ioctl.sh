#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# `make fuzz-ioctl`: the ioctl fuzzer under the debugging kernel, in runs of half an hour,
# each with a lab host of its own and the next seed, until MINUTES are over or one fails.
# See Documentation/fuzzing.rst.

set -u -o pipefail

# shellcheck source=tests/lab/lib.sh
. "$(dirname -- "$0")/../lab/lib.sh"
supervise "$0" "$@"
unset MAKEFLAGS MAKELEVEL MFLAGS

work=$TOP/build/fuzz
corpus=$work/ioctl.corpus
fuzzer=$TOP/build/tests/fuzz/ioctl
minutes=${MINUTES:-120}
seed=${SEED:-$(date +%s)}
kernel=${KERNEL:-debug}
longest=30

[[ $minutes =~ ^[1-9][0-9]*$ ]] || die 2 "MINUTES is a number, not '$minutes'"
[[ $seed =~ ^[0-9]+$ ]] || die 2 "SEED is a number, not '$seed'"
[ "$kernel" != debug ] || "$TOP/tests/lab/debug-kernel" || exit
mkdir -p "$work"
make -s -C "$TOP/tests" >/dev/null || exit
measure_speed 2>&1

lab() {	# SECONDS COMMAND...
	local seconds=$1

	shift
	"$TOP/tests/lab/run" --kernel "$kernel" --module-opts "${MODULE_OPTS:-}" \
		--threads "${THREADS:-single}" --timeout $((seconds + 1200)) -- "$@"
}

if [ -n "${PROGRAM:-}" ]; then
	lab 600 "$fuzzer" -v -n "${TIMES:-1}" -p "$PROGRAM"
	exit
fi

# What earlier runs kept is where the next begins; the latest of it, as all is run first.
collect() {	# LOG
	sed -n 's/^# keep [0-9]* //p' "$1" >>"$corpus"
	tail -n 400 "$corpus" >"$corpus.new" && mv "$corpus.new" "$corpus"
}

# Without the programs, of which there are many.
summary() { grep -v -e '^# program' -e '^# keep' "$1"; }

while [ "$minutes" -gt 0 ]; do
	part=$((minutes < longest ? minutes : longest)) log=$work/ioctl-$seed.log status=0
	command=("$fuzzer" -s "$seed" -t $((part * 60)))
	[ ! -s "$corpus" ] || [ -n "${NO_CORPUS:-}" ] || command+=(-c "$corpus")
	say "seed $seed, $part minutes; all programs are in $log"
	lab $((part * 60)) "${command[@]}" >"$log" || status=$?
	summary "$log"
	if [ $status -ne 0 ]; then
		say "failed with status $status; the last program, for make fuzz-ioctl PROGRAM=…:"
		sed -n 's/^# program [0-9]* //p' "$log" | tail -n 1
		exit $status
	fi
	collect "$log"
	minutes=$((minutes - part)) seed=$((seed + 1))
done
