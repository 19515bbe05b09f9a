#!/usr/bin/env bats
# smtp-static with OpenSMTPD, which offers neither PIPELINING nor CHUNKING, and
# whose TLS is broken: delivery to a Maildir, what it refuses.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/certs
load lib/peers

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
}

teardown()
{
	nh_teardown
}

# mails NAME: the messages it has.
mails()
{
	find "$D/mail/$1/Maildir/new" -type f 2>/dev/null
}

mails_are()
{
	[[ $(mails "$1" | wc -l) -eq $2 ]]
}

# stored NAME FILE: its one message ends with the lines of FILE.
stored()
{
	nh_until 5 mails_are "$1" 1
	sed -n '/^From: s@x.test/,$p' "$(mails "$1")" >"$D/got"
	tr -d '\r' <"$2" | cmp - "$D/got"
}

bytes_kept()
{
	for MSG in "$D"/C.*; do
		find "$D/mail" -type f -delete
		give 0 host="127.0.0.1:$port" "$@" -- s@x.test alice@example.com
		row 1 alice@example.com delivered 250 2.0.0 \
			'* Message accepted for delivery'
		stored alice "$MSG"
	done
}

@test "R-ST-01, R-CT-01: the octets of the message are in the Maildir" {
	opensmtpd_start
	messages
	both bytes_kept tls_mode=none
	grep -qE '^Received: from client.test ' "$(mails alice)"
	peer_logged 0 'io-error: error:' log.peer
}

in_clear()
{
	find "$D/mail" -type f -delete
	give 0 host="127.0.0.1:$port" --count=3 --gap=0.1 -- s@x.test \
		alice@example.com
	rows 3
	nh_until 5 mails_are alice 3
}

@test "R-TL-09: its TLS is broken: in clear, after one attempt" {
	opensmtpd_start
	both in_clear
	peer_logged 2 'disconnected reason="io-error: error:' log.peer
	peer_logged 2 'disconnected reason=quit' log.peer
}

@test "R-TL-08: its TLS is broken, and required: nothing is sent" {
	opensmtpd_start
	VIA=agent give 75 host="127.0.0.1:$port" tls_mode=require -- s@x.test \
		alice@example.com
	row 1 alice@example.com transient 451 4.7.5 'TLS handshake with * failed: *'
	peer_logged 1 'disconnected reason="io-error: error:' log.peer
	peer_logged 0 'smtp message' log.peer
}

each_its_own()
{
	find "$D/mail" -type f -delete
	give 69 host="127.0.0.1:$port" tls_mode=none \
		concurrent_connections=1 --count=2 -- s@x.test \
		nobody@example.com alice@example.com a@x.test bob@example.com
	rows 8
	for i in 1 5; do
		row $i nobody@example.com permanent 550 5.0.0 'Invalid recipient: *'
		row $((i + 1)) alice@example.com delivered 250 2.0.0
		row $((i + 2)) a@x.test permanent 550 5.0.0 'Invalid recipient: *'
		row $((i + 3)) bob@example.com delivered 250 2.0.0
	done
	nh_until 5 mails_are alice 2
	nh_until 5 mails_are bob 2
}

@test "R-ST-08, R-ST-19: unknown users and relaying refused, over one connection" {
	opensmtpd_start
	both each_its_own
	peer_logged 2 'smtp disconnected reason=quit' log.peer
}

all_refused()
{
	give 69 host="127.0.0.1:$port" tls_mode=none \
		concurrent_connections=1 --count=3 -- s@x.test \
		nobody@example.com a@x.test
	rows 6
	[[ $(cut -f 2-4 "$D/rows" | uniq) == $'permanent\t550\t5.0.0' ]]
}

@test "R-ST-09: all refused, message after message" {
	opensmtpd_start
	both all_refused
	peer_logged 2 'smtp disconnected reason=quit' log.peer
}

@test "R-CT-07: a message larger than SIZE is not sent" {
	opensmtpd_start 'smtp max-message-size 2K'
	messages
	VIA=agent
	MSG=$D/C.large give 69 host="127.0.0.1:$port" -- s@x.test \
		alice@example.com
	row 1 alice@example.com permanent 552 5.3.4 '*exceeds size limit 2048*'
}
