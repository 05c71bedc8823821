#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Fault injection: each allocation and each copy in each call fails once (fail.c), with
# nested and with shadow paging, and so does what the modules' loading allocates. The
# list of calls has all of kvm_main.c's tables.
# timeout: 600

# shellcheck source=tests/module/lib.sh
. "$(dirname -- "$0")/lib.sh"

here=$(dirname -- "$0")
fail=$here/../../build/tests/module/fail
log=/tmp/fail-kernel.log

[ -w /proc/self/fail-nth ] || skip_all "this kernel has no fault injection"
[ "$vendor" = kvm_amd ] || skip_all "there is a debugging kernel for the AMD lab only"

# "vm KVM_CREATE_VCPU" for each row of the three tables.
rows() {
	awk '/^#define (DEV|VM|VCPU)_IOCTLS\(X\)/ { table = tolower($2); sub(/_.*/, "", table) }
		table != "" && /X\(KVM_/ { sub(/.*X\(/, ""); sub(/,.*/, ""); print table, $0 }
		table != "" && /^$/ { table = "" }' "$here/../../kvm_main.c" | sort -u
}

no_row_is_missing() {
	local missing

	missing=$(comm -23 <(rows) <("$fail" --list | sort -u))
	[ "$(rows | wc -l)" -ge 90 ] && [ -z "$missing" ] && return
	echo "# of $(rows | wc -l) calls not in fail-calls.c: ${missing//$'\n'/, }"
	return 1
}

core=$LAB_MODULES/kvm.ko
with_svm=$LAB_MODULES/${vendor//_/-}.ko

reload() {	# OPTIONS OF THE VENDOR'S MODULE
	rmmod "$vendor" && rmmod kvm && insmod "$core" && insmod "$with_svm" "$@"
}

# With the options that the other tests expect.
load_again() { rmmod "$vendor" && rmmod kvm && modprobe kvm && modprobe "$vendor"; }

# An allocation that failed is a warning with a trace of calls for the kernel, and here
# no fault: so what the console does not get then is looked at afterwards.
splats='WARNING: |BUG: |Oops|general protection|INFO: |KASAN|UBSAN|ODEBUG|corruption|unchecked MSR|suspicious RCU'

log_is_clean() { ! grep -E -m 5 -e "$splats" "$log" | sed 's/^/# /' | grep .; }

level=$(cut -f 1 /proc/sys/kernel/printk)
cat /dev/kmsg >"$log" &
reader=$!
dmesg -n 4

verdict "all calls of the module's tables are in the list" no_row_is_missing
for npt in 1 0; do
	verdict "the modules load with npt=$npt" reload npt=$npt || break
	echo "# npt=$npt"
	"$fail" "$@"
	verdict "all calls with npt=$npt have run: status $?" [ $? = 0 ]
done

# The core's loading, then the vendor's on top of it.
echo "# loading"
rmmod "$vendor" kvm
"$fail" --load "$core" "" 3
verdict "kvm.ko loads, or not: status $?" [ $? = 0 ]
insmod "$core"
"$fail" --load "$with_svm" "" 3
verdict "the vendor's module loads, or not: status $?" [ $? = 0 ]
insmod "$with_svm"
verdict "they load afterwards, as ever" load_again
dmesg -n "$level"
sleep 1
kill $reader
verdict "the kernel's log has no more than failed allocations" log_is_clean
exit $tap_failed
