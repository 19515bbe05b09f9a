# Helpers for tests of the Debian packages.
# shellcheck shell=bash disable=SC2016,SC2034 # scripts for other shells

# A machine of its own: all files of this one, but what it writes is gone at its
# end; an empty /run, a network with nothing but loopback, its own processes.
# $DEBS is there as /debs.
deb_machine='
	mount -t tmpfs none "$BASE"
	mkdir "$BASE"/{up,work,root}
	mount -t overlay none -o \
	    "lowerdir=/,upperdir=$BASE/up,workdir=$BASE/work" "$BASE/root"
	cd "$BASE/root"
	mount -t proc none proc
	mount -t tmpfs none run
	mount -t tmpfs -o mode=1777 none tmp
	mkdir -p debs run/lock run/test
	mount --bind "$DEBS" debs
	mount --bind "$OUT" run/test
	rm -f usr/sbin/policy-rc.d var/lib/man-db/auto-update
	echo force-unsafe-io >etc/dpkg/dpkg.cfg.d/test
	ip link set lo up
'
deb_environment='env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root'
deb_environment+=' LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive'

# deb_unshare SCRIPT FROM: SCRIPT, to run inside, and FROM, which makes the
# machine and begins with it.
deb_unshare()
{
	export OUT=$BATS_TEST_TMPDIR/out BASE=$BATS_TEST_TMPDIR/root DEBS

	mkdir -p "$OUT" "$BASE"
	rm -f "$OUT/end"
	printf '%s\n' "set -euo pipefail" "$1" 'touch /run/test/end' \
		>"$OUT/script"
	exec unshare --mount --net --pid --uts --ipc --cgroup --fork \
		--kill-child bash -euc "$deb_machine $2" 3>&-
}

# deb_root SCRIPT: runs a script of bash in such a machine.
deb_root()
{
	(deb_unshare "$1" "mount --rbind /dev dev
	exec chroot . $deb_environment bash run/test/script") || return
	deb_has_ended
}

# The script was run, to its last line.
deb_has_ended()
{
	[[ -e $BATS_TEST_TMPDIR/out/end ]] || {
		echo "the script did not come to its end"
		return 1
	}
}

# deb_boot SCRIPT: the same in a machine that systemd has started.
deb_boot()
{
	local out=$BATS_TEST_TMPDIR/out pid

	unshare --mount --cgroup --pid --fork sh -c \
		'mount -t cgroup2 none /sys/fs/cgroup' ||
		skip "no cgroups of version 2 here, which systemd needs"
	(deb_unshare "$1" '
	mount -t sysfs none sys
	mount -t cgroup2 none sys/fs/cgroup
	mount -t tmpfs none dev
	mknod -m 666 dev/null c 1 3
	mknod -m 666 dev/zero c 1 5
	mknod -m 666 dev/full c 1 7
	mknod -m 666 dev/random c 1 8
	mknod -m 666 dev/urandom c 1 9
	mknod -m 666 dev/tty c 5 0
	mkdir dev/shm dev/pts
	mount -t devpts -o ptmxmode=666 none dev/pts
	ln -s pts/ptmx dev/ptmx
	ln -s /proc/self/fd dev/fd
	rm -rf etc/systemd/system/*.wants
	cat >etc/systemd/system/test.service <<-END
		[Service]
		Type=oneshot
		ExecStart='"$deb_environment"' bash /run/test/script
		ExecStopPost=/bin/sh -c "echo \$\$EXIT_STATUS >/run/test/done"
		StandardOutput=file:/run/test/log
		StandardError=inherit
	END
	sed -i "s/^\t*//" etc/systemd/system/test.service
	mkdir run/old
	pivot_root . run/old
	cd /
	mount --make-rshared /
	umount -l /run/old
	exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	    /lib/systemd/systemd --system --log-target=journal \
	    --show-status=0 --unit=test.service') >"$out.log" 2>&1 </dev/null &
	pid=$!
	nh_until "${DEB_BOOT_LIMIT:-240}" test -s "$out/done" || echo "no end"
	kill -9 "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null || :
	cat "$out.log" "$out/log" || :
	[[ $(cat "$out/done") == 0 ]] && deb_has_ended
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
