#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What CPUID offers to guests, ours against the distribution's, on each processor that the
# lab can be: a difference fails unless Documentation/cpuid.rst lists it with its reason.
# MODELS= names models; else these are three, as all take ten minutes: MODELS=.
# timeout: 1500

lab=$(cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=tests/lab/lib.sh
. "$lab/lib.sh"
# shellcheck source=tests/lab/tap.sh
. "$lab/tap.sh"
find_modules || exit
work=$(mktemp -d "${TMPDIR:-/tmp}/kvmlab-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
tap_show=("$work"/{unlisted,err})
dump=$TOP/build/tests/module/cpuid_dump

# vendor, emulator, model. QEMU's whose SVM its software emulation has, and Bochs' that boot.
all="amd qemu max
amd qemu qemu64
amd qemu phenom
amd qemu Opteron_G2
amd qemu Opteron_G3
amd qemu EPYC
amd qemu EPYC-IBPB
amd qemu EPYC-Rome
amd qemu EPYC-Milan
amd qemu Dhyana
amd bochs trinity_apu
intel bochs core2_penryn_t9600
intel bochs corei5_lynnfield_750
intel bochs corei5_arrandale_m520
intel bochs corei7_sandy_bridge_2600k
intel bochs corei7_ivy_bridge_3770k
intel bochs corei7_haswell_4770
intel bochs corei7_skylake_x"

listed() { sed -n '/^\.\. differences begin/,/^\.\. differences end/p' "$TOP/Documentation/cpuid.rst"; }

# Bits of "LEAF REGISTER MASK" lines that differ and are not listed.
unlisted() {	# FILE
	awk -v differences="$(listed)" '
		function hex(s,   i, v) { v = 0; for (i = 1; i <= length(s); i++) v = v * 16 + index("0123456789abcdef", substr(s, i, 1)) - 1; return v }
		function bit(v, i) { return int(v / 2 ^ i) % 2 }
		BEGIN {
			n = split(differences, line, "\n")
			for (i = 1; i <= n; i++)
				if (match(line[i], /^   "/)) {
					split(line[i], field, "\"")
					allowed[field[2] " " field[4]] = hex(field[6])
				}
		}
		NF == 4 { value[$1, $2 " " $3] = hex($4); key[$2 " " $3] = 1 }
		END {
			for (k in key) {
				for (i = 31; i >= 0; i--) {
					ours = bit(value["ours", k], i); stock = bit(value["stock", k], i)
					if (ours != stock && !bit(allowed[k], i))
						printf "%s bit %d: %s\n", k, i, ours ? "ours only" : "stock only"
				}
			}
		}' "$1"
}

compare() {	# VENDOR EMULATOR MODEL
	"$lab/run" --vendor "$1" --emulator "$2" --cpu "$3" --modules "$modules" --timeout 200 --carry "$dump" \
		-- "$lab/both-modules" "$dump" >"$work/out" 2>"$work/err" || return
	grep -q '^ours 0.0 eax' "$work/out" && grep -q '^stock 0.0 eax' "$work/out" || return
	unlisted "$work/out" >"$work/unlisted"
	[ ! -s "$work/unlisted" ]
}

some="(max|core2_penryn_t9600|corei7_skylake_x)\$"
models=$(grep -E "${MODELS:-$some}" <<<"$all" | grep -E "^${VENDOR:-.}")
echo "1..$(wc -l <<<"$models")"
while read -r vendor emulator model; do
	verdict "$vendor, $emulator's $model" compare "$vendor" "$emulator" "$model" </dev/null
done <<<"$models"
