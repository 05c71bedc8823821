# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2154
#
# The AMD side of `run`: QEMU's software emulation, which has SVM. The lab host
# reaches this machine's files over 9p, and answers over virtio-serial ports.
# Sourced by `run`, whose variables these functions read and set.

emulator_packages=(qemu-system-x86 seabios)
initramfs_drivers=(virtio_pci 9pnet_virtio 9p virtio_console)
lab_root=9p
emulator_name=qemu

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
	fi
	follow_speed
	if [ ${#carry[@]} -gt 0 ]; then
		say "--carry is not needed here: the lab host has all of this machine's files"
	fi
}

# Set `emulator`, the command that is the emulated machine.
emulator_command() {
	emulator=(
		qemu-system-x86_64 -machine q35 -cpu "$cpu" -smp "$smp" -m "$mem"
		-nodefaults -display none -monitor none -no-reboot
		-kernel "$image" -initrd "$dir/initrd" -append "$cmdline"
		-serial "file:$log"
		-virtfs "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"
		-device virtio-serial-pci
		-chardev "file,id=result,path=$dir/result"
		-device virtserialport,chardev=result,name=lab.result
	)
	if [ "$icount" = 1 ]; then
		# the same clock and the same random numbers, too, each time
		emulator+=(-accel tcg -icount shift=0,sleep=off -rtc "base=2026-01-01,clock=vm" -seed 1)
	else
		# Not multi: one processor may go on executing what another has patched
		# over meanwhile. See Documentation/lab.rst.
		emulator+=(-accel "tcg,thread=$threads")
	fi
	if [ "$interactive" = 1 ]; then
		emulator+=(-chardev stdio,id=tty,signal=off -device virtconsole,chardev=tty)
		return
	fi
	for name in out err; do
		emulator+=(-chardev "file,id=$name,path=$dir/$name" -device "virtserialport,chardev=$name,name=lab.$name")
	done
}
