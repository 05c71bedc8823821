# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A firmware alone in Bochs: sourced.

# What it sends to port E9 is in DIRECTORY/raw, behind a few words of Bochs' own.
bochs() {	# DIRECTORY ROM MODEL SECONDS [LINE OF THE CONFIGURATION...]
	local dir=$1 rom=$2 model=$3 seconds=$4 net=(unshare --net)

	shift 4
	"${net[@]}" true 2>/dev/null || net=()
	cat >"$dir/bochsrc" <<-END
		config_interface: textconfig
		display_library: rfb, options="timeout=0"
		romimage: file=$rom, address=0xffff0000
		cpu: model=$model, count=1, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
		memory: guest=32, host=32
		plugin_ctrl: speaker=0
		clock: sync=none, time0=utc
		port_e9_hack: enabled=1
		log: $dir/log
		panic: action=fatal
		error: action=ignore
	END
	[ $# = 0 ] || printf '%s\n' "$@" >>"$dir/bochsrc"
	echo c >"$dir/rc"
	(cd "$dir" && timeout "$seconds" "${net[@]}" bochs-bin -q -f bochsrc -rc rc >raw 2>/dev/null)
}
