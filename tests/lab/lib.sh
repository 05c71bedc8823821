# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shared by the lab's scripts: where things are, which kernel is meant, and how
# it gets into the cache; with packages.sh, image.sh and speed.sh. Sourced, never run.

TOP=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
KVM_CACHE=${KVM_CACHE:-$TOP/.cache}

mkdir -p "$KVM_CACHE"
KVM_CACHE=$(cd -- "$KVM_CACHE" && pwd -P)

say() { printf 'lab: %s\n' "$*" >&2; }

die() {	# STATUS MESSAGE...
	local status=$1

	shift
	say "$*"
	exit "$status"
}

# Go on below `limit`: whatever ends who started this script, `make` as well, then ends
# all that the script has started.
supervise() {	# THIS-SCRIPT ARGUMENTS...
	[ "${LAB_SUPERVISOR:-}" = "$PPID" ] || exec "$TOP/tests/lab/limit" 0 "$@"
}

# Run a command with its output held back, and shown only if it fails.
quietly() {
	local out status=0

	out=$("$@" 2>&1) || status=$?
	[ "$status" -eq 0 ] || printf '%s\n' "$out" >&2
	return "$status"
}

# Hold the named lock while the command runs: several labs may start at once.
locked() {	# NAME COMMAND...
	local name=$1 fd status=0

	shift
	exec {fd}>"$KVM_CACHE/.lock-$name"
	flock "$fd"
	"$@" || status=$?
	exec {fd}>&-
	return "$status"
}

# Let none of what is remembered for a day be younger than that: a new kernel shows at once.
ask_archive_again() {
	touch -c -d '2 days ago' "$KVM_CACHE"/{.apt-updated,package-6.*,suite-*/kernels}
}

# The image package that is current for a Debian kernel series. The ABI number
# in its name moves, so it is taken from the archive and remembered for a day.
image_package() {	# 6.1|6.12
	local memo=$KVM_CACHE/package-$1 pkg=

	if [ -n "$(find "$memo" -mtime -1 2>/dev/null)" ]; then
		cat "$memo"
		return
	fi
	apt_update_once
	case $1 in
	6.1)
		pkg=$(apt-cache depends linux-image-amd64 2>/dev/null |
			awk '$1 == "Depends:" && $2 ~ /^linux-image-6\.1\./ { print $2; exit }') ;;
	*)
		pkg=$(apt-cache search --names-only "^linux-image-$1\\.[0-9]+[+]deb12-amd64\$" |
			awk '{ print $1 }' | sort -V | tail -n 1) ;;
	esac
	if [ -n "$pkg" ]; then
		echo "$pkg" >"$memo"
	elif [ -f "$memo" ]; then
		pkg=$(cat "$memo")	# no package lists now: what we had will do
	else
		die 125 "no kernel package for $1 found; is apt set up?"
	fi
	echo "$pkg"
}

fetch_image() {	# PACKAGE DIRECTORY KVER
	local tmp

	[ ! -f "$2/.done" ] || return 0
	say "fetching $1"
	apt_update_once
	tmp=$(mktemp -d "$KVM_CACHE/fetch.XXXXXX")
	if ! (cd "$tmp" && quietly apt-get download -q "$1") || ! unpack_image "$2" "$3" "$tmp"/*.deb; then
		rm -rf "$tmp"
		die 125 "cannot fetch $1"
	fi
	rm -rf "$tmp"
}

unpack_image() {	# DIRECTORY KVER DEB...
	local dir=$1 kver=$2 deb

	shift 2
	need_packages kmod
	rm -rf "$dir"
	mkdir -p "$dir"
	for deb; do
		dpkg-deb -x "$deb" "$dir" || return
	done
	[ -e "$dir/lib" ] || ln -s usr/lib "$dir/lib"
	# the package's own postinst would do this
	/sbin/depmod -b "$dir" "$kver" || return
	touch "$dir/.done"
}

unpack_own() {	# debug|rt DIRECTORY KVER
	local dir=$2 kver=$3 image headers

	image=$(own_deb "$1" image)
	headers=$(own_deb "$1" headers)
	if [ -f "$dir/.done" ] && [ ! "$image" -nt "$dir/.done" ]; then
		return 0
	fi
	say "unpacking $kver"
	unpack_image "$dir" "$kver" "$image" "$headers" || die 125 "cannot unpack $image"
}

# The packages of the lab's own kernels, the debugging and the realtime one: from the
# folder DEBUG_KERNEL or RT_KERNEL, or built by `make debug-kernel` or `make rt-kernel`
# into the cache.
own_deb() {	# debug|rt image|headers
	local dir=${1^^}_KERNEL

	dir=${!dir:-$KVM_CACHE/$1-kernel}
	find "$dir" -maxdepth 1 -name "linux-$2-*-kvm$1*.deb" ! -name '*-dbg_*' 2>/dev/null | sort -V | tail -n 1
}

debug_deb() { own_deb debug "$@"; }	# image|headers

# Set KVER, KROOT (unpacked image packages), KIMAGE and KDIR (headers) for a
# kernel by its lab name, and fetch whatever of it is missing; SUITE is the Debian suite whose
# root has headers and compiler, or empty: then they are this machine's.
select_kernel() {	# 6.1|6.12|debug|another that other_kernel() finds
	local pkg deb

	ROOT='' SUITE=''
	case $1 in
	debug | rt)
		deb=$(own_deb "$1" image)
		[ -n "$deb" ] || die 125 "no such kernel: run 'make $1-kernel', or let ${1^^}_KERNEL name the folder of its packages"
		KVER=$(dpkg-deb -f "$deb" Package)
		KVER=${KVER#linux-image-}
		KROOT=$KVM_CACHE/kernel-$KVER
		locked "kernel-$KVER" unpack_own "$1" "$KROOT" "$KVER"
		KDIR=$KROOT/usr/src/linux-headers-$KVER
		;;
	6.1 | 6.12)
		pkg=$(image_package "$1") || exit
		KVER=${pkg#linux-image-}
		KROOT=$KVM_CACHE/kernel-$KVER
		locked "kernel-$KVER" fetch_image "$pkg" "$KROOT" "$KVER"
		KDIR=/lib/modules/$KVER/build
		;;
	*)
		other_kernel "$1"
		KDIR=/usr/src/linux-headers-$KVER
		;;
	esac
	# shellcheck disable=SC2034 # for those who source this
	for KIMAGE in "$KROOT/boot/vmlinuz-$KVER" "$KROOT/usr/lib/modules/$KVER/vmlinuz"; do
		[ ! -f "$KIMAGE" ] || break
	done
}

# The selected kernel's headers, here or in the root that ROOT is then.
need_headers() {
	if [ -n "$SUITE" ]; then
		root_with_headers "$SUITE" "$KVER"
	else
		[ -e "$KDIR/Makefile" ] || need_packages "linux-headers-$KVER"
	fi
}

# make, where the selected kernel's headers and their compiler are.
make_modules() {	# ARGUMENTS...
	if [ -z "$ROOT" ]; then
		env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS \
			make -j"$(nproc)" -C "$TOP" KVER="$KVER" KDIR="$KDIR" "$@" modules
	else
		in_root "$ROOT" make -j"$(nproc)" -C "$TOP" KVER="$KVER" KDIR="$KDIR" "$@" modules
	fi
}

build_modules() {
	need_headers
	MODULES=$TOP/build/$KVER
	locked "build-$KVER" quietly make_modules -s
}

# Set `modules` to the directory of 6.1's: as `make check` has built them, or built now.
find_modules() {
	select_kernel 6.1 || return
	modules=${LAB_MODULES_DIR:-}
	[ ! -f "$modules/kvm-intel.ko" ] || return 0
	build_modules || return
	modules=$MODULES
}

# The kernel's own sources, as Debian packages them: a tarball in the cache.
fetch_source() {
	local tmp

	SOURCE_TARBALL=$KVM_CACHE/linux-source-6.1.tar.xz
	[ ! -f "$SOURCE_TARBALL" ] || return 0
	say "fetching linux-source-6.1"
	apt_update_once
	tmp=$(mktemp -d "$KVM_CACHE/fetch.XXXXXX")
	(cd "$tmp" && quietly apt-get download -q linux-source-6.1) &&
		dpkg-deb --fsys-tarfile "$tmp"/*.deb |
		tar -x -O --wildcards './usr/src/linux-source-*.tar.xz' >"$tmp/tarball" &&
		mv "$tmp/tarball" "$SOURCE_TARBALL"
	rm -rf "$tmp"
	[ -f "$SOURCE_TARBALL" ]
}

# kselftest.h and kselftest_harness.h, for the test programs.
fetch_kselftest() {	# DIRECTORY
	local tmp

	[ ! -f "$1/kselftest_harness.h" ] || return 0
	locked source fetch_source || die 125 "cannot fetch linux-source-6.1"
	tmp=$(mktemp -d "$KVM_CACHE/fetch.XXXXXX")
	tar -x -J -f "$SOURCE_TARBALL" -C "$tmp" --strip-components=4 --wildcards \
		'*/tools/testing/selftests/kselftest.h' '*/tools/testing/selftests/kselftest_harness.h' &&
		chmod 755 "$tmp" && rm -rf "$1" && mv "$tmp" "$1"
}

. "$TOP/tests/lab/packages.sh"
. "$TOP/tests/lab/image.sh"
. "$TOP/tests/lab/root.sh"
. "$TOP/tests/lab/speed.sh"
