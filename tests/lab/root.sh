# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Other Debian suites: which kernels they have, these kernels' images, and a root in the
# cache for their headers and the compilers that these want; nothing of them is installed
# on this machine. Sourced by lib.sh, whose functions it uses.

# ---- a suite's package lists, in the cache

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

# apt-get or apt-cache with the lists of a suite.
suite_apt() {	# SUITE COMMAND...
	env APT_CONFIG="$KVM_CACHE/suite-$1/apt.conf" LC_ALL=C "${@:2}"
}

# Every kernel that has headers in the suite, its version a line.
kernels_of_lists() {	# SUITE
	suite_apt "$1" apt-cache search --names-only '^linux-headers-[0-9]+[.][0-9]+[.][0-9].*amd64$' |
		awk '{ sub("linux-headers-", "", $1); print $1 }' | sort -V
}

write_apt_config() {	# SUITE DIRECTORY
	suite_sources "$1" >"$2/sources.list"
	[ -s "$2/sources.list" ] || die 125 "no Debian in apt's sources to take $1's from"
	cat >"$2/apt.conf" <<-END
		Dir::Etc::SourceList "$2/sources.list";
		Dir::Etc::SourceParts "/dev/null";
		Dir::State::Lists "$2/lists";
		Dir::State::Status "/dev/null";
		Dir::Cache "$2/cache";
		APT::Sandbox::User "root";
		APT::Update::Error-Mode "any";
		Acquire::Languages "none";
	END
}

# The lists of a suite, and of its kernels with headers, no older than a day; older ones if
# there is no answer.
update_suite() {	# SUITE
	local dir=$KVM_CACHE/suite-$1

	[ -z "$(find "$dir/kernels" -mtime -1 2>/dev/null)" ] || return 0
	need_packages debian-archive-keyring
	mkdir -p "$dir"/{lists,cache}
	write_apt_config "$1" "$dir"
	if quietly suite_apt "$1" apt-get -q update && kernels_of_lists "$1" >"$dir/kernels.tmp"; then
		mv "$dir/kernels.tmp" "$dir/kernels"
	elif [ -f "$dir/kernels" ]; then
		say "no answer about $1; going on with its lists of $(date -r "$dir/kernels" '+%F %R')"
	else
		die 125 "cannot get the package lists of $1"
	fi
}

# Does the mirror answer for the suites that have such a kernel?
mirror_answers() {	# NAME
	local suite

	for suite in $(suites_with "$1"); do
		suite_apt "$suite" apt-get -q update >/dev/null 2>&1 || return
	done
}

# ---- a root

# A compiler, and what kbuild needs beside a kernel's headers, perl for W=1.
make_suite_root() {	# SUITE DIRECTORY
	make_root "$1" "$2" gcc,make,libc6-dev,kmod,binutils,perl
}

# What mmdebstrap mounts goes with it, whatever ends it: the next one takes away what is left of
# its directory.
make_root() {	# SUITE DIRECTORY PACKAGE,...
	local suite=$1 dir=$2 packages=$3

	[ "$(cat "$dir/.packages" 2>/dev/null)" != "$packages" ] || return 0
	[ "$(id -u)" = 0 ] || die 125 "a root of $suite is made by root only"
	need_packages mmdebstrap debian-archive-keyring
	say "making a root of $suite"
	rm -rf --one-file-system "$dir" "$dir.tmp"
	quietly unshare --mount --propagation private \
		mmdebstrap --variant=apt --mode=root --format=directory --include="$packages" \
		--dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
		"$suite" "$dir.tmp" "$KVM_CACHE/suite-$suite/sources.list" &&
		echo "$packages" >"$dir.tmp/.packages" && mv "$dir.tmp" "$dir"
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

# Set ROOT to a root of the suite that has the headers of a kernel: what is lacking of it is made.
root_with_headers() {	# SUITE KVER
	ROOT=$KVM_CACHE/root-$1
	locked "root-$1" make_suite_root "$1" "$ROOT" || die 125 "cannot make a root of $1"
	locked "root-$1" install_headers "$ROOT" "$2" || die 125 "cannot install linux-headers-$2 in $ROOT"
}

# A new root has new lists; those of another may lack the package, or have one that is gone.
install_headers() {	# ROOT KVER
	local install=(apt-get -q -y --no-install-recommends install "linux-headers-$2")

	[ ! -e "$1/usr/src/linux-headers-$2/Makefile" ] || return 0
	say "installing linux-headers-$2 in $1"
	in_root "$1" "${install[@]}" >/dev/null 2>&1 ||
		{ quietly in_root "$1" apt-get -q update && quietly in_root "$1" "${install[@]}"; } || return
	in_root "$1" apt-get -q clean
}

# ---- kernels

# The suites that may have a kernel of this name: all for an expression.
suites_with() {	# NAME
	case $1 in
	[1-6].*) echo bookworm trixie ;;
	[7-9].*) echo trixie sid ;;
	*) echo bookworm trixie sid ;;
	esac
}

# Every one with headers as "NAME VERSION SUITE", the newest of each name. A name is the
# series, Debian's release and the flavour: 6.1, 6.1-cloud, 6.12+deb13-rt.
list_kernels() {	# [NAME]
	local suite

	for suite in $(suites_with "${1:-}"); do
		locked "suite-$suite" update_suite "$suite" || return
		sed "s/\$/ $suite/" "$KVM_CACHE/suite-$suite/kernels"
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

# select_kernel() for a name of the list, one without Debian's release, or 7.x, the
# newest: sets KVER, KROOT and SUITE.
other_kernel() {	# NAME
	local kernels

	kernels=$(list_kernels "$1") || exit
	read -r KVER SUITE < <(awk -v want="$1" '
		{ bare = $1; sub(/[+]deb[0-9]+/, "", bare); any = bare; sub(/[.][0-9]+/, ".x", any) }
		$1 == want || $2 == want || bare == want || any == want { print $2, $3 }' <<<"$kernels" | sort -V | tail -n 1)
	[ -n "$KVER" ] || die 125 "no kernel $1 in Debian; there are: $(cut -d' ' -f1 <<<"$kernels" | paste -s -d' ')"
	KROOT=$KVM_CACHE/kernel-$KVER
	locked "kernel-$KVER" fetch_of_suite "$SUITE" "$KROOT" "$KVER"
}

# Since 7.0 the kernel, its modules and what both need are packages of their own.
fetch_of_suite() {	# SUITE DIRECTORY KVER
	local suite=$1 dir=$2 kver=$3 tmp packages

	[ ! -f "$dir/.done" ] || return 0
	say "fetching linux-image-$kver"
	tmp=$(mktemp -d "$KVM_CACHE/fetch.XXXXXX")
	mapfile -t packages < <(suite_apt "$suite" apt-cache depends "linux-image-$kver" |
		awk -v kver="$kver" '$1 == "Depends:" && index($2, kver) { print $2 }')
	if ! (cd "$tmp" && quietly suite_apt "$suite" apt-get download -q "linux-image-$kver" "${packages[@]}") ||
			! unpack_image "$dir" "$kver" "$tmp"/*.deb; then
		rm -rf "$tmp"
		die 125 "cannot fetch linux-image-$kver"
	fi
	rm -rf "$tmp"
}
