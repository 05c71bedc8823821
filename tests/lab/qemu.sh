# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2154
#
# The AMD side of `run`: QEMU's software emulation, which has SVM. The lab host
# reaches this machine's files over 9p, and answers over virtio-serial ports; with Debian's
# cloud kernels, which have no 9p, it boots from a CD as Bochs does.
# Sourced by `run`, whose variables these functions read and set.

emulator_packages=(qemu-system-x86 seabios)
emulator_name=qemu
if [[ ${kernel:-} == *-cloud* ]]; then
	# shellcheck source=tests/lab/cd.sh
	. "$TOP/tests/lab/cd.sh"
	emulator_packages+=("${cd_packages[@]}")
else
	initramfs_drivers=(virtio_pci 9pnet_virtio 9p virtio_console)
	lab_root=9p
fi

# The lab host's clock goes by this machine's, so what has a time limit there gets as
# much more as here; the kernel's own limits from its boot on.
follow_speed() {
	[ "${LAB_FACTOR:-100}" -gt 100 ] && [ "$icount$interactive" = 00 ] || return 0
	envs+=("LAB_FACTOR=$LAB_FACTOR")
	append="$append rcupdate.rcu_cpu_stall_timeout=$(($(scaled 21) < 300 ? $(scaled 21) : 300))"	# its maximum
	append="$append sysctl.kernel.hung_task_timeout_secs=$(scaled 120)"
}

emulator_options() {
	: "${smp:=2}" "${mem:=3G}" "${cpu:=max}"
	if [ "$icount" = 1 ]; then
		smp=1 append="$append nokaslr"
	else
		# the kernel's test of the timer counts loops, which a busy machine is too slow for
		append=" no_timer_check$append"
	fi
	follow_speed
	[ -z "$iommu" ] || append=" intel_iommu=on$append"
	if [ $lab_root = cd ]; then
		[ "$interactive" = 0 ] || die 2 "--interactive wants a kernel that has 9p"
	elif [ ${#carry[@]} -gt 0 ]; then
		say "--carry is not needed here: the lab host has all of this machine's files"
	fi
}

# Set `emulator`, the command that is the emulated machine.
emulator_command() {
	emulator=(
		qemu-system-x86_64 -cpu "$cpu" -smp "$smp" -m "$mem"
		-nodefaults -display none -monitor none -no-reboot
		-kernel "$image" -initrd "$dir/initrd" -append "$cmdline"
		-serial "file:$log"
	)
	if [ "$icount" = 1 ]; then
		# the same clock and the same random numbers, too, each time
		emulator+=(-accel tcg -icount shift=0,sleep=off -rtc "base=2026-01-01,clock=vm" -seed 1)
	else
		# Not multi: one processor may go on executing what another has patched
		# over meanwhile. See Documentation/lab.rst.
		emulator+=(-accel "tcg,thread=$threads")
	fi
	"channels_of_$lab_root"
	# Intel's beside an AMD processor: the kernel takes what the firmware's tables describe.
	case $iommu in
	coherent) emulator+=(-device "intel-iommu,intremap=off,snoop-control=on" -device pci-testdev) ;;
	noncoherent) emulator+=(-device "intel-iommu,intremap=off,snoop-control=off" -device pci-testdev) ;;
	esac
}

# The kernel's driver for the CD is of the older machine's.
channels_of_cd() {
	make_image "$dir/image.iso" || die 125 "cannot make the lab host's image"
	emulator+=(-machine pc -cdrom "$dir/image.iso"
		-serial "file:$dir/result" -serial "file:$dir/out" -serial "file:$dir/err")
}

channels_of_9p() {
	emulator+=(
		-machine q35
		-virtfs "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"
		-device virtio-serial-pci
		-chardev "file,id=result,path=$dir/result"
		-device virtserialport,chardev=result,name=lab.result
	)
	if [ "$interactive" = 1 ]; then
		emulator+=(-chardev stdio,id=tty,signal=off -device virtconsole,chardev=tty)
		return
	fi
	for name in out err; do
		emulator+=(-chardev "file,id=$name,path=$dir/$name" -device "virtserialport,chardev=$name,name=lab.$name")
	done
}
