#!/usr/bin/env bats
# Agents as services of a real Postfix: what becomes of mail, of its recipients'
# marks, of bounces and reports, and of the log.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/postfix

setup()
{
	nh_setup
	pf_layout
}

teardown()
{
	pf_teardown
}

# relay_start [MAIN.CF-LINE...]: smtp-static to our host, as "out".
relay_start()
{
	[[ -n ${HOST:-} ]] || host_start
	PF_SERVICES+=("$(agent_line out smtp-static "host=127.0.0.1:$port" \
		ehlo_as=client.test "${OPTIONS[@]}")")
	pf_start 'default_transport = out:' "$@"
}

# ---- sent ----

@test "blackhole: sent, and the message leaves the queue" {
	PF_SERVICES=("$(agent_line hole blackhole)")
	pf_start 'default_transport = hole:'
	pf_send b@b.test <"$D/M"
	pf_logged 1 'postfix/blackhole\[[0-9]+\]: [0-9A-F]+: to=<b@b.test>, relay=none, delay=[0-9.]+, delays=[0-9./]+, dsn=2.0.0, status=sent \(Message Delivered; [0-9a-f-]+\)$'
	pf_logged 1 ': removed$'
	pf_empty
	pf_calm
}

@test "smtp-static: the message arrives, with Postfix's line in the log" {
	relay_start
	pf_send b@b.test <"$D/M"
	pf_logged 1 "postfix/smtp-static\[[0-9]+\]: [0-9A-F]+: to=<b@b.test>, relay=127.0.0.1\[127.0.0.1\]:$port, delay=[0-9.]+, delays=[0-9.]+/[0-9.]+/[0-9.]+/[0-9.]+, dsn=2.0.0, status=sent \(250 2.0.0 taken as 1\)$"
	pf_empty
	took_mail 1 b@b.test
	[[ $(tail -n 1 "$D/got/1") == $'test\r' ]]
	pf_calm
}

@test "lmtp: a UNIX socket as the next hop of a transport, answers for each" {
	store_start
	PF_SERVICES=("$(agent_line store lmtp ehlo_as=client.test)")
	pf_start "default_transport = store:unix:$D/lmtp"
	pf_send one@b.test refuse@b.test two@b.test <"$D/M"
	pf_logged 2 "relay=mx.example.com\[$D/lmtp\], .*dsn=2.0.0, status=sent"
	pf_logged 1 "to=<refuse@b.test>, .*dsn=5.6.0, status=bounced .*\(in reply to end of data command\)"
	pf_empty
	took_mail 1 'one@b.test two@b.test'
	pf_kept_is 1
	pf_calm
}

@test "content: lines of every length, bytes of every kind, arrive as they were" {
	relay_start 'line_length_limit = 2048'
	pf_logs 0 status=
	python3 - "$D" <<-'EOP'
	import sys
	d = sys.argv[1]
	head = b'Subject: x\r\nMessage-Id: <a@b>\r\nFrom: a@x.test\r\nDate: Sat, 21 Nov 2026 20:00:00 +0000\r\n\r\n'
	cases = [b''.join(b'%d' % (n % 10) * n + b'\r\n' for n in (2047, 2048, 2049, 4096, 5000, 0, 1)),
	    b'x' * 70000 + b'\r\n', b'', b'.\r\n..\r\n.a\r\n', bytes(range(128, 256)) + b'\r\n',
	    b'nul \0 here\r\n', b'\r\n\r\n\r\n', b'0123456789abcde\r\n' * 3000,
	    b'l' * 10000000 + b'\r\nend\r\n', b'%070d\r\n' % 7 * 30000,
	    b'.%069d\r\n' % 7 * 30000]
	for i, c in enumerate(cases):
	    open('%s/c%d' % (d, i), 'wb').write(head + c)
	EOP
	for i in {0..10}; do
		pf_send "b@b.test" <"$D/c$i"
		WAIT=60 pf_empty
		tail -c "$(wc -c <"$D/c$i")" "$D/got/$((i + 1))" >"$D/tail"
		cmp "$D/tail" "$D/c$i" || { echo "case $i"; false; }
	done
	pf_logged 11 status=sent
	pf_calm
}

@test "a message of 25 MB takes no memory for itself" {
	relay_start
	pf_send b@b.test <"$D/M"
	pf_empty
	agent=$(pf_agent out)
	before=$(awk '/VmHWM/ { print $2 }' "/proc/$agent/status")
	python3 -c 'import sys
sys.stdout.buffer.write(b"Subject: x\r\n\r\n" +
    b"".join(b"%070d\r\n" % i for i in range(360000)))' >"$D/big"
	pf_send b@b.test <"$D/big"
	WAIT=60 pf_empty
	pf_logged 2 status=sent
	after=$(awk '/VmHWM/ { print $2 }' "/proc/$agent/status")
	is_instrumented || [[ $((after - before)) -lt 8000 ]]
	tail -c 1000 "$D/got/2" | cmp - <(tail -c 1000 "$D/big")
}

@test "a message that a milter has edited, and the recipient it has added" {
	local edits

	edits=$(nh_free_port)
	nh_spawn python3 "$NH_ROOT/t/lib/milter.py" "$edits" 2>>"$D/err.milter"
	nh_until 10 nh_listens "$edits"
	relay_start "smtpd_milters = inet:127.0.0.1:$edits"
	printf 'Subject: old\r\nFrom: a@x.test\r\n\r\nold body\r\n' |
		pf_send b@b.test
	pf_logged 2 'to=<(b|added)@b.test>.*status=sent'
	pf_empty
	took_mail 1 'added@b.test b@b.test'
	[[ $(head -n 1 "$D/got/1") == $'X-First: one\r' ]]
	[[ $(grep -c '^Subject: changed' "$D/got/1") -eq 1 ]]
	[[ $(grep -c '^X-Last: two' "$D/got/1") -eq 1 ]]
	[[ $(grep -c '^new body' "$D/got/1") -eq 2000 ]]
	run ! grep old "$D/got/1"
	pf_calm
}

@test "hashed queues, long and short ids" {
	local depth long n=0

	PF_SERVICES=("$(agent_line hole blackhole)")
	for depth in 1 2; do
		for long in no yes; do
			pf_start 'default_transport = hole:' \
				'hash_queue_names = active, deferred' \
				"hash_queue_depth = $depth" \
				"enable_long_queue_ids = $long"
			pf_send b@b.test c@c.test <"$D/M"
			pf_logged $((n += 2)) status=sent
			pf_empty
			pf_down
			nh_until 15 pf_none_left
		done
	done
	pf_calm
}

# ---- deferred, bounced ----

@test "four recipients, three outcomes: marks, one bounce, and a second try" {
	relay_start 'minimal_backoff_time = 1s' 'maximal_backoff_time = 1s'
	pf_send ok1@b.test defer@b.test bounce@b.test ok2@b.test <"$D/M"
	pf_logged 2 'to=<ok.@b.test>.*status=sent'
	pf_logged 1 "to=<defer@b.test>, relay=127.0.0.1\[127.0.0.1\]:$port, .*dsn=4.2.1, status=deferred \(host 127.0.0.1\[127.0.0.1\] said: 450 4.2.1 mailbox is busy \(in reply to RCPT TO command\)\)"
	pf_logged 1 'to=<bounce@b.test>.*dsn=5.1.1, status=bounced'
	pf_kept_is 1
	pf_kept | grep -F 'Diagnostic-Code: smtp; 550 5.1.1 no such user'
	pf_kept | grep -F 'Remote-MTA: dns; 127.0.0.1'
	pf_kept | grep -F 'Final-Recipient: rfc822; bounce@b.test'
	nh_until 10 eval '[[ -n $(pf_files deferred) ]]'
	postqueue -c "$PF" -p | grep -F '450 4.2.1 mailbox is busy'
	[[ $(marks deferred) == 'Dbounce Rdefer Dok1 Dok2' ]]
	grep -rq 'status=4.2.1' "$Q/defer"
	sleep 1.2
	postqueue -c "$PF" -f
	pf_logged 2 'to=<defer@b.test>'
	pf_logged 2 'to=<ok.@b.test>.*status=sent'
	took_mail 1
	pf_calm
}

@test "the null sender: a bounce makes no bounce" {
	relay_start
	pf_send --sender= bounce@b.test <"$D/M"
	pf_logged 1 status=bounced
	pf_empty
	kept_is 0
	pf_calm
}

@test "soft_bounce: everything that fails is tried again" {
	relay_start 'soft_bounce = yes'
	pf_send bounce@b.test <"$D/M"
	pf_logged 1 'dsn=4.1.1, status=SOFTBOUNCE'
	nh_until 10 pf_queue_is 1
	kept_is 0
	grep -rq 'status=4.1.1' "$Q/defer"
	pf_calm
}

@test "a remote that says nothing: our own time limit, then once more" {
	OPTIONS=(data_timeout=2s)
	relay_start
	pf_send hang@b.test <"$D/M"
	pf_logged 1 'dsn=4.4.2, status=deferred \(conversation with .* timed out after end of data; message may have been delivered'
	nh_until 10 pf_queue_is 1
	pf_calm
}

# ---- a destination that is down ----

@test "a host that refuses connections suspends its destination, and recovers" {
	port=$(nh_free_port)
	HOST=none relay_start 'minimal_backoff_time = 2s' \
		'maximal_backoff_time = 2s' 'queue_run_delay = 2s'
	pf_bulk 50 b@b.test
	WAIT=30
	nh_until 30 pf_logs_least 1 'dsn=4.4.1, status=deferred \(delivery temporarily suspended: connect to 127.0.0.1\[127.0.0.1\]:'
	[[ $(grep -c 'relay=none.*status=deferred (connect to' "$PFLOG") -lt 40 ]]
	HOST=
	host_start
	WAIT=60 pf_empty
	took_mail 50
}

@test "one bad recipient suspends nobody" {
	relay_start
	for _ in {1..12}; do
		pf_send defer@b.test <"$D/M"
	done
	pf_logged 12 'to=<defer@b.test>.*said: 450'
	pf_logged 0 'suspended'
	pf_send ok@b.test <"$D/M"
	pf_logged 1 status=sent
	pf_calm
}

# ---- reports ----

@test "NOTIFY=SUCCESS: relayed by a host without DSN, reported by Postfix" {
	relay_start
	pf_send --mail='RET=HDRS ENVID=env+2B1' --rcpt='NOTIFY=SUCCESS' \
		b@b.test <"$D/M"
	pf_kept_is 1
	pf_kept | grep -F 'Action: relayed'
	pf_kept | grep -F 'Original-Envelope-Id: env+1'
	pf_kept | grep -F 'delivery via 127.0.0.1[127.0.0.1]:'
	pf_empty
	pf_calm
}

@test "NOTIFY=SUCCESS: handed to a host with DSN, which will tell" {
	host_start --offer='PIPELINING DSN ENHANCEDSTATUSCODES'
	relay_start
	pf_send --mail='RET=HDRS ENVID=env+2B1' --rcpt='NOTIFY=SUCCESS' \
		b@b.test <"$D/M"
	pf_logged 1 status=sent
	pf_empty
	kept_is 0
	grep -F 'RET=HDRS ENVID=env+2B1' "$D/got.log"
	grep -F 'RCPT TO:<b@b.test> NOTIFY=SUCCESS ORCPT=rfc822;b@b.test' "$D/got.log"
	pf_calm
}

@test "NOTIFY=NEVER: no bounce; RET=HDRS: no body in a bounce" {
	relay_start
	pf_send --rcpt=NOTIFY=NEVER bounce1@b.test <"$D/M"
	pf_logged 1 status=bounced
	pf_empty
	kept_is 0
	pf_send --mail=RET=HDRS bounce2@b.test <"$D/M"
	pf_kept_is 1
	pf_kept | grep -F 'text/rfc822-headers'
	pf_empty
	pf_calm
}

@test "sendmail -bv asks and delivers nothing; sendmail -v delivers and reports" {
	relay_start
	sendmail -C "$PF" -f a@sender.test -bv good@b.test bounce@b.test
	pf_logged 1 'to=<good@b.test>.*dsn=2.1.5, status=deliverable \(250 2.1.5 recipient\)'
	pf_logged 1 'to=<bounce@b.test>.*dsn=5.1.1, status=undeliverable'
	pf_kept_is 1
	pf_kept | grep -F 'Action: deliverable'
	pf_empty
	took_mail 0
	sendmail -C "$PF" -f a@sender.test -v good@b.test <"$D/M"
	pf_logged 1 'to=<good@b.test>.*status=sent'
	pf_kept_is 2
	pf_empty
	took_mail 1
	pf_calm
}

@test "probes of smtpd: verify(8) is told, nothing is delivered" {
	relay_start \
		'smtpd_recipient_restrictions = reject_unverified_recipient' \
		'unverified_recipient_reject_code = 550' \
		'address_verify_sender = probe@sender.test'
	pf_send good@b.test <"$D/M"
	run ! pf_send bounce@b.test <"$D/M"
	[[ $output == *'550 5.1.1'* ]]
	pf_logged 1 'to=<good@b.test>.*status=deliverable'
	pf_logged 1 'to=<bounce@b.test>.*status=undeliverable'
	pf_logged 1 'status=sent'
	took_mail 1
	pf_empty
}

@test "blackhole: a probe is answered without the agent" {
	PF_SERVICES=("$(agent_line hole blackhole)")
	pf_start 'default_transport = hole:'
	sendmail -C "$PF" -f a@sender.test -bv good@b.test
	pf_logged 1 'to=<good@b.test>, relay=none, .*dsn=2.0.0, status=deliverable \(hole takes mail for any address\)'
	pf_kept_is 1
	pf_empty
	pf_calm
}

@test "8-bit addresses, quoted local parts, and what SMTPUTF8 asks for" {
	relay_start 'smtputf8_enable = yes'
	pf_send --mail=SMTPUTF8 'jörg@b.test' <"$D/M"
	pf_logged 1 'to=<jörg@b.test>.*status=sent'
	pf_send '"a b"@b.test' <"$D/M"
	pf_logged 1 'to=<"a b"@b.test>.*status=sent'
	grep -E '^MAIL FROM:<a@sender.test>.* SMTPUTF8' "$D/got.log"
	grep -F 'RCPT TO:<"a b"@b.test>' "$D/got.log"
	pf_empty
	pf_calm
}

# A /dev of its own, whose log is ours, in this mount namespace.
own_dev()
{
	local x

	mkdir "$D/dev"
	mount -t tmpfs dev "$D/dev"
	for x in null zero random urandom; do
		touch "$D/dev/$x"
		mount --bind "/dev/$x" "$D/dev/$x"
	done
	ln -s "$D/syslog.sock" "$D/dev/log"
	mount --rbind "$D/dev" /dev
}

@test "without maillog_file the lines go to syslog, also from a chroot" {
	# Once more in a namespace of its own, which takes the mounts with it.
	if [[ -z ${OWN_DEV:-} ]]; then
		OWN_DEV=1 run unshare -m --propagation private bats \
			-f "$BATS_TEST_DESCRIPTION" "$BATS_TEST_FILENAME"
		[[ $status -eq 0 ]] || { echo "$output"; return 1; }
		return 0
	fi
	is_instrumented && export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0
	PF_SERVICES=("$(agent_line hole blackhole syslog_name=other syslog_facility=local3)"
	    "jail unix - - y - 1 $AGENTS/blackhole")
	nh_spawn python3 -c 'import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
f = open(sys.argv[2], "ab", buffering=0)
while True:
    f.write(s.recv(9000) + b"\n")' "$D/syslog.sock" "$D/syslog" 2>>"$D/err.syslog"
	nh_until 10 test -S "$D/syslog.sock"
	own_dev
	pf_start 'default_transport = hole:' 'maillog_file =' \
		'transport_maps = inline:{j.test=jail:}'
	pf_send b@b.test b@j.test <"$D/M"
	nh_until 20 grep -E '^<158>.*other/blackhole\[[0-9]+\]: [0-9A-F]+: to=<b@b.test>.*status=sent' "$D/syslog"
	nh_until 20 grep -E '^<22>.*postfix/blackhole\[[0-9]+\]: [0-9A-F]+: to=<b@j.test>.*status=sent' "$D/syslog"
	pf_down
	nh_until 15 pf_none_left
	umount -R /dev
	umount -R "$D/dev"
}

@test "pflogsumm counts what we log" {
	relay_start
	pf_send ok1@b.test ok2@b.test defer@b.test bounce@b.test <"$D/M"
	pf_logged 2 'to=<ok.@b.test>.*status=sent'
	pf_logged 1 status=deferred
	pf_logged 1 status=bounced
	pflogsumm "$PFLOG" >"$D/sum"
	grep -E '^ +[23] +delivered' "$D/sum"	# and the bounce, by keep
	grep -E '^ +1 +deferred' "$D/sum"
	grep -E '^ +1 +bounced' "$D/sum"
	grep -E 'b.test' "$D/sum"
}
