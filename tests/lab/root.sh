# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Roots of other Debian suites in the cache, for their kernels' headers and the
# compilers that these want; nothing of them is installed on this machine.
# Sourced by lib.sh, whose functions it uses.

# apt's sources for a suite: this machine's own with the suite's name changed.
suite_sources() {	# SUITE
	local key=/usr/share/keyrings/debian-archive-keyring.gpg uri suite component name

	# shellcheck disable=SC2016 # apt-get's variables
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Identifier: Packages' 'Origin: Debian' 'Architecture: amd64' | sort -u |
		while read -r uri suite component; do
			case $1,$suite in
			sid,*-*) continue ;;
			sid,*) set -- "$1" sid ;;
			*,*-security) set -- "$1" "$1-security" ;;
			*,*-*) continue ;;
			*) set -- "$1" "$1" "$1-updates" "$1-backports" ;;
			esac
			for name in "${@:2}"; do
				# a mirror that stands still has suites whose lists have expired
				echo "deb [signed-by=$key check-valid-until=no] $uri $name $component"
			done
		done
}

# A compiler, and what kbuild needs beside a kernel's headers.
make_suite_root() {	# SUITE DIRECTORY
	local suite=$1 dir=$2 list

	[ ! -d "$dir" ] || return 0
	[ "$(id -u)" = 0 ] || die 125 "a root of $suite is made by root only"
	need_packages mmdebstrap debian-archive-keyring
	apt_update_once
	list=$(mktemp "$KVM_CACHE/sources.XXXXXX")
	suite_sources "$suite" >"$list"
	[ -s "$list" ] || die 125 "no Debian in apt's sources to take $suite's from"
	say "making a root of $suite"
	rm -rf "$dir.tmp"
	quietly nice -n 5 mmdebstrap --variant=apt --mode=root --format=directory --include=gcc,make,libc6-dev,kmod,binutils \
		"$suite" "$dir.tmp" "$list" &&
		mv "$dir.tmp" "$dir"
	rm -rf "$list" "$dir.tmp"
	[ -d "$dir" ]
}

# Set ROOT to the root of a suite, and make it if there is none. Its package lists are
# no older than a day.
suite_root() {	# SUITE
	ROOT=$KVM_CACHE/root-$1
	locked "root-$1" make_suite_root "$1" "$ROOT" || die 125 "cannot make a root of $1"
	locked "root-$1" update_root "$ROOT"
}

update_root() {	# DIRECTORY
	[ -z "$(find "$1/.updated" -mtime -1 2>/dev/null)" ] || return 0
	if quietly in_root "$1" apt-get -q update; then
		touch "$1/.updated"
	else
		say "apt-get update failed in $1; going on with what is there"
	fi
}

# Run a command in a root, with this tree, the cache and, if it is set, the directory
# `also` at their own paths.
in_root() {	# DIRECTORY COMMAND...
	local dir=$1

	shift
	mkdir -p "$dir$TOP" "$dir$KVM_CACHE" "$dir${also:-$TOP}"
	# the mounts go with the command
	# shellcheck disable=SC2016
	unshare --mount --propagation private bash -c '
		root=$1
		for dir in "$2" "$3" "$4"; do
			mount --bind "$dir" "$root$dir" || exit
		done
		shift 4
		mount -t proc proc "$root/proc" && mount --bind /dev "$root/dev" &&
			exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
				DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root "$@"' \
		in_root "$dir" "$TOP" "$KVM_CACHE" "${also:-$TOP}" "$@"
}

# Package managers of a root take turns.
root_install() {	# DIRECTORY PACKAGE...
	local dir=$1

	shift
	say "installing $* in $dir"
	locked "root-${dir##*/root-}" quietly in_root "$dir" apt-get -q -y --no-install-recommends install "$@"
}

# ---- kernels of these suites

# Every one that has headers, as "NAME VERSION SUITE", the newest of each name. A name
# is the series, Debian's release and the flavour: 6.1, 6.1-cloud, 6.12+deb13-rt.
other_kernels() {
	local suite version

	for suite in bookworm trixie sid; do
		suite_root "$suite"
		in_root "$ROOT" apt-cache search --names-only '^linux-headers-[0-9].*amd64$' |
			awk '{ sub("linux-headers-", "", $1); print $1 }' | sort -V | sed "s/$/ $suite/"
	done | awk '
		{
			split($1, part, "."); name = part[1] "." part[2]
			if (match($1, /[+]deb[0-9]+/))
				name = name substr($1, RSTART, RLENGTH)
			if (match($1, /-(cloud|rt)-/))
				name = name substr($1, RSTART, RLENGTH - 1)
			if (!(name in newest))
				order[++n] = name
			newest[name] = $0
		}
		END { for (i = 1; i <= n; i++) print order[i], newest[order[i]] }'
}

# The same, remembered for a day: other_kernels() asks for package lists.
list_kernels() {
	local memo=$KVM_CACHE/kernels

	if [ -z "$(find "$memo" -mtime -1 -size +0 2>/dev/null)" ]; then
		other_kernels >"$memo.tmp" && mv "$memo.tmp" "$memo"
	fi
	cat "$memo"
}

# select_kernel() for a name of the list, one without Debian's release, or 7.x, the
# newest: sets KVER, KROOT and ROOT.
other_kernel() {	# NAME
	local suite

	read -r KVER suite < <(locked kernels list_kernels | awk -v want="$1" '
		{ bare = $1; sub(/[+]deb[0-9]+/, "", bare); any = bare; sub(/[.][0-9]+/, ".x", any) }
		$1 == want || $2 == want || bare == want || any == want { print $2, $3 }' | sort -V | tail -n 1)
	[ -n "$KVER" ] || die 125 "no kernel $1 in Debian; there are: $(cut -d' ' -f1 "$KVM_CACHE/kernels" | paste -s -d' ')"
	suite_root "$suite"
	KROOT=$KVM_CACHE/kernel-$KVER
	locked "kernel-$KVER" fetch_from_root "$ROOT" "$KROOT" "$KVER"
}

# Since 7.0 the kernel, its modules and what both need are packages of their own.
fetch_from_root() {	# ROOT DIRECTORY KVER
	local root=$1 dir=$2 kver=$3 tmp packages

	[ ! -f "$dir/.done" ] || return 0
	tmp=$(mktemp -d "$KVM_CACHE/fetch.XXXXXX")
	mapfile -t packages < <(in_root "$root" apt-cache depends "linux-image-$kver" |
		awk -v kver="$kver" '$1 == "Depends:" && index($2, kver) { print $2 }')
	say "fetching linux-image-$kver"
	# shellcheck disable=SC2016
	if ! quietly in_root "$root" sh -c 'cd "$1" && shift && apt-get download -q "$@"' sh \
			"$tmp" "linux-image-$kver" "${packages[@]}" || ! unpack_image "$dir" "$kver" "$tmp"/*.deb; then
		rm -rf "$tmp"
		die 125 "cannot fetch linux-image-$kver"
	fi
	rm -rf "$tmp"
}
