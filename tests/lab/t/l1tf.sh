#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# kvm-intel follows the kernel's l1tf=, on a processor that has the fault: the lab's own
# command line switches all mitigations off, so each case boots.
# timeout: 600

lab=$(cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=tests/lab/lib.sh
. "$lab/lib.sh"
# shellcheck source=tests/lab/tap.sh
. "$lab/tap.sh"
[ "${VENDOR:-}" != amd ] || skip_all "Intel's"
find_modules || exit
exits=$TOP/build/tests/module/l1tf_exits
work=$(mktemp -d "${TMPDIR:-/tmp}/kvmlab-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
tap_show=("$work"/{out,err})

# In the lab host: the parameter and what becomes of it, and what the log says.
cat >"$work/try" <<'END'
parameter=/sys/module/kvm_intel/parameters/vmentry_l1d_flush
echo "at first $(cat $parameter)"
echo "kernel: $(cat /sys/devices/system/cpu/vulnerabilities/l1tf)"
"$1" cpuid
echo never >$parameter
echo "never: $?, $(cat $parameter)"
"$1" cpuid && "$1" cpuid
dmesg | grep 'kvm_intel: L1TF' | sed 's/^\[[ 0-9.]*\] /log: /'
END

# The kernel complains of Retbleed on this processor, which the lab takes for a failure.
with() {	# KERNEL-ARGUMENTS
	"$lab/run" --vendor intel --modules "$modules" --timeout 300 --carry "$work" --carry "$exits" \
		--append "mitigations=auto retbleed=off $1" -- bash "$work/try" "$exits" >"$work/out" 2>"$work/err"
}
said() { grep -q "$1" "$work/out"; }
warned() { [ "$(grep -c '^log: .*not flushed' "$work/out")" = "$1" ]; }

echo "1..10"
verdict "no l1tf=: the lab host lives" with ""
verdict "cond" said '^at first cond$'
verdict "and the kernel says so" said '^kernel: .*VMX: conditional cache flushes, SMT disabled$'
verdict "never is taken, and warned of once" eval 'said "^never: 0, never$" && warned 1'
verdict "l1tf=full,force: the lab host lives" with l1tf=full,force
verdict "always" said '^at first always$'
verdict "never is refused, and there is nothing to warn of" eval 'said "^never: 1, always$" && warned 0'
verdict "l1tf=flush,nowarn: the lab host lives" with l1tf=flush,nowarn
verdict "cond" said '^at first cond$'
verdict "never is taken, and not warned of" eval 'said "^never: 0, never$" && warned 0'
