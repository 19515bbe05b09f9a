#!/usr/bin/env bats
# The Debian packages: what is in them, and their life on a machine. Here they
# hold the programs under test; `make check-deb` compiles them, twice.

# shellcheck disable=SC2016,SC2154 # scripts for another machine, and lib/deb's
load lib/nexthop
load lib/deb

setup_file()
{
	export DEBS=$BATS_FILE_TMPDIR/debs VERSION
	VERSION=$(sed -n 's/^VERSION[[:space:]]*:= //p' "$NH_ROOT/Makefile")
	[[ $NH_BUILD != */asan ]] || return 0
	[[ ${NH_DEB:-} == whole ]] || export AS_BUILT=$NH_BUILD
	"$NH_ROOT/contrib/debian/build" "$VERSION" "$DEBS"
}

setup()
{
	[[ $NH_BUILD != */asan ]] || skip "sanitizers are no part of a package"
	nh_setup
	DEB=$DEBS/nexthop_${VERSION}_$(dpkg --print-architecture).deb
}

teardown()
{
	[[ $NH_BUILD == */asan ]] || nh_teardown
}

whole()
{
	[[ ${NH_DEB:-} == whole ]] || skip "make check-deb does this"
}

@test "the package has every program, page and unit, and the version" {
	[[ $(dpkg-deb -f "$DEB" Version) == "$VERSION" ]]
	dpkg-deb -c "$DEB" | awk '{ print $1, $2, $6 }' >files
	for program in "$NH_BUILD"/libexec/nexthop/*; do
		grep -qxF -- "-rwxr-xr-x root/root ./usr/libexec/nexthop/${program##*/}" files
		grep -q "/man8/${program##*/}.8.gz$" files
	done
	grep -qx -- "-rwxr-xr-x root/root ./usr/bin/nexthop" files
	grep -qx -- "-rwxr-xr-x root/root ./usr/sbin/nexthop-master" files
	grep -qx -- "-rw-r----- root/root ./etc/nexthop/nexthop.conf" files
	grep -q " ./lib/systemd/system/nexthop.service$" files
	grep -q " ./lib/systemd/system/nexthop.socket$" files
	grep -q " ./usr/share/bash-completion/completions/nexthop$" files
	run ! grep -E '/man[1-8]/[^ ]*[1-8]$' files	# all compressed
	dpkg-deb -I "$DEB" conffiles | grep -qx /etc/nexthop/nexthop.conf
	for page in "$NH_BUILD"/man/*; do
		grep -q "/${page##*/}.gz$" files
	done
}

@test "nexthop-dev compiles an agent against its headers alone" {
	dpkg-deb -x "$DEBS/nexthop-dev_${VERSION}_all.deb" dev
	# shellcheck disable=SC2046 # flags
	gcc -std=gnu17 -D_GNU_SOURCE -Wall -Werror -fPIC -shared \
		$(PKG_CONFIG_PATH=$D/dev/usr/share/pkgconfig \
		PKG_CONFIG_SYSROOT_DIR=$D/dev pkg-config --cflags nexthop-agent) \
		-o agent.so dev/usr/share/doc/nexthop-dev/examples/agent-template/intermediate.c
	[[ -s agent.so ]]
}

@test "lintian finds nothing" {
	whole
	lintian --allow-root --fail-on error,warning,info \
		--suppress-tags example-unusual-interpreter \
		--tag-display-limit 0 "$DEBS"/*.changes
}

@test "install, run, deliver, remove, purge: nothing is left" {
	deb_root "$deb_wait"'
	traces() {
		find /etc /usr /lib /var /run /home -xdev -iname "*nexthop*" \
		    -not -path "/usr/local/*" 2>/dev/null || :
		getent passwd nexthop || :
		getent group nexthop || :
	}
	traces >/tmp/before
	dpkg -i /debs/nexthop_*.deb

	# A user of its own, folders, modes.
	[[ $(getent passwd nexthop) == nexthop:*:/nonexistent:/usr/sbin/nologin ]]
	[[ $(stat -c %U:%G:%a /var/lib/nexthop) == nexthop:nexthop:750 ]]
	[[ $(stat -c %U:%G:%a /var/log/nexthop) == root:adm:750 ]]
	[[ $(stat -c %U:%G:%a /etc/nexthop/nexthop.conf) == root:root:640 ]]
	! compgen -G "/etc/rc[2-5].d/S*nexthop"
	[[ ! -e /etc/systemd/system/multi-user.target.wants/nexthop.service ]]

	# As it was installed it is sound, and starts.
	nexthop check --strict
	! nexthop status
	/etc/init.d/nexthop start
	nexthop status
	agent=$(nexthop status --output=tsv | awk -F"\t" "\$1 == \"out\" { print \$4 }")
	[[ $(stat -c %U /proc/$agent) == nexthop ]]
	[[ $(stat -c %U:%a /run/nexthop/submit.sock) == root:660 ]]

	# The administrator adds a relay.
	printf "[relay nowhere]\ntype = blackhole\n" >>/etc/nexthop/nexthop.conf
	nexthop reload
	printf "Subject: x\n\ny\n" | nexthop submit --relay=nowhere \
	    --from=a@x.test --output=tsv b@x.test | grep -P "^b@x.test\tdelivered\t"

	# Removed while it runs: it ends, the configuration stays.
	dpkg -r nexthop
	! kill -0 "$agent"
	[[ -s /etc/nexthop/nexthop.conf && ! -e /usr/bin/nexthop ]]
	dpkg -P nexthop
	traces >/tmp/after
	diff /tmp/before /tmp/after
	'
}

@test "an upgrade keeps the changed configuration, and what runs goes on" {
	deb_again "$DEB" "$DEBS/next.deb" "$VERSION+next" \
		'echo "# a new default" >>etc/nexthop/nexthop.conf'
	deb_root "$deb_wait"'
	printf "#!/bin/sh\necho N 2\n" >/usr/sbin/runlevel
	chmod +x /usr/sbin/runlevel
	dpkg -i /debs/nexthop_*.deb
	update-rc.d nexthop enable
	# Nobody changed it: the new one takes its place.
	dpkg -i /debs/next.deb
	grep -q "a new default" /etc/nexthop/nexthop.conf
	dpkg -i /debs/nexthop_*.deb
	printf "[relay mine]\ntype = blackhole\n" >>/etc/nexthop/nexthop.conf
	/etc/init.d/nexthop start
	dpkg --force-confold -i /debs/next.deb
	grep -q "relay mine" /etc/nexthop/nexthop.conf
	! grep -q "a new default" /etc/nexthop/nexthop.conf
	grep -q "a new default" /etc/nexthop/nexthop.conf.dpkg-dist
	wait_for 60 nexthop status
	printf "Subject: x\n\ny\n" | nexthop submit --relay=mine \
	    --from=a@x.test b@x.test
	# The master is the new program.
	for exe in /proc/[0-9]*/exe; do
		case $(readlink "$exe") in
		*nexthop*deleted*) echo "old: $exe"; exit 1 ;;
		esac
	done
	# A configuration that no start would take: what runs goes on.
	printf "[relay bad]\ntype = no\n" >>/etc/nexthop/nexthop.conf
	dpkg --force-confold -i /debs/nexthop_*.deb 2>&1 | tee said
	grep -q "relay bad. type" said
	grep -q "what runs goes on" said
	nexthop status
	dpkg -P nexthop
	[[ ! -e /etc/nexthop ]]
	'
}

@test "the unit: systemd has no word about it, and finds it locked well" {
	dpkg-deb -x "$DEB" root
	cp root/lib/systemd/system/nexthop.* .
	sed -i -e "s,=/usr/,=$D/root/usr/," -e /^Documentation/d nexthop.service
	sed -i /^Documentation/d nexthop.socket
	run systemd-analyze verify "$D/nexthop.service" "$D/nexthop.socket"
	[[ $status -eq 0 && -z $output ]]
	run systemd-analyze security --offline=true --threshold=32 \
		"$D/nexthop.service"
	[[ $status -eq 0 ]]
}

@test "under systemd: start, deliver, reload, crash, stop, upgrade, purge" {
	deb_again "$DEB" "$DEBS/next.deb" "$VERSION+next" :
	deb_boot "$deb_wait"'
	ready() { nexthop status; }
	main() { systemctl show -P MainPID nexthop; }
	give() { printf "Subject: x\n\ny\n" | nexthop submit --relay=nowhere b@x.test; }

	dpkg -i /debs/nexthop_*.deb
	! systemctl -q is-enabled nexthop
	! systemctl -q is-active nexthop
	printf "[relay nowhere]\ntype = blackhole\n" >>/etc/nexthop/nexthop.conf
	systemctl enable --now nexthop
	ready
	give
	# An agent has nothing left but what its user may.
	agent=$(nexthop status --output=tsv | awk -F"\t" "\$1 == \"nowhere\" { print \$4 }")
	[[ $(stat -c %U /proc/$agent) == nexthop ]]
	grep -q "^CapEff:.0*$" /proc/$agent/status
	grep -q "^NoNewPrivs:.1" /proc/$agent/status
	# The master has what the unit lists.
	grep -q "^CapBnd:.00000000000004eb" /proc/$(main)/status

	# A fault is printed and changes nothing.
	echo "nonsense = 1" >>/etc/nexthop/nexthop.conf
	! systemctl reload nexthop
	journalctl -u nexthop | grep "nonsense" >/dev/null
	give
	sed -i "/^nonsense/d" /etc/nexthop/nexthop.conf
	systemctl reload nexthop
	give

	# Mailboxes need what the comment in the unit says.
	install -d -o nexthop /var/mail/test
	printf "[relay box]\ntype = pipe\nargs = sh -c \"cat >/var/mail/test/m\"\n" \
	    >>/etc/nexthop/nexthop.conf
	systemctl reload nexthop
	box() { printf "Subject: x\n\ny\n" | nexthop submit --relay=box b@x.test; }
	! box
	[[ ! -e /var/mail/test/m ]]
	mkdir /etc/systemd/system/nexthop.service.d
	sed -n "s/^#\t//p" /lib/systemd/system/nexthop.service \
	    >/etc/systemd/system/nexthop.service.d/mailboxes.conf
	systemctl daemon-reload
	systemctl restart nexthop
	box
	[[ $(stat -c %U:%a /var/mail/test/m) == nexthop:600 ]]

	# It dies: systemd starts another.
	old=$(main)
	kill -9 "$old"
	again() { ready && [[ $(main) -ne $old ]]; }
	wait_for 60 again
	give

	# A new version takes over; nothing of the old one runs on.
	old=$(main)
	life=$(systemctl show -P InvocationID nexthop)
	dpkg -i /debs/next.deb
	wait_for 60 ready
	give
	new() { ! ls -l /proc/[0-9]*/exe 2>/dev/null | grep "nexthop.*deleted" >/dev/null; }
	wait_for 60 new
	# ... in its place, not by a restart.
	[[ $(main) -ne $old && $(main) -ne 0 ]]
	[[ $(systemctl show -P InvocationID nexthop) == "$life" ]]
	systemctl -q is-active nexthop

	# It hangs: the watchdog sees to that.
	printf "[Service]\nWatchdogSec=8\n" \
	    >/etc/systemd/system/nexthop.service.d/watchdog.conf
	systemctl daemon-reload
	systemctl restart nexthop
	sleep 9
	old=$(main)
	wait_for 60 give
	[[ $(main) -eq $old ]]
	kill -STOP "$old"
	wait_for 60 again
	journalctl -u nexthop | grep "Watchdog timeout" >/dev/null
	rm /etc/systemd/system/nexthop.service.d/watchdog.conf
	systemctl daemon-reload

	# systemd holds the socket: the first submitter starts the master.
	systemctl stop nexthop
	systemctl start nexthop.socket
	[[ $(stat -c %a /run/nexthop/submit.sock) == 660 ]]
	! systemctl -q is-active nexthop
	give
	systemctl -q is-active nexthop
	systemctl restart nexthop
	give
	systemctl stop nexthop.socket nexthop
	systemctl start nexthop

	systemctl stop nexthop
	[[ $(systemctl show -P Result nexthop) == success ]]
	! ready
	systemctl start nexthop
	dpkg -P nexthop
	! systemctl -q is-active nexthop
	rm -r /etc/systemd/system/nexthop.service.d /var/mail/test
	! ls /etc/nexthop /run/nexthop /var/lib/nexthop 2>/dev/null
	'
}

@test "a tree without git and a second build give the same packages" {
	whole
	mkdir tree
	tar -xf "$DEBS"/nexthop_"$VERSION".tar.xz -C tree --strip-components=1
	rm -rf tree/debian
	epoch=$(sed -n 's/^ -- .*>  //p' "$DEBS/nexthop-$VERSION/debian/changelog")
	(umask 027 && cd tree && TZ=Asia/Tokyo LC_ALL=C.UTF-8 \
		SOURCE_DATE_EPOCH=$(date -d "$epoch" +%s) \
		contrib/debian/build "$VERSION" "$D/again")
	for deb in "$DEBS"/*_*.deb; do
		cmp "$deb" "$D/again/${deb##*/}"
	done
}

@test "a machine without the programs to build says what is missing" {
	mkdir bin
	for program in bash dirname realpath env cat; do
		ln -s "$(command -v "$program")" bin/
	done
	PATH=$D/bin run "$NH_ROOT/contrib/debian/build" 1 "$D/out"
	[[ $status -eq 1 && $output == *"make deps-deb"* && ! -e $D/out ]]
}
