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
choose_rounds_of 50
if ! unload || ! once; then
	echo "Bail out! modules do not load and unload once"
	exit 1
fi

often() {
	for ((round = 0; round < rounds; round++)); do
		once || return
	done
}

verdict "loaded and unloaded $rounds times" growth_of often
# of half a module each time it would be 10 MB, of four pages 800 kB
verdict "memory is back" memory_is_back 600 often
verdict "/dev/kvm is gone" [ ! -e /dev/kvm ]

modprobe kvm && modprobe "$vendor"	# with the options that they had
