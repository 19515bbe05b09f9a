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
	# Each block behind a comment: commands up to the first empty line,
	# behind which may stand what they say; files up to the first text.
	mkdir "$DEBS/blocks" 2>/dev/null || rm -f "$DEBS/blocks"/*
	awk -v to="$DEBS/blocks" '
		/^<!-- (try|file|part): .* -->$/ { name = $3; gsub("/", "_", name)
			is_file = $2 != "try:"
			n[name]++; file = to "/" name "." n[name]; next }
		/^ / && file != "" { sub(/^    /, ""); print >file; next }
		/^$/ && file != "" && is_file { print >file; next }
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
wait_for 30 nc -z 127.0.0.1 25
mails() { [[ $(find /mail -type f | wc -l) -eq $1 ]]; }
block() { cat "/debs/blocks/$1" >&2; source "/debs/blocks/$1"; }
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
		exim.1 hand.1 hand.2 lmtp.1 master.1 package.1 postfix.1 \
		postfix.2 postfix.3 smtpd.conf.1 submit.1)" ]]
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
	grep -q "postfix/smtp-static.*to=<b@example.net>.*relay=mail.example.net.*status=sent" \
	    /var/log/postfix.log
	wait_for 30 sh -c "postqueue -p | grep -q empty"
	block postfix.3
	! postconf -M | grep "^out "
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
	wait_for 30 mails 2 || { cat /var/log/postfix.log; exit 1; }
	wait_for 30 sh -c "postqueue -p | grep -q empty"
	[[ $(grep -c "status=sent (250 2.0.0 .*mail.example.net" /var/log/postfix.log) -eq 2 ]]
	systemctl reload nexthop
	systemctl stop nexthop
	postfix stop
	'
}

# peer PACKAGE: one of build/peers, at its place in the machine, as /debs/peer.
peer()
{
	[[ -d $NH_ROOT/build/peers/$1 ]] ||
		skip "no $1 in build/peers; make deps-test gets it"
	rm -rf "$DEBS/peer"
	cp -a "$NH_ROOT/build/peers/$1" "$DEBS/peer"
}

# The master of README.md, for a mail server that delivers as group $1.
other="$machine"'
tar -C /debs/peer -c . | tar -C / -x --keep-directory-symlink
master_start() {
	sed "s/^listen_group = .*/listen_group = $1/" \
	    /debs/blocks/_etc_nexthop_nexthop.conf.1 >/etc/nexthop/nexthop.conf
	nexthop-master
	wait_for 30 nexthop status
	[[ $(stat -c %G:%a /run/nexthop/lmtp.sock) == "$1:660" ]]
}
'

@test "with a master of its own, fed by Exim" {
	peer exim4-daemon-light
	deb_root "$other"'
	useradd -r -d /nonexistent -s /bin/false Debian-exim
	install -d -o Debian-exim /etc/exim4 /var/spool/exim4 /var/log/exim4
	master_start Debian-exim
	{
		printf "%s\n" "primary_hostname = mx.example.org" \
		    "spool_directory = /var/spool/exim4" "keep_environment =" \
		    "log_file_path = /var/log/exim4/%slog" "begin routers" \
		    "all:" "  driver = accept" "  transport = nexthop" \
		    "begin transports"
		cat /debs/blocks/exim.1
	} >/etc/exim4/exim4.conf
	printf "Subject: hello\n\nhello\n" |
	    exim4 -odf -f a@example.org b@example.net \
	    c@example.net
	cat /var/log/exim4/*
	[[ $(grep -c "=> .*@example.net> R=all T=nexthop C=.250 2.0.0 .*mail.example.net" \
	    /var/log/exim4/mainlog) -eq 2 ]]
	grep -q Completed /var/log/exim4/mainlog
	grep -q "^hello" /mail/*
	nexthop stop
	'
}

@test "with a master of its own, fed by OpenSMTPD" {
	peer opensmtpd
	deb_root "$other"'
	for name in opensmtpd opensmtpq; do
		useradd -r -d /var/lib/opensmtpd/empty -s /bin/false $name
	done
	mkdir -p /var/lib/opensmtpd/empty
	install -d -m 711 /var/spool/smtpd
	master_start opensmtpd
	{
		echo "listen on lo port 2525"
		cat /debs/blocks/smtpd.conf.1
	} >/etc/smtpd.conf
	chmod 600 /etc/smtpd.conf
	smtpd -d -f /etc/smtpd.conf >/smtpd.log 2>&1 &
	wait_for 30 nc -z 127.0.0.1 2525
	smtp-source -r 2 -f a@example.org -t b@example.net 127.0.0.1:2525
	wait_for 30 mails 2 || { cat /smtpd.log; exit 1; }
	logged() { [[ $(grep -c "mda delivery.*result=Ok" /smtpd.log) -eq 2 ]]; }
	wait_for 30 logged
	nexthop stop
	'
}

@test "by hand" {
	deb_root "$machine"'
	block hand.1 | grep "^2.0.0 <b@example.net> delivered: host mail.example.net\[127.0.0.1\]:25 said: 250 Ok"
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
