# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For host/check and host/bench: what machine this is.  Sourced, never run.

# kvm_intel or kvm_amd, whichever is loaded; fails if none is.
loaded_vendor() {
	local name

	for name in kvm_intel kvm_amd; do
		[ ! -d /sys/module/$name ] || { echo $name; return; }
	done
	return 1
}

# ours or stock: only ours has a version.
loaded_modules() {
	[ -f /sys/module/kvm/version ] && echo ours || echo stock
}

first_of() { sed -n "s/^$1[[:space:]]*: //p" /proc/cpuinfo | head -n 1; }

# What a report begins with.
describe_machine() {
	local f

	echo "modules: $(loaded_modules), $vendor, version $(cat /sys/module/kvm/version 2>/dev/null || echo none), kvm $(cat /sys/module/kvm/srcversion 2>/dev/null), $vendor $(cat /sys/module/$vendor/srcversion 2>/dev/null)"
	echo "kernel: $(uname -srvm)"
	echo "command line: $(cat /proc/cmdline)"
	echo "processor: $(first_of 'model name'); $(first_of vendor_id) family $(first_of 'cpu family') model $(first_of model) stepping $(first_of stepping)"
	echo "microcode: $(first_of microcode)"
	echo "processors: $(nproc)"
	echo "hypervisor below: $(grep -q '^flags.* hypervisor' /proc/cpuinfo && echo yes || echo no)"
	echo "flags: $(first_of flags)"
	echo "bugs: $(first_of bugs)"
	for f in /sys/module/kvm/parameters/* /sys/module/$vendor/parameters/*; do
		[ ! -r "$f" ] || echo "parameter: ${f#/sys/module/} = $(cat "$f" 2>/dev/null)"
	done
	for f in /sys/devices/system/cpu/vulnerabilities/*; do
		[ ! -r "$f" ] || echo "vulnerability: ${f##*/}: $(cat "$f")"
	done
}
