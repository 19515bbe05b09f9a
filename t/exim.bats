#!/usr/bin/env bats
# smtp-static with Exim: CHUNKING, PIPELINING, STARTTLS, AUTH, SMTPUTF8, what
# it refuses, and that the messages it stores are those that were sent.
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
	CA=tls.ca_certs=$CERTS/ca.crt
}

teardown()
{
	nh_teardown
}

# stored NAME FILE: NAME has the octets of FILE, every line with CRLF.
stored()
{
	sed 's/\r*$/\r/' "$2" >"$D/want"
	nh_until 5 cmp "$D/want" "$D/mail/$1" || {
		cmp "$D/want" "$D/mail/$1"
		cat "$D/exim/mainlog"
		return 1
	}
}

bytes_kept()
{
	for MSG in "$D"/C.*; do
		rm -f "$D/mail/alice"
		give 0 host="127.0.0.1:$port" "$@" -- s@x.test alice@example.com
		row 1 alice@example.com delivered 250 2.0.0 '*OK id=*'
		stored alice "$MSG"
	done
}

@test "R-ST-01, R-CT-01, R-CT-06: the octets of the message are stored, by BDAT" {
	exim_start
	messages
	both bytes_kept "$CA"
	VIA=agent bytes_kept tls_mode=none
	exim_logged 15 ' <= s@x\.test .* K '
	exim_logged 10 ' <= s@x\.test .* P=esmtps L\.? X=TLS1\.3:.* K '
	exim_logged 5 ' <= s@x\.test .* P=esmtp L\.? K '
}

@test "R-ST-01, R-CT-01, R-CT-06: the octets of the message are stored, by DATA" {
	exim_start
	messages
	VIA=agent bytes_kept "$CA" chunking=no
	VIA=agent bytes_kept tls_mode=none chunking=no
	exim_logged 10 ' <= s@x\.test .* P=esmtps? L\.? '
	exim_logged 0 ' <= .* K '
}

@test "R-ST-04, R-ST-13: a server that offers neither CHUNKING nor PIPELINING" {
	exim_start 'chunking_advertise_hosts =' 'pipelining_advertise_hosts =' \
		'tls_advertise_hosts ='
	messages
	VIA=agent bytes_kept
	exim_logged 5 ' <= s@x\.test .* P=esmtp S='
}

each_its_own()
{
	rm -f "$D"/mail/*
	give 75 host="127.0.0.1:$port" "$@" -- s@x.test alice@example.com \
		nobody@example.com full@example.com bob@example.com a@x.test
	rows 5
	row 1 alice@example.com delivered 250 2.0.0 '*OK id=*'
	row 2 nobody@example.com permanent 550 5.0.0 'no such mailbox'
	row 3 full@example.com transient 452 4.2.2 'no room for full'
	row 4 bob@example.com delivered 250 2.0.0 '*OK id=*'
	row 5 a@x.test permanent 550 5.7.1 'no relaying'
	stored alice "$D/M"
	stored bob "$D/M"
}

@test "R-ST-08: some recipients refused: each its own answer, the others get it" {
	exim_start
	both each_its_own
	both each_its_own chunking=no
}

all_refused()
{
	give 75 host="127.0.0.1:$port" concurrent_connections=1 \
		--count=2 "$@" -- s@x.test \
		nobody@example.com full@example.com
	row 1 nobody@example.com permanent 550 5.0.0 'no such mailbox'
	row 2 full@example.com transient 452 4.2.2 'no room for full'
	row 3 nobody@example.com permanent 550 5.0.0 'no such mailbox'
	row 4 full@example.com transient 452 4.2.2 'no room for full'
	exim_logged 0 ' <= '
}

@test "R-ST-09: all refused, by BDAT and DATA: nothing is taken" {
	exim_start
	both all_refused
	both all_refused chunking=no
	# One connection for both messages of each.
	exim_logged 4 'SMTP connection from .*closed by QUIT'
}

disliked()
{
	MSG=$D/BAD give 69 host="127.0.0.1:$port" "$@" -- s@x.test \
		alice@example.com bob@example.com
	row 1 alice@example.com permanent 554 5.7.1 'we do not like this'
	row 2 bob@example.com permanent 554 5.7.1 'we do not like this'
	[[ $(cut -f 9 "$D/rows" | uniq) == 'end of data' ]]
}

@test "R-ST-10: the message refused at its end, by BDAT and DATA" {
	exim_start
	{ printf 'X-Bad: yes\r\n'; cat M; } >BAD
	both disliked
	both disliked chunking=no
	exim_logged 0 ' <= '
}

reused()
{
	rm -f "$D"/mail/*
	give 69 host="127.0.0.1:$port" concurrent_connections=1 \
		--count=3 "$@" -- s@x.test \
		nobody@example.com alice@example.com
	rows 6
	[[ $(cut -f 1-3,10 "$D/rows") == $(for i in 1 2 3; do
		printf '%s\t%s\n' nobody@example.com $'permanent\t550\t'"$i" \
			alice@example.com $'delivered\t250\t'"$i"
	done) ]]
	cat "$D/M" "$D/M" "$D/M" >"$D/MMM"
	stored alice "$D/MMM"
}

@test "R-ST-19: one connection for several messages" {
	exim_start
	both reused
	both reused chunking=no
	exim_logged 4 'SMTP connection from .*closed by QUIT'
}

@test "R-CT-08: SMTPUTF8, offered and not offered" {
	exim_start 'smtputf8_advertise_hosts = *'
	for VIA in agent master; do
		rm -f mail/*
		give 0 host="127.0.0.1:$port" -- s@x.test büro@example.com
		stored büro M
	done
	exim_logged 2 ' <= s@x\.test .* P=utf8esmtps '
}

@test "R-CT-08: SMTPUTF8, not offered: the others get it" {
	exim_start 'smtputf8_advertise_hosts ='
	VIA=agent give 69 host="127.0.0.1:$port" -- s@x.test \
		büro@example.com bob@example.com
	row 1 büro@example.com permanent 553 5.6.7 '*SMTPUTF8*'
	row 2 bob@example.com delivered 250 2.0.0
	stored bob M
}

@test "R-CT-06: no 8BITMIME: converted, and the same when decoded" {
	exim_start 'accept_8bitmime = no'
	printf '%s\r\n' 'From: s@x.test' 'MIME-Version: 1.0' \
		'Content-Type: text/plain; charset=utf-8' \
		'Content-Transfer-Encoding: 8bit' '' 'grün = .' '.' >M8
	MSG=$D/M8 VIA=agent give 0 host="127.0.0.1:$port" -- s@x.test \
		alice@example.com
	nh_until 5 test -s mail/alice
	run -1 env LC_ALL=C grep -q $'[\x80-\xff]' mail/alice
	python3 -c 'import email, sys
m = email.message_from_binary_file(open(sys.argv[1], "rb"))
sys.stdout.buffer.write(m.get_payload(decode=True))' mail/alice |
		tr -d '\r' | cmp - <(printf 'grün = .\n.\n')
}

@test "R-CT-07: a message larger than SIZE is not sent" {
	exim_start 'message_size_limit = 2K'
	messages
	MSG=$D/C.large VIA=agent give 69 host="127.0.0.1:$port" -- s@x.test \
		alice@example.com
	row 1 alice@example.com permanent 552 5.3.4 '*exceeds size limit 2048*'
	exim_logged 0 ' <= '
}

account()
{
	give "$1" host="127.0.0.1:$port" "$CA" credentials.username=alice \
		credentials.password="${PASSWORD-sesame, open}" "${@:2}" -- \
		s@x.test r@x.test
}

@test "R-AU-01: PLAIN, LOGIN and CRAM-MD5; a wrong password" {
	local mechanism PASSWORD

	exim_start
	for mechanism in PLAIN LOGIN CRAM-MD5; do
		PASSWORD='sesame, open'
		VIA=agent account 0 auth_mechanisms="$mechanism"
		PASSWORD=sesame
		VIA=agent account 75 auth_mechanisms="$mechanism"
		row 1 r@x.test transient 454 4.7.0 '*535 Incorrect authentication data'
	done
	exim_logged 1 ' <= s@x\.test .* A=plain:alice '
	exim_logged 1 ' <= s@x\.test .* A=login:alice '
	exim_logged 1 ' <= s@x\.test .* A=cram:alice '
	exim_logged 3 'authenticator failed .*535'
	unset PASSWORD
	VIA=master account 0
	VIA=agent account 75 tls_mode=none "tls.ca_certs="
	row 1 r@x.test transient 454 4.7.0 '*'
}

@test "R-TL-08: TLS required, and not offered" {
	exim_start 'tls_advertise_hosts ='
	VIA=agent give 75 host="127.0.0.1:$port" tls_mode=require -- s@x.test \
		alice@example.com
	row 1 alice@example.com transient 451 4.7.4 '*was not offered by*'
	exim_logged 0 ' <= '
}
