# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Packages of this machine's distribution, installed where they are lacking.
# Sourced by lib.sh, whose functions it uses.

# Package lists no older than a day, as far as this user may see to that.
apt_update_once() { locked apt-update apt_update; }

apt_update() {
	local stamp=$KVM_CACHE/.apt-updated

	[ -z "$(find "$stamp" -mtime -1 2>/dev/null)" ] || return 0
	[ "$(id -u)" = 0 ] || return 0
	if quietly apt-get update -q; then
		touch "$stamp"
	else
		say "apt-get update failed; going on with what is there"
	fi
}

# Install the named packages that are lacking.
need_packages() {
	local pkg lacking=()

	for pkg in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$pkg" 2>/dev/null)" = installed ] || lacking+=("$pkg")
	done
	[ ${#lacking[@]} -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] || die 125 "please install: ${lacking[*]}"
	say "installing ${lacking[*]}"
	apt_update_once
	DEBIAN_FRONTEND=noninteractive locked apt quietly \
		apt-get install -y -q --no-install-recommends "${lacking[@]}"
}
