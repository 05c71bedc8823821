# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2154
#
# The Intel side of `run`, and a second AMD one: Bochs, which has VMX and boots from a CD.
# Sourced by `run`, whose variables these functions read and set.

# shellcheck source=tests/lab/cd.sh
. "$TOP/tests/lab/cd.sh"
emulator_packages=(bochs bochsbios vgabios "${cd_packages[@]}")
emulator_name=bochs

emulator_options() {
	local lacks=xsaves,xsavec

	: "${smp:=1}" "${mem:=1G}"
	[ "$vendor" = intel ] || : "${cpu:=trinity_apu}"
	: "${cpu:=corei7_skylake_x}"
	[ -z "$iommu" ] || die 2 "--iommu wants QEMU"
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
