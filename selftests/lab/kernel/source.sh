# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What the builders of kernels share: Debian's source, its compilers, the list of what is there.
# CACHE is set by who reads this.

say() { echo "posada: $*" >&2; }
die() { say "$*"; exit 1; }

# The archive's version of linux-source-6.1.
source_version() {
	local version
	version=$(LC_ALL=C apt-cache policy linux-source-6.1 2>/dev/null | sed -n 's/^  Candidate: //p')
	case $version in
	6.1.*) echo "$version" ;;
	*) die "no package linux-source-6.1 in the archive" ;;
	esac
}

install_builders() {
	local missing="" p
	for p in make gcc gcc-12 libc6-dev flex bison bc libelf-dev xz-utils kmod cpio patch; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=" $p"
	done
	[ -n "$missing" ] || return 0
	say "installing Debian packages:$missing"
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 install \
		--no-install-recommends $missing </dev/null >&2
}

# unpack_source DIR VERSION: DIR appears whole or not at all.
unpack_source() {
	local source=$1 version=$2 tmp=$CACHE/unpacking-source
	exec 7>"$CACHE/lock-source"
	flock 7
	if [ ! -d "$source" ]; then
		say "downloading and unpacking linux-source-6.1 into the cache"
		rm -rf "$tmp"
		mkdir -p "$tmp/deb" "$tmp/root"
		( cd "$tmp/deb" && apt-get -qq -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 \
			download "linux-source-6.1=$version" ) </dev/null >&2
		dpkg-deb --fsys-tarfile "$tmp"/deb/*.deb | tar -xO ./usr/src/linux-source-6.1.tar.xz |
			xz -dc -T0 | tar -x -C "$tmp/root" --strip-components=1
		mv -T "$tmp/root" "$source"
		rm -rf "$tmp"
	fi
	exec 7>&-
}

# config_took WANTED GIVEN: Kconfig drops in silence what it cannot give.
config_took() {
	local lost
	lost=$(grep -v -e '^#' -e '=n$' "$1" | grep -v -x -F -f "$2" || :)
	[ -z "$lost" ] || die "the configuration did not take: $lost"
}

# note_kernel NAME=VALUE...: in the file that setup writes, too.
note_kernel() {
	local line list=$CACHE/kernels tmp
	exec 8>"$CACHE/lock"
	flock 8
	tmp=$(mktemp "$CACHE/kernels.XXXXXX")
	cat "$list" >"$tmp" 2>/dev/null || :
	for line; do
		sed -i "/^${line%%=*}=/d" "$tmp"
		echo "$line" >>"$tmp"
	done
	chmod 644 "$tmp"
	if cmp -s "$tmp" "$list"; then rm "$tmp"; else mv "$tmp" "$list"; fi
	exec 8>&-
}
