#!/usr/bin/env bats
# The three uses in README.md, its commands as they stand there, on a machine
# of its own where the package was installed.
# shellcheck disable=SC2016,SC2154 # scripts for another machine, and lib/deb's

load lib/nexthop
load lib/deb

setup_file()
{
	[[ $NH_BUILD != */asan ]] || return 0
	export DEBS=$BATS_FILE_TMPDIR/debs
	AS_BUILT=$NH_BUILD "$NH_ROOT/contrib/debian/build" 1 "$DEBS"
}

setup()
{
	[[ $NH_BUILD != */asan ]] || skip "sanitizers are no part of a package"
	[[ $(id -u) -eq 0 ]] || skip "needs root"
	nh_setup
	# Each block behind a comment, up to the first empty line.
	mkdir "$DEBS/blocks" 2>/dev/null || rm -f "$DEBS/blocks"/*
	awk -v to="$DEBS/blocks" '
		/^<!-- (try|file): .* -->$/ { name = $3; gsub("/", "_", name)
			n[name]++; file = to "/" name "." n[name]; next }
		/^ / && file != "" { sub(/^    /, ""); print >file; next }
		{ file = "" }' "$NH_ROOT/README.md"
}

teardown()
{
	[[ $NH_BUILD == */asan || $(id -u) -ne 0 ]] || nh_teardown
}

# What all of them need: the package, and mail.example.net, which keeps each
# message in a file of /mail.
machine="$deb_wait"'
dpkg -i /debs/nexthop_*.deb
mkdir -m 1777 /mail
echo "127.0.0.1 mail.example.net" >>/etc/hosts
cd /
smtp-sink -u nobody -d /mail/m. 127.0.0.1:25 64 &
wait_for 10 nc -z 127.0.0.1 25
mails() { [[ $(find /mail -type f | wc -l) -eq $1 ]]; }
block() { cat "/debs/blocks/$1"; source "/debs/blocks/$1"; }
postfix_start() {
	rm -f /etc/postfix/main.cf
	cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf
	printf "%s\n" "compatibility_level = 3.6" "inet_interfaces = loopback-only" \
	    "inet_protocols = ipv4" "maillog_file = /var/log/postfix.log" \
	    "master_service_disable = smtp.inet" "alias_maps =" \
	    "mydestination =" >/etc/postfix/main.cf
	postfix start
}
'

@test "every block that is to be tried is there" {
	[[ $(ls "$DEBS/blocks") == "$(printf '%s\n' _etc_nexthop_nexthop.conf.1 \
		hand.1 hand.2 lmtp.1 master.1 package.1 postfix.1 postfix.2 \
		postfix.3 submit.1)" ]]
	grep -q '^deb:' "$NH_ROOT/Makefile"
	grep -qx 'make deb' "$DEBS/blocks/package.1"
}

@test "as a transport of Postfix" {
	deb_root "$machine"'
	postfix_start
	block postfix.1
	block postfix.2
	wait_for 30 mails 1
	grep -q "^hello" /mail/*
	grep -q "postfix/out/.*to=<b@example.net>.*relay=mail.example.net.*status=sent" \
	    /var/log/postfix.log
	wait_for 10 sh -c "postqueue -p | grep -q empty"
	block postfix.3
	! postconf -M | grep -q "^out "
	[[ $(postconf -h default_transport) == smtp ]]
	postfix stop
	'
}

@test "with a master of its own, under systemd, fed by Postfix's lmtp(8)" {
	deb_boot "$machine"'
	cp /debs/blocks/_etc_nexthop_nexthop.conf.1 /etc/nexthop/nexthop.conf
	block master.1
	[[ $(stat -c %G:%a /run/nexthop/lmtp.sock) == postfix:660 ]]
	block submit.1 | grep "^2.0.0 <b@example.net> delivered"
	mails 1
	postfix_start
	block lmtp.1
	printf "Subject: hello\n\nhello\n" | sendmail -f a@example.org b@example.net c@example.net
	wait_for 30 mails 2
	wait_for 10 sh -c "postqueue -p | grep -q empty"
	[[ $(grep -c "status=sent (250 2.0.0 .*mail.example.net" /var/log/postfix.log) -eq 2 ]]
	systemctl reload nexthop
	systemctl stop nexthop
	postfix stop
	'
}

@test "by hand" {
	deb_root "$machine"'
	block hand.1 | grep "^2.0.0 <b@example.net> delivered: 250 2.0.0 Ok"
	block hand.1 >/dev/null
	mails 2
	block hand.2 >out 2>trace
	cat out
	grep -q "^{.*\"recipient\": *\"b@example.net\"" out
	[[ $(grep -cP "^[bc]@example.net\tdelivered\t" out) -eq 2 ]]
	grep -q "MAIL FROM:" trace
	mails 4
	'
}
