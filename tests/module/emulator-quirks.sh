#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The parameter emulator_quirks of the vendor's module: what it takes, what it
# shows, what the log says; and that the path of a quirk that is off is not taken.
# timeout: 600

# shellcheck source=tests/module/lib.sh
. "$(dirname -- "$0")/lib.sh"

tests=$(realpath "$(dirname -- "$0")/../../build/tests")
counters=/sys/kernel/debug/kvm/quirks
parameter=/sys/module/$vendor/parameters/emulator_quirks

# All that there are; the one that each processor of this emulator has, if any; and
# guests that take the paths.
case $vendor/${LAB_EMULATOR:-qemu} in
kvm_amd/*)
	all=virq_injection,exit_after_eventinj,cr8_exits,available_tss
	typical=off
	[ "${LAB_EMULATOR:-qemu}" != qemu ] || typical=$all
	guests=(guest/events guest/apic)
	;;
*)
	all=guest_slices,false_steps,stale_vectoring
	typical=false_steps
	guests=(guest/events guest/intel)
	;;
esac
first=${all%%,*}
last=${all##*,}

unload() { rmmod "$vendor" && rmmod kvm; }
load() { insmod "$LAB_MODULES/kvm.ko" && insmod "$LAB_MODULES/${vendor//_/-}.ko" "$@"; }
reload() { unload && mark && load "$@"; }

# The kernel's log since the last mark.
mark() { echo "emulator-quirks.sh: mark $((++marks))" >/dev/kmsg; }
logged() {	# TEXT
	dmesg | sed "1,/emulator-quirks.sh: mark $marks\$/d" | grep -q -F "$vendor: $1"
}

# EINVAL, one line of ours, and the module is not there.
is_refused() {	# VALUE NAME
	local said

	mark
	! said=$(LC_ALL=C insmod "$LAB_MODULES/${vendor//_/-}.ko" emulator_quirks="$1" 2>&1) || return
	[[ $said == *"Invalid parameters"* ]] || { echo "# $said"; return 1; }
	logged "emulator_quirks: there is no quirk '$2'" && [ ! -e "/sys/module/$vendor" ]
}

shows() { [ "$(cat "$parameter")" = "$1" ] || { echo "# $(cat "$parameter")"; return 1; }; }
shows_typical() { [[ ,$(cat "$parameter"), == *,$typical,* ]] || { echo "# $(cat "$parameter")"; return 1; }; }
logs_what_shows() {
	case $(cat "$parameter") in
	off) ! logged "emulator quirks" ;;
	*) logged "emulator quirks: $(cat "$parameter")" ;;
	esac
}

taken() { grep . "$counters"/* | sed "s|$counters/||; /:0\$/d"; }
none_taken() { [ -z "$(taken)" ] || { taken | sed 's/^/# /'; return 1; }; }
all_counted() { [ "$(find "$counters" -type f -printf '%f\n' | sort)" = "$(tr , '\n' <<<"$all" | sort)" ]; }
each_taken() {
	local name r=0

	for name in $(tr , ' ' <"$parameter"); do
		[ "$name" != off ] || continue
		taken | grep -q "^$name:" || { echo "# $name: not taken"; r=1; }
	done
	return $r
}

run_guests() {	# NAME...
	local name

	for name; do
		timeout 240 "$tests/$name" >/dev/null 2>&1 || echo "# $name failed"
	done
}

echo "1..13"
unload && insmod "$LAB_MODULES/kvm.ko"
verdict "an unknown name is refused" is_refused nonsense nonsense
verdict "and one in a list" is_refused "$first,nonsense" nonsense
verdict "and an empty one" is_refused "$first," ""
rmmod kvm
mark
load emulator_quirks=off
verdict "off: shown" shows off
verdict "off: nothing in the log" logs_what_shows
verdict "a counter for each, in debugfs" all_counted
run_guests guest/cpu guest/io guest/paging
verdict "off: no path is taken" none_taken
reload "emulator_quirks=$last,$first"
verdict "a list: shown" shows "$first,$last"
verdict "a list: in the log" logged "emulator quirks: $first,$last"
verdict "read only" [ "$(stat -c %a "$parameter")" = 444 ]
reload emulator_quirks=auto
verdict "auto: what is recognised is shown" shows_typical
verdict "auto: in the log" logs_what_shows
run_guests "${guests[@]}"
verdict "auto: each path that is on is taken" each_taken

unload
modprobe kvm && modprobe "$vendor"	# with the options that they had
