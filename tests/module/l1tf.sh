#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# vmentry_l1d_flush of kvm-intel: what it takes and shows, what the kernel says of it in
# vulnerabilities/l1tf, and how often the cache is emptied.
# timeout: 300

# shellcheck source=tests/module/lib.sh
. "$(dirname -- "$0")/lib.sh"

exits=$(realpath "$(dirname -- "$0")/../../build/tests/module/l1tf_exits")
total=/sys/kernel/debug/kvm/l1d_flush
parameter=/sys/module/kvm_intel/parameters/vmentry_l1d_flush
sysfs=/sys/devices/system/cpu/vulnerabilities/l1tf

load() { insmod "$LAB_MODULES/kvm.ko" && insmod "$LAB_MODULES/kvm-intel.ko" "$@"; }
reload() { rmmod kvm_intel kvm && load "$@"; }

is() { [ "$1" = "$2" ] || { echo "# $1, not $2"; return 1; }; }
shows() { is "$(cat "$parameter")" "$1"; }
kernel_says() {	# PATTERN
	# shellcheck disable=SC2053
	[[ $(cat "$sysfs") == $1 ]] || { echo "# $(cat "$sysfs")"; return 1; }
}
takes() { echo "$1" >"$parameter" && shows "$1"; }
refuses() {	# VALUE
	local before said

	before=$(cat "$parameter")
	! said=$( (echo "$1" >"$parameter") 2>&1) || { echo "# taken"; return 1; }
	[[ $said == *"Invalid argument"* ]] || { echo "# $said"; return 1; }
	shows "$before"
}
# So many flushes while a guest has 1000 exits of a kind.
flushes() {	# KIND AT-LEAST AT-MOST
	local n

	n=$(cat "$total")
	"$exits" "$1" || return
	n=$(($(cat "$total") - n))
	echo "# $n flushes"
	[ "$n" -ge "$2" ] && [ "$n" -le "$3" ]
}
insmod_refuses() {
	local said

	rmmod kvm_intel
	! said=$(insmod "$LAB_MODULES/kvm-intel.ko" vmentry_l1d_flush=sometimes 2>&1) || return
	[[ $said == *"Invalid parameters"* ]]
}

if [ "$vendor" != kvm_intel ] || [ "${LAB_LOAD:-}" = stock ]; then
	skip_all "kvm-intel's own"
fi
if [ "$(cat "$sysfs")" = "Not affected" ]; then
	echo "1..3"
	verdict "not affected: shown" shows "not required"
	echo always >"$parameter"
	verdict "whatever is asked for" shows "not required"
	verdict "and nothing is flushed" flushes cpuid 0 0
	exit
fi

echo "1..24"
verdict "EPT off: shown" eval 'reload ept=0 && shows "EPT disabled"'
verdict "the kernel says so" kernel_says "Mitigation: PTE Inversion; VMX: EPT disabled"
echo always >"$parameter"
verdict "always changes nothing" eval 'shows "EPT disabled" && flushes cpuid 0 0'
reload vmentry_l1d_flush=auto
if [ "$(cat "$parameter")" = "EPT disabled" ]; then
	for i in {4..24}; do
		echo "ok $i # SKIP no EPT"
	done
	rmmod kvm_intel kvm && modprobe kvm && modprobe kvm_intel
	exit
fi
# The lab's command line has mitigations=off, for which l1tf= is off.
verdict "mitigations=off: never" shows never
verdict "and the kernel says so" kernel_says "*; VMX: vulnerable*"
verdict "never: no flush" flushes cpuid 0 0
verdict "writable" is "$(stat -c %a "$parameter")" 644
verdict "nonsense is EINVAL" refuses nonsense
verdict "nothing, too" refuses ""
verdict "cond is taken" takes cond
verdict "and the kernel says so" kernel_says "*; VMX: conditional cache flushes, SMT *"
verdict "cond: some flushes for CPUID" flushes cpuid 1 100
verdict "cond: one for each that goes to userspace" flushes io 1000 1100
verdict "cond: whatever the exit" flushes hlt 1000 1100
verdict "cond: one for each that is emulated" flushes mmio 1000 1100
verdict "cond: one for each that writes to guest memory" flushes memory 1000 1100
verdict "cond: one for each interrupt of the host" flushes irq 20 1000
verdict "always is taken" takes always
verdict "and the kernel says so" kernel_says "*; VMX: cache flushes, SMT *"
verdict "always: one for each exit" flushes cpuid 1000 1300
verdict "never again: no flush" eval 'takes never && flushes io 0 0'
verdict "a value at loading" eval 'reload vmentry_l1d_flush=always && shows always'
verdict "nonsense at loading is refused" insmod_refuses
verdict "no module: the kernel knows nothing" kernel_says "Mitigation: PTE Inversion"

rmmod kvm
modprobe kvm && modprobe kvm_intel	# with the options that they had
