#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Loading and unloading both modules fifty times leaves nothing behind.
# timeout: 120

vendor=${LAB_VENDOR_MODULE:-kvm_amd}

echo "1..3"

available() { awk '$1 == "MemFree:" { print $2 }' /proc/meminfo; }
unload() { rmmod "$vendor" && rmmod kvm; }
load() { modprobe kvm && modprobe "$vendor"; }

once() { load && [ -c /dev/kvm ] && unload; }

verdict() {	# NUMBER NAME CONDITION...
	local n=$1 name=$2

	shift 2
	if "$@"; then
		echo "ok $n $name"
	else
		echo "not ok $n $name"
	fi
}

if ! unload || ! once; then
	echo "Bail out! modules do not load and unload once"
	exit 1
fi
sync
echo 3 >/proc/sys/vm/drop_caches
before=$(available)

rounds=0
while [ $rounds -lt 50 ] && once; do
	rounds=$((rounds + 1))
done
verdict 1 "loaded and unloaded $rounds times" [ $rounds = 50 ]

sync
echo 3 >/proc/sys/vm/drop_caches
sleep 1
lost=$((before - $(available)))
# 50 leaks of one page would be 200 kB; the allocators' own caches move more than that
verdict 2 "memory is back: $lost kB less" [ $lost -lt 8192 ]
verdict 3 "/dev/kvm is gone" [ ! -e /dev/kvm ]

load
