#!/usr/bin/env bats
# intake-lmtp with those who will use it, unchanged: Postfix's lmtp(8), Exim,
# OpenSMTPD, smtp-source, Python's smtplib. The octets arrive, and so do
# refusals.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/certs
load lib/peers
load lib/postfix

setup_file()
{
	certs_make
}

teardown_file()
{
	certs_remove
}

setup()
{
	nh_setup
	IN=$D/l.sock
	mkdir "$D/got"
	chmod 777 "$D/got"
}

teardown()
{
	pf_teardown
}

# take [INTAKE-LINE...]: as in intake.bats; $lmtp is its TCP port.
take()
{
	lmtp=$(nh_free_port)
	nh_conf <<-EOC
	[relay told]
	type = custom
	exec = $NH_ROOT/t/lib/told_agent.py
	note = $D/got
	[intake in]
	listen = unix:$IN, inet:127.0.0.1:$lmtp
	listen_mode = 0666
	spool_directory = $D/got
	relay = told
	$(printf '%s\n' "$@")
	EOC
	nh_start
	nh_until 10 nh_field_is in state ready
}

# got FILE: a message that was delivered ends with the lines of FILE.
got()
{
	local body

	for body in "$D"/got/*.body; do
		sed -n '/^From: s@x.test/,$p' "$body" | cmp -s - "$1" && return
	done
	return 1
}

got_env()
{
	cat "$D"/got/*.env 2>/dev/null | grep -qxF -- "$1"
}

# ---- Postfix ----

@test "Postfix lmtp(8): octets, several recipients, refusals bounce, DSN goes on" {
	pf_layout
	PF_SERVICES=('lmtp unix - - n - - lmtp')
	take 'xclient_hosts = loopback'
	pf_start "default_transport = lmtp:unix:$IN" \
		'lmtp_send_xforward_command = yes'
	messages
	for m in "$D"/C.*; do
		python3 "$NH_ROOT/t/lib/inject.py" "$inport" ok@a.test <"$m"
	done
	for m in "$D"/C.*; do
		sed 's/\r*$/\r/' "$m" >"$D/want"
		nh_until 20 got "$D/want"
	done
	nh_until 10 grep -q 'status=sent (250 2.0.0 stored)' "$PFLOG"
	python3 "$NH_ROOT/t/lib/inject.py" "$inport" --sender=s@sender.test \
		--mail='RET=HDRS ENVID=e7' --rcpt='NOTIFY=FAILURE ORCPT=rfc822;q@z' \
		ok-1@a.test perm@a.test temp@a.test <"$D/M"
	nh_until 20 kept_is 1
	grep -q 'said: 550 5.1.1 no such user' "$PFLOG"
	grep -q 'status=deferred .*450 4.2.1 try later' "$PFLOG"
	[[ $(grep -c 'to=<ok-1@a.test>.*status=sent' "$PFLOG") -eq 1 ]]
	nh_until 5 got_env envid=e7
	got_env ret=2
	got_env notify=4
	got_env 'orcpt=rfc822;q@z'
	# Of the client that gave it to Postfix, by XFORWARD.
	got_env helo=client.test
}

@test "Postfix lmtp(8) over TCP, and many messages over kept connections" {
	pf_layout
	PF_SERVICES=('lmtp unix - - n - - lmtp')
	take
	pf_start "default_transport = lmtp:inet:127.0.0.1:$lmtp" \
		'lmtp_connection_cache_on_demand = yes'
	smtp-source -s 10 -m 200 -l 2000 -f s@sender.test -t ok@a.test \
		"127.0.0.1:$inport"
	all_sent()
	{
		[[ $(grep -c 'status=sent (250 2.0.0 stored)' "$PFLOG") -eq 200 ]]
	}
	nh_until 40 all_sent
	[[ $(find "$D/got" -name '*.env' | wc -l) -eq 200 ]]
}

# ---- Exim ----

# exim_lmtp DRIVER-LINE...: Exim hands all mail for a.test to the intake.
exim_lmtp()
{
	peer_needs exim4-daemon-light
	peer_users Debian-exim
	port=$(nh_free_port)
	mkdir -p "$D/exim"
	chown "$PEER_UID" "$D/exim"
	cat >"$D/exim.conf" <<-EOC
	primary_hostname = mx.example.com
	spool_directory = $D/exim
	log_file_path = $D/exim/%slog
	local_interfaces = 127.0.0.1
	exim_path = $PEER/usr/sbin/exim4
	acl_smtp_rcpt = accept
	host_lookup =
	rfc1413_query_timeout = 0s
	keep_environment =
	received_header_text =
	queue_only = false
	remote_max_parallel = 1
	begin routers
	all:
	  driver = $1
	  domains = a.test
	  transport = nexthop
	$(printf '  %s\n' "${@:2}")
	begin transports
	EOC
	cat >>"$D/exim.conf"
	peer_spawn "$PEER/usr/sbin/exim4" -C "$D/exim.conf" -bdf \
		-oX "127.0.0.1.$port"
}

exim_has()
{
	grep -qE -- "$1" "$D/exim/mainlog" || { cat "$D/exim/mainlog"; return 1; }
}

exim_takes_all()
{
	messages
	for m in "$D"/C.*; do
		python3 "$NH_ROOT/t/lib/inject.py" "$port" ok@a.test <"$m"
	done
	for m in "$D"/C.*; do
		sed 's/\r*$/\r/' "$m" >"$D/want"
		nh_until 20 got "$D/want" || { cat "$D/exim/mainlog"; return 1; }
	done
	python3 "$NH_ROOT/t/lib/inject.py" "$port" --sender= ok-1@a.test \
		perm@a.test temp@a.test <"$D/M"
	nh_until 20 exim_has '=> ok-1.* T=nexthop'
	nh_until 10 exim_has '\*\* perm.*550 5.1.1 no such user'
	nh_until 10 exim_has '== temp.*450 4.2.1 try later'
}

@test "Exim, transport lmtp, on a UNIX socket" {
	take
	exim_lmtp accept <<-EOC
	nexthop:
	  driver = lmtp
	  socket = $IN
	  user = Debian-exim
	  batch_max = 100
	EOC
	exim_takes_all
}

@test "Exim, transport smtp with protocol lmtp, over TCP" {
	take
	exim_lmtp manualroute 'route_list = * 127.0.0.1 byname' 'self = send' <<-EOC
	nexthop:
	  driver = smtp
	  protocol = lmtp
	  port = $lmtp
	  hosts_try_fastopen =
	EOC
	exim_takes_all
}

# ---- OpenSMTPD ----

@test "OpenSMTPD, action lmtp" {
	take
	peer_needs opensmtpd
	peer_users vmail opensmtpd opensmtpq
	port=$(nh_free_port)
	mkdir -p "$D/peer/lib/opensmtpd/empty" "$D/peer/spool/smtpd"
	chmod 711 "$D/peer/spool/smtpd"
	printf '%s\n' "ok	$PEER_UID:$PEER_UID:/" "perm	$PEER_UID:$PEER_UID:/" \
		"temp	$PEER_UID:$PEER_UID:/" >"$D/users"
	cat >"$D/smtpd.conf" <<-EOC
	table users file:$D/users
	listen on 127.0.0.1 port $port hostname mx.example.com
	action out lmtp "$IN" rcpt-to userbase <users>
	match from any for domain a.test action out
	EOC
	chmod 600 "$D/smtpd.conf"
	peer_spawn "$PEER/usr/sbin/smtpd" -d -f "$D/smtpd.conf"
	messages
	for m in "$D"/C.*; do
		python3 "$NH_ROOT/t/lib/inject.py" "$port" ok@a.test <"$m"
	done
	for m in "$D"/C.*; do
		sed 's/\r*$/\r/' "$m" >"$D/want"
		nh_until 20 got "$D/want"
	done
	python3 "$NH_ROOT/t/lib/inject.py" "$port" perm@a.test temp@a.test <"$D/M"
	nh_until 20 grep -q 'perm@a.test.*550 5.1.1 no such user' log.peer
	nh_until 20 grep -q 'temp@a.test.*450 4.2.1 try later' log.peer
}

# ---- clients ----

@test "smtp-source -L: sessions kept and not, several recipients, large messages" {
	take
	for flags in '-d' '' '-d -r 5' '-d -l 100000'; do
		# shellcheck disable=SC2086 # words
		timeout 60 smtp-source -L -s 10 -m 100 $flags -f s@x.test \
			-t ok@x.test "unix:$IN"
	done
	timeout 60 smtp-source -L -s 5 -m 50 -f s@x.test -t ok@x.test \
		"inet:127.0.0.1:$lmtp"
	[[ $(find "$D/got" -name '*.env' | wc -l) -eq 450 ]]
	[[ $(cat "$D"/got/*.env | grep -c '^rcpt=') -eq 850 ]]
}

@test "Python's smtplib.LMTP, on both kinds of socket" {
	take
	run -0 python3 - "$IN" "$lmtp" <<-'EOP'
	import smtplib, sys
	for c in smtplib.LMTP(sys.argv[1]), smtplib.LMTP('127.0.0.1', int(sys.argv[2])):
	    c.lhlo if hasattr(c, 'lhlo') else None
	    print(c.sendmail('s@x.test', 'ok@x.test', 'From: s@x.test\r\n\r\n.x\r\n',
	                     mail_options=['SIZE=20', 'RET=HDRS']))
	    c.quit()
	EOP
	[[ ${lines[0]} == '{}' && ${lines[1]} == '{}' ]]
	printf 'From: s@x.test\r\n\r\n.x\r\n' >want
	got want
	[[ $(find got -name '*.env' | wc -l) -eq 2 ]]
}
