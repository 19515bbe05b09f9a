#!/usr/bin/env bats
# Agents as services of a real Postfix: start, and what is not as it should be:
# queue files, services, requests, limits.
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

# ---- start ----

@test "the process: mail_owner's rights, the queue as its folder, no foreign descriptors" {
	PF_SERVICES=("$(agent_line hole blackhole)")
	pf_start 'default_transport = hole:'
	pf_send b@b.test <"$D/M"
	pf_empty
	agent=$(pf_agent hole)
	[[ $(stat -c %U "/proc/$agent") == postfix ]]
	[[ $(readlink "/proc/$agent/cwd") == "$Q" ]]
	grep -qE '^CapEff:\s+0000000000000000$' "/proc/$agent/status"
	[[ $(find "/proc/$agent/fd" -type l | wc -l) -le 16 ]]
	[[ $(find "/proc/$(pf_front hole)/fd" -type l | wc -l) -le 5 ]]
}

@test "chroot, root, several spellings of options, braces, -v -v" {
	PF_SERVICES=(
	    "jail unix - - y - 1 $AGENTS/blackhole"
	    "root unix - n n - 1 $AGENTS/blackhole -v -v window=50"
	    "args unix - - n - 1 $AGENTS/blackhole -o { delay = 10ms } --window=20 -o soft_bounce=yes"
	)
	# Without /proc the leak checker cannot end.
	is_instrumented && export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0
	pf_start 'transport_maps = inline:{a.test=jail:, b.test=root:, c.test=args:}'
	pf_send x@a.test x@b.test x@c.test <"$D/M"
	pf_logged 3 status=sent
	pf_empty
	[[ $(readlink "/proc/$(pf_agent jail)/root") == "$Q" ]]
	[[ $(stat -c %U "/proc/$(pf_agent jail)") == postfix ]]
	[[ $(stat -c %U "/proc/$(pf_agent root)") == root ]]
	pf_calm
}

@test "options that are wrong: the log says which, the mail stays" {
	PF_SERVICES=("$(agent_line hole blackhole delay=never windw=3)")
	pf_start 'default_transport = hole:'
	pf_send b@b.test <"$D/M"
	pf_logged 1 'blackhole\[[0-9]+\]: error: master.cf: delay: "never"'
	pf_logged 1 'warning: process .*blackhole pid [0-9]+ exit status 78'
	[[ $(pf_queue) -eq 1 ]]
	PF_SERVICES=("$(agent_line hole blackhole windw=3)")
	pf_down
	nh_until 15 pf_none_left
	pf_conf 'default_transport = hole:'
	pf_up
	pf_logged 1 'error: master.cf: windw: unknown option.*window'
}

@test "a Postfix that is not known is refused, or tried when asked" {
	printf '#!/bin/sh\n/usr/sbin/postconf "$@" | sed "s/^mail_version = .*/mail_version = 4.1.2/"\n' >"$D/postconf"
	chmod 755 "$D/postconf"
	PF_SERVICES=("$(agent_line hole blackhole "postconf=$D/postconf")"
	    "$(agent_line try blackhole "postconf=$D/postconf" assume_postfix=3.12)")
	pf_start 'default_transport = hole:' \
		'transport_maps = inline:{t.test=try:}'
	pf_send b@b.test <"$D/M"
	pf_send b@t.test <"$D/M"
	pf_logged 1 'error: Postfix 4.1.2 is not known to nexthop'
	pf_logged 1 'to=<b@t.test>.*status=sent'
	[[ $(pf_queue) -eq 1 ]]
}

@test "the next hop of transport(5), and none in master.cf" {
	host_start
	PF_SERVICES=("$(agent_line out smtp-static ehlo_as=client.test)")
	free=$(nh_free_port)
	pf_start "transport_maps = inline:{a.test=out:[127.0.0.1]:$port, {b.test=out:[127.0.0.1]:$free,[127.0.0.1]:$port}, c.test=out:}"
	pf_send x@a.test <"$D/M"
	pf_send x@b.test <"$D/M"
	pf_logged 2 "relay=127.0.0.1\[127.0.0.1\]:$port, .*status=sent"
	took_mail 2
	pf_send x@c.test <"$D/M"
	pf_logged 1 'to=<x@c.test>, relay=none, .*status=deferred \((host|connect to) c.test'
}

@test "a relay of nexthop.conf, with options of master.cf before its own" {
	host_start
	cat >"$D/n.conf" <<-EOC
	[relay far]
	type = static
	host = 127.0.0.1:$port
	ehlo_as = far.test
	processes = 3
	EOC
	PF_SERVICES=("$(agent_line far smtp-static "config=$D/n.conf" relay=far)"
	    "$(agent_line near smtp-static "config=$D/n.conf" relay=far ehlo_as=near.test)"
	    "$(agent_line no smtp-static "config=$D/n.conf" relay=fra)")
	pf_start 'transport_maps = inline:{a.test=far:, b.test=near:, c.test=no:}'
	pf_send x@a.test <"$D/M"
	pf_logged 1 'to=<x@a.test>.*status=sent'
	pf_send x@b.test <"$D/M"
	pf_logged 1 'to=<x@b.test>.*status=sent'
	[[ $(grep -c 'EHLO far.test' "$D/got.log") -eq 1 ]]
	[[ $(grep -c 'EHLO near.test' "$D/got.log") -eq 1 ]]
	pf_send x@c.test <"$D/M"
	pf_logged 1 "error: $D/n.conf:0: no \[relay fra\]"
}

@test "inherit: what Postfix knows becomes options, the rest is named" {
	host_start
	PF_SERVICES=("$(agent_line out smtp-static "host=127.0.0.1:$port" inherit=yes)")
	pf_start 'default_transport = out:' 'smtp_bind_address = 127.0.0.9' \
		'smtp_data_done_timeout = 2s' 'smtp_data_xfer_timeout = 1s' \
		'smtp_generic_maps = inline:{a=b}'
	pf_send hang@b.test <"$D/M"
	pf_logged 1 'warning: inherit: set in main.cf, but not for this agent:.* smtp_generic_maps'
	pf_logged 1 'status=deferred \(conversation with .* timed out after end of data'
	grep 'EHLO mx.example.com' "$D/got.log"
}

# ---- requests ----

@test "requests in any pieces, and such as cannot be" {
	local what id

	PF_SERVICES=("$(agent_line hole blackhole)" "$(agent_line slow blackhole delay=60s)")
	pf_start 'default_transport = slow:' 'transport_maps = inline:{t.test=hole:}'
	pf_send b@t.test <"$D/M"
	pf_logged 1 status=sent
	ask() { python3 "$NH_ROOT/t/lib/qmgr.py" "$Q/private/hole" "$@"; }
	for what in early silent half; do
		ask "$what"
	done
	for what in missing extra reordered badtime badid; do
		run ask "$what"
		[[ $output == *'reply status||'*'|reason||status|4294967295||' ]]
	done
	pf_logged 5 'error: a delivery request that nexthop does not understand'
	run ask whole
	[[ $output == *'hello protocol|delivery_request_protocol||'* ]]
	[[ $output == *'|status|4294967295||' ]]	# no such message
	pf_logged 1 'the message is gone'
	# A message in the queue, held by a delivery that does not end.
	pf_send b@b.test <"$D/M"
	nh_until 10 eval '[[ -n $(pf_files active) ]]'
	id=$(ls "$Q/active")
	cp -p "$Q/active/$id" "$Q/active/ABCDEF0123"
	read -r at rcpt < <(python3 - "$Q/active/$id" <<-'EOP'
	import re, sys
	d = open(sys.argv[1], 'rb').read()
	print(int(d[2:100].split()[1]), re.search(rb'R.b@b\.test', d, re.S).start())
	EOP
	)
	for what in unmarked whole bytes; do
		run ask "$what" ABCDEF0123 "$at" "$rcpt"
		[[ $output == *'reply status||'*'|reason||status|0||' ]]
		mark=$(dd if="$Q/active/ABCDEF0123" bs=1 skip="$rcpt" count=1 2>/dev/null)
		[[ $what == unmarked && $mark == R || $what != unmarked && $mark == D ]]
	done
	rm "$Q/active/ABCDEF0123"
	pf_agent hole
}

@test "a damaged queue file is put aside, and nothing of it is sent" {
	local id f

	host_start
	PF_SERVICES=("$(agent_line out smtp-static "host=127.0.0.1:$port" ehlo_as=c.test)")
	pf_start 'default_transport = out:' 'defer_transports = out'
	pf_send b@b.test <"$D/M"
	nh_until 10 eval '[[ -n $(pf_files deferred) ]]'
	f=$(pf_files deferred)
	id=${f##*/}
	python3 - "$f" <<-'EOP'
	import sys
	d = bytearray(open(sys.argv[1], 'rb').read())
	i = d.rindex(b'test')
	d[i - 2] = ord('Z')		# the record of the last line
	open(sys.argv[1], 'r+b').write(d)
	EOP
	postconf -c "$PF" -e 'defer_transports ='
	postfix -c "$PF" reload 2>/dev/null
	postqueue -c "$PF" -f
	pf_logged 1 "error: $id: the queue file is damaged at offset [0-9]+"
	nh_until 15 test -e "$Q/corrupt/$id"
	took_mail 0
}

# ---- services ----

@test "bounce, defer, trace and verify are away: nothing is lost" {
	pf_relay_start 'minimal_backoff_time = 1s' 'maximal_backoff_time = 1s' 'queue_run_delay = 2s'
	mv "$Q/private/bounce" "$Q/private/bounce.off"
	pf_send bounce@b.test <"$D/M"
	nh_until 20 pf_logs_least 1 'dsn=4.3.0, status=deferred \(.*no such user.*; bounce or trace service failure\)'
	[[ $(pf_queue) -ge 1 ]]
	mv "$Q/private/trace" "$Q/private/trace.off"
	pf_send --rcpt=NOTIFY=SUCCESS ok@b.test <"$D/M"
	nh_until 20 pf_logs_least 1 'to=<ok@b.test>.*dsn=4.3.0, status=deferred \(.*; trace service failed\)'
	mv "$Q/private/defer" "$Q/private/defer.off"
	pf_send defer@b.test <"$D/M"
	nh_until 20 pf_logs_least 1 'to=<defer@b.test>.*dsn=4.2.1, status=deferred'
	nh_until 20 pf_logs_least 1 'smtp-static.*warning: private/(bounce|defer|trace): No such file'
	for s in bounce trace defer; do
		mv "$Q/private/$s.off" "$Q/private/$s"
	done
	WAIT=40
	pf_logged 1 'to=<bounce@b.test>.*status=bounced'
	nh_until 40 pf_logs_least 1 'to=<ok@b.test>.*status=sent'
	pf_kept_is 2
}

@test "500 deliveries that fail at once: each has its record" {
	pf_relay_start 'minimal_backoff_time = 1000s'
	python3 - "$inport" <<-'EOP'
	import smtplib, sys
	s = smtplib.SMTP('127.0.0.1', int(sys.argv[1]))
	for i in range(10):
	    s.sendmail('a@sender.test', ['defer%d@b.test' % (50 * i + k) for k in range(50)], 'Subject: x\r\n\r\nx\r\n')
	EOP
	WAIT=60 pf_logged 500 'status=deferred .*mailbox is busy'
	nh_until 20 pf_queue_is 10
	[[ $(grep -rch '^status=4.2.1' "$Q/defer" | awk '{ n += $1 } END { print n }') -eq 500 ]]
	pf_calm
}

@test "local(8) passes a recipient on: it is delivered, or local(8) hears" {
	pf_relay_start 'mydestination = l.test' 'fallback_transport = out:' \
		'local_transport = local'
	pf_send nobodyhere@l.test <"$D/M"
	pf_logged 1 'smtp-static.*to=<nobodyhere@l.test>.*status=sent'
	pf_send defer@l.test <"$D/M"
	pf_logged 1 'smtp-static.*to=<defer@l.test>.*status=deferred'
	nh_until 10 pf_queue_is 1
	took_mail 1
}
