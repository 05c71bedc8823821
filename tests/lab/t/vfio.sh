#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# api/vfio with files of VFIO's. In QEMU a device behind an emulated IOMMU is VFIO's own, with
# coherent DMA and without; Bochs has no IOMMU, so a module stands in for VFIO there, and
# kvm.audit looks at the memory types in EPT.
# timeout: 1200

lab=$(cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=tests/lab/lib.sh
. "$lab/lib.sh"
# shellcheck source=tests/lab/tap.sh
. "$lab/tap.sh"
find_modules || exit
work=$(mktemp -d "${TMPDIR:-/tmp}/kvmlab-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
tap_show=("$work"/{out,err})
test=$TOP/build/tests/api/vfio
quietly make -s -C "$TOP" tests || exit

# In the lab host: the files of the module that stands in.
cat >"$work/stand-in" <<'END'
modprobe msr
insmod "$1" || exit
VFIO_COHERENT=/dev/vfio-coherent VFIO_NONCOHERENT=/dev/vfio-noncoherent "$2"
status=$?
rmmod stand_in_vfio || exit
exit $status
END

# All pass, these among them, and none of these is skipped.
passed() {	# TEST...
	local name

	grep -q '^# Totals: .*fail:0 ' "$work/out" || return
	for name; do
		grep -Eq "^ok [0-9]+ vfio\.$name\$" "$work/out" || { echo "# $name did not pass"; return 1; }
	done
}

real() {	# COHERENT|NONCOHERENT
	"$lab/run" --vendor amd --iommu "${1,,}" --modules "$modules" --timeout 200 \
		-- "$lab/with-vfio" "$1" "$test" >"$work/out" 2>"$work/err"
}

stand_in() {	# CPU
	"$lab/run" --vendor intel --kernel 6.12 --cpu "$1" --modules "$audit" --module-opts kvm.audit=1 --timeout 400 --carry "$work" --carry "$test" \
		-- bash "$work/stand-in" "$work/module/stand_in_vfio.ko" "$test" >"$work/out" 2>"$work/err"
}

compile() {
	mkdir "$work/module"
	cp "$lab/stand-in-vfio.c" "$work/module/stand_in_vfio.c"
	echo "obj-m := stand_in_vfio.o" >"$work/module/Kbuild"
	select_kernel 6.12 && need_headers || return
	quietly env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s -C "$KDIR" M="$work/module" modules || return
	# as `make check` has built them
	audit=${LAB_AUDIT_DIR:-}
	[ ! -f "$audit/kvm-intel.ko" ] || return 0
	audit=$work/audit
	AUDIT=1 "$lab/build-modules" 6.12 "$audit" >"$work/out" 2>"$work/err"
}

echo "1..9"
if [ "${VENDOR:-}" = intel ]; then
	for i in {1..4}; do
		echo "ok $i # SKIP VENDOR=intel"
	done
	tap_number=4
else
	verdict "VFIO's own, DMA not coherent" real NONCOHERENT
	verdict "its file is taken, and counts" passed add_and_delete wbinvd pat
	verdict "VFIO's own, DMA coherent" real COHERENT
	verdict "its file is taken, and does not count" passed coherent
fi
if [ "${VENDOR:-}" = amd ]; then
	for i in {5..9}; do
		echo "ok $i # SKIP VENDOR=amd"
	done
	exit "$tap_failed"
fi
verdict "the module that stands in, and modules with kvm.audit" compile
verdict "EPT, PAT switched" stand_in corei7_skylake_x
verdict "files are taken, memory has the types that it should" passed add_and_delete coherent wbinvd pat
verdict "shadow paging" stand_in core2_penryn_t9600
verdict "files are taken, and count" passed add_and_delete coherent wbinvd pat
exit "$tap_failed"
