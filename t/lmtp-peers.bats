#!/usr/bin/env bats
# lmtp with Dovecot's LMTP server: TCP and UNIX socket, users that are not
# there, a mailbox that is full, and what lies in the mailboxes afterwards.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/dovecot

setup()
{
	TYPE=lmtp
	nh_setup
	# Longer than alice may have.
	{
		cat "$D/M"
		head -c 30000 /dev/zero | tr '\0' 'x' | fold -w 70
	} >"$D/BIG"
}

teardown()
{
	nh_teardown
}

SAVED='<*@example.com> * Saved'

deliver()
{
	rm -rf "${D:?}"/home/*
	give 0 "$@" -- s@x.test alice@example.com
	rows 1
	row 1 alice@example.com delivered 250 2.0.0 "$SAVED"
	mails_are alice 1
	mails_are bob 0
	grep -qx 'Return-Path: <s@x.test>' "$(mails alice)"
	grep -qE '^Received: from client.test( |$)' "$(mails alice)"
}

@test "R-LM-01: delivery into a Maildir, over TCP" {
	dovecot_start
	both deliver host=127.0.0.1 port="$port"
	[[ $(cut -f 6-9 rows) == $'127.0.0.1\t127.0.0.1\t'$port$'\tend of data' ]]
	both deliver host=localhost port="$port" idle_timeout=0
	both deliver host="127.0.0.1:$port" chunking=no
}

@test "R-LM-01, R-LM-05: delivery over a UNIX socket" {
	dovecot_start
	both deliver host="unix:$D/lmtp"
	both deliver host="unix:$D/lmtp" chunking=no
}

per_recipient()
{
	rm -rf "${D:?}"/home/*
	MSG=$D/BIG give 69 "$@" -- s@x.test alice@example.com \
		nobody@example.com bob@example.com
	rows 3
	row 1 alice@example.com permanent 552 5.2.2 '*mailbox is over quota'
	row 2 nobody@example.com permanent 550 5.1.1 "<nobody@example.com> User doesn't exist: nobody@example.com"
	row 3 bob@example.com delivered 250 2.0.0 "$SAVED"
	[[ $(cut -f 9 "$D/rows" | paste -sd,) == 'end of data,RCPT TO,end of data' ]]
	mails_are alice 0
	mails_are bob 1
}

@test "R-LM-02: full, unknown and well: each its own answer" {
	dovecot_start
	both per_recipient host="127.0.0.1:$port"
	both per_recipient host="unix:$D/lmtp"
	both per_recipient host="127.0.0.1:$port" chunking=no
}

all_unknown()
{
	give 69 "$@" -- s@x.test no@example.com nobody@example.com
	row 1 no@example.com permanent 550 5.1.1 "*User doesn't exist*"
	row 2 nobody@example.com permanent 550 5.1.1 "*User doesn't exist*"
}

@test "R-LM-02: nobody of them is known" {
	dovecot_start
	both all_unknown host="127.0.0.1:$port"
	both all_unknown host="127.0.0.1:$port" chunking=no
	# Three messages to nobody, then one to somebody, over one connection.
	nh_conf <<<"[relay r]
	type = lmtp
	host = 127.0.0.1:$port"
	nh_start
	nh_until 5 sessions_are 4
	for _ in 1 2 3; do
		run -69 nh submit --relay=r --from=s@x.test no@example.com <M
	done
	nh submit --relay=r --from=s@x.test bob@example.com <M
	mails_are bob 1
	nh_stop
	nh_until 5 sessions_are 5
}

full_at_rcpt()
{
	give 69 host="127.0.0.1:$port" -- s@x.test alice@example.com \
		bob@example.com
	row 1 alice@example.com permanent 552 5.2.2 '*mailbox is over quota'
	row 2 bob@example.com delivered 250 2.0.0 "$SAVED"
	[[ $(cut -f 9 "$D/rows" | paste -sd,) == 'RCPT TO,end of data' ]]
}

@test "R-LM-02: full, and told at RCPT" {
	dovecot_start 'lmtp_rcpt_check_quota = yes'
	# 15 KB fit once.
	head -c 15000 BIG >HALF
	MSG=$D/HALF VIA=agent give 0 host="127.0.0.1:$port" -- s@x.test alice@example.com
	MSG=$D/BIG VIA=agent give 69 host="127.0.0.1:$port" -- s@x.test alice@example.com
	# The server compares what is there, not what SIZE would say.
	kill "$DOVECOT"
	wait "$DOVECOT" || :
	sed -i 's/storage=20K/storage=10K/' dovecot.conf
	dovecot_again
	both full_at_rcpt
	mails_are alice 1
	mails_are bob 2
}

reuse()
{
	rm -rf "${D:?}"/home/*
	# Some are refused in each message, none is mistaken for another's.
	MSG=$D/BIG give 69 "$@" --count=4 -- s@x.test bob@example.com \
		nobody@example.com alice@example.com
	rows 12
	[[ $(cut -f 1-3,10 "$D/rows") == $(for i in 1 2 3 4; do
		printf '%s\t%s\n' bob@example.com $'delivered\t250\t'"$i" \
			nobody@example.com $'permanent\t550\t'"$i" \
			alice@example.com $'permanent\t552\t'"$i"
	done) ]]
	mails_are bob 4
	nh_until 5 sessions_are $((++sessions))
	! sessions_are $((sessions + 1))
}

@test "R-LM-08: one connection for several messages" {
	local sessions=0
	dovecot_start
	both reuse host="127.0.0.1:$port"
	both reuse host="unix:$D/lmtp"
	both reuse host="127.0.0.1:$port" chunking=no
}

parallel()
{
	rm -rf "${D:?}"/home/*
	give 0 host="127.0.0.1:$port" --count=40 --parallel=40 -- s@x.test \
		bob@example.com bob@example.com
	rows 80
	[[ $(cut -f 2,3 "$D/rows" | uniq) == $'delivered\t250' ]]
	mails_are bob 40
}

@test "R-LM-08: side by side; equal recipients get it once" {
	dovecot_start
	both parallel
}

# stored FILE: alice has the octets of it, but for the line ends and for what
# is put before.
stored()
{
	mails_are alice 1
	sed -n '/^From: s@x.test/,$p' "$(mails alice)" | tr -d '\r' >"$D/got"
	tr -d '\r' <"$1" | cmp - "$D/got"
}

bytes_kept()
{
	for MSG in "$D"/C.*; do
		rm -rf "${D:?}"/home/*
		give 0 "$@" -- s@x.test alice@example.com
		stored "$MSG"
	done
}

@test "R-CT-01, R-CT-06: the octets of the message are in the Maildir" {
	dovecot_start
	{ cat M; printf '.\r\n..\r\n.x\r\nFrom here\r\n.\r\n'; } >C.dots
	{ cat M; printf 'gr\303\274n \201\r\n'; } >C.8bit
	printf 'From: s@x.test\r\n\r\n' >C.empty
	{ cat M; for ((i = 0; i < 4000; i++)); do printf '.\r\n'; done; } >C.many
	tr -d '\r' <C.dots >C.lf
	both bytes_kept host="127.0.0.1:$port"
	both bytes_kept host="127.0.0.1:$port" chunking=no
}

@test "R-LM-06: the server is ended between two messages" {
	dovecot_start
	nh_conf <<<"[relay r]
	type = lmtp
	host = 127.0.0.1:$port"
	nh_start
	nh submit --relay=r --from=s@x.test bob@example.com <M
	kill "$DOVECOT"
	wait "$DOVECOT" || :
	run -75 nh submit --relay=r --from=s@x.test bob@example.com <M
	[[ $output == *4.4.1*'Connection refused'* ]]
	dovecot_again
	nh submit --relay=r --from=s@x.test bob@example.com <M
	mails_are bob 2
}
