# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the scripts here share.

. "$(dirname -- "$0")/../lab/tap.sh"
vendor=${LAB_VENDOR_MODULE:-kvm_amd}
vmm=$(dirname -- "$0")/../../build/tests/module/vmm

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

# Memory in use in kB, with what can be had back given back.  Free pages that wait on
# a processor's list, megabytes more or less each time, do not count as free there.
memory_used() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	sleep 1
	awk '$1 == "MemTotal:" { used += $2 } $1 == "MemFree:" { used -= $2 } $1 == "count:" { used -= $2 * 4 }
		END { print used }' /proc/meminfo /proc/zoneinfo
}

# Run the command, and set `more` to the memory in kB that is in use since.
growth_of() {	# COMMAND...
	local before status=0

	before=$(memory_used)
	"$@" || status=$?
	more=$(($(memory_used) - before))
	return $status
}

# Whether what growth_of() ran leaves nothing behind: what leaks is lost each time,
# what the kernel's allocators keep for later is not.  KASAN keeps what was freed for
# a while; where it is, kmemleak looks, too.
memory_is_back() {	# KB COMMAND...
	local limit=$1

	shift
	[ ! -e /sys/kernel/debug/kmemleak ] || limit=12288
	if [ "$more" -ge "$limit" ]; then
		echo "# $more kB more in use; the same once more"
		growth_of "$@" || return
	fi
	echo "# $more kB more in use"
	[ "$more" -lt "$limit" ]
}
