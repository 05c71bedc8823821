# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# What the lab's machines and their guests boot: initramfs files, made once into
# the cache, and for each run the kernel's image and the lab host's own files.
# Sourced by lib.sh, whose functions it uses.

# Kernel modules, with what they depend on and in order of loading, that the
# selected kernel does not have built in.
module_files() {	# NAME...
	local name

	for name; do
		/sbin/modprobe -d "$KROOT" -S "$KVER" --show-depends "$name" 2>/dev/null
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

copy_module() {	# FILE.ko[.xz] DIRECTORY
	case $1 in
	*.xz) xz -dc "$1" >"$2/$(basename "$1" .xz)" ;;
	*.zst) zstd -dcq "$1" >"$2/$(basename "$1" .zst)" ;;
	*) cp "$1" "$2/" ;;
	esac
}

# Whether a made file is younger than all that it is made of.
up_to_date() {	# FILE SOURCE...
	local file=$1 source

	shift
	for source; do
		[ "$file" -nt "$source" ] || return
	done
}

pack() {	# DIRECTORY PATH: a cpio archive of that path below the directory
	(cd "$1" && find "$2" | cpio -o -H newc --quiet)
}

# busybox and the script that is the first process.
put_userland() {	# DIRECTORY INIT
	mkdir -p "$1"/{bin,dev,proc,sys}
	cp "$(command -v busybox)" "$1/bin/busybox"
	ln -s busybox "$1/bin/sh"
	install -m 755 "$2" "$1/init"
}

# Modules with what they depend on, and a list of them in order of loading.
put_modules() {	# DIRECTORY NAME...
	local to=$1/modules file

	shift
	mkdir -p "$to"
	for file in $(module_files "$@"); do
		copy_module "$file" "$to"
		basename "$file" .xz
	done >"$to/order"
}

# The demonstration guest's whole userland.
make_guest_initramfs() {	# FILE
	local root

	! up_to_date "$1" "$TOP/tests/lab/guest-init" || return 0
	root=$(mktemp -d "$KVM_CACHE/initramfs.XXXXXX")
	put_userland "$root" "$TOP/tests/lab/guest-init"
	pack "$root" . >"$1.tmp" && mv "$1.tmp" "$1"
	rm -rf "$root"
}

make_base_initramfs() {	# FILE
	local root

	! up_to_date "$1" "$TOP/tests/lab"/{init,run,image.sh} "$KROOT/.done" || return 0
	root=$(mktemp -d "$KVM_CACHE/initramfs.XXXXXX")
	put_userland "$root" "$TOP/tests/lab/init"
	put_modules "$root" "${initramfs_drivers[@]}"
	# without their signatures, whose sums are seconds of Bochs
	[ ! -s "$root/modules/order" ] || strip --strip-debug "$root"/modules/*.ko
	pack "$root" . >"$1.tmp" && mv "$1.tmp" "$1"
	rm -rf "$root"
}

make_raw_kernel() {	# FILE
	! up_to_date "$1" "$KIMAGE" "$TOP/tests/lab/raw-kernel.S" || return 0
	need_packages gcc libc6-dev zstd lz4
	quietly "$TOP/tests/lab/raw-kernel" "$KIMAGE" "$1"
}

make_tsc() {
	! up_to_date "$KVM_CACHE/tsc" "$TOP/tests/lab/tsc.c" || return 0
	need_packages gcc libc6-dev
	gcc -O2 -Wall -static -o "$KVM_CACHE/tsc.tmp" "$TOP/tests/lab/tsc.c" &&
		mv "$KVM_CACHE/tsc.tmp" "$KVM_CACHE/tsc"
}

# What host-init reads of this run, and the command, from `run`'s variables.
host_config() {
	printf 'LAB_ROOT=%s\n' "$lab_root"
	printf 'LAB_CWD=%q\n' "$(pwd -P)"
	printf 'LAB_TOP=%q\n' "$TOP"
	printf 'LAB_CACHE=%q\n' "$KVM_CACHE"
	printf 'LAB_KROOT=%q\n' "$KROOT"
	printf 'LAB_MODULES=%q\n' "$MODULES"
	printf 'LAB_VENDOR_MODULE=kvm_%s LAB_EMULATOR=%s\n' "$vendor" "$emulator_name"
	printf 'LAB_MODULE_OPTS=%q\n' "$opts"
	printf 'LAB_LOAD=%s LAB_ICOUNT=%s LAB_INTERACTIVE=%s LAB_SCAN=%s\n' \
		"$load" "$icount" "$interactive" "$scan"
}

host_command() {
	local var

	for var in "TERM=${TERM:-dumb}" ${envs+"${envs[@]}"}; do
		printf 'export %s=%q\n' "${var%%=*}" "${var#*=}"
	done
	printf 'exec'
	printf ' %q' "${command[@]}"
	echo
}

# The lab host's initramfs for this run, in `run`'s directory.
make_initrd() {	# FILE
	local base=$KVM_CACHE/initramfs-$lab_root-$KVER.cpio lab=$dir/root/lab

	locked initramfs make_base_initramfs "$base" || die 125 "cannot make the initramfs"
	mkdir -p "$lab"
	host_config >"$lab/config"
	host_command >"$lab/command"
	install -m 755 "$TOP/tests/lab/host-init" "$lab/"
	if [ "$icount" = 1 ]; then
		locked tsc make_tsc || die 125 "cannot build tests/lab/tsc.c"
		cp "$KVM_CACHE/tsc" "$lab/"
	fi
	{
		cat "$base"
		pack "$dir/root" lab
	} >"$1"
}

# Set `image`, the lab host's kernel as the emulator boots it.
choose_image() {	# KERNEL'S COMMAND LINE
	image=$KIMAGE
	# only the kernel's own loader looks for it
	[[ " $1 " != *" no5lvl "* ]] || return 0
	image=$KVM_CACHE/raw-$KVER
	locked "raw-$KVER" make_raw_kernel "$image" || die 125 "cannot decompress $KIMAGE"
}
