#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Loading and unloading both modules fifty times leaves nothing behind.
# timeout: 300

# shellcheck source=tests/module/lib.sh
. "$(dirname -- "$0")/lib.sh"

unload() { rmmod "$vendor" && rmmod kvm; }
# Not modprobe, which here is several processes each time.
load() { insmod "$LAB_MODULES/kvm.ko" && insmod "$LAB_MODULES/${vendor//_/-}.ko"; }
once() { load && [ -c /dev/kvm ] && unload; }

echo "1..3"
if ! unload || ! once; then
	echo "Bail out! modules do not load and unload once"
	exit 1
fi

# What leaks is lost in each of the series; what the kernel's allocators keep for
# later, some megabytes now and then, is not.
rounds=0 least=
before=$(memory_used)
for series in 17 34 50; do
	while [ $rounds -lt $series ] && once; do
		rounds=$((rounds + 1))
	done
	now=$(memory_used)
	echo "# $((now - before)) kB more in use after $rounds rounds"
	[ -n "$least" ] && [ "$least" -le $((now - before)) ] || least=$((now - before))
	before=$now
done
verdict "loaded and unloaded $rounds times" [ $rounds = 50 ]
# 16 leaks of half a module are 2 MB
verdict "memory is back: at least $least kB more in use each time" [ "$least" -lt 2048 ]
verdict "/dev/kvm is gone" [ ! -e /dev/kvm ]

modprobe kvm && modprobe "$vendor"	# with the options that they had
