#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# kvm.enable_vmware_backdoor=1: its ports and counters in user mode, and all other #GPs, which exit
# now, are what they were.
# timeout: 900

lab=$(cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=tests/lab/tap.sh
. "$lab/tap.sh"
out=$(mktemp "${TMPDIR:-/tmp}/kvmlab-test.XXXXXX")
trap 'rm -f "$out"' EXIT
tap_show=("$out")

passes() {	# LAB OPTIONS... THREE TESTS
	"$lab/run" --modules "$LAB_MODULES_DIR" --timeout 400 --module-opts kvm.enable_vmware_backdoor=1 \
		"${@:1:$#-3}" -- "$lab/run-tests" "${@:$#-2}" >"$out" 2>&1
}

tests=(guest/vmware guest/events guest/cpu)
case ${VENDOR:-} in
amd) echo "1..2" ;;
intel) echo "1..1" ;;
*) echo "1..3" ;;
esac
if [ "${VENDOR:-}" != intel ]; then
	verdict "AMD, nested paging" passes "${tests[@]}"
	verdict "AMD, shadow paging" passes --module-opts kvm_amd.npt=0 "${tests[@]}"
fi
if [ "${VENDOR:-}" != amd ]; then
	verdict "Intel" passes --vendor intel --env SLOW=4 "${tests[@]}"
fi
exit $tap_failed
