# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# `check`'s jobs, some side by side, and the lines that tell how far they are. Sourced
# by it; job_name() and job_tests() are its, and so are the files in `work`: what a job
# printed in NAME.out, its results in NAME.tap, the names of those begun and ended.

declare -A tests_of	# each job's number of tests

tap_of() { echo "$work/${1//\//-}.tap"; }	# JOB

tests_ended() { grep -s -c '^@@ end ' "$(tap_of "$1")"; }	# JOB

progress_line() {
	local all=0 done=0 now=() job n file

	for job in "${!tests_of[@]}"; do
		all=$((all + tests_of[$job]))
		if grep -q -x -F "$job" "$work/ended"; then
			done=$((done + tests_of[$job]))
		elif grep -q -x -F "$job" "$work/begun"; then
			file=$(tap_of "$job") n=$(tests_ended "$job")
			done=$((done + ${n:-0}))
			[ "${tests_of[$job]}" = 1 ] || job+=" ${n:-0}/${tests_of[$job]} $(sed -n 's/^@@ begin //p' "$file" 2>/dev/null | tail -n 1)"
			now+=("$job")
		fi
	done
	printf -- '-- %d s: %d of %d tests; %s\n' "$SECONDS" "$done" "$all" "$(printf '%s, ' "${now[@]}" | sed 's/, $//')"
}

show_progress() {
	while sleep 30; do
		flock "$totals" echo "$(progress_line)"
	done
}

# Of what times() wrote: the seconds of processor time that children have had.
cpu_seconds() { awk 'NR == 2 { for (i = 1; i <= NF; i++) { split($i, t, /[ms]/); s += 60 * t[1] + t[2] } printf "%d", s }'; }

run_job() {	# JOB'S WORDS...
	local name out begin=$SECONDS

	name=$(job_name "$@")
	out=$(tap_of "$name")
	out=${out%.tap}.out
	echo "$name" >>"$work/begun"
	"$@" >"$out" 2>&1
	echo "$name" >>"$work/ended"
	times >"${out%.out}.times"
	printf '== ended: %s (%d s; took %d s, %d of a processor)\n\n' "$name" "$SECONDS" \
		$((SECONDS - begin)) "$(cpu_seconds <"${out%.out}.times")" >>"$out"
	flock "$totals" cat "$out"
}

# Two at a time, the next as soon as one has ended: a lab host with processors that
# take turns keeps one of this machine's processors busy. What has no clock of its
# own to be late by fills what they leave.
run_jobs() {	# JOB...
	local job most ticker

	for job; do
		# shellcheck disable=SC2086 # words
		tests_of[$(job_name $job)]=$(job_tests $job)
	done
	show_progress &
	ticker=$!
	disown
	for job; do
		most=3
		[[ $job != run_[ck]* ]] || most=2	# with a lab host
		while [ "$(jobs -rp | wc -l)" -ge $most ]; do
			wait -n
		done
		# shellcheck disable=SC2086 # words
		run_job $job &
	done
	wait
	kill $ticker
}
