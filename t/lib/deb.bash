# Helpers for tests of the Debian packages.
# shellcheck shell=bash disable=SC2016,SC2034 # scripts for other shells

# deb_root SCRIPT: runs a script of bash in a machine of its own: all files of
# this one, but what it writes is gone at its end; an empty /run, a network
# with nothing but loopback, its own processes. $DEBS is there as /debs.
deb_root()
{
	local base=$BATS_TEST_TMPDIR/root

	mkdir -p "$base"
	printf '%s\n' "$1" >"$BATS_TEST_TMPDIR/script"
	DEBS=$DEBS SCRIPT=$BATS_TEST_TMPDIR/script BASE=$base \
	    unshare --mount --net --pid --uts --ipc --fork --kill-child \
	    bash -euc '
		mount -t tmpfs none "$BASE"
		mkdir "$BASE"/{up,work,root}
		mount -t overlay none -o \
		    "lowerdir=/,upperdir=$BASE/up,workdir=$BASE/work" "$BASE/root"
		cd "$BASE/root"
		mount -t proc none proc
		mount -t tmpfs none run
		mount -t tmpfs -o mode=1777 none tmp
		mount --rbind /dev dev
		mkdir -p debs run/lock
		mount --bind "$DEBS" debs
		cp "$SCRIPT" run/script
		rm -f usr/sbin/policy-rc.d var/lib/man-db/auto-update
		echo force-unsafe-io >etc/dpkg/dpkg.cfg.d/test
		ip link set lo up
		exec chroot . /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		    HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		    bash -euo pipefail run/script
	' 3>&-
}

# Parts of such scripts.
deb_wait='
wait_for() {	# SECONDS COMMAND...
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[[ $SECONDS -le $end ]] || { echo "never: $*"; return 1; }
		sleep 0.05
	done
}
'

# deb_again FROM TO VERSION SCRIPT: the package changed by a script that runs
# in its tree.
deb_again()
{
	local tree=$BATS_TEST_TMPDIR/tree

	rm -rf "$tree"
	dpkg-deb -R "$1" "$tree"
	sed -i "s/^Version: .*/Version: $3/" "$tree/DEBIAN/control"
	(cd "$tree" && eval "$4")
	(cd "$tree" && find . -path ./DEBIAN -prune -o -type f -print0 |
		sort -z | xargs -0 md5sum | sed 's, \./, ,' >DEBIAN/md5sums)
	dpkg-deb --root-owner-group -b "$tree" "$2" >/dev/null
}
