#!/usr/bin/env bats
# What a message and its addresses look like at the other side: every byte
# kept but for line ends and dots, nothing smuggled, parameters of MAIL and
# RCPT as the server offers them.

load lib/nexthop
load lib/smtp

setup()
{
	nh_setup
}

teardown()
{
	[[ ! -e $D/postfix/main.cf ]] || postfix_stop
	nh_teardown
}

wire()
{
	python3 "$NH_ROOT/t/lib/wire.py" "$@"
}

# message FORMAT [ARG...]: as printf; $MSG.
message()
{
	MSG=$D/msg
	# shellcheck disable=SC2059 # a format is meant
	printf "$@" >"$MSG"
}

# python STATEMENTS: writes the message with out(bytes); $MSG.
python_message()
{
	MSG=$D/msg
	python3 -c 'import sys
out = sys.stdout.buffer.write
'"$1" >"$MSG"
}

# offers KEYWORD...: what the scripted server says up to EHLO.
offers()
{
	local lines='250-x' word

	for word; do
		lines+="\\r\\n250-$word"
	done
	HELLO=('S:220 x' L 'A:EHLO *' "W:$lines\\r\\n250 HELP\\r\\n")
}

# reaches [key=value...]: $MSG leaves as it must, in one transaction.
reaches()
{
	rm -f fake
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	give 0 host=127.0.0.1 port="$port" "$@" -- s@x.test r@x.test
	row 1 r@x.test delivered 250 2.0.0 taken
	fake_well
	heard 1 '^MAIL FROM:<s@x.test>'
	cmp <(wire sent fake) <(wire want <"$MSG")
}

# leaves_as FORMAT: and these are the bytes.
leaves_as()
{
	reaches
	# shellcheck disable=SC2059
	cmp <(wire sent fake) <(printf "$1")
}

# ---- line ends and dots ----

@test "R-CT-01: dots at the start of a line are doubled" {
	message 'a: b\r\n\r\n.\r\n..\r\n.x\r\n...\r\nx.\r\n'
	both leaves_as \
	    'a: b\r\n\r\n..\r\n...\r\n..x\r\n....\r\nx.\r\n.\r\n'
}

@test "R-CT-01: also in the header, and where LF ends the line" {
	message '.a: b\n\n.\n..\n.x'
	both leaves_as '..a: b\r\n\r\n..\r\n...\r\n..x\r\n.\r\n'
}

dots_to_sink()
{
	sink_start -M maildir
	give 0 host=127.0.0.1 port="$port" -- s@x.test r@x.test
	sink_end
	counted unique 1
	sed '/^Return-Path:/d; /^X-Envelope-To:/d' maildir/new/* >stored
	rm -rf maildir
	cmp stored <(tr -d '\r' <"$MSG")
}

@test "R-CT-01: the same at a server that takes them away again" {
	message 'a: b\r\nMessage-Id: <1@x>\r\n\r\n.\r\n..\r\n.x\r\n.\r\n'
	both dots_to_sink
}

@test "R-CT-02: a body without its last line end" {
	message 'a: b\r\n\r\nx'
	both leaves_as 'a: b\r\n\r\nx\r\n.\r\n'
}

@test "R-CT-02: headers only, with and without the empty line" {
	message 'a: b\r\n\r\n'
	both leaves_as 'a: b\r\n\r\n.\r\n'
	message 'a: b\r\n'
	both leaves_as 'a: b\r\n.\r\n'
	message 'a: b'
	both leaves_as 'a: b\r\n.\r\n'
}

@test "R-CT-02: zero bytes; an empty line; one dot" {
	message ''
	both leaves_as '.\r\n'
	message '\r\n'
	both leaves_as '\r\n.\r\n'
	message '\n'
	both leaves_as '\r\n.\r\n'
	message '.'
	both leaves_as '..\r\n.\r\n'
}

@test "R-CT-03: LF ends become CRLF" {
	message 'From: s@x.test\nMessage-Id: <m1@x.test>\n\ntest\n.\n..x\n'
	both leaves_as 'From: s@x.test\r\nMessage-Id: <m1@x.test>\r\n\r\ntest\r\n..\r\n...x\r\n.\r\n'
}

@test "R-CT-03: a bare CR becomes a line end, also before CRLF and at the end" {
	message 'a: b\r\n\r\none\rtwo\r.three\r\r\nfour\r'
	both leaves_as 'a: b\r\n\r\none\r\ntwo\r\n..three\r\n\r\nfour\r\n.\r\n'
}

@test "R-CT-03: no bare CR or LF leaves, whatever the mix" {
	python_message '
import random
r = random.Random(7)
for n in range(40000):
    out(r.choice([b"\r", b"\n", b"\r\n", b".", b"..", b"x", b"\x00", b"yz"]))'
	reaches
	wire sent fake >sent
	python3 -c '
import re
data = open("sent", "rb").read()
assert len(data) > 50000
assert not re.search(rb"(?<!\r)\n|\r(?!\n)", data)'
}

@test "R-CT-03: nothing is smuggled: one message, one MAIL" {
	local end

	for end in '\n.\r\n' '\r.\r\n' '\r\n.\n' '\r\n.\r' '\n.\n' '\r.\r' \
	    '\r\r\n.\r\r\n' '\r\n.\r\n'; do
		message "Message-Id: <1@x>\\r\\n\\r\\na${end}MAIL FROM:<evil@x.test>\\r\\nRCPT TO:<r@x.test>\\r\\nDATA\\r\\nb: c\\r\\n\\r\\nevil${end}"
		fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
		give 0 host=127.0.0.1 port="$port" -- s@x.test r@x.test
		fake_well
		cmp <(wire sent fake) <(wire want <"$MSG")

		sink_start -a commands
		give 0 host=127.0.0.1 port="$port" -- s@x.test r@x.test
		sink_end
		counted messages 1
		[[ $(grep -c ' MAIL' commands) -eq 1 ]]
		rm -f fake commands
	done
}

@test "R-CT-03: nothing is smuggled to Postfix's server" {
	local end

	smtp_sink_start
	for end in '\n.\r\n' '\r.\r\n' '\r\n.\n' '\n.\n' '\r.\r' '\r\n.\r\n'; do
		rm -f "$D"/m.*
		message "a: b\\r\\n\\r\\na${end}MAIL FROM:<evil@x.test>\\r\\nRCPT TO:<r@x.test>\\r\\nDATA\\r\\nb: c\\r\\n\\r\\nevil${end}"
		give 0 host=127.0.0.1 port="$port" -- s@x.test r@x.test
		dumps=("$D"/m.*)
		[[ ${#dumps[@]} -eq 1 ]]
		[[ $(grep -c '^X-Mail-Args:' "${dumps[0]}") -eq 1 ]]
		grep -q '^X-Mail-Args: <s@x.test>' "${dumps[0]}"
	done
}

@test "R-CT-04: stuffing across the borders of buffers" {
	local shift

	sink_start -o messages
	python3 - <<-'EOP'
	import hashlib
	# Lines of one dot: the borders of 4, 8, 16 and 64 KiB fall on each byte
	# of them.
	with open('want', 'w') as want:
	    for shift in [*range(9), *range(4090, 4100), *range(8185, 8192)]:
	        for end in b'\r\n', b'\n':
	            ident = b'%d.%d' % (shift, len(end))
	            body = b'x' * shift + end + (b'.' + end) * 333333
	            with open('in.' + ident.decode(), 'wb') as f:
	                f.write(b'Message-Id: <' + ident + b'>' + end + end + body)
	            body = body.replace(b'\r\n', b'\n').replace(b'\n', b'\r\n')
	            print(ident.decode(), hashlib.sha256(body + ident).hexdigest(),
	                file=want)
	EOP
	for shift in in.*; do
		MSG=$shift give 0 host=127.0.0.1 port="$port" -- s@x.test \
			r@x.test
	done
	sink_end
	counted messages 52
	cmp <(cut -d' ' -f 1,4 messages | sort) <(sort want)
}

@test "R-CT-05: the bytes of the header are not touched" {
	message '%b' "From: s@x.test\r\nSubject: $(printf 'W%.0s' {1..120})\r\nX-Odd:nospace\r\nX-odd :  two  spaces \r\nX-Tab:\tx\t\r\nX-Long: $(printf 'y%.0s' {1..995})\r\nX-Fold: a\r\n  b\r\n\tc\r\nX-Empty:\r\nx-8: \xe9\x81\r\nDKIM-Signature: v=1; a=rsa-sha256;\r\n\tb=abc=\r\nBcc: hidden@x.test\r\n\r\nbody \r\n"
	both reaches eightbit=send
	[[ $(wire sent fake | wc -c) -eq $(($(wc -c <"$MSG") + 3)) ]]
}

@test "R-CT-05: no line is added to a message without header" {
	message 'no header at all\r\n\r\nFrom: here\r\n'
	both leaves_as 'no header at all\r\n\r\nFrom: here\r\n.\r\n'
}

@test "R-CT-05: a large message from a file and from a pipe" {
	python_message '
import random
r = random.Random(3)
out(b"a: b\r\n\r\n")
for n in range(20000):
    out(r.randbytes(r.randrange(120)) + b"\r\n")'
	both reaches eightbit=send
	rm -f fake
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	# shellcheck disable=SC2002 # a pipe is meant
	cat "$MSG" | VIA=agent try static host=127.0.0.1 port="$port" \
		eightbit=send -- s@x.test r@x.test
	fake_well
	cmp <(wire sent fake) <(wire want <"$MSG")
}

# ---- 8-bit data ----

@test "R-CT-06: 8-bit data where 8BITMIME is offered" {
	message 'a: b\r\n\r\nx\x81y\r\n'
	offers 8BITMIME
	both reaches
	heard 1 '^MAIL FROM:<s@x.test> BODY=8BITMIME$'
	message 'a: \xe9\r\n\r\nx\r\n'
	both reaches
	heard 1 '^MAIL FROM:<s@x.test> BODY=8BITMIME$'
}

@test "R-CT-06: no BODY= for 7-bit data, nor where it is not offered" {
	MSG=$D/M
	offers 8BITMIME
	both reaches
	heard 1 '^MAIL FROM:<s@x.test>$'
	offers HELP
	message 'a: b\r\n\r\nx\x81y\r\n'
	both reaches eightbit=send
	heard 1 '^MAIL FROM:<s@x.test>$'
}

eightbit_refused()
{
	fake_start "${HELLO[@]}" "${BYE[@]}"
	give 69 host=127.0.0.1 port="$port" eightbit=refuse -- s@x.test \
		a@x.test b@x.test
	rows 2
	row 1 a@x.test permanent 554 5.6.3 '8BITMIME is required*'
	row 2 b@x.test permanent 554 5.6.3
	fake_well
}

@test "R-CT-06: eightbit=refuse" {
	message 'a: b\r\n\r\nx\x81y\r\n'
	both eightbit_refused
	# Where it is offered, or not needed, it changes nothing.
	MSG=$D/M reaches eightbit=refuse
	offers 8BITMIME
	reaches eightbit=refuse
}

# converted_as FORMAT: these bytes reach the server.
converted_as()
{
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	give 0 host=127.0.0.1 port="$port" -- s@x.test r@x.test
	fake_well
	# shellcheck disable=SC2059
	cmp <(wire sent fake) <(printf "$1")
}

@test "R-CT-06: converted where 8BITMIME is not offered, which is the default" {
	message 'a: b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n.caf\xc3\xa9\r\n'
	both converted_as 'a: b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=2Ecaf=C3=A9\r\n.\r\n'
}

unconvertible()
{
	fake_start "${HELLO[@]}" "${BYE[@]}"
	give 69 host=127.0.0.1 port="$port" -- s@x.test a@x.test
	row 1 a@x.test permanent 554 5.6.3 '*conversion is not possible*multipart/signed*'
	fake_well
}

@test "R-CT-06: signed parts are never converted" {
	message 'a: b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=x; protocol="application/pgp-signature"\r\n\r\n--x\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncaf\xc3\xa9\r\n--x\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--x--\r\n'
	both unconvertible
}

@test "R-CT-06: 8-bit data to Postfix's server, which tells what it got" {
	message 'a: b\r\n\r\nx\x81y\r\n'
	smtp_sink_start
	give 0 host=127.0.0.1 port="$port" -- s@x.test r@x.test
	grep -qx 'X-Mail-Args: <s@x.test> BODY=8BITMIME' "$D"/m.*
	LC_ALL=C grep -qaP '^x\x81y' "$D"/m.*
	rm -f "$D"/m.*
	smtp_sink_start -8
	give 0 host=127.0.0.1 port="$port" eightbit=send -- s@x.test r@x.test
	grep -qx 'X-Mail-Args: <s@x.test>' "$D"/m.*
	LC_ALL=C grep -qaP '^x\x81y' "$D"/m.*
}

# ---- SIZE ----

too_large()
{
	fake_start "${HELLO[@]}" "${BYE[@]}"
	give 69 host=127.0.0.1 port="$port" -- s@x.test a@x.test b@x.test
	rows 2
	row 1 a@x.test permanent 552 5.3.4 "message size $1 exceeds size limit $2 of *"
	row 2 b@x.test permanent 552 5.3.4
	fake_well
	heard 0 '^MAIL'
}

@test "R-CT-07: a message larger than SIZE is not offered" {
	offers 'SIZE 1000'
	python_message 'out(b"a: b\r\n\r\n" + b"x" * 30000 + b"\r\n")'
	both too_large 30010 1000
	# By one octet, which only the line ends make.
	python_message 'out(b"a: b\n\n" + b"y" * 990 + b"\n")'
	[[ $(wc -c <"$MSG") -eq 997 ]]
	offers 'SIZE 999'
	both too_large 1000 999
}

@test "R-CT-07: SIZE= is exact: line ends counted, dots not" {
	offers 'SIZE 1000'
	MSG=$D/M both reaches
	heard 1 "^MAIL FROM:<s@x.test> SIZE=$(wc -c <M)$"
	python_message 'out(b"a: b\n\n" + b"." * 990 + b"\n")'
	both reaches
	heard 1 '^MAIL FROM:<s@x.test> SIZE=1000$'
	message 'a: b\n.\n.\n.\r.'
	both reaches
	heard 1 "^MAIL FROM:<s@x.test> SIZE=$(wire size <"$MSG")$"
	message ''
	reaches
	heard 1 '^MAIL FROM:<s@x.test> SIZE=0$'
}

@test "R-CT-07: SIZE without a number, SIZE 0, a number beyond all" {
	python_message 'out(b"a: b\r\n\r\n" + b"x" * 30000 + b"\r\n")'
	for size in 'SIZE' 'SIZE 0' 'SIZE 99999999999999999999999'; do
		offers "$size"
		reaches
		heard 1 '^MAIL FROM:<s@x.test> SIZE=30010$'
	done
}

@test "R-CT-07: Postfix refuses what it has no room for" {
	postfix_start
	python_message 'out(b"a: b\r\n\r\n" + b"x\r\n" * 10000)'
	give 69 host=127.0.0.1 port="$port" -- s@x.test a@example.com
	row 1 a@example.com permanent 552 5.3.4 '*20000*'
	MSG=$D/M give 0 host=127.0.0.1 port="$port" -- s@x.test a@example.com
}

# ---- addresses ----

utf8_sent()
{
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	give 0 host=127.0.0.1 port="$port" -- "$1" "$2"
	row 1 "$2" delivered 250 2.0.0
	fake_well
}

@test "R-CT-08: UTF-8 in addresses where SMTPUTF8 is offered" {
	offers 8BITMIME SMTPUTF8
	both utf8_sent s@x.test ré@x.test
	heard 1 '^MAIL FROM:<s@x.test> SMTPUTF8$'
	heard 1 '^RCPT TO:<ré@x.test>$'
	both utf8_sent sé@x.test r@x.test
	heard 1 '^MAIL FROM:<sé@x.test> SMTPUTF8$'
	both utf8_sent s@x.test ré@bücher.test
	heard 1 '^RCPT TO:<ré@bücher.test>$'
	# Not asked for where nothing needs it.
	both utf8_sent s@x.test r@x.test
	heard 1 '^MAIL FROM:<s@x.test>$'
}

utf8_recipient_refused()
{
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	give 69 host=127.0.0.1 port="$port" -- s@x.test ré@x.test r@x.test
	row 1 ré@x.test permanent 553 5.6.7 'SMTPUTF8 is required*'
	row 2 r@x.test delivered 250 2.0.0
	fake_well
	heard 1 '^RCPT TO:'
}

utf8_sender_refused()
{
	fake_start "${HELLO[@]}" "${BYE[@]}"
	give 69 host=127.0.0.1 port="$port" -- sé@x.test a@x.test b@x.test
	row 1 a@x.test permanent 553 5.6.7
	row 2 b@x.test permanent 553 5.6.7
	fake_well
}

@test "R-CT-08: UTF-8 in addresses where it is not" {
	both utf8_recipient_refused
	both utf8_sender_refused
	fake_start "${HELLO[@]}" "${BYE[@]}"
	give 69 host=127.0.0.1 port="$port" -- s@x.test ré@x.test
	row 1 ré@x.test permanent 553 5.6.7
	fake_well
}

@test "R-CT-08: UTF-8 in the header" {
	message 'Subject: é\r\n\r\nx\r\n'
	fake_start "${HELLO[@]}" "${BYE[@]}"
	give 69 host=127.0.0.1 port="$port" --smtputf8 -- s@x.test r@x.test
	row 1 r@x.test permanent 554 5.6.9
	fake_well
	offers 8BITMIME SMTPUTF8
	rm fake
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	give 0 host=127.0.0.1 port="$port" --smtputf8 -- s@x.test r@x.test
	heard 1 '^MAIL FROM:<s@x.test> BODY=8BITMIME SMTPUTF8$'
}

@test "R-CT-09: a domain alone becomes A-labels" {
	both utf8_sent s@x.test u@bücher.test
	heard 1 '^RCPT TO:<u@xn--bcher-kva.test>$'
	both utf8_sent s@bücher.test r@x.test
	heard 1 '^MAIL FROM:<s@xn--bcher-kva.test>$'
	both utf8_sent s@x.test u@Bücher.TEST
	heard 1 '^RCPT TO:<u@xn--bcher-kva\.(test|TEST)>$'
}

null_sender()
{
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	give 0 host=127.0.0.1 port="$port" -- "$1" r@x.test
	fake_well
	heard 1 '^MAIL FROM:<>$'
}

@test "R-CT-10: the null sender" {
	both null_sender ''
	both null_sender '<>'
	smtp_sink_start
	give 0 host=127.0.0.1 port="$port" -- '' r@x.test
	grep -q '^X-Mail-Args: <>' "$D"/m.*
}

bad_recipient()
{
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	give 69 host=127.0.0.1 port="$port" -- s@x.test "$1" good@x.test
	rows 2
	[[ $(sed -n 1p rows | cut -f 2-4) == $'permanent\t553\t5.1.3' ]]
	row 2 good@x.test delivered 250 2.0.0
	fake_well
	heard 1 '^RCPT TO:<good@x.test>$'
	heard 1 '^RCPT'
	heard 0 evil
}

@test "R-CT-11: nothing of an address leaves that could be a command" {
	both bad_recipient $'a@x>\r\nRCPT TO:<evil@x'
	both bad_recipient $'a@x\nevil'
	both bad_recipient $'a\revil@x'
	both bad_recipient 'a@x> NOTIFY=evil'
	both bad_recipient 'evil@x y'
	both bad_recipient '"evil@x'
}

@test "R-CT-11: more addresses that cannot be sent" {
	for bad in $'evil\x01@x' $'evil\x7f@x' $'evil\t@x' 'evil@' '@evil' \
	    $'evil\xff@x' '"a"evil"@x' 'evil..x@x>' 'evil@x..y' 'evil@[1' \
	    "evil$(printf 'x%.0s' {1..2000})@x"; do
		bad_recipient "$bad"
		rm fake
	done
}

@test "R-CT-11: alone: nobody is connected to, or it is said goodbye" {
	fake_start 'S:220 x' L 'A:QUIT' 'S:221 x'
	give 69 host=127.0.0.1 port="$port" -- s@x.test $'a@x>\r\nevil'
	rows 1
	[[ $(wc -c <fake) -eq 0 ]]
}

@test "R-CT-11: a sender that cannot be sent" {
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	run ! give 0 host=127.0.0.1 port="$port" -- $'s@x>\r\nevil' r@x.test
	[[ ! -s rows ]]
	VIA=agent give 69 host=127.0.0.1 port="$port" -- 's@x> evil' r@x.test
	row 1 r@x.test permanent 553 5.1.7
	VIA=master give 69 host=127.0.0.1 port="$port" -- 's@x> evil' r@x.test
	row 1 r@x.test permanent 553 5.1.7
	[[ $(wc -c <fake) -eq 0 ]]
}

# A submitter that does not check what it says.
@test "R-CT-11: CR LF in frames is refused where it enters" {
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	nh_conf <<-EOC
	[relay r]
	type = static
	host = 127.0.0.1
	port = $port
	EOC
	nh_start
	cat >inject.py <<-EOP
	import importlib.util, sys
	sys.dont_write_bytecode = True
	spec = importlib.util.spec_from_file_location(
	    'submit', '$NH_ROOT/contrib/client-template/submit.py')
	s = importlib.util.module_from_spec(spec)
	spec.loader.exec_module(s)
	for sender, rcpt in (('s@x', 'a@x>\r\nevil'), ('s@x>\r\nevil', 'a@x')):
	    c = s.Connection('$SOCKET')
	    c.greet()
	    c.deliver(1, 'r', sender, [rcpt], b'x')
	    try:
	        print(list(c.answers(1)))
	    except ConnectionError as error:
	        print('closed')
	EOP
	run -0 python3 inject.py
	[[ ${#lines[@]} -eq 2 ]]
	[[ $output != *delivered* ]]
	[[ $(wc -c <fake) -eq 0 ]]
	nh submit --relay=r --from=s@x.test good@x.test <M
}

quoted()
{
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	give 0 host=127.0.0.1 port="$port" -- "$1" "$1"
	fake_well
	heard 1 "^MAIL FROM:<$2>\$"
	heard 1 "^RCPT TO:<$2>\$"
}

@test "addresses: quoted where needed, as they are where not" {
	quoted '"a b"@x.test' '"a b"@x.test'
	rm fake
	quoted '"a>\" b"@x.test' '"a>\\" b"@x.test'
	rm fake
	quoted 'a+b/c@[127.0.0.1]' 'a\+b/c@\[127.0.0.1\]'
	rm fake
	quoted '@one,@two:a@x.test' 'a@x.test'
	rm fake
	quoted 'A.B@X.Test' 'A.B@X.Test'
}

# ---- DSN ----

dsn()
{
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	give 0 host=127.0.0.1 port="$port" --notify=success,DELAY --ret=hdrs \
		--envid=QQ+2B314159 --orcpt='rfc822;Bob+20B@x.test' -- \
		s@x.test r@x.test
	fake_well
}

@test "R-CT-12: DSN options where DSN is offered" {
	offers DSN
	both dsn
	heard 1 '^MAIL FROM:<s@x.test> RET=HDRS ENVID=QQ\+2B314159$'
	heard 1 '^RCPT TO:<r@x.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob\+20B@x.test$'
	# Nothing where nothing was asked.
	MSG=$D/M both reaches
	heard 1 '^MAIL FROM:<s@x.test>$'
	heard 1 '^RCPT TO:<r@x.test>$'
}

@test "R-CT-12: DSN options where it is not" {
	both dsn
	heard 1 '^MAIL FROM:<s@x.test>$'
	heard 1 '^RCPT TO:<r@x.test>$'
}

@test "R-CT-12: DSN options at Postfix's server" {
	options=(--notify=NEVER --ret=FULL --envid=abc
		'--orcpt=rfc822;q@x.test')
	smtp_sink_start
	give 0 host=127.0.0.1 port="$port" "${options[@]}" -- s@x.test r@x.test
	grep -qx 'X-Mail-Args: <s@x.test> RET=FULL ENVID=abc' "$D"/m.*
	grep -qx 'X-Rcpt-Args: <r@x.test> NOTIFY=NEVER ORCPT=rfc822;q@x.test' \
		"$D"/m.*
	rm -f "$D"/m.*
	smtp_sink_start -N
	give 0 host=127.0.0.1 port="$port" "${options[@]}" -- s@x.test r@x.test
	grep -qx 'X-Mail-Args: <s@x.test>' "$D"/m.*
	grep -qx 'X-Rcpt-Args: <r@x.test>' "$D"/m.*
}

# ---- BINARYMIME, LIMITS ----

binary()
{
	fake_start 'S:220 x' L 'W:250-x\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 BINARYMIME\r\n' \
		G:3 B:16 'W:250 m\r\n250 r\r\n250 ok\r\n' "${BYE[@]}"
	give 0 host=127.0.0.1 port="$port" --body=BINARYMIME -- s@x.test r@x.test
	fake_well
	heard 1 '^MAIL FROM:<s@x.test> BODY=BINARYMIME$'
	grep -qa '^BDAT 16 LAST' "$D/fake"
	python3 -c 'import sys
sys.exit(open(sys.argv[1], "rb").read() not in open(sys.argv[2], "rb").read())' \
		"$MSG" "$D/fake"
}

@test "BINARYMIME: no byte is changed where the server takes it" {
	message 'a: b\r\n\r\n\0\n\rx\ny\x81\n'
	[[ $(wc -c <"$MSG") -eq 16 ]]
	both binary
}

limits()
{
	fake_start 'S:220 x' L 'W:250-x\r\n250 LIMITS RCPTMAX=2 MAILMAX=9\r\n' \
		L 'S:250 m' L 'A:RCPT TO:<a@*' 'S:250 r' L 'A:RCPT TO:<b@*' 'S:250 r' \
		L 'A:DATA' 'S:354 go' D 'S:250 one' \
		L 'A:MAIL*' 'S:250 m' L 'A:RCPT TO:<c@*' 'S:250 r' L 'A:DATA' 'S:354 go' D \
		'S:250 two' "${BYE[@]}"
	give 0 host=127.0.0.1 port="$port" -- s@x.test a@x.test b@x.test c@x.test
	row 2 b@x.test delivered 250 2.0.0 one
	row 3 c@x.test delivered 250 2.0.0 two
	fake_well
}

@test "LIMITS: RCPTMAX is obeyed in advance (RFC 9422)" {
	both limits
}

@test "LIMITS: MAILMAX ends the connection before the server does" {
	fake_start 'S:220 x' L 'W:250-x\r\n250 LIMITS MAILMAX=1\r\n' "${TAKE[@]}" \
		"${BYE[@]}" + "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	VIA=agent give 0 host=127.0.0.1 port="$port" --count=2 -- s@x.test r@x.test
	fake_well
}
