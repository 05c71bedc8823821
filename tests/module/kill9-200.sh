#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A VMM killed with SIGKILL in mid-run, 200 times, leaves no memory and no module
# reference behind.
# timeout: 240

# shellcheck source=tests/module/lib.sh
. "$(dirname -- "$0")/lib.sh"

echo "1..4"
choose_rounds_of 200
"$vmm" 10	# whatever the first ones allocate for good
kvm_before=$(references kvm)
verdict "$rounds killed" growth_of "$vmm" $rounds
verdict "no reference to $vendor" references_are "$vendor" 0
verdict "no reference to kvm more than before" references_are kvm "$kvm_before"
# 200 leaks of one page would be 800 kB, and of a guest's touched memory 200 MB
verdict "memory is back" memory_is_back 600 "$vmm" $rounds
