# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2154
#
# The Intel side of `run`, and a second AMD one: Bochs, which has VMX. It boots
# from an image of a CD with all that the command needs, at the same paths as on
# this machine, and answers over serial ports. Sourced by `run`, whose variables
# these functions read and set.

emulator_packages=(bochs bochsbios vgabios isolinux syslinux-common xorriso)
initramfs_drivers=(ata_piix sr_mod isofs)
lab_root="cd"
emulator_name=bochs

# The small userland of the lab host, whatever the command is.
base_packages=(bash coreutils findutils grep kmod mawk mount procps sed util-linux)

emulator_options() {
	local lacks=xsaves,xsavec

	: "${smp:=1}" "${mem:=1G}"
	[ "$vendor" = intel ] || : "${cpu:=trinity_apu}"
	: "${cpu:=corei7_skylake_x}"
	[ "$interactive" = 0 ] || die 2 "--interactive wants QEMU"
	[ "$threads" = single ] || die 2 "--threads wants QEMU: Bochs' processors always take turns"
	case $mem in
	*[gG]) megabytes=$((${mem%?} * 1024)) ;;
	*[mM]) megabytes=${mem%?} ;;
	*) megabytes=$mem ;;
	esac
	[[ $megabytes =~ ^[1-9][0-9]*$ ]] || die 2 "--mem takes a size, not '$mem'"
	# Some models' CPUID says 3.5 GHz, but an instruction is a tick, 100 million
	# a second by the clock of the devices.
	append=" tsc_early_khz=100000 tsc=reliable cryptomgr.notests$append"
	# its CPUID gives the compacted XSAVE area's size as if it were not, which
	# the kernel warns of; and eight cores for one processor, which later ones than 6.1 warn of
	[[ $kernel =~ ^6\.1([-.].*)?$ ]] || lacks+=,ht
	append=" clearcpuid=$lacks$append"
	if [ "$icount" = 1 ]; then
		smp=1 append="$append nokaslr"
	fi
	# with several processors it wakes a halted one late, by seconds at times
	[ "$smp" = 1 ] || append=" idle=poll$append"
}

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

# Set `emulator`, the command that is the emulated machine.
emulator_command() {
	local time0=utc

	[ "$icount" = 0 ] || time0=1767225600	# the same clock each time
	make_image "$dir/image.iso" || die 125 "cannot make the lab host's image"
	cat >"$dir/bochsrc" <<-END
		config_interface: textconfig
		display_library: rfb, options="timeout=0"
		romimage: file=/usr/share/bochs/BIOS-bochs-latest
		vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
		cpu: model=$cpu, count=$smp, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
		memory: guest=$megabytes, host=$megabytes
		ata0-master: type=cdrom, path=$dir/image.iso, status=inserted
		boot: cdrom
		plugin_ctrl: speaker=0
		clock: sync=none, time0=$time0
		com1: enabled=1, mode=file, dev=$log
		com2: enabled=1, mode=file, dev=$dir/result
		com3: enabled=1, mode=file, dev=$dir/out
		com4: enabled=1, mode=file, dev=$dir/err
		log: $dir/bochs.log
		panic: action=fatal
		error: action=ignore
		info: action=ignore
	END
	echo c >"$dir/rc"	# Debian's build has the debugger, which waits for a command
	emulator=(bochs-bin -q -f "$dir/bochsrc" -rc "$dir/rc")
	# its display is a network port, for nobody
	! unshare --net true 2>/dev/null || emulator=(unshare --net "${emulator[@]}")
}
