#!/usr/bin/env bats
# intake-lmtp: what an LMTP client may say and is told, limits at their
# ceilings, and that nothing is said to be delivered that was not. The client
# is t/lib/lmtp.py, the next hop t/lib/told_agent.py.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # eval; tests are subshells; lib/

load lib/nexthop

setup()
{
	nh_setup
	IN=$D/l.sock
	mkdir "$D/got"
	chmod 777 "$D/got"
}

teardown()
{
	nh_teardown
}

# take [INTAKE-LINE...]: a master with an intake and the relay "told".
take()
{
	nh_conf "${MASTER_LINES[@]}" <<-EOC
	[relay told]
	type = custom
	exec = $NH_ROOT/t/lib/told_agent.py
	note = $D/got
	[relay other]
	type = custom
	exec = $NH_ROOT/t/lib/told_agent.py
	note = $D/got
	[relay full]
	type = custom
	exec = $NH_ROOT/t/lib/told_agent.py
	note = $D/got
	window = 1
	backlog = 1
	[intake in]
	listen = ${LISTEN:-unix:$IN}
	listen_mode = 0666
	spool_directory = ${SPOOL:-$D/got}
	hostname = in.test
	relay = told
	$(printf '%s\n' "$@")
	EOC
	nh_start
	nh_until 10 nh_field_is in state ready
}

say()
{
	python3 "$NH_ROOT/t/lib/lmtp.py" "${TO:-$IN}" "$@"
}

# The same in the background.
say_on()
{
	nh_spawn python3 "$NH_ROOT/t/lib/lmtp.py" "${TO:-$IN}" "$@"
}

mail_on()
{
	say_on login "mail s@x.test $*" "data $D/M" "?$#"
}

# mail RCPT...: one message $D/M, the replies to it.
mail()
{
	say login "mail s@x.test $*" "data $D/M" "?$#"
}

# envelopes: of all deliveries, sorted names; one: of the only one.
deliveries()
{
	find "$D/got" -name '*.env' | wc -l
}

deliveries_are()
{
	[[ $(deliveries) -eq $1 ]]
}

one()
{
	cat "$D"/got/*.env
}

has()
{
	one | grep -qxF -- "$1" || {
		echo "no $1 in"
		one
		return 1
	}
}

# lacks NAME: no such field in any of the envelopes.
lacks()
{
	! one | grep -q "^$1="
}

intake_pid()
{
	nh_field in pids
}

session_end()
{
	nh_until 10 nh_logged "intake_session.* end=\"?$1" || {
		cat "$LOG"
		return 1
	}
}

# ---- the dialogue ----

@test "greeting, LHLO and its keywords, QUIT" {
	take
	run -0 say 'LHLO c.test' 'QUIT'
	[[ ${lines[0]} == '250-in.test' ]]
	for word in PIPELINING 8BITMIME CHUNKING BINARYMIME SMTPUTF8 DSN \
	    ENHANCEDSTATUSCODES; do
		grep -qx "250-$word" <<<"$output"
	done
	[[ $output != *XCLIENT* ]]
	grep -qx '250 SIZE 104857600' <<<"$output"
	[[ ${lines[-1]} == '221 2.0.0 '* ]]
	session_end 221
	[[ $(python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
print(s.recv(99).decode().strip())' "$IN") == '220 in.test LMTP nexthop' ]]
}

@test "keywords can be left out; CHUNKING takes BINARYMIME with it" {
	take 'discard_keywords = chunking, dsn, size'
	run -0 say 'LHLO c.test'
	[[ $output != *CHUNKING* && $output != *BINARYMIME* && \
	    $output != *DSN* && $output != *SIZE* && $output == *PIPELINING* ]]
}

@test "LHLO alone greets; commands out of order and unknown ones are refused" {
	take
	run -0 say 'EHLO c.test' 'HELO c.test' 'LHLO' 'MAIL FROM:<>' \
		'RCPT TO:<a@x.test>' 'DATA' 'LHLO c.test' 'DATA' \
		'RCPT TO:<a@x.test>' 'MAIL FROM:<>' 'DATA' 'MAIL FROM:<>' \
		'FOO' 'NOOP x' 'VRFY a' 'HELP' 'RSET' 'RCPT TO:<a@x.test>' \
		'STARTTLS' 'EXPN x'
	codes=$(cut -c 1-4,5-9 <<<"$output" | grep -v '^250-' | tr '\n' ,)
	[[ $codes == '500 5.5.1,500 5.5.1,501 5.5.4,503 5.5.1,503 5.5.1,'`
		`'503 5.5.1,250 SIZE ,503 5.5.1,503 5.5.1,250 2.1.0,'`
		`'503 5.5.1,503 5.5.1,500 5.5.1,250 2.0.0,252 2.0.0,'`
		`'214 2.0.0,250 2.0.0,503 5.5.1,500 5.5.1,500 5.5.1,' ]]
}

@test "one reply for each recipient, in order, with text, code and class" {
	take
	run -0 mail ok@x.test temp-slow3@x.test perm@x.test ok@x.test \
		421@x.test
	[[ ${lines[0]} == '250 2.0.0 stored' ]]
	[[ ${lines[1]} == '450 4.2.1 try later' ]]
	[[ ${lines[2]} == '550 5.1.1 no such user' ]]
	[[ ${lines[3]} == '250 2.0.0 stored' ]]
	[[ ${lines[4]} == '451 4.4.2 lost connection' ]]
	[[ ${#lines[@]} -eq 5 ]]
	deliveries_are 1
	has sender=s@x.test
	has rcpt=temp-slow3@x.test
	has body=1
	has flags=4
	has proto=LMTP
	has helo=client.test
	has deadline=540
	has no_wait=
	cmp "$D/M" "$D"/got/*.body
}

@test "texts of several lines and long ones; UTF-8 for who asked for it" {
	take
	run -0 mail lines@x.test long@x.test utf8@x.test
	[[ ${lines[0]} == '250-2.6.0 one' && ${lines[2]} == '250 2.6.0 three' ]]
	[[ ${lines[3]} == '250-2.6.0 word '* && ${lines[-2]} == '250 2.6.0 '* ]]
	[[ ${lines[-1]} == '550 5.1.1 gr??n' ]]
	[[ $(grep -o word <<<"$output" | wc -l) -eq 400 ]]
	[[ $(awk '{ print length }' <<<"$output" | sort -n | tail -n 1) -le 510 ]]
	run -0 say login 'MAIL FROM:<> SMTPUTF8' 'RCPT TO:<utf8@x.test>' \
		"data $D/M" '?'
	[[ ${lines[-1]} == '550 5.1.1 grün' ]]
	has flags=5
}

@test "the next hop's host is named" {
	fake_start 'S:220 x' L 'S:250-x' 'S:250 PIPELINING' L 'S:250 ok' L \
		'S:550 5.1.1 nobody' L 'S:250 ok' L 'S:354 go' D \
		'S:250 2.0.0 queued as 7' C
	nh_conf <<-EOC
	[relay out]
	type = static
	host = 127.0.0.1:$port
	[intake in]
	listen = unix:$IN
	listen_mode = 0666
	relay = out
	EOC
	nh_start
	nh_until 10 nh_field_is in state ready
	run -0 mail a@x.test b@x.test
	[[ ${lines[0]} == "550 5.1.1 nobody (127.0.0.1[127.0.0.1]:$port)" ]]
	[[ ${lines[1]} == "250 2.0.0 queued as 7 (127.0.0.1[127.0.0.1]:$port)" ]]
}

@test "recipients of several relays in one message; a domain without one" {
	take 'relay.one.test = told' 'relay..one.test = other' \
		'relay.* = full' 'relay.x.test = other'
	run -0 mail ok@ONE.test perm@sub.one.test ok@far.test temp@x.test \
		ok@one.test
	[[ $output == $'250 2.0.0 stored\n550 5.1.1 no such user\n'`
		`$'250 2.0.0 stored\n450 4.2.1 try later\n250 2.0.0 stored' ]]
	deliveries_are 3
	[[ $(grep -h ^relay= "$D"/got/*.env | sort | tr '\n' ' ') == \
	    'relay=full relay=other relay=told ' ]]
	nh_stop
	sed -i 's/^relay = told//; s/^relay\.\* = .*/no_route = defer/' "$CONF"
	nh_start
	nh_until 10 nh_field_is in state ready
	run -0 say login 'MAIL FROM:<>' 'RCPT TO:<a@far.test>'
	[[ ${lines[1]} == '450 4.1.2 '* ]]
	sed -i 's/^no_route = .*//' "$CONF"
	nh reload
	nh_until 10 nh_field_is in state ready
	run -0 say login 'MAIL FROM:<>' 'RCPT TO:<a@far.test>' \
		'RCPT TO:<a@[192.0.2.1]>' 'RCPT TO:<postmaster>' 'DATA'
	[[ ${lines[1]} == '550 5.1.2 '* && ${lines[2]} == '550 5.1.2 '* && \
	    ${lines[3]} == '550 5.1.2 '* && ${lines[4]} == '503 5.5.1 '* ]]
}

@test "a relay that is not there: 451 for its recipients alone" {
	take 'relay.gone.test = nowhere'
	run -0 mail ok@x.test a@gone.test
	[[ ${lines[0]} == '250 2.0.0 stored' ]]
	[[ ${lines[1]} == '451 4.3.5 no relay named nowhere' ]]
}

@test "PIPELINING: a whole transaction in one write, and one behind another" {
	take
	run -0 say login \
		'-MAIL FROM:<a@x.test>\r\nRCPT TO:<ok@x.test>\r\nRCPT TO:<@@>\r\nRCPT TO:<perm@x.test>\r\nDATA' \
		'?5' '=one\r\n.\r\nMAIL FROM:<b@x.test>\r\nRCPT TO:<temp@x.test>\r\nDATA\r\n' \
		'?5' '=two\r\n.\r\nQUIT\r\n' '?2'
	[[ $(cut -c 1-9 <<<"$output" | tr '\n' ,) == \
	    '250 2.1.0,250 2.1.5,553 5.1.3,250 2.1.5,354 End d,'`
	    `'250 2.0.0,550 5.1.1,250 2.1.0,250 2.1.5,354 End d,'`
	    `'450 4.2.1,221 2.0.0,' ]]
	[[ $(cat "$D"/got/*.body | sort | tr -d '\r' | tr '\n' ,) == 'one,two,' ]]
}

@test "bytes behind DATA before 354 end the session; after a refusal they are commands" {
	take
	run -0 say login '-MAIL FROM:<>\r\nRCPT TO:<ok@x.test>\r\nDATA\r\nx\r\n.' \
		'??'
	[[ ${lines[2]} == '554 5.5.0 '* && ${lines[3]} == '(closed)' ]]
	run -0 say login '-MAIL FROM:<>\r\nRCPT TO:<>\r\nDATA\r\nRSET\r\nNOOP' \
		'?5'
	[[ ${lines[1]} == '553 5.1.3 '* && ${lines[2]} == '503 5.5.1 '* && \
	    ${lines[4]} == '250 2.0.0 OK' ]]
	deliveries_are 0
}

# ---- messages ----

@test "only CRLF.CRLF ends a message, whatever others take for an end" {
	local tail='MAIL FROM:<evil@x.test>\r\nRCPT TO:<ok@x.test>\r\nDATA\r\nevil\r\n'
	local end n=0

	take
	for end in '\n.\n' '\n.\r\n' '\r.\r' '\r\n.\r' '\r\n.\n' '\r.\r\n' \
	    '\n.\r' '\r.\n' '\0.\r\n' '\r\n\0.\r\n'; do
		n=$((n + 1))
		run -0 say login 'mail s@x.test ok@x.test' DATA \
			"=body$end$tail" '=\r\n.\r\n' '?' NOOP
		[[ ${lines[0]} == 354* && ${lines[2]} == '250 2.0.0 OK' ]]
		case $end in
		*'\0'*)	[[ ${lines[1]} == '250 2.0.0 stored' ]] ;;
		*)	[[ ${lines[1]} == '550 5.6.11 '* ]] ;;
		esac
	done
	[[ $n -eq 10 ]]
	deliveries_are 2
	run -1 grep -l 'sender=evil' "$D"/got/*.env
}

@test "bare_newline = normalize: bytes are put right, the end is the same" {
	take 'bare_newline = normalize'
	run -0 say login 'mail s@x.test ok@x.test' DATA \
		'=a\n.\nMAIL FROM:<evil@x.test>\r\n..b\rc\r\r\n\n.\r\n.d\r\n.\r\n' \
		'?' NOOP
	[[ ${lines[1]} == '250 2.0.0 stored' && ${lines[2]} == 250* ]]
	printf 'a\r\n.\r\nMAIL FROM:<evil@x.test>\r\n.b\r\nc\r\n\r\n\r\n.\r\nd\r\n' |
		cmp - "$D"/got/*.body
	has flags=4
}

@test "dots, an empty message, 8 bits, long lines and NUL arrive as they are" {
	take
	printf '.\r\n..\r\n.x\r\n...\r\n\r\n.\r\n' >msg1
	: >msg2
	printf 'gr\303\274n \377\r\n' >msg3
	printf '%05000d\r\n' 0 >msg4
	printf 'a\0b\r\n' >msg5
	for m in msg1 msg2 msg3 msg4 msg5; do
		rm -f got/*
		run -0 say login 'mail s@x.test ok@x.test' "data $m" '?'
		[[ $output == '250 2.0.0 stored' ]]
		cmp "$m" got/*.body
		case $m in
		msg3)	has body=2 && has flags=4 ;;
		msg4|msg5)	lacks flags ;;
		*)	has body=1 && has flags=4 ;;
		esac
	done
}

@test "where a message is kept: frame, memfd, file; none is left" {
	take 'memory_limit = 200k'
	for n in 32768 32770 204800 204802 3000000; do
		rm -f got/*
		{ head -c $((n - 2)) /dev/zero | tr '\0' 'a' | fold -w 76 |
		    sed 's/$/\r/' | head -c $((n - 2)); printf '\r\n'; } >big
		sed -i 's/\r\r/\r/' big
		run -0 say login 'mail s@x.test ok@x.test' 'data big' '?'
		[[ $output == '250 2.0.0 stored' ]]
		cmp big got/*.body
		n=$(stat -c %s big)
		if [[ $n -le 32768 ]]; then
			has where=frame
		elif [[ $n -le 204800 ]]; then
			has where=/memfd:message
		else
			one | grep -q "^where=$D/got/#"
		fi
	done
	[[ -z $(find "$D/got" -name 'nexthop.*') ]]
	[[ -z $(find "/proc/$(intake_pid)/fd" -lname '*memfd*' -o \
	    -lname "$D/got/#*") ]]
}

@test "a full disk is 452, and the session goes on" {
	SPOOL=/proc/self take 'memory_limit = 0'
	head -c 100000 /dev/zero | tr '\0' 'x' | fold -w 70 | sed 's/$/\r/' >big
	printf '\r\n' >>big
	sed -i 's/\r\r/\r/' big
	run -0 say login 'mail s@x.test ok@x.test ok@x.test' 'data big' '?2' \
		'mail s@x.test ok@x.test' "data $D/M" '?'
	[[ ${lines[0]} == '452 4.3.1 '* && ${lines[1]} == '452 4.3.1 '* && \
	    ${lines[2]} == '250 2.0.0 stored' ]]
}

@test "BDAT: pieces, an empty last one, BINARYMIME; DATA does not mix" {
	take
	run -0 say login 'mail s@x.test ok@x.test perm@x.test' \
		'=BDAT 8\r\nSubj: x\r' '?' '=BDAT 4\r\n\n\r\n.' '?' DATA \
		'RCPT TO:<ok@x.test>' '=BDAT 2 LAST\r\n\r\n' '?2' NOOP
	[[ $(cut -c 1-9 <<<"$output" | tr '\n' ,) == '250 2.0.0,250 2.0.0,'`
		`'503 5.5.1,503 5.5.1,250 2.0.0,550 5.1.1,250 2.0.0,' ]]
	printf 'Subj: x\r\n\r\n.\r\n' | cmp - got/*.body
	rm -f got/*
	run -0 say login 'MAIL FROM:<> BODY=BINARYMIME' \
		'RCPT TO:<ok@x.test>' DATA '=BDAT 6\r\na\nb\0\rc' '?' \
		'BDAT 0 LAST'
	[[ ${lines[2]} == '503 5.5.1 '* && ${lines[-1]} == '250 2.0.0 stored' ]]
	printf 'a\nb\0\rc' | cmp - got/*.body
	has body=3
	lacks flags
	rm -f got/*
	run -0 say login 'mail s@x.test ok@x.test' '=BDAT 4 LAST\r\na\nb\n' '?' \
		'mail s@x.test ok@x.test' '=BDAT 4 LAST\r\nlast' '?'
	[[ ${lines[0]} == '550 5.6.11 '* && ${lines[1]} == '250 2.0.0 stored' ]]
}

@test "BDAT that is refused: its bytes are no commands" {
	take 'message_size_limit = 100'
	run -0 say login '=BDAT 6 LAST\r\nQUIT\r\n' '?' 'MAIL FROM:<>' \
		'=BDAT 6 LAST\r\nQUIT\r\n' '?' \
		'mail s@x.test ok@x.test' '=BDAT 60\r\n' '*QUIT\r\n 10' '?' \
		'=BDAT 42 LAST\r\n' '*QUIT\r\n 7' '?' \
		'mail s@x.test ok@x.test' '=BDAT 106\r\n' '*QUIT\r\n 17' \
		'=1234' '?' '=BDAT 0 LAST\r\n' '?' NOOP 'BDAT x' '?'
	[[ $(cut -c 1-9 <<<"$output" | tr '\n' ,) == '503 5.5.1,250 2.1.0,'`
		`'503 5.5.1,250 2.0.0,552 5.3.4,552 5.3.4,503 5.5.1,'`
		`'250 2.0.0,501 5.5.4,(closed),' ]]
	# One that cannot be read at all.
	for line in 'BDAT 6 LAST\0' 'BDAT\t6 LAST' "BDAT $(printf '%05000d' 6)"; do
		run -0 say login 'mail s@x.test ok@x.test' \
			"=$line\r\nRSET\r\n" '?' '??'
		[[ ${lines[0]} == '500 5.5.2 '* && ${lines[1]} == '(closed)' ]]
	done
	deliveries_are 0
}

@test "the last BDAT is refused once for each recipient: the client counts" {
	local what

	take 'message_size_limit = 100' 'max_errors = 4'
	what='mail s@x.test ok@x.test ok@x.test ok@x.test'
	run -0 say login "$what" '=BDAT 101 LAST\r\n' '*x 101' '?3' NOOP \
		"$what" '=BDAT 101\r\n' '*x 101' '?' '=BDAT 2 LAST\r\n\r\n' '?3' \
		NOOP 'MAIL FROM:<>' 'RCPT TO:<>' '=BDAT 2 LAST\r\n\r\n' '?' NOOP
	[[ $(cut -c 1-9 <<<"$output" | tr '\n' ,) == \
	    '552 5.3.4,552 5.3.4,552 5.3.4,250 2.0.0,'`
	    `'552 5.3.4,503 5.5.1,503 5.5.1,503 5.5.1,250 2.0.0,'`
	    `'250 2.1.0,553 5.1.3,503 5.5.1,250 2.0.0,' ]]
	deliveries_are 0
	session_end lost
	nh_logged 'bounced=6 refused=1 '
}

@test "an lmtp relay that leads to an intake is told of each recipient" {
	nh_conf <<-EOC
	[relay hop]
	type = lmtp
	host = unix:$IN
	[relay bh]
	type = blackhole
	[intake in]
	listen = unix:$IN
	listen_mode = 0666
	discard_keywords = size
	message_size_limit = 20
	relay = bh
	EOC
	nh_start
	nh_until 10 nh_field_is in state ready
	run -69 nh submit --relay=hop --output=tsv --from=s@x.test a@x.test \
		b@x.test c@x.test <M
	[[ $(cut -f 2,3 <<<"$output" | sort -u) == $'permanent\t552' ]]
	[[ ${#lines[@]} -eq 3 ]]
}

@test "SIZE: refused at MAIL, or after the message, one reply each" {
	take 'message_size_limit = 1000'
	head -c 998 /dev/zero | tr '\0' x >m
	printf '\r\n' >>m
	run -0 say login 'MAIL FROM:<> SIZE=1001' 'MAIL FROM:<> SIZE=1000' \
		'RCPT TO:<ok@x.test>' 'data m' '?' \
		'mail s@x.test ok@x.test ok@x.test' '-DATA' '?' '<m' \
		'=x\r\n.\r\n' '?2' NOOP
	[[ $(cut -c 1-9 <<<"$output" | tr '\n' ,) == '552 5.3.4,250 2.1.0,'`
		`'250 2.1.5,250 2.0.0,354 End d,552 5.3.4,552 5.3.4,250 2.0.0,' ]]
	deliveries_are 1
}

@test "DSN, ENVID, BODY and SMTPUTF8 go on with the message" {
	take
	run -0 say login 'MAIL FROM:<a@x.test> RET=HDRS ENVID=id+2B BODY=8BITMIME' \
		'RCPT TO:<ok@x.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;q+40z' \
		'RCPT TO:<ok@x.test> NOTIFY=NEVER' "data $D/M" '?2' \
		'MAIL FROM:<pé@x.test>' 'MAIL FROM:<pé@x.test> SMTPUTF8' \
		'RCPT TO:<qé@bücher.test>' "data $D/M" '?' \
		'MAIL FROM:<>' 'RCPT TO:<qé@x.test>' 'MAIL FROM:<> FOO=1'
	has ret=2 && has envid=id+2B && has notify=10 && has notify=1
	has 'orcpt=rfc822;q+40z' && has 'sender=pé@x.test' && has flags=5
	has 'rcpt=qé@bücher.test'
	grep -q '^550 5.6.7 ' <<<"$output"
	grep -q '^553 5.6.7 ' <<<"$output"
}

@test "ORCPT of type utf-8 as it is: goes on as xtext" {
	local long

	take
	long=$(printf 'é%.0s' {1..100})
	run -0 say login 'MAIL FROM:<>' 'RCPT TO:<ok@x.test> ORCPT=utf-8;qé@x.test' \
		RSET 'MAIL FROM:<> SMTPUTF8' \
		'RCPT TO:<ok@x.test> ORCPT=utf-8;q+é@x.test' \
		"RCPT TO:<ok@x.test> ORCPT=utf-8;$long" \
		'RCPT TO:<ok@x.test> ORCPT=UTF-8;qé@bücher.test' \
		"data $D/M" '?'
	[[ $(cut -c 1-9 <<<"$output" | tr '\n' ,) == '250 2.1.0,501 5.5.4,'`
		`'250 2.0.0,250 2.1.0,501 5.5.4,501 5.5.4,250 2.1.5,250 2.0.0,' ]]
	has 'orcpt=utf-8;q\x{E9}@b\x{FC}cher.test'
}

@test "XCLIENT and XFORWARD from trusted clients alone" {
	take 'xclient_hosts = loopback'
	run -0 say 'XCLIENT NAME=c.far ADDR=192.0.2.9 PROTO=ESMTP HELO=h LOGIN=joe' \
		'MAIL FROM:<>' 'LHLO me' 'MAIL FROM:<>' 'RCPT TO:<ok@x.test>' \
		"data $D/M" '?'
	[[ ${lines[0]} == '220 in.test '* && ${lines[1]} == '503 '* ]]
	grep -q '^250-XCLIENT NAME ' <<<"$output"
	has host=c.far && has ip=192.0.2.9 && has proto=ESMTP && has helo=h
	has auth=joe
	rm -f got/*
	run -0 say login 'XFORWARD NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 IDENT=4XYZ' \
		'mail s@x.test ok@x.test' "data $D/M" '?' 'mail s@x.test ok@x.test' \
		'XFORWARD IDENT=x'
	has ip=2001:db8::1 && has id=4XYZ
	lacks helo && lacks host && lacks proto
	[[ ${lines[-1]} == '503 5.5.1 '* ]]
	nh_stop
	take 'xclient_hosts = 192.0.2.0/24'
	run -0 say login 'XCLIENT NAME=x' 'XFORWARD NAME=x'
	[[ ${lines[0]} == '550 5.7.0 '* && ${lines[1]} == '550 5.7.0 '* ]]
	nh_stop
	# An address is none of a UNIX socket, to which others may connect.
	p=$(nh_free_port)
	LISTEN="unix:$IN, inet:127.0.0.1:$p" take 'xclient_hosts = 0.0.0.0/0'
	run -0 say login 'XCLIENT NAME=x'
	[[ $output == '550 5.7.0 '* ]]
	TO=127.0.0.1:$p run -0 say login 'XCLIENT NAME=x'
	[[ $output == '220 in.test '* ]]
}

@test "XFORWARD is for one message, XCLIENT for the session; neither is mixed with it" {
	local end

	take 'xclient_hosts = loopback'
	for end in "data $D/M|?" RSET 'LHLO other.test'; do
		rm -f got/*
		IFS='|' read -ra steps <<<"$end"
		run -0 say 'XCLIENT NAME=c.far ADDR=192.0.2.9 LOGIN=joe' login \
			'XFORWARD NAME=a.far ADDR=192.0.2.1' \
			'XFORWARD IDENT=4XYZ HELO=h' 'mail s@x.test ok@x.test' \
			"${steps[@]}" 'mail t@x.test ok@x.test' "data $D/M" '?'
		mv "$(grep -l sender=t@x.test got/*.env)" second
		if [[ $end == data* ]]; then
			has ip=192.0.2.1 && has host=a.far && has id=4XYZ
			has helo=h && lacks auth && lacks proto
		fi
		mv second got/last.env
		rm -f got/[0-9]*.env
		has ip=192.0.2.9 && has host=c.far && has auth=joe
		has proto=LMTP && one | grep -q '^helo=\(client\|other\).test$'
		one | grep -q '^id=L'
	done
}

@test "names as long as they may be, and longer, are refused where they are said" {
	local long

	take 'xclient_hosts = loopback' 'command_line_limit = 32768'
	long=$(printf 'x%.0s' {1..255})
	run -0 say "LHLO x$long" "LHLO $(printf 'x%.0s' {1..5000})" \
		"XCLIENT NAME=x$long" "XFORWARD HELO=x$long" "LHLO $long" \
		"XFORWARD HELO=$long" 'mail s@x.test ok@x.test' "data $D/M" '?'
	[[ ${lines[0]} == '501 5.5.4 '* && ${lines[1]} == '501 5.5.4 '* ]]
	[[ ${lines[2]} == '501 5.5.4 '* && ${lines[3]} == '501 5.5.4 '* ]]
	[[ ${lines[-1]} == '250 2.0.0 stored' ]]
	has helo="$long"
}

# ---- limits ----

@test "max_recipients, max_connections and per address, at their ceilings" {
	p=$(nh_free_port)
	LISTEN="unix:$IN, inet:127.0.0.1:$p" take 'max_recipients = 3' \
		'max_connections = 4' 'max_connections_per_ip = 2'
	run -0 mail ok@x.test ok@x.test ok@x.test
	[[ ${#lines[@]} -eq 3 ]]
	run -0 say login 'mail s@x.test a@x.test a@x.test a@x.test a@x.test' \
		"data $D/M" '?3' NOOP
	[[ ${lines[0]} == '452 4.5.3 '* && ${#lines[@]} -eq 5 ]]
	for _ in 1 2; do
		TO=127.0.0.1:$p say_on 'pause 60'
	done
	nh_until 10 eval '[[ $(ss -tnH state established sport = :'"$p"' |
		wc -l) -eq 2 ]]'
	TO=127.0.0.1:$p run -0 say '??'
	[[ $output == '(closed)' ]]
	run -0 python3 -c 'import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print(s.recv(99).decode().strip())' "$p"
	[[ $output == '421 4.7.0 '* ]]
	for _ in 1 2; do
		say_on NOOP 'pause 60' >>out.noop
	done
	nh_until 10 eval '[[ $(grep -c ^250 out.noop) -eq 2 ]]'
	refused()
	{
		[[ $(python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
print(s.recv(99).decode().strip())' "$IN") == '421 4.3.2 '* ]]
	}
	nh_until 10 refused
}

@test "a thousand recipients, each with long addresses and ORCPT" {
	local long

	take
	long=$(printf 'a%.0s' {1..60}).$(printf 'b%.0s' {1..60}).test
	python3 - "$IN" "$long" <<-'EOP'
	import socket, sys
	s = socket.socket(socket.AF_UNIX)
	s.settimeout(60)
	s.connect(sys.argv[1])
	f = s.makefile('rwb')
	f.readline()
	say = lambda *lines: (f.write(b''.join(l.encode() + b'\r\n' for l in lines)), f.flush())
	say('LHLO x')
	while f.readline()[3:4] == b'-':
	    pass
	say('MAIL FROM:<s@x.test>')
	f.readline()
	n = 1000
	for i in range(n):
	    say('RCPT TO:<ok-%s-n%d@%s> ORCPT=rfc822;%s' % ('x' * 700, i,
	        sys.argv[2], 'y' * 490))
	for i in range(n):
	    assert f.readline()[:3] == b'250', i
	say('DATA')
	assert f.readline()[:3] == b'354'
	say('test', '.')
	for i in range(n):
	    line = f.readline()
	    assert line == b'250 2.0.0 stored\r\n', (i, line)
	say('QUIT')
	assert f.readline()[:3] == b'221'
	EOP
	[[ $(cat got/*.env | grep -c ^rcpt=) -eq 1000 ]]
	[[ $(deliveries) -ge 2 ]]
}

@test "lines: as long as allowed, longer, without an end, with bytes that must not be" {
	take 'command_line_limit = 600'
	local ok long
	ok=$(printf 'x%.0s' {1..593})
	long=${ok}x
	run -0 say login "NOOP $ok" "NOOP $long" '*x 100000' '=\r\n' '?' NOOP \
		'=NOOP a\0b\r\n' '?' '=NOOP \xff\r\n' '?' '=NOOP\n' '??'
	[[ $(cut -c 1-9 <<<"$output" | tr '\n' ,) == '250 2.0.0,500 5.5.2,'`
		`'500 5.5.2,250 2.0.0,500 5.5.2,500 5.5.2,500 5.5.2,(closed),' ]]
}

@test "errors and commands without a message are counted, a message starts anew" {
	take 'max_errors = 3' 'max_junk_commands = 5'
	run -0 say login FOO FOO 'mail s@x.test ok@x.test' "data $D/M" '?' FOO \
		FOO FOO '??'
	[[ ${lines[-3]} == '500 '* && ${lines[-2]} == '421 4.7.0 '* && \
	    ${#lines[@]} -eq 8 ]]
	run -0 say login RSET VRFY NOOP NOOP NOOP '??'
	[[ ${lines[-3]} == '250 '* && ${lines[-2]} == '421 4.7.0 '* ]]
}

@test "idle clients, slow commands and slow messages are told 421" {
	take 'idle_timeout = 1s' 'data_timeout = 1s'
	run -0 say '??'
	[[ ${lines[0]} == '421 4.4.2 '* ]]
	run -0 say '=NO' 'pause 0.7' '=O' 'pause 0.7' '??'
	[[ ${lines[0]} == '421 4.4.2 '* ]]
	run -0 say login 'mail s@x.test ok@x.test' DATA '=x' '??'
	[[ ${lines[1]} == '421 4.4.2 '* ]]
	run -0 say login 'mail s@x.test ok@x.test' DATA '=x' 'pause 0.6' '=x' \
		'pause 0.6' '=x' '??'
	[[ ${lines[1]} == '421 4.4.2 '* ]]
	run -0 say login 'mail s@x.test ok@x.test' '=BDAT 3\r\nx' '??'
	[[ ${lines[0]} == '421 4.4.2 '* ]]
	# Waiting for an answer is not idling.
	run -0 mail ok-slow20@x.test
	[[ $output == '250 2.0.0 stored' ]]
	deliveries_are 1
}

@test "a message in small pieces, each in time, has an end, too" {
	take 'data_timeout = 1s'
	run -0 say login 'mail s@x.test ok@x.test' '=BDAT 1\r\nx' '?' 'pause 0.7' \
		'=BDAT 1\r\nx' '?' 'pause 0.7' '??'
	[[ ${lines[-2]} == '421 4.4.2 Message '* && ${lines[-1]} == '(closed)' ]]
	deliveries_are 0
}

@test "a flood of commands to a client that does not read: bounded, and ended" {
	local rss

	take 'idle_timeout = 2s' 'max_junk_commands = 1000000' \
		'max_errors = 100000'
	rss=$(awk '/VmRSS/ { print $2 }' "/proc/$(intake_pid)/status")
	say_on login '*HELP\r\n 3000000' 'pause 60'
	session_end lost
	[[ $(awk '/VmHWM/ { print $2 }' "/proc/$(intake_pid)/status") -lt \
	    $((rss + 3000)) || $NH_BUILD == *asan* ]]
	run -0 mail ok@x.test
	[[ $output == '250 2.0.0 stored' ]]
}

@test "pipelining far ahead: all of it is answered, in order" {
	take
	{
		for i in $(seq 300); do
			printf 'MAIL FROM:<s@x.test>\r\nRCPT TO:<ok@x.test>\r\n'
			printf 'RCPT TO:<perm@x.test>\r\nBDAT 505 LAST\r\n'
			printf '%0503d\r\n' "$i"
		done
		printf 'QUIT\r\n'
	} >session
	run -0 say login '<session' '?1501'
	[[ $(cut -c 1-9 <<<"$output" | sort | uniq -c | awk '{ print $1 $2 }' |
		tr '\n' ,) == '1221,600250,300550,' ]] ||
		[[ $(cut -c 1-9 <<<"$output" | grep -c '^250 2.0.0') -eq 300 && \
		    $(grep -c '^550 5.1.1' <<<"$output") -eq 300 ]]
	[[ ${lines[-1]} == 221* && ${lines[-2]} == 550* ]]
	deliveries_are 300
}

@test "a full queue answers 451 4.3.2 at once, others are not held up" {
	take 'relay.full.test = full'
	for _ in 1 2; do
		mail_on hold@full.test >>out.held
	done
	nh_until 10 nh_field_is full queued 1
	run -0 mail ok@full.test ok@x.test
	[[ ${lines[0]} == '451 4.3.2 '* && ${lines[1]} == '250 2.0.0 stored' ]]
	touch got/go
	nh_until 10 eval '[[ $(grep -c "^250 " out.held) -eq 2 ]]'
}

# ---- deaths ----

@test "a client that goes before the answer: CANCEL; at any other moment: nothing" {
	take
	say login 'mail s@x.test hold@x.test' "data $D/M" 'pause 0.3' close
	nh_until 10 test -s got/cancelled
	session_end lost
	say login 'mail s@x.test hold@x.test' "data $D/M" 'pause 0.3' reset
	nh_until 10 eval '[[ $(wc -l <got/cancelled) -eq 2 ]]'
	say login close
	say login 'mail s@x.test ok@x.test' close
	say login 'mail s@x.test ok@x.test' DATA '=half a message' close
	say login 'mail s@x.test ok@x.test' '=BDAT 100\r\nhalf' reset
	run -0 mail ok@x.test
	deliveries_are 3
}

@test "a client that closes its side behind QUIT gets its answers, any other has gone" {
	p=$(nh_free_port)
	LISTEN="unix:$IN, inet:127.0.0.1:$p" take
	for TO in "$IN" "127.0.0.1:$p"; do
		run -0 say login 'mail s@x.test ok-slow5@x.test perm@x.test' \
			'-BDAT 3 LAST\r\nx\r\nquit' half '??'
		[[ ${lines[0]} == '250 2.0.0 '* && ${lines[1]} == '550 5.1.1 '* && \
		    ${lines[2]} == '221 2.0.0 '* && ${lines[3]} == '(closed)' ]]
	done
	[[ ! -e got/cancelled ]]
	run -0 say login 'mail s@x.test hold@x.test' "data $D/M" '-NOOP' half '??'
	[[ $output == '(closed)' ]]
	nh_until 10 test -s got/cancelled
}

@test "an agent that dies after end of data: may have been delivered" {
	take
	run -0 mail ok-die@x.test
	[[ $output == '451 4.3.0 '*'may have been delivered'* ]]
}

@test "the master is killed: no recipient is left without a reply" {
	take
	mail_on hold@x.test ok@x.test >out.reply
	nh_until 10 deliveries_are 1
	say_on login 'mail s@x.test ok@x.test' DATA '??' >out.mid
	say_on login NOOP '??' >out.idle
	nh_until 10 grep -q 354 out.mid
	nh_until 10 grep -q 250 out.idle
	kill -9 "$MASTER"
	wait "$MASTER" || :
	MASTER=''
	nh_until 10 eval '[[ $(wc -l <out.reply) -eq 2 ]]'
	[[ $(sed -n 1p out.reply) == '451 4.3.0 '*'may have been delivered'* ]]
	[[ $(sed -n 2p out.reply) == 250* || \
	    $(sed -n 2p out.reply) == '451 4.3.0 '* ]]
	nh_until 10 grep -q '^421 4.3.0' out.mid
	nh_until 10 grep -q '^421 4.3.0' out.idle
}

@test "the intake is killed: the master cancels, and starts another" {
	local pid

	take
	pid=$(intake_pid)
	mail_on hold@x.test >out.reply
	nh_until 10 deliveries_are 1
	kill -9 "$pid"
	nh_until 10 test -s got/cancelled
	nh_until 10 grep -q closed out.reply
	again()
	{
		[[ $(intake_pid) != "$pid" ]] && nh_field_is in state ready
	}
	nh_until 10 again
	run -0 mail ok@x.test
	[[ $output == '250 2.0.0 stored' ]]
}

# ---- reload, drain, by hand ----

@test "a reload: sessions that are open end in order, new ones meet new options" {
	local pid

	take
	pid=$(intake_pid)
	say_on login 'mail s@x.test ok@x.test' DATA 'pause 2' '=x\r\n.\r\n' \
		'?' '??' >out.mid
	say_on login NOOP '??' >out.idle
	nh_until 10 grep -q 354 out.mid
	nh_until 10 grep -q 250 out.idle
	sed -i 's/^hostname = .*/hostname = new.test/' "$CONF"
	nh reload
	nh_until 10 grep -q '^421 4.3.2' out.idle
	run -0 say 'LHLO x'
	[[ ${lines[0]} == '250-new.test' ]]
	nh_until 10 grep -q '^250 2.0.0 stored' out.mid
	nh_until 10 grep -q '^421 4.3.2' out.mid
	nh_until 10 eval "! kill -0 $pid"
}

@test "SIGTERM drains; at drain_timeout sessions end with the message under way" {
	take 'drain_timeout = 6s'
	say_on login 'mail s@x.test ok@x.test' RSET 'mail s@x.test ok@x.test' \
		'??' >out.mail
	nh_until 10 grep -q 250 out.mail
	sleep 0.3
	say_on login 'mail s@x.test hold@x.test' "data $D/M" '?' '??' \
		>out.hold
	nh_until 10 deliveries_are 1
	kill "$(intake_pid)"
	sleep 1
	[[ $(wc -l <out.mail) -eq 1 && ! -s out.hold ]]
	nh_until 20 grep -q '^421 4.3.2' out.mail
	touch got/go
	nh_until 10 grep -q '^250 2.0.0 stored' out.hold
	nh_until 10 grep -q '^421 4.3.2' out.hold
}

@test "by hand: a submitter of a master that comes and goes" {
	nh_conf <<-EOC
	[relay told]
	type = custom
	exec = $NH_ROOT/t/lib/told_agent.py
	note = $D/got
	EOC
	NEXTHOP_LOG=stderr:info nh_spawn "$NH_BUILD/libexec/nexthop/intake-lmtp" \
		-o "listen=unix:$IN" -o "submit=$SOCKET" \
		--spool-directory="$D" 2>>log.intake
	local intake=$NH_PID
	nh_until 10 test -S "$IN"
	run -0 say login 'MAIL FROM:<>'
	[[ $output == '451 4.3.0 '* ]]
	nh_start
	up()
	{
		[[ $(mail ok@x.test) == '250 2.0.0 stored' ]]
	}
	nh_until 10 up
	mail_on hold@x.test >out.reply
	nh_until 10 eval '[[ $(grep -l hold@ got/*.env) ]]'
	nh_stop KILL || :
	nh_until 10 grep -q '^451 4.3.0 .*may have been delivered' out.reply
	run -0 say login 'MAIL FROM:<>'
	[[ $output == '451 4.3.0 '* ]]
	touch got/go
	nh_start
	nh_until 10 up
	kill "$intake"
	nh_until 10 eval "! kill -0 $intake"
	[[ ! -e $IN ]]
}

@test "by hand: faults of options and addresses" {
	local prog=$NH_BUILD/libexec/nexthop/intake-lmtp

	run -64 "$prog"
	run -64 "$prog" x
	run -78 "$prog" -o listen=tcp:1 -o submit=/x
	[[ $output == *'listen: "tcp:1" is neither unix:/path nor'* ]]
	run -78 "$prog" -o "listen=unix:$IN" -o submit=/x \
		-o spool_directory=/nowhere -o 'relay.a..b=x'
	[[ $output == *'relay.'*'is no domain'* ]]
	run -78 "$prog" -o "listen=unix:$IN" -o submit=/x -o spool_directory=/nowhere
	[[ $output == *'/nowhere: No such file'* ]]
	run -73 "$prog" -o listen=inet:192.0.2.1:24 -o submit=/x
	[[ $output == *'inet:192.0.2.1:24: '* ]]
	run -0 "$prog" --help
	[[ $output == *max_junk_commands* ]]
	run -0 "$prog" --version
}

@test "faults of the section are named by check; config shows all options" {
	nh_conf <<-EOC
	[relay told]
	type = blackhole
	[intake in]
	listen = unix:$IN
	max_recipients = 1001
	bare_newline = maybe
	relay.a..b = told
	submit = /x
	EOC
	run -78 nh check
	[[ $output == *'[intake in] max_recipients: '* ]]
	[[ $output == *'[intake in] bare_newline: '* ]]
	[[ $output == *'[intake in] submit: '* ]]
	sed -i '/^max_rec/d; /^bare/d; /^submit/d' "$CONF"
	run -78 nh check
	[[ $output == *'relay.a..b'*'no domain'* ]]
	sed -i '/a\.\.b/d' "$CONF"
	run -0 nh check
	run -0 nh config
	[[ $output == *$'\nmessage_size_limit = '* ]]
}

@test "counters of the intake in the statistics" {
	take
	mail ok@x.test temp@x.test perm@x.test
	say login 'mail s@x.test @@' FOO
	counted()
	{
		nh metrics | grep -q 'intake.*recipients_delivered.* 1$' ||
		    nh status --output=json | grep -q recipients_delivered
	}
	nh_until 10 counted
}
