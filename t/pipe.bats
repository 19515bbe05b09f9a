#!/usr/bin/env bats
# pipe: what programs are given, and what is made of their end; by hand and
# through the master.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/programs

setup()
{
	TYPE=pipe
	programs_setup
}

teardown()
{
	nh_teardown
}

# ---- what it is given ----

on_stdin()
{
	rm -f got
	give 0 args="$D/keep" "$@" -- s@x.test r@x.test
	row 1 r@x.test delivered 250 2.0.0
}

stdin_is()
{
	on_stdin "${@:2}"
	cmp "$1" got
}

@test "R-PI-01: the message on stdin, LF or CRLF" {
	recorder keep
	tr -d '\r' <M >LF
	both stdin_is LF
	both stdin_is M crlf=yes
	MSG=$D/LF both stdin_is LF
	MSG=$D/LF both stdin_is M crlf=yes
}

@test "R-PI-01: other bytes stay, the last line gets its end" {
	recorder keep
	printf 'A: b\r\n\r\na\rb\r\r\nc \000\377\n\n.\n..x\nlast' >in
	printf 'A: b\n\na\rb\r\nc \000\377\n\n.\n..x\nlast\n' >LF
	MSG=$D/in both stdin_is LF
	: >empty
	MSG=$D/empty both stdin_is empty
	printf 'a\r' >in
	printf 'a\n' >LF
	MSG=$D/in both stdin_is LF
}

@test "R-PI-01: line ends across pieces, of a message of 3 MB" {
	recorder keep
	python3 -c '
import random, sys
random.seed(5)
out = sys.stdout.buffer
for n in range(60000):
    out.write(b"x" * random.randrange(100) + random.choice(
        [b"\n", b"\r\n", b"\r", b"\r\r\n", b"."]))
out.write(b"\r\n")' >in
	python3 -c '
import sys
sys.stdout.buffer.write(open("in", "rb").read().replace(b"\r\n", b"\n"))' >LF
	MSG=$D/in both stdin_is LF
	# Without a CR: from file to pipe.
	tr -d '\r' <in >LF
	MSG=$D/LF both stdin_is LF
}

macros()
{
	give 0 args="$D/keep {sender} {recipient} {message_id} {client_ip} {client_host}
		{client_ehlo} {client_protocol} {client_auth}" "$@" -- s@x.test r@x.test
}

@test "R-PI-02: the eight macros; missing ones are empty arguments" {
	recorder keep
	both macros
	holds argv s@x.test r@x.test '<m1@x.test>' '' '' '' '' ''
	both macros --client-ip=192.0.2.1 --client-host=c.test \
		--client-helo=helo.test --client-proto=ESMTP --client-auth=bob
	holds argv s@x.test r@x.test '<m1@x.test>' 192.0.2.1 c.test helo.test \
		ESMTP bob
}

more_macros()
{
	give 0 args="$D/keep {user} {domain} {extension} {mailbox} {size}
		{original_recipient} {nexthop} a{user}b{{{user}}}" "$@"
}

@test "R-PI-02: Postfix's macros" {
	recorder keep
	both more_macros -- s@x.test bob+list@X.test
	holds argv bob X.test list bob+list "$(wc -c <M)" bob+list@X.test '' \
		'abobb{bob}'
	both more_macros --nexthop=There.test --orcpt='rfc822;Old+2Bx@y.test' \
		flags=hu -- s@x.test Bob+List@X.test
	holds argv bob x.test list bob+list "$(wc -c <M)" old+x@y.test there.test \
		'abobb{bob}'
	both more_macros recipient_delimiter= -- s@x.test bob+list
	holds argv bob+list '' '' bob+list "$(wc -c <M)" bob+list '' \
		'abob+listb{bob+list}'
	# The name of the message, which the submitter gives.
	VIA=master give 0 args="$D/keep {queue_id}" --id=q17 -- s@x.test r@x.test
	holds argv q17
}

quoted()
{
	give 0 args="$D/keep {sender} {recipient} {user}" "$@" \
		-- '"s t"@x.test' 'a b@x.test'
}

@test "R-PI-02: quotes only where flags ask for them; null senders" {
	recorder keep
	both quoted
	holds argv 's t@x.test' 'a b@x.test' 'a b'
	both quoted flags=q
	holds argv '"s t"@x.test' '"a b"@x.test' 'a b'
	VIA=agent give 0 args="$D/keep -f {sender} x" -- '' r@x.test
	holds argv -f '' x
	VIA=agent give 0 args="$D/keep -f {sender} x" null_sender=MAILER-DAEMON \
		-- '' r@x.test
	holds argv -f MAILER-DAEMON x
}

no_shell()
{
	give 0 args="$D/keep {recipient}" -- s@x.test "a b;touch $D/pwn@x.test"
	holds argv "a b;touch $D/pwn@x.test"
	[[ ! -e $D/pwn && ! -e $D/pwn@x.test ]]
	# shellcheck disable=SC2016 # nobody expands it
	give 0 args="$D/keep '{recipient} x' \"y  z\" \\*" -- s@x.test '$(id)@x.test'
	holds argv "\$(id)@x.test x" 'y  z' '*'
}

@test "R-PI-03: no shell, one argument stays one" {
	recorder keep
	both no_shell
}

@test "R-PI-14: unknown macros are refused at start, doubled braces are braces" {
	recorder keep
	VIA=agent ends_at_start args="$D/keep {nosuch}"
	[[ $output == *'no macro {nosuch}'* ]]
	VIA=master ends_at_start args="$D/keep {nosuch}"
	[[ $output == *'no macro {nosuch}'* ]]
	for bad in 'a{' 'a}' '{' '{recipient' 'x}y' '{{}' '{recipient}}'; do
		VIA=agent ends_at_start args="$D/keep $bad"
	done
	VIA=agent ends_at_start args="$D/keep" environment.X='{nosuch}'
	both give 0 args="$D/keep {{x}}" -- s@x.test r@x.test
	holds argv '{x}'
}

@test "R-CF-05: args is required, and belongs to no preset" {
	VIA=agent ends_at_start timeout=3
	[[ $output == *'args: required'* ]]
	VIA=master ends_at_start timeout=3
	[[ $output == *'args: required'* ]]
	VIA=agent ends_at_start args="''"
	[[ $output == *'empty word'* ]]
	VIA=agent ends_at_start args='"x'
	[[ $output == *'quote'* ]]
	VIA=agent ends_at_start args=cat preset=maildrop
	VIA=agent ends_at_start args=cat path=/bin/cat
	VIA=agent ends_at_start args=cat flags=Z
	VIA=agent ends_at_start args=cat umask=999
	VIA=agent ends_at_start args=cat directory=tmp
	VIA=agent ends_at_start args=cat environment.1X=y
	VIA=agent ends_at_start args=cat flags=D per_recipient=no
	VIA=agent ends_at_start args='{user}' per_recipient=no
	VIA=agent ends_at_start args=cat environment.U='{user}' per_recipient=no
}

# ---- recipients ----

three()
{
	give 75 args="$D/some {recipient}" timeout=1.5 -- s@x.test \
		a@x.test slow@x.test c@x.test
	rows 3
	row 1 a@x.test delivered 250 2.0.0
	row 2 slow@x.test transient 450 4.4.2 'Delivery timed out*'
	row 3 c@x.test delivered 250 2.0.0
}

@test "R-PI-04: a run, a time and an answer for each recipient" {
	program some <<-'EOC'
	case $1 in slow*) sleep 30 ;; esac
	EOC
	both three
	# One after the other: the time is that of a run, not of the envelope.
	program some <<-'EOC'
	case $1 in slow*) sleep 30 ;; *) sleep 0.6 ;; esac
	EOC
	VIA=agent give 75 max_processes=1 args="$D/some {recipient}" timeout=1.5 \
		-- s@x.test a@x.test slow@x.test c@x.test d@x.test
	[[ $(cut -f 2 rows | paste -sd,) == delivered,transient,delivered,delivered ]]
}

twice()
{
	rm -f runs
	give 0 args="$D/count" -- s@x.test r@x.test q@x.test r@x.test
	rows 3
	[[ $(cut -f 2 rows | sort -u) == delivered ]]
	[[ $(wc -l <runs) -eq 2 ]]
}

@test "R-CF-10: equal recipients have one run, and each its answer" {
	program count <<-EOC
	echo x >>$D/runs
	chmod 666 $D/runs
	EOC
	both twice
}

shared()
{
	give 69 args="$D/keep -f {sender} -- {recipient} u={user} end" \
		per_recipient=no -- s@x.test a@x.test b@x.test a@x.test c@x.test
	rows 4
	[[ $(cut -f 2-5 rows | sort -u) == $'permanent\t550\t5.1.1\tuser unknown' ]]
	holds argv -f s@x.test -- a@x.test b@x.test c@x.test u=a u=b u=c end
}

@test "per_recipient = no: one run, its words for each recipient, one outcome" {
	recorder keep 67
	both shared
	VIA=agent give 69 args="$D/keep {recipient}" per_recipient=no \
		-- s@x.test a@x.test 'a@@' b@x.test
	holds argv a@x.test b@x.test
	program env <<-EOC
	env >$D/got
	EOC
	VIA=agent give 0 args="$D/env" per_recipient=no -- s@x.test a@x.test
	run ! grep RECIPIENT got
}

# ---- its end ----

outcomes()
{
	ends 0 args=true -- delivered 250 2.0.0
	ends 75 args="sh -c 'echo soft;exit 1'" -- transient 450 4.0.0 soft
	ends 75 args=false -- transient 450 4.0.0 'Delivery failed'
	ends 0 args="sh -c 'echo 5.1.1 no'" -- delivered 250 2.0.0
}

@test "R-PI-05: exit status 0 and others" {
	both outcomes
}

@test "R-PI-06: output that begins with an enhanced status code" {
	program say <<-'EOC'
	printf '%b' "$1"
	exit "${2-1}"
	EOC
	VIA=agent
	ends 69 args="$D/say '5.1.1 no such user'" -- permanent 550 5.1.1 'no such user'
	ends 75 args="$D/say '4.2.2 quota'" -- transient 450 4.2.2 quota
	ends 69 args="$D/say '5.2.2 full\nmore\n'" -- permanent 552 5.2.2 'full\\nmore'
	# Before the status, which is a user's.
	ends 75 args="$D/say '4.1.1 later' 67" -- transient 450 4.1.1 later
	ends 69 args="$D/say 5.7.1" -- permanent 550 5.7.1 ''
	# Not at the start, not of a failure, not alone.
	ends 75 args="$D/say '550 5.1.1 x'" -- transient 450 4.0.0 '550 5.1.1 x'
	ends 75 args="$D/say '2.0.0 x'" -- transient 450 4.0.0 '*x'
	ends 75 args="$D/say '5.1.1x'" -- transient 450 4.0.0 5.1.1x
	ends 75 args="$D/say '5.1.1234 x'" -- transient 450 4.0.0 '5.1.1234 x'
	both ends 69 args="$D/say '5.1.1 no such user'" -- permanent 550 5.1.1 'no such user'
}

@test "R-PI-07: stdout before stderr" {
	VIA=agent
	ends 75 args="sh -c 'echo soft;echo 5.0.0 hard >&2;exit 1'" -- transient 450 4.0.0 soft
	ends 69 args="sh -c 'echo;echo 5.0.0 hard >&2;exit 1'" -- permanent 550 5.0.0 hard
	ends 69 args="sh -c 'echo 5.0.0 hard >&2;exit 1'" -- permanent 550 5.0.0 hard
}

sysexits()
{
	ends 69 args="sh -c 'exit 67'" -- permanent 550 5.1.1 'user unknown'
	ends 75 args="sh -c 'exit 75'" -- transient 450 4.3.0 'temporary failure'
	ends 69 args="sh -c 'echo no;exit 77'" -- permanent 550 5.7.0 no
	ends 75 args="sh -c 'kill -9 \$\$'" -- transient 450 4.3.0 'sh ended by signal 9 (Killed)*'
}

@test "R-PI-08: statuses of sysexits(3) and signals" {
	local status dsn
	both sysexits
	VIA=agent
	while read -r status dsn; do
		give 69 args="sh -c 'exit $status'" -- s@x.test r@x.test
		grep -q "permanent	55.	$dsn	" rows
	done <<-EOC
	64 5.3.0
	65 5.6.0
	66 5.3.0
	68 5.1.2
	69 5.3.0
	70 5.3.0
	72 5.3.0
	73 5.2.0
	74 5.3.0
	76 5.5.0
	78 5.3.5
	EOC
	ends 75 args="sh -c 'exit 71'" -- transient 450 4.3.0
	ends 75 args="sh -c 'exit 255'" -- transient 450 4.0.0
}

@test "strict_source: the status counts for nothing" {
	VIA=agent
	ends 75 strict_source=yes args="sh -c 'exit 67'" -- transient 450 4.0.0 'Delivery failed'
	ends 75 strict_source=yes args="sh -c 'echo x;exit 77'" -- transient 450 4.0.0 x
	ends 69 strict_source=yes args="sh -c 'echo 5.2.2 x;exit 75'" -- permanent 550 5.2.2 x
	ends 75 strict_source=yes args="sh -c 'echo 5.1.1 >&2;printf 5.1.1;exit 1'" -- transient 450 4.0.0
}

patterns()
{
	program say <<-'EOC'
	[ "$1" != err ] || exec >&2
	printf 'log\nERR 5.1.1 gone\n'
	exit 1
	EOC
	ends 69 error_pattern='^ERR ([0-9.]+ .*)$' args="$D/say out" -- permanent 550 5.1.1 gone
	ends 69 error_pattern='^ERR ([0-9.]+ .*)$' args="$D/say err" -- permanent 550 5.1.1 gone
}

@test "R-PI-09: error_pattern on stdout or stderr" {
	both patterns
	VIA=agent
	program say <<-'EOC'
	printf 'a 552 5.2.2 full b\nuser=9 code=451 esc=4.7.1 why=slow\n'
	exit ${1-1}
	EOC
	ends 69 error_pattern='a (.*) b' args="$D/say" -- permanent 552 5.2.2 full
	ends 75 error_pattern='code=(?<code>...) esc=(?P<esc>\S+) why=(?<message>.*)' \
		args="$D/say 67" -- transient 451 4.7.1 slow
	# Nothing that says of which class: the status does.
	ends 69 error_pattern='why=.*' args="$D/say 67" -- permanent 550 5.1.1 'why=slow'
	ends 75 error_pattern='why=.*' args="$D/say 1" -- transient 450 4.0.0 'why=slow'
	# A code and an enhanced one of another class.
	ends 69 error_pattern='(?s)(?<code>552).*esc=(?<esc>\S+)' \
		args="$D/say" -- permanent 552 5.0.0 'a 552 *why=slow'
	# Not on success.
	ends 0 error_pattern='552 .*' args="$D/say 0" -- delivered 250 2.0.0
}

@test "R-PI-10: a pattern that does not match, and one that does not compile" {
	VIA=agent
	ends 75 error_pattern=nothing args="sh -c 'echo soft;exit 1'" -- transient 450 4.0.0 soft
	ends 69 error_pattern=nothing args="sh -c 'echo 5.1.1 x;exit 1'" -- permanent 550 5.1.1 x
	ends_at_start args=true error_pattern='('
	[[ $output == *'error_pattern: '*'does not compile'* ]]
	VIA=master ends_at_start args=true error_pattern='('
	[[ $output == *'error_pattern: '*'does not compile'* ]]
	# One that would take for ever.
	ends 75 error_pattern='^(a+)+$' args="sh -c 'head -c 4000 /dev/zero|tr \\\\0 a;echo b;exit 1'" \
		-- transient 450 4.0.0
	grep -q 'too much work' log.agent
}

# ---- flags ----

flagged()
{
	on_stdin "$@"
	sed 's/^From \(.*\)  [A-Z][a-z][a-z] [A-Z][a-z][a-z] [ 0-9][0-9] [0-9:]\{8\} [0-9]\{4\}$/From \1 DATE/' got >seen
}

@test "flags that change the message" {
	recorder keep
	printf 'A: b\n\nFrom me\n From\n>From x\n.\n..x\nFromage\nFrom \nFro' >in
	MSG=$D/in
	both flagged flags='FRDO>.B'
	holds seen 'From s@x.test DATE' 'Return-Path: <s@x.test>' \
		'X-Original-To: r@x.test' 'Delivered-To: r@x.test' 'A: b' '' \
		'>From me' ' From' '>From x' '..' '...x' Fromage '>From ' Fro ''
	VIA=agent flagged flags='>.B' crlf=yes
	[[ $(grep -c $'\r$' seen) -eq $(wc -l <seen) ]]
	tr -d '\r' <seen >plain
	holds plain 'A: b' '' '>From me' ' From' '>From x' '..' '...x' Fromage \
		'>From ' Fro ''
	VIA=agent
	give 0 args="$D/keep" flags=FR -- '' r@x.test
	[[ $(head -n 1 got) == 'From MAILER-DAEMON  '* ]]
	[[ $(sed -n 2p got) == 'Return-Path: <>' ]]
	give 0 args="$D/keep {recipient}" flags=D -- '' 'a b@X.test'
	[[ $(head -n 1 got) == 'Delivered-To: "a b"@X.test' ]]
	holds argv 'a b@X.test'
}

@test "flags: Delivered-To ends a loop" {
	recorder keep
	printf 'Subject: x\nDelivered-To:\n R@X.test \nDelivered-to: "o p"@x.test\n\nDelivered-To: q@x.test\n' >in
	MSG=$D/in VIA=agent give 69 args="$D/keep" flags=D -- s@x.test r@x.test \
		q@x.test 'o p@x.test'
	row 1 r@x.test permanent 554 5.4.6 'mail forwarding loop for r@x.test'
	row 2 q@x.test delivered 250 2.0.0
	row 3 'o p@x.test' permanent 554 5.4.6 '*'
	MSG=$D/in VIA=agent give 0 args="$D/keep" flags=RO -- s@x.test r@x.test
}

# ---- options ----

@test "nexthop config tells the options as they are in force" {
	nh_conf <<-EOC
	[relay p]
	type = pipe
	args = /bin/cat -- "a b" {recipient}
	[relay m]
	type = maildrop
	EOC
	nh config >out
	grep -q '^args = /bin/cat -- "a b" {recipient}$' out
	[[ $(grep -c '^no_new_privs = auto' out) -eq 2 ]]
	cp out again.conf
	nh -c again.conf config >twice
	cmp out twice
}

@test "the sample's options of pipe are those of the agent" {
	grep -q '^#error_pattern' "$NH_BUILD/etc/nexthop.conf"
	grep -q '^#max_processes = 20' "$NH_BUILD/etc/nexthop.conf"
}
