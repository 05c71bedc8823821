#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# kvm.nx_huge_pages when the module is loaded and when it goes: what insmod takes, what
# cannot be changed back, and that sysfs promises nothing that is not so.
# timeout: 300

# shellcheck source=tests/module/lib.sh
. "$(dirname -- "$0")/lib.sh"

parameters=/sys/module/kvm/parameters
status=/sys/devices/system/cpu/vulnerabilities/itlb_multihit

unload() { rmmod "$vendor" && rmmod kvm; }
load() { insmod "$LAB_MODULES/kvm.ko" "$@"; }
reload() { rmmod kvm && load "$@"; }

is_refused() {	# PARAMETER=VALUE
	local said

	! said=$(LC_ALL=C load "$1" 2>&1) || return
	[[ $said == *"Invalid parameters"* ]] || { echo "# $said"; return 1; }
	[ ! -e /sys/module/kvm ]
}

shows() {	# PARAMETER VALUE
	[ "$(cat "$parameters/$1")" = "$2" ] || { echo "# $1: $(cat "$parameters/$1")"; return 1; }
}

# A write's errno; 0: it was taken.
written() {	# PARAMETER VALUE ERRNO
	perl -e 'open(F, ">", $ARGV[0]) or exit(99); syswrite(F, $ARGV[1]) // exit($! + 0)' "$parameters/$1" "$2"
	[ $? = "$3" ]
}

# Where the processor has the erratum, whether sysfs says that it is dealt with.
status_is() {	# yes|no
	case $(cat "$status") in
	"Not affected" | *"VMX unsupported" | *"VMX disabled") return ;;
	*"Split huge pages") [ "$1" = yes ] ;;
	*) [ "$1" = no ] ;;
	esac || { echo "# $(cat "$status")"; return 1; }
}

# auto: by the processor and the kernel's command line, whose last word counts.
auto_is_right() {
	local mitigations want=N

	mitigations=$(grep -o -w 'mitigations=[a-z,]*' /proc/cmdline | tail -n 1)
	if grep -q -w itlb_multihit /proc/cpuinfo && [ "$mitigations" != mitigations=off ]; then
		want=Y
	fi
	echo "# auto with '$mitigations': $want"
	shows nx_huge_pages $want
}

# The work is under way, or about to be, when the module goes.
goes_with_recovery() {
	local i

	for ((i = 0; i < 20 / ${SLOW:-1}; i++)); do
		rmmod kvm && load nx_huge_pages=force nx_huge_pages_recovery_period_ms=1 || return
	done
}

echo "1..19"
unload
verdict "an unknown mode is refused" is_refused nx_huge_pages=nonsense
verdict "and an empty one" is_refused nx_huge_pages=
verdict "and a ratio that is no number" is_refused nx_huge_pages_recovery_ratio=x
verdict "and a negative period" is_refused nx_huge_pages_recovery_period_ms=-1
load
verdict "auto is the default" auto_is_right
verdict "everybody may read it" [ "$(stat -c %a "$parameters/nx_huge_pages")" = 644 ]
reload nx_huge_pages=never
verdict "never: shown" shows nx_huge_pages never
verdict "never: force is not permitted" written nx_huge_pages force 1
verdict "never: nor is auto" written nx_huge_pages auto 1
verdict "never: nor is off" written nx_huge_pages off 1
verdict "never: never is" written nx_huge_pages never 0
verdict "never: nothing has changed" shows nx_huge_pages never
verdict "never: sysfs says so" status_is no
reload nx_huge_pages=force nx_huge_pages_recovery_ratio=3
verdict "force: shown" shows nx_huge_pages Y
verdict "the ratio, too" shows nx_huge_pages_recovery_ratio 3
verdict "an unknown mode is invalid" written nx_huge_pages nonsense 22
verdict "the module goes while recovery is due" goes_with_recovery
rmmod kvm
verdict "without the module sysfs promises nothing" status_is no
modprobe kvm && modprobe "$vendor"	# with the options that they had
verdict "with it auto is the default again" auto_is_right
