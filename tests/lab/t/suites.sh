#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Other Debian suites' kernels: which one a name means, whether the lists of last time do where
# nobody answers, and that nothing else passes for that. With suites of one folder each, of
# packages that are names only.
# timeout: 120

lab=$(cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=tests/lab/tap.sh
. "$lab/tap.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/kvmlab-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
tap_show=("$work/err")
mkdir "$work/cache"

suite() {	# NAME KERNEL...
	local kernel

	mkdir -p "$work/$1"
	for kernel in "${@:2}"; do
		printf '%s: %s\n' Package "linux-headers-$kernel" Version 1 Architecture amd64 Maintainer nobody \
			Filename "./$kernel.deb" Size 1 SHA256 "$(printf %064d 0)" Description "headers"
		echo
	done >"$work/$1/Packages"
}

with_lib() {	# SHELL-CODE
	KVM_CACHE="$work/cache" bash -c "set -u -o pipefail; . $lab/lib.sh; need_packages() { :; }
		suite_sources() { echo \"deb [trusted=yes] file:$work/\$1 ./\"; }; $1" 2>"$work/err"
}

# The kernel and the suite; its image is there already.
meant() {	# NAME
	with_lib "fetch_of_suite() { :; }; other_kernel $1; echo \"\$KVER \$SUITE\""
}

old_lists() { touch -d '2 days ago' "$work"/cache/suite-*/kernels; }

suite bookworm 6.1.0-9-amd64 6.1.0-57-amd64 6.1.0-57-rt-amd64 6.12.117+deb12-amd64 6.12-amd64
suite trixie 6.12.118+deb13-amd64 6.12.118+deb13-cloud-amd64 7.2.12+deb13-amd64 7.3.4+deb13-amd64 7.3.4+deb13-rt-amd64
suite sid 7.2.13+deb14-amd64 7.2.13+deb14-rt-amd64

echo "1..13"
same "the newest 7.x, of any suite" "7.3.4+deb13-amd64 trixie" "$(meant 7.x)"
same "a series, whatever the release" "7.2.13+deb14-amd64 sid" "$(meant 7.2)"
same "a series of one release" "7.2.12+deb13-amd64 trixie" "$(meant 7.2+deb13)"
same "numbers are compared as numbers" "6.1.0-57-amd64 bookworm" "$(meant 6.1)"
same "a flavour" "6.1.0-57-rt-amd64 bookworm" "$(meant 6.1-rt)"
same "a flavour of the newest" "7.3.4+deb13-rt-amd64 trixie" "$(meant 7.x-rt)"
same "by its whole name" "6.12.117+deb12-amd64 bookworm" "$(meant 6.12.117+deb12-amd64)"

suite sid 7.2.13+deb14-amd64 7.4.1+deb14-amd64
same "lists are remembered" "7.3.4+deb13-amd64 trixie" "$(meant 7.x)"
old_lists
same "and asked for again when they are old" "7.4.1+deb14-amd64 sid" "$(meant 7.x)"
verdict "a package that cannot be fetched is no mirror that does not answer" with_lib \
	'(fetch_of_suite sid "$KVM_CACHE/kernel" 7.4.1+deb14-amd64) && exit 1; mirror_answers 7.x'

rm -r "$work/sid"
old_lists
same "where a suite does not answer, its old lists do" "7.4.1+deb14-amd64 sid" "$(meant 7.x)"
verdict "and that is said" grep -q '^lab: no answer about sid; going on' "$work/err"
rm -r "$work/cache"/suite-*
verdict "without old lists there is no kernel" with_lib '(other_kernel 7.x) && exit 1; ! mirror_answers 7.x'
exit "$tap_failed"
