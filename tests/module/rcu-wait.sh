#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A guest that does not exit by itself keeps nobody in the host waiting for RCU longer
# than it does under the distribution's modules, in the same lab host.

# shellcheck source=tests/module/lib.sh
. "$(dirname -- "$0")/lib.sh"

rcu_wait=$(dirname -- "$0")/../../build/tests/module/rcu_wait

load_stock() { rmmod "$vendor" kvm && modprobe -C /dev/null "$vendor"; }
load_ours() { rmmod "$vendor" kvm && modprobe kvm && modprobe "$vendor"; }

compare() {
	local ours stock

	ours=$("$rcu_wait" 40) && load_stock && stock=$("$rcu_wait" 40) && load_ours || return
	echo "# $ours us, and $stock us under the distribution's modules"
	[ $((ours * 100)) -le $((stock * 110)) ]
}

echo "1..1"
if [ "$(nproc)" -lt 2 ]; then
	echo "ok 1 # SKIP one processor: the guest does not keep it to itself"
elif [[ $(uname -r) == *kvmdebug* ]]; then
	echo "ok 1 # SKIP what a debugging kernel's checks take hides the difference"
elif [ "${LAB_LOAD:-}" = stock ] || ! modinfo -k "$(uname -r)" kvm >/dev/null 2>&1; then
	echo "ok 1 # SKIP no modules to compare with"
else
	# Once more if another machine's work was in the way.
	verdict "synchronize_rcu() beside a spinning vcpu" eval 'compare || compare'
fi
