#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# No module can go while a VM is open, and both can once it is closed.

# shellcheck source=tests/module/lib.sh
. "$(dirname -- "$0")/lib.sh"

is_busy() {	# MODULE: rmmod says EBUSY or, for a module that another uses, in use
	local said

	! said=$(LC_ALL=C rmmod "$1" 2>&1) || return
	[[ $said == *"in use"* || $said == *"busy"* ]] || { echo "# $said"; return 1; }
}

echo "1..5"
out=$(mktemp -u)
mkfifo "$out"
"$vmm" >"$out" &
pid=$!
read -r said <"$out"
rm "$out"
verdict "a VM runs" [ "$said" = running ]
verdict "rmmod $vendor is refused" is_busy "$vendor"
verdict "rmmod kvm is refused" is_busy kvm
kill -KILL $pid
wait $pid 2>/dev/null
verdict "no reference is left" references_are "$vendor" 0
verdict "and both can be unloaded" eval 'rmmod $vendor && rmmod kvm'

modprobe kvm && modprobe "$vendor"
