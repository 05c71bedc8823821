#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Loading and unloading both modules fifty times leaves nothing behind.
# timeout: 300

# shellcheck source=tests/module/lib.sh
. "$(dirname -- "$0")/lib.sh"

unload() { rmmod "$vendor" && rmmod kvm; }
load() { modprobe kvm && modprobe "$vendor"; }
once() { load && [ -c /dev/kvm ] && unload; }

echo "1..3"
if ! unload || ! once; then
	echo "Bail out! modules do not load and unload once"
	exit 1
fi

before=$(memory_used)
rounds=0
while [ $rounds -lt 50 ] && once; do
	rounds=$((rounds + 1))
done
verdict "loaded and unloaded $rounds times" [ $rounds = 50 ]

more=$(($(memory_used) - before))
# 50 leaks of one page would be 200 kB; the allocators' own caches move more than that
verdict "memory is back: $more kB more in use" [ $more -lt 16384 ]
verdict "/dev/kvm is gone" [ ! -e /dev/kvm ]

load
