# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the scripts here share.

vendor=${LAB_VENDOR_MODULE:-kvm_amd}
vmm=$(dirname -- "$0")/../../build/tests/module/vmm
number=0

# One result: true if the condition holds.
verdict() {	# NAME CONDITION...
	local name=$1

	shift
	number=$((number + 1))
	if "$@"; then
		echo "ok $number $name"
	else
		echo "not ok $number $name"
	fi
}

references() { cat "/sys/module/$1/refcnt"; }

# Closing a VM's last file may take a moment after its process is gone.
references_are() {	# MODULE COUNT
	for _ in {1..50}; do
		[ "$(references "$1")" != "$2" ] || return 0
		sleep 0.1
	done
	echo "# $1 has $(references "$1") references, not $2"
	return 1
}

# Memory in use in kB, with what can be had back given back.
memory_used() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	sleep 1
	awk '$1 == "MemTotal:" { total = $2 } $1 == "MemFree:" { print total - $2 }' /proc/meminfo
}
