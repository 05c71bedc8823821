#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Where kvm-intel.ko must not load: on a processor without VMX, and while another
# holds it. Each time insmod says why, one plain line is in the log, nothing is left
# on, and nothing else suffers. VMX switched off by the firmware cannot be had: Bochs
# has FEATURE_CONTROL locked, with VMX on, from reset on.
# timeout: 900

lab=$(cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=tests/lab/lib.sh
. "$lab/lib.sh"
# shellcheck source=tests/lab/tap.sh
. "$lab/tap.sh"
[ "${VENDOR:-}" != amd ] || skip_all "Intel's"
find_modules || exit
work=$(mktemp -d "${TMPDIR:-/tmp}/kvmlab-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
tap_show=("$work"/{out,err})

# In the lab host: what insmod of each module gives, what the log says of it,
# and the CR4 that the kernel is left with.
cat >"$work/try" <<'END'
rmmod kvm_intel 2>/dev/null
for dep in irqbypass; do modprobe $dep 2>/dev/null; done
grep -q '^kvm ' /proc/modules || insmod "$1/kvm.ko" || exit
insmod "$1/kvm-intel.ko" 2>&1
echo "insmod $?"
dmesg | grep 'kvm_intel: ' | sed 's/^\[[ 0-9.]*\] /log: /'
END

in_lab() {	# RUN-ARGUMENTS... -- SHELL-CODE
	local options=()

	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	"$lab/run" "${options[@]}" --no-modules --timeout 300 --carry "$modules" --carry "$work" \
		-- bash -c "$2" >"$work/out" 2>"$work/err"
}

# One line of the log, this one, and insmod's own.
says() {	# LINE INSMOD'S
	[ "$(grep -c '^log: ' "$work/out")" = 1 ] && grep -q "^log: kvm_intel: $1$" "$work/out" &&
		grep -q "$2" "$work/out" && grep -q '^insmod 1$' "$work/out"
}

echo "1..7"
verdict "a processor without VMX: the lab host lives" \
	in_lab --vendor amd --emulator bochs -- "bash $work/try $modules; rmmod kvm"
verdict "ENODEV, and why" says "this processor has no VMX" "No such device"

mkdir "$work/hold"
cp "$lab/hold-vmx.c" "$work/hold/hold_vmx.c"
echo "obj-m := hold_vmx.o" >"$work/hold/Kbuild"
need_headers
verdict "a module that holds VMX" quietly env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s -C "$KDIR" M="$work/hold" modules
verdict "VMX held by another: the lab host lives" \
	in_lab --vendor intel -- "insmod $work/hold/hold_vmx.ko && bash $work/try $modules
		rmmod hold_vmx; insmod $modules/kvm-intel.ko; echo later \$?; insmod $work/hold/hold_vmx.ko
		$TOP/build/tests/api/system >/tmp/system; dmesg | grep -c 'CPU .: VMX is in use'
		rmmod hold_vmx; $TOP/build/tests/api/system | tail -n 1; rmmod kvm_intel kvm; echo unloaded \$?"
verdict "EBUSY, and why" grep -q '^log: kvm_intel: VMX is in use by another hypervisor$' "$work/out"
verdict "and once it is free, it is ours" grep -q '^later 0$' "$work/out"
verdict "unloaded" grep -q '^unloaded 0$' "$work/out"
exit "$tap_failed"
