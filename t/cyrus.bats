#!/usr/bin/env bats
# lmtp with Cyrus' lmtpd: TCP and UNIX socket, mailboxes that are not there or
# full, and that the messages it stores are those that were sent.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/peers

setup()
{
	TYPE=lmtp
	nh_setup
	messages
	# More than a mailbox may have together, and alone.
	{
		cat "$D/M"
		head -c 15000 /dev/zero | tr '\0' 'x' | fold -w 70 |
			sed 's/$/\r/'
	} >"$D/HALF"
}

teardown()
{
	nh_teardown
}

SUCCESS='Success SESSIONID=*'

# mails FILE: the stored messages that hold the lines of FILE, as they are.
mails()
{
	local mail n=0

	sed 's/\r*$/\r/' "$1" >"$D/want"
	while read -r mail; do
		sed -n '/^From: s@x.test/,$p' "$mail" | cmp -s - "$D/want" &&
			n=$((n + 1))
	done < <(find "$D/cyrus/mail" -name '[0-9]*.')
	echo "$n"
}

deliver()
{
	local before

	for MSG in "$D"/C.*; do
		before=$(mails "$MSG")
		give 0 "$@" -- s@x.test alice@example.com
		row 1 alice@example.com delivered 250 2.1.5 "$SUCCESS"
		[[ $(mails "$MSG") -gt $before ]]
	done
}

@test "R-LM-01, R-LM-05: the octets of the message are stored, over TCP and UNIX sockets" {
	quota_kb=1000 cyrus_start
	both deliver host="127.0.0.1:$port"
	both deliver host="unix:$D/cyrus/lmtp/socket"
}

per_recipient()
{
	give 69 "$@" -- s@x.test bob nobody@example.com alice@example.com
	rows 3
	row 1 bob delivered 250 2.1.5 "$SUCCESS"
	row 2 nobody@example.com permanent 550 5.1.1 'Mailbox unknown.*User unknown'
	row 3 alice@example.com delivered 250 2.1.5 "$SUCCESS"
}

@test "R-LM-02: a mailbox that is not there: permanent, the others get it" {
	cyrus_start
	both per_recipient host="127.0.0.1:$port"
	both per_recipient host="unix:$D/cyrus/lmtp/socket"
	[[ $(mails M) -eq 8 ]]
	give 69 host="127.0.0.1:$port" --count=3 -- s@x.test nobody no@x.test
	rows 6
	[[ $(cut -f 2-4 rows | uniq) == $'permanent\t550\t5.1.1' ]]
}

full()
{
	give "$1" host="127.0.0.1:$port" -- s@x.test alice@example.com \
		nobody@example.com bob@example.com
	row 1 alice@example.com "${@:2}"
	row 2 nobody@example.com permanent 550 5.1.1
	row 3 bob@example.com delivered 250 2.1.5 "$SUCCESS"
}

@test "R-LM-02: full, told at RCPT: transient, the others get it" {
	children=1 cyrus_start
	VIA=agent
	for _ in 1 2; do
		MSG=$D/HALF give 0 host="127.0.0.1:$port" -- s@x.test alice
	done
	both full 75 transient 452 4.2.2 '*Over quota*'
	[[ $(cut -f 9 rows | paste -sd,) == 'RCPT TO,RCPT TO,end of data' ]]
}

@test "R-LM-02: full, permanent if the server says so" {
	children=1 cyrus_start 'lmtp_over_quota_perm_failure: yes'
	VIA=agent
	for _ in 1 2; do
		MSG=$D/HALF give 0 host="127.0.0.1:$port" -- s@x.test alice
	done
	both full 69 permanent 552 5.2.2 '*Over quota*'
}

reused()
{
	give 69 concurrent_connections=1 "$@" --count=4 -- s@x.test bob nobody alice
	rows 12
	[[ $(cut -f 1-3,10 "$D/rows") == $(for i in 1 2 3 4; do
		printf '%s\t%s\n' bob $'delivered\t250\t'"$i" \
			nobody $'permanent\t550\t'"$i" \
			alice $'delivered\t250\t'"$i"
	done) ]]
}

@test "R-LM-08: one connection for several messages" {
	cyrus_start
	both reused host="127.0.0.1:$port" --trace
	[[ $(grep -c -- '-- connected' log.agent) -eq 1 ]]
	both reused host="unix:$D/cyrus/lmtp/socket"
	[[ $(mails M) -eq 32 ]]
}

@test "R-LM-08: side by side; equal recipients get it once" {
	quota_kb=1000 cyrus_start
	# Cyrus makes a mailbox at its first delivery, but not twenty at once.
	VIA=agent give 0 host="127.0.0.1:$port" -- s@x.test bob
	VIA=agent give 0 host="127.0.0.1:$port" --count=20 --parallel=20 -- \
		s@x.test bob bob
	rows 40
	[[ $(cut -f 2,3 rows | uniq) == $'delivered\t250' ]]
	[[ $(mails M) -eq 21 ]]
}
