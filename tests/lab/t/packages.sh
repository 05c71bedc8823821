#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Packages: another package manager's lock is waited for, each of apt's and dpkg's,
# and what cannot be installed ends the script with one line. All in a root of its
# own, with a repository of one package; this machine's locks stay untouched.
# timeout: 120

lab=$(cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=tests/lab/tap.sh
. "$lab/tap.sh"
[ "$(id -u)" = 0 ] || skip_all "needs root, who alone installs packages"
work=$(mktemp -d "${TMPDIR:-/tmp}/kvmlab-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
tap_show=("$work/err")
root=$work/root repo=$work/repo

make_package() {	# NAME
	mkdir -p "$work/deb/DEBIAN"
	printf '%s: %s\n' Package "$1" Version 1 Architecture all Maintainer nobody Description probe \
		>"$work/deb/DEBIAN/control"
	dpkg-deb -b "$work/deb" "$repo/$1.deb" >/dev/null
	{
		dpkg-deb -f "$repo/$1.deb"
		printf 'Filename: ./%s.deb\nSize: %s\nSHA256: %s\n\n' "$1" "$(stat -c %s "$repo/$1.deb")" \
			"$(sha256sum "$repo/$1.deb" | cut -d ' ' -f 1)"
	} >>"$repo/Packages"
}

mkdir -p "$root"/var/lib/dpkg/{info,updates,triggers} "$root"/var/{lib/apt/lists,cache/apt/archives}/partial \
	"$root"/etc/apt/{apt.conf.d,preferences.d,sources.list.d,trusted.gpg.d} "$root/var/log/apt" "$repo" "$work/cache"
: >"$root/var/lib/dpkg/status"
echo "deb [trusted=yes] file:$repo ./" >"$root/etc/apt/sources.list"
cat >"$work/apt.conf" <<END
Dir "$root";
Dir::Log "$root/var/log/apt";
DPkg::Options { "--root=$root"; "--force-script-chrootless"; };
APT::Sandbox::User "root";
END
for i in 0 1 2 3 4; do
	make_package "probe-$i"
done
rm "$repo/probe-4.deb"

# A shell with lib.sh that has this root for the machine's.
with_lib() {	# SHELL-CODE
	env -u LAB_FACTOR APT_CONFIG="$work/apt.conf" DPKG_ADMINDIR="$root/var/lib/dpkg" KVM_CACHE="$work/cache" \
		bash -c ". $lab/lib.sh; $1" 2>"$work/err"
}

hold() {	# LOCK SECONDS
	perl -MFcntl -e 'open my $f, ">>", $ARGV[0] or die; my $l = pack("s s l! l! i", F_WRLCK, 0, 0, 0, 0);
		fcntl $f, F_SETLK, $l or die; print "held\n"; close STDOUT; sleep $ARGV[1]' "$1" "$2"
}

# The lock is let go after three seconds, and no sooner is the package there.
waits_for() {	# LOCK PACKAGE
	local begin=$SECONDS

	exec 4< <(hold "$root/var/$1" 3)
	read -r -u 4
	rm -f "$work/cache/.apt-updated"
	with_lib "need_packages $2; dpkg-query -W $2" | grep -q "^$2" && [ $((SECONDS - begin)) -ge 2 ]
}

# At once, and in one line beside that which tells what is being installed.
ends_at_once() {	# PACKAGE REASON
	local begin=$SECONDS status=0

	with_lib "need_packages $1; echo went on" >"$work/out" || status=$?
	[ "$status" = 125 ] && [ ! -s "$work/out" ] && [ $((SECONDS - begin)) -le 5 ] &&
		[ "$(grep -v -c '^lab: installing' "$work/err")" = 1 ] &&
		grep -q "^lab: cannot install $1: .*$2" "$work/err"
}

gives_up() {	# LOCK
	local status=0

	exec 4< <(hold "$root/var/$1" 20)
	read -r -u 4
	with_lib "LOCK_TIMEOUT=3; need_packages probe-4" || status=$?
	[ "$status" = 125 ] && grep -q "cannot install probe-4: .*held by process" "$work/err"
}

echo "1..7"
verdict "dpkg's frontend lock is waited for" waits_for lib/dpkg/lock-frontend probe-0
verdict "dpkg's database lock is waited for" waits_for lib/dpkg/lock probe-1
verdict "the lock of apt's lists is waited for" waits_for lib/apt/lists/lock probe-2
verdict "the lock of apt's archives is waited for" waits_for cache/apt/archives/lock probe-3
verdict "a package that nobody has" ends_at_once no-such-package 'Unable to locate package no-such-package'
verdict "a package that cannot be fetched" ends_at_once probe-4 'Failed to fetch'
verdict "a lock that nobody lets go" gives_up lib/dpkg/lock-frontend
exit "$tap_failed"
