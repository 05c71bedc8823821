# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# A Debian of a suite for the package to be installed in: made once into the cache with
# DKMS and the packages of its kernels' headers, which are not installed yet, and never
# written to; a test works in an overlay over it. Sourced by package_test.

# Suites' kernels as list_kernels() has them, "NAME VERSION SUITE": all flavours, or the plain
# one. Names without a version of their own, like 6.12-amd64, depend on others.
suite_kernels() {	# SUITE
	locked kernels list_kernels | awk -v suite="$1" -v all="${FLAVOURS:-}" '
		$3 == suite && $2 ~ /^[0-9]+[.][0-9]+[.]/ && (all || $1 !~ /-/)'
}

make_package_root() {	# SUITE DIRECTORY PACKAGE...
	local suite=$1 dir=$2 new list

	shift 2
	[ "$(cat "$dir/.packages" 2>/dev/null)" != "$*" ] || return 0
	need_packages mmdebstrap debian-archive-keyring
	apt_update_once
	say "making a Debian $suite with $*"
	new=$dir.tmp
	list=$(mktemp "$KVM_CACHE/sources.XXXXXX")
	suite_sources "$suite" >"$list"
	rm -rf "$new"
	# the headers' packages stay in apt's cache, for a kernel that comes later
	quietly mmdebstrap --variant=minbase --mode=root --format=directory --skip=cleanup/apt \
		--dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' --include=dkms,gcc,openssl,linux-base \
		--customize-hook='chroot "$1" apt-get -q -y --no-install-recommends --download-only install '"$*" \
		"$suite" "$new" "$list" || { rm -rf "$new" "$list"; return 1; }
	echo "$*" >"$new/.packages"
	rm -rf "$dir" "$list"
	mv "$new" "$dir"
}

mount_root() {	# BASE
	umount -R "$tmp/overlay" 2>/dev/null
	mkdir -p "$tmp/overlay" "$root"
	mount -t tmpfs -o mode=755 tmpfs "$tmp/overlay" &&
		mkdir "$tmp/overlay/up" "$tmp/overlay/work" &&
		mount -t overlay -o "lowerdir=$1,upperdir=$tmp/overlay/up,workdir=$tmp/overlay/work" overlay "$root" &&
		mount -t proc proc "$root/proc" &&
		mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
}

umount_root() { umount -R "$root" && umount "$tmp/overlay"; }

# A kernel's package, which some headers bring with them, needs no initramfs here.
inside() { env -i PATH="$PATH" INITRD=No DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$root" "$@"; }

apt_in() { inside apt-get -q -y --no-install-recommends "$@"; }

# Whether apt and dpkg have anything left to do or to complain of.
apt_is_fine() {
	local left

	left=$(inside dpkg --audit; inside dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | grep -v -E '^(ii|un|rc)')
	[ -z "$left" ] && inside apt-get -q check && return
	echo "$left"
	return 1
}

# The kernel's own modules, of which only those around KVM matter here.
add_stock_modules() {	# ROOT
	local file path dir=$1/lib/modules/$KVER

	[ ! -d "$dir/kernel" ] || return 0
	mkdir -p "$dir"
	cp "$KROOT/lib/modules/$KVER"/modules.{builtin,order,builtin.modinfo} "$dir/"
	for file in $(module_files kvm_amd kvm_intel); do
		path=${file#*"/lib/modules/$KVER/"}
		install -D -m 644 "$file" "$dir/$path"
	done
	/sbin/depmod -b "$1" "$KVER"
}

# Headers that nothing can be built with, of a kernel that is yet to come, and what a
# kernel's package runs of DKMS's once it is unpacked.
make_unknown_kernel() {	# VERSION DEB
	local dir=$tmp/unknown

	rm -rf "$dir"
	mkdir -p "$dir/DEBIAN" "$dir/usr/src/linux-headers-$1/include" "$dir/usr/lib/modules/$1"
	ln -s "/usr/src/linux-headers-$1" "$dir/usr/lib/modules/$1/build"
	printf '%%:\n\t@echo "no module builds here" >&2; exit 1\n' >"$dir/usr/src/linux-headers-$1/Makefile"
	touch "$dir/usr/src/linux-headers-$1/.config"
	cat >"$dir/DEBIAN/control" <<-EOF
		Package: linux-headers-$1
		Version: 1
		Architecture: amd64
		Maintainer: nobody <nobody@example.org>
		Description: headers of a kernel to come
	EOF
	cat >"$dir/DEBIAN/postinst" <<-EOF
		#!/bin/sh
		set -e
		depmod $1
		/etc/kernel/header_postinst.d/dkms $1
		/etc/kernel/postinst.d/dkms $1 /boot/vmlinuz-$1
	EOF
	chmod 755 "$dir/DEBIAN/postinst"
	dpkg-deb --root-owner-group -b "$dir" "$2" >/dev/null
}

# Whether DKMS's key signed a module: the signature is the file's end, before it the
# length and after it a magic word (the kernel's scripts/sign-file).
signed_by_dkms() {	# FILE KEY
	local file=$tmp/signed/module size length work=$tmp/signed

	rm -rf "$work"
	mkdir "$work"
	copy_module "$1" "$work"
	mv "$work"/*.ko "$file"
	[ "$(tail -c 28 "$file")" = "~Module signature appended~" ] || { echo "no signature"; return 1; }
	size=$(stat -c %s "$file")
	length=$((0x$(tail -c 32 "$file" | head -c 4 | od -An -tx1 | tr -d ' ')))
	head -c $((size - 40)) "$file" | tail -c "$length" >"$work/signature"
	head -c $((size - 40 - length)) "$file" >"$work/content"
	openssl x509 -inform DER -in "$2" -out "$work/key.pem" &&
		openssl cms -verify -binary -inform DER -in "$work/signature" -content "$work/content" \
			-certfile "$work/key.pem" -noverify -out /dev/null
}
