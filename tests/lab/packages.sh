# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Packages of this machine's distribution, installed where they are lacking.
# Sourced by lib.sh, whose functions it uses.

: "${LOCK_TIMEOUT:=1800}"	# seconds: another's upgrade may take long

# apt-get, as soon as no other package manager is at work. Its option to wait is for
# dpkg's two locks, not for those of the lists and of the archives, and does not say
# that it waits: so each attempt fails at once, and tells by its message why. Sets
# `apt_error` if it fails for good.
apt_get() {	# ARGUMENTS...
	local deadline=$((SECONDS + LOCK_TIMEOUT)) told=0 out

	while ! out=$(LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=0 "$@" 2>&1); do
		apt_error=$(sed -n 's/^E: //p' <<<"$out" | paste -s -d ';' | sed 's/;/; /g')
		grep -q -E '^E: Could not get lock|^dpkg: error: .* was locked by another process' <<<"$out" || return
		[ $SECONDS -lt $deadline ] || return
		[ $told = 1 ] || say "waiting for another package manager: $apt_error"
		told=1
		sleep 1
	done
}

# Package lists no older than a day, as far as this user may see to that.
apt_update_once() { locked apt-update apt_update; }

have_lists() {
	local lists=/var/lib/apt/lists

	eval "$(apt-config shell lists Dir::State::lists/d)"
	[ -n "$(find "$lists" -maxdepth 1 -name '*Packages*' -print -quit 2>/dev/null)" ]
}

apt_update() {
	local stamp=$KVM_CACHE/.apt-updated

	if [ -n "$(find "$stamp" -mtime -1 2>/dev/null)" ] && have_lists; then
		return 0
	fi
	[ "$(id -u)" = 0 ] || return 0
	if apt_get update; then
		touch "$stamp"
	else
		say "apt-get update failed; going on with what is there: $apt_error"
	fi
}

# The install, and once more with new lists where the archive has moved on since
# the old ones.
apt_install() {	# PACKAGE...
	apt_get install -y --no-install-recommends "$@" && return
	[[ $apt_error == *'Failed to fetch'* ]] || return
	rm -f "$KVM_CACHE/.apt-updated"
	apt_update_once
	apt_get install -y --no-install-recommends "$@"
}

# Install the named packages that are lacking; what cannot be is the end of this run.
need_packages() {	# PACKAGE...
	local lacking

	mapfile -t lacking < <(comm -23 <(printf '%s\n' "$@" | sort -u) \
		<(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' | sort -u))
	[ ${#lacking[@]} -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] || die 125 "please install: ${lacking[*]}"
	say "installing ${lacking[*]}"
	apt_update_once
	locked apt apt_install "${lacking[@]}" || die 125 "cannot install ${lacking[*]}: $apt_error"
}
