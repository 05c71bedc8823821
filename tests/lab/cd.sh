# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2154
#
# A lab host without 9p: it boots from an image of a CD with all that the command needs, at
# the same paths as on this machine, and answers over serial ports. Sourced by bochs.sh, and by
# qemu.sh for kernels that have no 9p.

cd_packages=(isolinux syslinux-common xorriso)
initramfs_drivers=(ata_piix sr_mod isofs)
lab_root="cd"

# The small userland of the lab host, whatever the command is.
base_packages=(bash coreutils findutils grep kmod mawk mount procps sed util-linux)

make_base_list() {	# FILE
	[ ! "$1" -nt /var/lib/dpkg/status ] || [ ! "$1" -nt "$TOP/tests/lab/carry" ] || return 0
	need_packages "${base_packages[@]}"
	# shellcheck disable=SC2046 # paths of programs have no blanks
	"$TOP/tests/lab/carry" $(dpkg -L "${base_packages[@]}" | grep -E '^(/usr)?/s?bin/.') "$(type -P awk)" \
		/etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache >"$1.tmp" && mv "$1.tmp" "$1"
}

# Of the lab host's kernel, the modules for virtualization and what they need.
kernel_modules() {
	local names=("kvm_$vendor" msr cpuid) name

	if [ "$load" = ours ]; then
		for name in "$MODULES"/kvm*.ko; do
			echo "$name"
			IFS=, read -r -a name < <(/sbin/modinfo -F depends "$name")
			names+=("${name[@]}")
		done
	fi
	find "$KROOT/lib/modules/$KVER" -maxdepth 1 -name 'modules.*'
	module_files "${names[@]}"
}

# One line for each path of the image: where it is there, and its source.
image_paths() {
	local scan=() word base=$KVM_CACHE/bochs-base

	for word in "${command[@]}" "${envs[@]#*=}"; do
		scan+=(--scan "$word")
	done
	locked bochs-base make_base_list "$base" || return
	{
		cat "$base"
		"$TOP/tests/lab/carry" "${scan[@]}" "$TOP/tests" "$TOP/build/tests" "${carry[@]}"
		# what `limit` uses
		perl -e 'use strict; use warnings; use constant NONE => 0; print "$_\n" for values %INC'
		kernel_modules
		printf '%s/\n' /dev /proc /sys /tmp /run /root /usr/lib/modules "$(pwd -P)" "$TOP" "$KVM_CACHE"
	} | sort -u | sed 's/[\\=]/\\&/g' | awk -v empty="$dir/empty" '/\/$/ { print $0 "=" empty; next } { print $0 "=" $0 }'
}

make_image() {	# FILE
	local boot=$dir/isolinux

	mkdir -p "$boot" "$dir/empty"
	cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$boot/"
	printf 'DEFAULT lab\nPROMPT 0\nTIMEOUT 0\nLABEL lab\nKERNEL vmlinuz\nINITRD initrd\nAPPEND %s\n' \
		"$cmdline" >"$boot/isolinux.cfg"
	image_paths >"$dir/paths" || return
	quietly xorriso -report_about SORRY -as mkisofs -quiet -o "$1" -R -iso-level 3 -D -graft-points \
		-c isolinux/boot.cat -b isolinux/isolinux.bin -no-emul-boot -boot-load-size 4 -boot-info-table \
		-path-list "$dir/paths" /isolinux="$boot" /isolinux/vmlinuz="$image" /isolinux/initrd="$dir/initrd"
}
