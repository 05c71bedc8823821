# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# How fast this machine is, loaded as it is: what time limits and the number of
# rounds of long tests go by. Sourced by lib.sh.

# Milliseconds of fixed_work() on the machine by which the time limits were set, an
# idle one of two processors.
ORDINARY_MS=1300
# No fewer rounds than all up to this factor, in percent.
ALL_ROUNDS_UP_TO=150
FEWEST_ROUNDS=10

# Arithmetic and memory beyond the first cache, as an emulator has them.
fixed_work() {
	perl -e 'my ($x, @t) = 1;
		for (1 .. 6_000_000) {
			$x = ($x * 1103515245 + 12345) & 0x7fffffff;
			$t[$x >> 15] += $x & 3;
		}'
}

# Two at a time, as `make check` runs the lab.
milliseconds_of_work() {
	local begin=$EPOCHREALTIME end

	fixed_work & fixed_work & wait
	end=$EPOCHREALTIME
	echo $(((${end/[.,]/} - ${begin/[.,]/}) / 1000))
}

# Export LAB_FACTOR: how much longer than ordinarily things take here and now, in
# percent. No less than 100, as what waits for a clock is no faster anywhere.
measure_speed() {
	[ -z "${LAB_FACTOR:-}" ] || return 0
	LAB_FACTOR=$(($(milliseconds_of_work) * 100 / ORDINARY_MS))
	[ "$LAB_FACTOR" -ge 100 ] || LAB_FACTOR=100
	export LAB_FACTOR
	say "this machine takes $(times_ordinary) times as long as an ordinary one, as loaded as it is; time limits are that much longer"
}

times_ordinary() { printf '%d.%02d' $((LAB_FACTOR / 100)) $((LAB_FACTOR % 100)); }

scaled() {	# SECONDS
	echo $(($1 * ${LAB_FACTOR:-100} / 100))
}

# Export LAB_ROUNDS, the percentage of their rounds that tests shall take.
choose_rounds() {
	[ -z "${LAB_ROUNDS:-}" ] || return 0
	LAB_ROUNDS=100
	[ "$LAB_FACTOR" -le $ALL_ROUNDS_UP_TO ] || LAB_ROUNDS=$((100 * 100 / LAB_FACTOR))
	[ "$LAB_ROUNDS" -ge $FEWEST_ROUNDS ] || LAB_ROUNDS=$FEWEST_ROUNDS
	export LAB_ROUNDS
}
