#!/usr/bin/env bats
# smtp-static and servers that misbehave: replies that are odd, wrong or not
# asked for, connections that end.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp

setup()
{
	nh_setup
}

teardown()
{
	nh_teardown
}

# ---- replies that are odd, wrong, or not asked for ----

# malformed STEP...: with that for RCPT's reply the answer is 4.5.0, and the
# connection is closed at once.
malformed()
{
	rm -f "$D/fake"
	fake_start "${HELLO[@]}" L 'S:250 m' L "$@" C
	VIA=agent give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.5.0 '* reply from 127.0.0.1\[127.0.0.1\]:* while sending RCPT TO: *'
	[[ $took -lt 20000 ]]	# no time-out of 30 seconds
	fake_well
	heard 1 '^--- connection'
	heard 0 'DATA|QUIT'
}

@test "R-ST-26: replies that are none" {
	local long
	long=$(printf 'x%.0s' {1..2045})
	malformed 'S:garbage'
	malformed 'W:250-a\r\n550 b\r\n'
	malformed 'S:999 x'
	malformed 'S:099 x'
	malformed 'S:150 x'
	malformed 'S:600 x'
	malformed 'S:560 x'
	malformed 'S:250x'
	malformed 'S:25 x'
	malformed 'S:'
	malformed 'S:354 go'
	malformed "S:250 $long"
	malformed N:100:250-a 'S:250 a'
	malformed "W:250-a\\r\\ngarbage\\r\\n"
	malformed 'W:\0\0\0\0\r\n'
}

@test "what a server said is escaped once" {
	VIA=agent
	fake_start 'W:\x01\xff\\\0x\tgo\r\n' C
	give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.5.0 \
		"malformed reply from * while *: \\\\x01\\\\xFF\\\\\\\\?x\\\\tgo"
	fake_start 'S:220 x' L 'W:354 a\x7f\r\n' C
	give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.5.0 \
		"unexpected reply from * while *: 354 a\\\\x7F"
}

garbage()
{
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:garbage' C
	give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.5.0 'malformed reply from 127.0.0.1\[127.0.0.1\]:* while sending RCPT TO: garbage*'
	fake_well
}

@test "R-ST-26: garbage, told with its bytes escaped" {
	both garbage
	fake_start "${HELLO[@]}" L 'W:\x01\x1b[2J\r\n' C
	VIA=agent give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	[[ $(<"$D/rows") != *$'\e'* ]]
	row 1 r@x.test transient 451 4.5.0 '*x01*x1B?2J*'
}

@test "R-ST-26: a line of 100 kB without end, or of 100 MB: memory is bounded" {
	malformed "N:1:$(printf 'x%.0s' {1..100000})"
	local line
	line=$(printf 'x%.0s' {1..65536})
	rm fake
	fake_start 'S:220 x' L "W:$line" "W:$line" "W:$line" "W:$line" C
	VIA=agent give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.5.0 'malformed reply * while sending EHLO: xxx*'
	[[ $(wc -c <"$D/rows") -lt 1000 ]]
}

@test "R-ST-26: 120, 354 or garbage for a greeting, 354 to EHLO or MAIL" {
	local start
	for start in 'S:120 wait' 'S:354 x' 'S:hello'; do
		fake_start "$start" C
		VIA=agent give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
		row 1 r@x.test transient 451 4.5.0 '* while receiving the greeting: *'
		fake_well
	done
	fake_start 'S:220 x' L 'S:354 x' C
	VIA=agent give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.5.0 'unexpected reply from * while sending EHLO: 354 x*'
	fake_start "${HELLO[@]}" L 'S:354 x' C
	VIA=agent give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.5.0 'unexpected reply from * while sending MAIL FROM: 354 x*'
}

dot_garbage()
{
	local what=$1
	fake_start --each "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:354 go' D \
		"$what" C
	give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.5.0 '*end of data*; message may have been delivered'
	heard 1 '^--- connection'
}

@test "R-ST-26: garbage, 354 or 150 to the dot: may have been delivered, no second try" {
	both dot_garbage 'S:garbage'
	both dot_garbage 'S:354 more'
	both dot_garbage 'S:150 wait'
}

odd()
{
	fake_start 'W:220\n' L 'N:99:250-X-A' 'S:250' L 'W:250\n' L \
		'W:250-a\n250-b\r\n250 \xe9\xff\n' L 'W:354-go\r\n354\r\n' D \
		"N:19:250-2.6.0 \\xc3\\xa9" 'W:250 2.6.0 \xe9 end\n' "${BYE[@]}"
	give 0 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test delivered 250 2.6.0 '* end'
	fake_well
}

@test "R-ST-27: odd but legal: codes alone, LF, 8-bit text, 100 lines" {
	both odd
}

@test "R-ST-27: a line of 2,048 octets; replies in single octets from the greeting on" {
	local all=() text
	fake_start "${HELLO[@]}" L 'S:250 m' L \
		"S:250 $(printf 'x%.0s' {1..2044})" L 'S:354 go' D 'S:250 ok' \
		"${BYE[@]}"
	VIA=agent give 0 host="127.0.0.1:$port" -- s@x.test r@x.test
	fake_well
	for text in '220-hello' '220 x'; do
		bytes "$text"
		all+=("${steps[@]}")
	done
	bytes '250-x'
	all+=(L "${steps[@]}")
	bytes '250 SIZE 1000'
	all+=("${steps[@]}")
	for text in '250 m' '250 r' '354 go'; do
		bytes "$text"
		all+=(L "${steps[@]}")
	done
	bytes '250 2.6.0 done'
	fake_start "${all[@]}" D "${steps[@]}" "${BYE[@]}"
	VIA=agent give 0 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test delivered 250 2.6.0 'done'
	fake_well
	heard 1 '^MAIL FROM:<s@x.test> SIZE=49$'
}

twice_answered()
{
	fake_start --each 'S:220 x' L "$@"
	give 75 host="127.0.0.1:$port" command_timeout=3 -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.5.0
	[[ $(grep -c '^--- connection' "$D/fake") -le 2 ]]
	heard 0 Message-Id
}

@test "R-ST-28: EHLO answered twice, on every connection" {
	both twice_answered 'W:250 x\r\n250 x\r\n' C
	# The second one is taken for MAIL's, and so on: out of step.
	both twice_answered 'S:250 x' Z:0.05 'S:250 x' M:9:'250 ok' C
}

@test "R-ST-28: two replies to MAIL, in one packet or later" {
	fake_start "${HELLO[@]}" L 'W:250 a\r\n250 b\r\n' C
	VIA=agent give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.5.0 'unexpected data from *'
	fake_well
	heard 0 RCPT
}

# ---- the other side goes away ----

# lost TEXT STEP...: one connection, transient, and that text.
lost()
{
	rm -f "$D/fake"
	fake_start --each "${@:2}"
	VIA=agent give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 421 4.4.2 "lost connection with 127.0.0.1\\[127.0.0.1\\]:$port $1"
	heard 1 '^--- connection'
}

@test "R-ST-25: the server goes away; only after the dot the message may have been delivered" {
	lost 'while receiving the greeting' X
	lost 'while sending EHLO' 'S:220 x' L X
	lost 'while sending MAIL FROM' "${HELLO[@]}" L X
	lost 'while sending RCPT TO' "${HELLO[@]}" L 'S:250 m' L X
	lost 'while sending DATA' "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L X
	lost 'after end of data; message may have been delivered' \
		"${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:354 go' D X
	lost 'after end of data; message may have been delivered*' \
		"${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:354 go' D R
	lost 'while sending RCPT TO: Connection reset by peer' \
		"${HELLO[@]}" L 'S:250 m' L R
}

@test "R-ST-25: the server goes away in the body" {
	head -c 20000000 /dev/zero | tr '\0' 'x' | fold -w 70 >BIG
	MSG=BIG lost 'while sending message body*' "${HELLO[@]}" L 'S:250 m' L \
		'S:250 r' L 'S:354 go' B:100000 X
	[[ $(<"$D/rows") != *'may have'* ]]
	MSG=BIG lost 'while sending message body*' "${HELLO[@]}" L 'S:250 m' L \
		'S:250 r' L 'S:354 go' B:100000 R
}

told()
{
	smtp_sink_start -Q MAIL
	give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 421 4.0.0 'Server closing connection'
	smtp_sink_start -q RCPT
	give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 421 4.4.2 'lost connection with * while sending RCPT TO'
	fake_start --each "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:354 go' D \
		'S:421 4.3.2 going down' X
	give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 421 4.3.2 'going down'
	heard 1 '^--- connection'
}

@test "R-ST-25: 421 or a drop on a fresh connection" {
	both told
}

dropped_after_dot()
{
	smtp_sink_start -q .
	give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 421 4.4.2 'lost connection with * after end of data; message may have been delivered'
	fake_start --each "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:354 go' D X
	give 75 host="127.0.0.1:$port, 127.0.0.1:1" -- s@x.test r@x.test
	row 1 r@x.test transient 421 4.4.2 'lost connection with * after end of data; message may have been delivered'
	heard 1 '^--- connection'
}

@test "R-ST-25: a drop after the dot: no second try" {
	both dropped_after_dot
}

early_552()
{
	fake_start --each "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:354 go' \
		B:70000 'S:552 5.3.4 too big' "$@"
	MSG=BIG give 69 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test permanent 552 5.3.4 'too big'
	heard 1 '^--- connection'
}

@test "R-ST-10: refused in the middle of the body" {
	head -c 20000000 /dev/zero | tr '\0' 'x' | fold -w 70 >BIG
	both early_552 D
	both early_552 C
}

# A namespace where a socket takes a few KB and no more: the end of a message
# is still here while the server can hear nothing of it.
narrow()
{
	unshare -n true 2>/dev/null || skip "needs unshare"
	rm -f "$D/up" "$D/fake.port" "$D/fake"
	# shellcheck disable=SC2016 # for the inner shell to expand
	nh_spawn unshare -n sh -c 'ip link set lo up &&
		echo 4096 4096 4096 >/proc/sys/net/ipv4/tcp_wmem &&
		: >"$1"; exec sleep 60' - "$D/up" 2>>"$D/err.ns"
	NS=$NH_PID
	nh_until 5 test -e "$D/up" || skip "needs a writable tcp_wmem"
	nh_spawn nsenter -t "$NS" -n "$NH_BUILD/t/tools/fake" --rcvbuf=4096 \
		--log="$D/fake" --port-file="$D/fake.port" 0 "$@" 2>>"$D/err.fake"
	nh_until 5 test -s "$D/fake.port"
	port=$(<"$D/fake.port")
	{ cat "$D/M"; seq 10000; } >"$D/WIDE"
}

early()
{
	narrow "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:354 go' Z:0.5 "$@"
	nsenter -t "$NS" -n "$NH_BUILD/libexec/nexthop/smtp-static" \
		-o host="127.0.0.1:$port" --output=tsv --from=s@x.test \
		r@x.test <"$D/WIDE" >"$D/rows" 2>>"$D/log.agent" || :
	rows 1
	heard 1 '^--- connection'
}

@test "R-ST-26: a reply that comes before the end of the message has left is not its answer" {
	early 'S:250 taken' C
	row 1 r@x.test transient 451 4.5.0 '*unexpected data*'
	early 'S:552 5.3.4 too large' C
	row 1 r@x.test permanent 552 5.3.4 'too large'
}
