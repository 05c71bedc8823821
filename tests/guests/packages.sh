# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What guests and VMMs are made of: packages that this machine does not have, unpacked below the
# cache, nothing of which is installed; a guest under load. Sourced after lib.sh.

files=$KVM_CACHE/guest-files

unpack_debs() {	# DIRECTORY DEB...
	local to=$1 deb

	shift
	for deb; do
		dpkg-deb -x "$deb" "$to" || return
	done
	chmod 755 "$to"
}

fetch_unpacked() {	# NAME APT-GET [OPTIONS] PACKAGE...: the command that downloads, bare
	local to=$files/$1 tmp

	shift
	[ ! -d "$to" ] || return 0
	mkdir -p "$files"
	tmp=$(mktemp -d "$KVM_CACHE/fetch.XXXXXX")
	mkdir "$tmp/debs" "$tmp/root"
	(cd "$tmp/debs" && quietly "$@") && unpack_debs "$tmp/root" "$tmp"/debs/*.deb && mv "$tmp/root" "$to"
	rm -rf "$tmp"
	[ -d "$to" ]
}

fetch_package() { fetch_unpacked "$1" apt-get download -q "$1"; }	# PACKAGE

# A newer QEMU with all its libraries, the C library too, from Debian 13 or its backports.
# "$files/qemu-VERSION/qemu" starts it.
fetch_qemu() {	# VERSION SUITE
	local root=$files/qemu-$1 packages

	[ ! -x "$root/qemu" ] || return 0
	locked suite-trixie update_suite trixie
	# nothing is installed by this configuration, so this is all that it needs
	mapfile -t packages < <(suite_apt trixie apt-get -s -q install --no-install-recommends -t "$2" \
		qemu-system-x86 ipxe-qemu | awk '$1 == "Inst" { print $2 "=" substr($3, 2) }')
	if [[ " ${packages[*]} " != *" qemu-system-x86=1:$1."* ]]; then
		say "no QEMU $1 in $2"
		return 1
	fi
	rm -rf "$root"
	fetch_unpacked "qemu-$1" suite_apt trixie apt-get download -q "${packages[@]}" || return
	cat >"$root/qemu" <<-'END'
		#!/bin/sh
		root=${0%/*}
		exec "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" \
			"$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" \
			-L "$root/usr/lib/ipxe/qemu" "$@"
	END
	chmod 755 "$root/qemu"
}

fetch_qemu_10() { fetch_qemu 10 trixie; }
fetch_qemu_11() { fetch_qemu 11 trixie-backports; }

# A root with Debian 12's libvirt and QEMU.
make_libvirt_root() {
	locked suite-bookworm update_suite bookworm
	mkdir -p "$files"
	make_root bookworm "$files/libvirt" "$(paste -s -d , <<-END
		libvirt-daemon-system
		libvirt-daemon-driver-qemu
		libvirt-clients
		virtinst
		osinfo-db
		qemu-system-x86
		qemu-utils
	END
	)"
}

# The guest that moves, for the selected kernel: drivers, and one static program.
make_load_initramfs() {	# FILE
	local root

	! up_to_date "$1" "$TOP/tests/migrate/guest-load.c" "$KROOT/.done" || return 0
	root=$(mktemp -d "$KVM_CACHE/initramfs.XXXXXX")
	mkdir -p "$root"/{dev,proc}
	put_modules "$root" virtio_pci virtio_blk virtio_net
	# without their signatures, whose sums take their time
	strip --strip-debug "$root"/modules/*.ko
	"${CC:-gcc}" -O2 -Wall -static -o "$root/load" "$TOP/tests/migrate/guest-load.c" &&
		pack "$root" . >"$1.tmp" && mv "$1.tmp" "$1"
	rm -rf "$root"
	[ -e "$1" ]
}
