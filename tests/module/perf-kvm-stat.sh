#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# `perf kvm stat`, the distribution's, shows our exits by reason; the tracepoints
# have the names and fields that it and trace-cmd look for.

# shellcheck source=tests/module/lib.sh
. "$(dirname -- "$0")/lib.sh"

tests=$(realpath "$(dirname -- "$0")/../../build/tests")

# Guests with ports, CPUID and MSRs, memory-mapped devices, and interrupts.
run_guests() {
	"$tests/guest/cpu"
	"$tests/api/coalesced"
	"$tests/api/pit"
}

if ! command -v perf >/dev/null; then
	skip_all "no perf: install linux-perf"
fi

tracing=/sys/kernel/tracing
events=(kvm_entry kvm_exit kvm_page_fault kvm_inj_virq kvm_pio kvm_mmio kvm_msr kvm_cpuid)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

has_fields() {	# EVENT FIELD...
	local event=$1 field

	shift
	for field; do
		grep -q "field:.*[ *]$field;" "$tracing/events/kvm/$event/format" || {
			echo "# $event has no field $field"
			return 1
		}
	done
}

# Each event must have come at least once while guests ran.
traced() {
	local event r=0

	echo 0 >"$tracing/tracing_on"
	echo >"$tracing/trace"
	for event in "${events[@]}"; do
		echo 1 >"$tracing/events/kvm/$event/enable"
	done
	echo 1 >"$tracing/tracing_on"
	run_guests >/dev/null 2>&1
	echo 0 >"$tracing/events/kvm/enable"
	cat "$tracing/trace" >"$dir/trace"
	for event in "${events[@]}"; do
		grep -q " $event: " "$dir/trace" || { echo "# $event never came"; r=1; }
	done
	return $r
}

row() { grep -q "^ *$1 .*%" "$dir/report"; }

echo "1..11"
verdict "fields of kvm_entry" has_fields kvm_entry vcpu_id rip
verdict "fields of kvm_exit" has_fields kvm_exit exit_reason guest_rip isa info1 info2 vcpu_id
verdict "fields of kvm_pio" has_fields kvm_pio rw port size count val
verdict "fields of kvm_mmio" has_fields kvm_mmio type len gpa val
verdict "fields of kvm_page_fault" has_fields kvm_page_fault fault_address error_code
echo 20000 >"$tracing/buffer_size_kb"
verdict "each event is traced" traced
# One program has all that the reports are asked for.  No modules for perf to look at:
# it would go through all of the kernel's, by 9p.
unshare --mount sh -c 'mount -t tmpfs none /usr/lib/modules; exec "$@"' perf \
	perf kvm stat record -a -o "$dir/data" -- "$tests/guest/cpu" >"$dir/log" 2>&1
verdict "perf kvm stat record" [ -s "$dir/data" ]
perf kvm -i "$dir/data" stat report >"$dir/report" 2>&1
sed 's/^/# /' "$dir/report"
verdict "exits by reason: ports" row io
verdict "exits by reason: cpuid" row cpuid
verdict "exits by reason: msr" row msr
perf kvm -i "$dir/data" stat report --event=ioport >"$dir/report" 2>&1
verdict "ports by number" row '0x[0-9a-f]*:P\(IN\|OUT\)'
