#!/usr/bin/env bats
# t/tools/sink, the receiving end of the other tests, benches and the demo:
# it counts, stores, refuses and delays as t/tools/README.md says.

bats_require_minimum_version 1.5.0

envelope='MAIL FROM:<s@x.test>\r\nRCPT TO:<a@x.test>\r\n'
message='Message-ID: <1@x.test>\r\nSubject: dots\r\n\r\n..\r\n..x\r\nend\r\n'

setup()
{
	cd "$BATS_TEST_TMPDIR" || exit
	pids=()
}

teardown()
{
	local pid

	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
}

# start ARG...: a sink in the background; $pid and $port say where.
start()
{
	rm -f port
	"$NH_BUILD/t/tools/sink" -q -t 60 -l 127.0.0.1:0 -P port "$@" \
		>report 2>err 3>&- &
	pid=$!
	pids+=("$pid")
	for _ in $(seq 1500); do
		[[ -e port ]] && break
		sleep 0.02
	done
	port=$(<port)
}

# The sink has come to its end, and with this status.
ends_with()
{
	local status=0

	wait "$pid" || status=$?
	[[ $status -eq $1 ]] || { echo "status $status"; cat err; return 1; }
}

stop()
{
	kill "$pid"
	ends_with 0
}

# has FIELD VALUE...: the report, complete by now, says so
has()
{
	cat report
	while [[ $# -gt 0 ]]; do
		grep -q "[{,]\"$1\":\"\{0,1\}$2[,\"]" report || return 1
		shift 2
	done
}

# Sends its argument (escapes are meant), prints all that comes back, in lines.
send()
{
	printf '%b' "$1" | timeout 20 nc -N 127.0.0.1 "$port" | tr -d '\r'
}

# python STATEMENTS: connect() gives a connection to the sink.
python()
{
	python3 - "$port" "$1" <<-'END'
	import smtplib, socket, ssl, sys, time
	port = int(sys.argv[1])
	def connect():
	    return socket.create_connection(("127.0.0.1", port), 10)
	exec(sys.argv[2])
	END
}

@test "a message is taken and counted" {
	start -o list
	run send "EHLO me\r\n${envelope}DATA\r\n$message.\r\nQUIT\r\n"
	echo "$output" | sed '1,/^250 /d' >replies
	printf '%s\n' '250 2.1.0 Ok' '250 2.1.5 Ok' '354 go ahead' \
		'250 2.0.0 Ok: queued' '221 2.0.0 Bye' | cmp - replies
	stop
	has messages 1 unique 1 duplicates 0 without_id 0 recipients 1 \
		bytes 53 body_bytes 12 connections 1 open 0 truncated 0
	sum=$(printf '.\r\n.x\r\nend\r\n1@x.test' | sha256sum | cut -c 1-64)
	[ "$(<list)" = "1@x.test 53 1 $sum" ]
}

@test "the same message in one piece, in octets and in chunks" {
	start -o list
	python '
data = (b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@x.test>\r\nDATA\r\n"
    b"Message-ID: <1@x>\r\n\r\n..\r\n\r.\r\n\n.\r\n.\r\nQUIT\r\n")
for size in len(data), 1, 2, 3:
    s = connect()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for i in range(0, len(data), size):
        s.sendall(data[i:i + size])
        time.sleep(0.001)
    while s.recv(9999):
        pass
body = b"Message-ID: <1@x>\r\n\r\n.\r\n\r.\r\n\n.\r\n"
data = b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@x.test>\r\n"
for b in body:
    data += b"BDAT 1\r\n" + bytes([b])
s = connect()
s.sendall(data + b"BDAT 0 LAST\r\nQUIT\r\n")
while s.recv(9999):
    pass'
	stop
	has messages 5 unique 1 duplicates 4
	[ "$(sed 's/ dup$//' list | sort -u | wc -l)" -eq 1 ]
}

@test "a dot after a bare LF does not end a message" {
	start
	run send "EHLO me\r\n${envelope}DATA\r\na\n.\r\n\
MAIL FROM:<evil>\r\n.\r\n"
	[ "$(grep -c queued <<<"$output")" -eq 1 ]
	stop
	has messages 1 bytes 23
}

@test "LMTP: a reply and a file for each accepted recipient" {
	start -m lmtp -M mail -r rcpt:50:550 -S 7
	rcpts=$(printf 'RCPT TO:<r%d@x.test>\\r\\n' $(seq 20))
	run send "EHLO me\r\nLHLO me\r\nMAIL FROM:<s@x.test>\r\n${rcpts}\
DATA\r\n$message.\r\nQUIT\r\n"
	[[ $output == *'500 5.5.1'* ]]
	accepted=$(grep -c '^250 2.1.5' <<<"$output")
	[ "$accepted" -gt 1 ]
	[ "$accepted" -lt 20 ]
	[ "$(grep -c queued <<<"$output")" -eq "$accepted" ]
	stop
	has messages 1 recipients "$accepted"
	[ "$(find mail/new -type f -perm 600 | wc -l)" -eq "$accepted" ]
	[ "$(cat mail/new/* | grep -h '^Delivered-To:' | sort -u | wc -l)" -eq \
		"$accepted" ]
	for f in mail/new/*; do
		sed '/^Delivered-To: r[0-9]*@x.test$/d' "$f" >text
		printf "Return-Path: <s@x.test>\n%b" "$message" |
			sed 's/\r$//; s/^\.\././; s/^\.\.x/.x/' | cmp - text
	done
	[ -z "$(ls mail/tmp)" ]
}

@test "-M: one file for all recipients in SMTP; nothing left behind" {
	start -M mail -F
	send "EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@x.test>\r\n\
RCPT TO:<\"b > c\"@x.test> NOTIFY=NEVER\r\nDATA\r\na\rb\r\r\n.\r\nQUIT\r\n"
	printf 'Return-Path: <>\nX-Envelope-To: a@x.test\n' >want
	printf 'X-Envelope-To: "b > c"@x.test\na\rb\r\n' >>want
	cmp want mail/new/*
	send "EHLO me\r\n${envelope}DATA\r\nhalf"
	send "EHLO me\r\n${envelope}BDAT 9\r\nha"
	[ -z "$(ls mail/tmp)" ]
	stop
	has messages 1 recipients 2 truncated 2
}

@test "-r: refusals at each stage; hanging up on a message that counts" {
	local s

	for s in connect helo mail rcpt data dot; do
		start -r $s:100:451
		run send "EHLO me\r\n${envelope}DATA\r\nx\r\n.\r\n"
		[[ $output == *"451 4.7.1 refused by sink at $s"* ]]
		stop
		has rejects 1
		[[ $s == helo ]] || has messages 0
	done
	start -r data:100:554
	run send "EHLO me\r\n${envelope}BDAT 1\r\nxBDAT 1 LAST\r\ny"
	[[ $output == *$'554 5.7.1 refused by sink at data\n503'* ]]
	start -r dot:100:0 -e 1
	run send "EHLO me\r\n${envelope}DATA\r\nx\r\n.\r\nNOOP\r\n"
	[[ $output == *'354 go ahead' ]]
	ends_with 0
	has messages 1 lost_replies 1
}

@test "-n, -c: so many messages per connection, so many connections" {
	start -n 2 -c 1
	once="${envelope}DATA\r\nx\r\n.\r\n"
	run send "EHLO me\r\n$once$once$once"
	[ "$(grep -c queued <<<"$output")" -eq 2 ]
	[ "$(tail -n 1 <<<"$output")" = \
		'421 4.7.0 too many messages on this connection' ]
	python '
s = connect()
s.recv(99)
assert connect().recv(99).startswith(b"421 ")'
	stop
	has messages 2 connections 2 over 1
}

@test "-d, -D: replies and final replies leave late" {
	start -d 100 -D 1000
	python '
def timed(data, low, high, start=None):
    start = start or time.monotonic()
    s.sendall(data)
    s.recv(999)
    took = time.monotonic() - start
    assert low < took < high, (data, took)
start = time.monotonic()
s = connect()
timed(b"", 0.09, 9, start)
timed(b"EHLO me\r\n", 0.09, 0.9)
timed(b"MAIL FROM:<>\r\nRCPT TO:<a@x>\r\nDATA\r\n", 0.09, 0.9)
timed(b"x\r\n.\r\n", 1.09, 9)'
}

@test "-T, -W: TLS; commands sent in clear before it are discarded" {
	local flags

	for flags in -T '-T -d 5' '-T -D 5' -W '-W -d 5'; do
		# shellcheck disable=SC2086
		start -v $flags
		python "
c = ssl._create_unverified_context()
if '$flags'[1] == 'W':
    m = smtplib.SMTP_SSL('127.0.0.1', port, context=c)
else:
    m = smtplib.SMTP('127.0.0.1', port)
    m.starttls(context=c)
m.ehlo()
assert not m.has_extn('starttls')
m.sendmail('a@x', ['b@x'], 'Message-ID: <1@x>\r\n\r\n' + 'x' * 900000)
m.quit()"
		stop
		has messages 1 tls 1
	done
	start -T -v
	python '
s = connect()
s.recv(99)
s.sendall(b"STARTTLS\r\nRSET\r\n")
s.recv(99)
t = ssl._create_unverified_context().wrap_socket(s)
t.sendall(b"QUIT\r\n")
t.recv(99)'
	stop
	run ! grep RSET err
}

@test "-C: a certificate that the client can trust" {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout key.pem -out cert.pem -days 2 -subj /CN=mx.test \
		-addext subjectAltName=DNS:mx.test 2>/dev/null
	cat cert.pem key.pem >both.pem
	start -W -C both.pem
	python '
c = ssl.create_default_context(cafile="cert.pem")
t = c.wrap_socket(connect(), server_hostname="mx.test")
assert t.recv(99).startswith(b"220 ")'
}

@test "-x, -p, -k: what is left out is neither announced nor taken" {
	local all='PIPELINING SIZE 8BITMIME ENHANCEDSTATUSCODES SMTPUTF8 DSN
		CHUNKING'
	local k

	start
	run send 'EHLO me\r\nQUIT\r\n'
	for k in $all; do
		grep -Ex "250[- ]$k( 268435456)?" <<<"$output"
	done
	start -p -k -x DSN -x size -x 8BITMIME -x SMTPUTF8 \
		-x ENHANCEDSTATUSCODES
	run send "EHLO me\r\nMAIL FROM:<> SIZE=1\r\n\
MAIL FROM:<> BODY=8BITMIME\r\nMAIL FROM:<> RET=HDRS\r\nBDAT 0 LAST\r\nQUIT\r\n"
	printf '%s\n' '220 sink.test ESMTP' '250 sink.test' \
		'555 parameter not offered' '555 parameter not offered' \
		'555 parameter not offered' '500 what?' '221 Bye' >want
	echo "$output" | cmp - want
	run -64 "$NH_BUILD/t/tools/sink" -x NOTHING
}

@test "-s: what is too big is refused, announced or not" {
	start -s 1000 -M mail
	big=$(printf 'x%.0s' $(seq 1100))
	run send "EHLO me\r\nMAIL FROM:<> SIZE=1001\r\n\
${envelope}DATA\r\n$big\r\n.\r\n\
${envelope}BDAT 1100\r\n${big}BDAT 0 LAST\r\nRSET\r\n\
${envelope}DATA\r\nx\r\n.\r\nQUIT\r\n"
	[[ $output == *'250 SIZE 1000'* || $output == *'250-SIZE 1000'* ]]
	[ "$(grep -c '^552 5.3.4' <<<"$output")" -eq 3 ]
	[ "$(grep -c '^503 ' <<<"$output")" -eq 1 ]
	[ "$(grep -c queued <<<"$output")" -eq 1 ]
	stop
	[ "$(find mail -type f | wc -l)" -eq 1 ]
}

@test "-e, -t, -i: it ends by itself, and says if too early" {
	start -e 2 -I X-Id
	once="${envelope}DATA\r\nX-Id: 1\r\n.\r\n"
	send "EHLO me\r\n$once$once${once/: 1/: 2}QUIT\r\n"
	ends_with 0
	has messages 3 unique 2 duplicates 1
	start -e 2 -t 0.3
	ends_with 1
	start -e 2 -i 0.2
	send "EHLO me\r\n${envelope}DATA\r\nx\r\n.\r\nQUIT\r\n"
	ends_with 1
	has messages 1 without_id 1
}

@test "-v, -a: commands are logged, each with its connection" {
	start -v -a commands
	send 'EHLO me\r\nNOOP a\tb\r\n' >/dev/null
	send 'QUIT\r\n' >/dev/null
	[ "$(<commands)" = $'1 EHLO me\n1 NOOP a\\x09b\n2 QUIT' ]
	kill -USR1 "$pid"
	stop
	grep -x '1 C: EHLO me' err
	grep -x '2 C: QUIT' err
	grep '^{"messages":0,' err
}

@test "bad input: over-long lines, bad syntax, commands out of order" {
	start
	long=$(printf 'x%.0s' $(seq 65540))
	run send "NOOP ${long}\r\nNOOP\r\n"
	[ "$(tail -n 1 <<<"$output")" = '500 5.5.6 line too long' ]
	run send "EHLO\r\nRCPT TO:<a@x>\r\nDATA\r\nMAIL a@x\r\nMAIL FROM:<a@x\r\n\
MAIL FROM:<>\r\nMAIL FROM:<>\r\nRCPT TO:<>\r\nDATA\r\nX\0\r\n\r\n\
BDAT x\r\nNOOP\r\n"
	printf '%s\n' '220 sink.test ESMTP' '501 5.5.4 want a name' \
		'503 5.5.1 need MAIL first' '503 5.5.1 no valid recipients' \
		'501 5.5.4 want MAIL FROM:<address>' \
		'501 5.5.4 want MAIL FROM:<address>' '250 2.1.0 Ok' \
		'503 5.5.1 nested MAIL' '501 5.5.4 want RCPT TO:<address>' \
		'554 5.5.1 no valid recipients' '500 5.5.2 NUL in command' \
		'500 5.5.1 what?' '501 5.5.4 want BDAT octets [LAST]' >want
	echo "$output" | cmp - want
}

@test "-l: a UNIX socket, IPv6; never beyond loopback" {
	start -l unix:sock -m lmtp -e 1
	printf '%b' "LHLO me\r\n${envelope}DATA\r\nx\r\n.\r\nQUIT\r\n" |
		timeout 10 nc -U -N sock
	ends_with 0
	[ ! -e sock ]
	start -l '[::1]:0'
	timeout 10 nc -N ::1 "$port" </dev/null | grep '^220 '
	run -64 "$NH_BUILD/t/tools/sink" -l 192.0.2.1:2525
	run -64 "$NH_BUILD/t/tools/sink" -l '[2001:db8::1]:2525'
	run -64 "$NH_BUILD/t/tools/sink" -l 127.0.0.1
}

@test "-j: a journal has each message before its reply, whatever kills the sink" {
	start -j journal -n 1
	send "EHLO me\r\n${envelope}DATA\r\nMessage-ID: <a@x>\r\n\r\nx\r\n.\r\n" |
		grep '^250 2.0.0 Ok: queued'
	grep -E '^a@x [0-9]+ 1 [0-9a-f]{64}$' journal
	kill -9 "$pid"
	wait "$pid" || :
	start -j journal
	send "EHLO me\r\n${envelope}DATA\r\nMessage-ID: <b@x>\r\n\r\nx\r\n.\r\n" |
		grep '^250 2.0.0 Ok: queued'
	[ "$(cut -d ' ' -f 1 journal | tr '\n' ' ')" = 'a@x b@x ' ]
}

@test "-J: for whom, over which connection, and that the client has the reply" {
	start -J -j journal -d 20
	python3 - "$port" <<-'EOP'
	import socket, sys
	def session(*messages):
	    s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
	    s.settimeout(50)
	    f = s.makefile('rb')
	    f.readline()
	    for name, rcpts, more in messages:
	        s.sendall(b'MAIL FROM:<>\r\n' + b''.join(
	            b'RCPT TO:<%s>\r\n' % r for r in rcpts) + b'DATA\r\n')
	        for _ in range(len(rcpts) + 2):
	            assert f.readline()[:1] in b'23'
	        s.sendall(b'Message-ID: <%s>\r\n\r\nx\r\n.\r\n' % name + more)
	        assert f.readline()[:3] == b'250'
	    s.close()
	# The second is the last word; the third asks on before it has the reply.
	session((b'a', [b'r@x', b's@x'], b''), (b'b', [b'r@x'], b''))
	session((b'c', [b't@x'], b'NOOP\r\n'))
	EOP
	stop
	sed -E "s/ [0-9a-f]{64} $pid/ at/; s/ $pid/ at/" journal >got
	printf '%s\n' 'a 22 2 at.1 r@x,s@x' 'heard at.1' 'b 22 1 at.1 r@x' \
		'c 22 1 at.2 t@x' | diff - got
}
