#!/usr/bin/env bats
# smtp-static: the dialogue with one host, what becomes of each recipient, the
# walk over several hosts, source addresses; smtp-sink and Postfix's server as
# the other side. Servers that misbehave: smtp-faults.bats; connections used
# again: smtp-pool.bats; time: smtp-time.bats.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

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

# dump NAME VALUE: a line of the only dump of smtp-sink.
dump()
{
	grep -qx "$1: $2" "$D"/m.* || { cat "$D"/m.*; return 1; }
}

# ---- the result ----

refuse_both()
{
	smtp_sink_start -f RCPT
	give 69 host=127.0.0.1 port="$port" -- s@x.test a@x.test b@x.test
	rows 2
	row 1 a@x.test permanent 500 5.3.0
	row 2 b@x.test permanent 500 5.3.0
}

@test "R-CF-08: a result for each recipient" {
	both refuse_both
}

three_replies()
{
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:550 5.7.25 no PTR' \
		L 'S:450 later' L 'S:550 2.3.4 x' L 'S:250 r' "${BYE[@]}"
	give 75 host=127.0.0.1 port="$port" -- s@x.test a@x.test b@x.test \
		c@x.test
	row 1 a@x.test permanent 550 5.7.25 'no PTR'
	row 2 b@x.test transient 450 4.0.0 later
	row 3 c@x.test permanent 550 5.3.4 x
	fake_well
}

@test "R-CF-09: code, enhanced code and text of the server; invented, or its class corrected" {
	both three_replies
}

@test "R-CF-09: several lines, and the enhanced code that each repeats" {
	fake_start "${HELLO[@]}" L 'S:250 m' \
		L 'W:550-5.1.1 no such\r\n550-5.1.1 user\r\n550 5.1.1 here\r\n' \
		L 'S:250 r' "${BYE[@]}"
	give 69 host="127.0.0.1:$port" -- s@x.test a@x.test
	row 1 a@x.test permanent 550 5.1.1 'no such\\nuser\\nhere'
	fake_well
}

twice()
{
	fake_start "${HELLO[@]}" L 'S:250 m' L 'A:RCPT TO:<a@x.test>' 'S:250 r' \
		L 'A:RCPT TO:<b@x.test>' 'S:550 5.1.1 who' L 'A:DATA' \
		'S:354 go' D 'S:250 ok' "${BYE[@]}"
	give 69 host=127.0.0.1 port="$port" -- s@x.test \
		a@x.test b@x.test a@x.test b@x.test a@x.test
	rows 5
	row 1 a@x.test delivered 250 2.0.0 ok
	row 2 b@x.test permanent 550 5.1.1 who
	row 3 a@x.test delivered 250 2.0.0 ok
	row 4 b@x.test permanent 550 5.1.1 who
	row 5 a@x.test delivered 250 2.0.0 ok
	heard 2 '^RCPT'
	fake_well
}

@test "R-CF-10: equal recipients are said once, each is reported" {
	both twice
}

twice_lost()
{
	fake_start --each "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:550 5.1.1 who' \
		L 'S:354 go' D X
	give 75 host=127.0.0.1 port="$port" -- s@x.test a@x.test b@x.test a@x.test
	rows 3
	row 1 a@x.test transient 421 4.4.2 '*may have been delivered'
	row 2 b@x.test permanent 550 5.1.1 who
	row 3 a@x.test transient 421 4.4.2 '*may have been delivered'
}

@test "R-CF-10: equal recipients are in doubt together" {
	both twice_lost
}

# ---- a delivery ----

plain()
{
	smtp_sink_start
	give 0 host=127.0.0.1 port="$port" -- s@x.test r@x.test
	rows 1
	row 1 r@x.test delivered 250 2.0.0 Ok
	[[ $(cut -f 6-10 "$D/rows") == $'127.0.0.1\t127.0.0.1\t'$port$'\tend of data\t1' ]]
	dump X-Client-Proto ESMTP
	dump X-Mail-Args '<s@x.test>'
	dump X-Rcpt-Args '<r@x.test>'
	[[ $(tail -n 5 "$D"/m.*) == $(printf 'From: s@x.test\nMessage-Id: <m1@x.test>\n\ntest') ]]
}

@test "R-ST-01: delivery to host and port" {
	both plain
}

# With another --output than try's.
output()
{
	"$NH_BUILD/libexec/nexthop/smtp-static" -o "host=127.0.0.1:$port" \
		-o ehlo_as=client.test --from=s@x.test --output="$1" r@x.test \
		<"$D/M" 2>>"$D/log.agent"
}

@test "R-ST-01: the other outputs say the same" {
	smtp_sink_start
	run -0 output json
	[[ $output == '{"recipient":"r@x.test","class":"delivered","code":250,"enhanced_code":"2.0.0","text":"Ok"'* ]]
	[[ $output == *"\"port\":$port,\"stage\":\"end of data\",\"message\":1"* ]]
	run -0 output text
	[[ $output == "2.0.0 <r@x.test> delivered: host 127.0.0.1[127.0.0.1]:$port said: 250 Ok" ]]
}

@test "R-ST-01: --trace shows the dialogue" {
	smtp_sink_start
	VIA=agent give 0 host="127.0.0.1:$port" --trace -- s@x.test r@x.test
	grep -qF 'C: RCPT TO:<r@x.test>' "$D/log.agent"
	grep -qF 'S: 354 ' "$D/log.agent"
}

localhost_and_ipv6()
{
	smtp_sink_start
	give 0 host=localhost port="$port" -- s@x.test r@x.test
	row 1 r@x.test delivered 250 2.0.0
	[[ $(cut -f 6,7 "$D/rows") == $'localhost\t127.0.0.1' ]]
	sink_start -l '[::1]:0'
	give 0 host=::1 port="$port" -- s@x.test r@x.test
	[[ $(cut -f 6-8 "$D/rows") == $'::1\t::1\t'$port ]]
	give 0 "host=[::1]:$port" -- s@x.test r@x.test
	[[ $(cut -f 6-8 "$D/rows") == $'::1\t::1\t'$port ]]
}

@test "R-ST-02: a name, an IPv6 address" {
	both localhost_and_ipv6
}

# A network of its own: port 25, names. Prefix a command with "ns".
ns_start()
{
	unshare -mn true 2>/dev/null || skip "needs unshare"
	nh_spawn unshare -mn sh -c 'ip link set lo up && : >up; exec sleep 90' \
		2>>"$D/err.ns"
	NS=$NH_PID
	nh_until 5 test -e "$D/up"
}

ns()
{
	nsenter -t "$NS" -m -n -- "$@"
}

ns_static()
{
	ns "$NH_BUILD/libexec/nexthop/smtp-static" -o ehlo_as=client.test \
		--output=tsv --from=s@x.test "$@" r@x.test <"$D/M" \
		>"$D/rows" 2>>"$D/log.agent"
}

ns_sink()
{
	rm -f "$D/sink.port"
	nh_spawn nsenter -t "$NS" -m -n -- "$NH_BUILD/t/tools/sink" -q \
		-l "$1" -P "$D/sink.port" >"$D/sink.json" 2>>"$D/err.sink"
	SINK=$NH_PID
	nh_until 5 test -s "$D/sink.port"
}

@test "R-ST-02: port 25 is the default" {
	ns_start
	ns_sink 127.0.0.1:25
	ns_static -o host=127.0.0.1
	[[ $(cut -f 2,8 "$D/rows") == $'delivered\t25' ]]
	ns_static -o host=::1 -o port=25 || true
	row 1 r@x.test transient 451 4.4.1 'connect to ::1\[::1\]:25: Connection refused'
}

@test "R-ST-30: ipv4_only and address_family choose among a name's addresses" {
	ns_start
	printf '127.0.0.1 both.test\n::1 both.test\n::1 six.test\n' >hosts
	ns mount --bind "$D/hosts" /etc/hosts
	ns_sink '[::1]:2600'
	run -75 ns_static -o host=both.test:2600 -o ipv4_only=yes
	row 1 r@x.test transient 451 4.4.1 'connect to both.test\[127.0.0.1\]:2600: Connection refused'
	run -75 ns_static -o host=both.test:2600 -o address_family=ipv4
	row 1 r@x.test transient 451 4.4.1 'connect to both.test\[127.0.0.1\]:2600: Connection refused'
	run -75 ns_static -o host=six.test:2600 -o ipv4_only=yes
	row 1 r@x.test transient 451 4.4.4 'host six.test has no IPv4 address'
	sink_end
	counted connections 0

	ns_sink '[::1]:2600'
	ns_static -o host=both.test:2600
	[[ $(cut -f 2,6,7 "$D/rows") == $'delivered\tboth.test\t::1' ]]
	ns_static -o host=both.test:2600 -o address_family=ipv6
	sink_end
	counted connections 2
}

family()
{
	sink_start
	give 75 host="127.0.0.1:$port" address_family=ipv6 -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.4.4 'host 127.0.0.1 has no IPv6 address'
	give 75 host="[::1]:$port" ipv4_only=yes -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.4.4 'host ::1 has no IPv4 address'
	sink_end
	counted connections 0
}

@test "R-ST-30: an address of the family that is not wanted" {
	both family
}

ehlo_names()
{
	smtp_sink_start
	give 0 host="127.0.0.1:$port" -- s@x.test r@x.test
	dump X-Helo-Args client.test
	rm "$D"/m.*
	give 0 host="127.0.0.1:$port" 'ehlo_as=mail.{hostname}' -- s@x.test r@x.test
	dump X-Helo-Args "mail.$(hostname -s)"
	rm "$D"/m.*
	give 0 host="127.0.0.1:$port" 'ehlo_as=[127.0.0.1]' -- s@x.test r@x.test
	dump X-Helo-Args '\[127.0.0.1\]'
	rm "$D"/m.*
	# The name of this host, whose fully qualified one may have no dot.
	try_all static host="127.0.0.1:$port" -- s@x.test r@x.test <"$D/M"
	dump X-Helo-Args "$(hostname -f)"
	[[ $(hostname -f) == *.* ]] ||
		grep -qF "ehlo_as: $(hostname -f) has no dot" "$D"/log*
}

@test "R-ST-03: ehlo_as, its macros, its default" {
	both ehlo_names
}

@test "R-ST-03: an unknown macro is refused at start" {
	VIA=agent give 78 host=127.0.0.1:9 'ehlo_as={x}' -- s@x.test r@x.test
	grep -q 'ehlo_as: .*macro' "$D/log.agent"
	nh_conf <<<$'[relay a]\ntype = static\nhost = 127.0.0.1\nehlo_as = {x}'
	run -78 nh check
	[[ $output == *"$CONF:7"*ehlo_as* ]]
}

ehlo_override()
{
	smtp_sink_start
	give 0 host="127.0.0.1:$port" --ehlo=other.test -- s@x.test r@x.test
	dump X-Helo-Args other.test
	give 75 host="127.0.0.1:$port" '--ehlo=a b' -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.3.5 'bad EHLO name override a b*'
}

@test "R-ST-03: --ehlo for one envelope" {
	both ehlo_override
}

helo()
{
	smtp_sink_start -f EHLO "$@"
	give 0 host="127.0.0.1:$port" -- s@x.test r@x.test
	dump X-Client-Proto SMTP
	dump X-Helo-Args client.test
}

@test "R-ST-04: HELO where EHLO is refused" {
	both helo
	both helo -B '502 5.5.1 no'
	both helo -B '554 5.5.1 no'
}

@test "R-ST-04: HELO in the same connection, with 4yz too, and then no PIPELINING" {
	for reply in '500 what' '451 not now' '550 5.7.1 go away'; do
		rm -f fake
		fake_start 'S:220 x' L 'A:EHLO client.test' \
			"W:${reply:0:3}-PIPELINING\\r\\n$reply\\r\\n" \
			L 'A:HELO client.test' 'W:250-x\r\n250 PIPELINING\r\n' \
			L 'A:MAIL FROM:<s@x.test>' E 'S:250 m' \
			L 'A:RCPT*' E 'S:250 r' L 'A:DATA' E 'S:354 go' D \
			'S:250 ok' "${BYE[@]}"
		VIA=agent give 0 host="127.0.0.1:$port" -- s@x.test r@x.test
		fake_well
		heard 1 '^--- connection'
	done
}

@test "R-ST-04: HELO refused as well is the answer" {
	fake_start 'S:220 x' L 'S:502 5.5.1 no EHLO' L 'S:550 5.7.1 no HELO' \
		"${BYE[@]}"
	VIA=agent give 69 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test permanent 550 5.7.1 'no HELO'
	fake_well
}

# ---- order of commands, PIPELINING ----

order()
{
	fake_start E 'S:220 x' L E 'S:250 x' "${TAKE[@]}" "${BYE[@]}"
	give 0 host="127.0.0.1:$port" -- s@x.test r@x.test
	fake_well
	{
		echo '--- connection 1'
		printf '%s\r\n' 'EHLO client.test' 'MAIL FROM:<s@x.test>' \
			'RCPT TO:<r@x.test>' DATA
		cat "$D/M"
		printf '.\r\nQUIT\r\n'
	} >want
	cmp want "$D/fake"
}

@test "R-ST-05: the greeting is awaited; EHLO, MAIL, RCPT, DATA, message, QUIT" {
	both order
}

@test "R-ST-05: RSET only after a failure" {
	fake_start "${HELLO[@]}" "${TAKE[@]}" L 'A:MAIL*' 'S:250 m' L \
		'S:550 5.1.1 no' L 'A:RSET' 'S:250 r' "${TAKE[@]}" L \
		'A:MAIL*' 'S:250 m' L 'A:RCPT*' 'S:250 r' L 'A:DATA' \
		'S:354 go' D 'S:451 4.3.0 later' L 'A:RSET' 'S:250 r' \
		"${TAKE[@]}" "${BYE[@]}"
	VIA=agent give 75 host="127.0.0.1:$port" --count=5 -- s@x.test r@x.test
	fake_well
	[[ $(cut -f 3 "$D/rows" | xargs) == '250 550 250 451 250' ]]
}

greeting()
{
	fake_start "S:$1" "${BYE[@]}"
	give "$2" host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test "${@:3}"
	[[ $(cut -f 9 "$D/rows") == greeting ]]
	fake_well
	heard 0 EHLO
}

@test "R-ST-06: greeting refused; no EHLO, but QUIT" {
	both greeting '450 4.3.2 busy' 75 transient 450 4.3.2 busy
	both greeting '500 5.3.0 never' 69 permanent 500 5.3.0 never
	both greeting '554 no mail here' 69 permanent 554 5.0.0 'no mail here'
}

greeting_sink()
{
	smtp_sink_start -r CONNECT
	give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 450 4.3.0
	smtp_sink_start -f CONNECT
	give 69 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test permanent 500 5.3.0
}

@test "R-ST-06: greeting of smtp-sink refused" {
	both greeting_sink
}

mail_refused()
{
	smtp_sink_start -f MAIL
	give 69 host="127.0.0.1:$port" -- s@x.test a@x.test b@x.test
	rows 2
	row 1 a@x.test permanent 500 5.3.0
	row 2 b@x.test permanent 500 5.3.0
	smtp_sink_start -r MAIL
	give 75 host="127.0.0.1:$port" -- s@x.test a@x.test b@x.test
	row 1 a@x.test transient 450 4.3.0
	row 2 b@x.test transient 450 4.3.0
	[[ $(cut -f 9 "$D/rows" | uniq) == 'MAIL FROM' ]]
}

@test "R-ST-07: MAIL refused" {
	both mail_refused
}

# With PIPELINING and without, the same answers.
some_rcpts()
{
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:550 5.1.1 who' \
		L 'S:450 4.2.1 full' L 'S:354 go' D 'S:250 2.6.0 in' \
		"${BYE[@]}" + "${PIPED[@]}" G:5 \
		'W:250 m\r\n250 r\r\n550 5.1.1 who\r\n450 4.2.1 full\r\n354 go\r\n' \
		D 'S:250 2.6.0 in' "${BYE[@]}"
	for _ in 1 2; do
		give 75 host="127.0.0.1:$port" -- s@x.test a@x.test b@x.test \
			c@x.test
		rows 3
		row 1 a@x.test delivered 250 2.6.0 in
		row 2 b@x.test permanent 550 5.1.1 who
		row 3 c@x.test transient 450 4.2.1 full
	done
	fake_well
}

@test "R-ST-08: some recipients refused" {
	both some_rcpts
}

@test "R-ST-08: 251 and 252 are success" {
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:251 2.1.5 forwarded' \
		L 'S:252 2.1.5 perhaps' L 'S:354 go' D 'S:250 ok' "${BYE[@]}"
	VIA=agent give 0 host="127.0.0.1:$port" -- s@x.test a@x.test b@x.test
	fake_well
}

all_rcpts()
{
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:450 4.2.1 full' \
		L 'S:550 5.1.1 who' L 'A:RSET' 'S:250 r' "${BYE[@]}"
	give 75 host="127.0.0.1:$port" -- s@x.test a@x.test b@x.test
	row 1 a@x.test transient 450 4.2.1 full
	row 2 b@x.test permanent 550 5.1.1 who
	fake_well
	heard 0 DATA
}

@test "R-ST-09: all recipients refused, each with its own reply, and no DATA" {
	both all_rcpts
}

data_refused()
{
	smtp_sink_start -f DATA
	give 69 host="127.0.0.1:$port" -- s@x.test a@x.test
	row 1 a@x.test permanent 500 5.3.0
	[[ $(cut -f 9 "$D/rows") == DATA ]]
	smtp_sink_start -f .
	give 69 host="127.0.0.1:$port" -- s@x.test a@x.test
	row 1 a@x.test permanent 500 5.3.0
	[[ $(cut -f 9 "$D/rows") == 'end of data' ]]
	smtp_sink_start -r .
	give 75 host="127.0.0.1:$port" -- s@x.test a@x.test
	row 1 a@x.test transient 450 4.3.0
	[[ $(cut -f 9 "$D/rows") == 'end of data' ]]
	smtp_sink_start -A 0
	give 69 host="127.0.0.1:$port" -- s@x.test a@x.test
	row 1 a@x.test permanent 550 5.0.0 'This violates SMTP'
}

@test "R-ST-10: DATA or the message refused" {
	both data_refused
}

@test "R-ST-10: 451 at the dot, then the next message over the same connection" {
	fake_start "${PIPED[@]}" G:3 'W:250 m\r\n250 r\r\n354 go\r\n' D \
		'S:451 4.7.1 greylisted' L 'A:RSET' L 'A:MAIL*' G:2 \
		'W:250 reset\r\n250 m\r\n250 r\r\n354 go\r\n' D 'S:250 ok' \
		"${BYE[@]}"
	VIA=agent give 75 host="127.0.0.1:$port" --count=2 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.7.1 greylisted
	row 2 a@x.test delivered 250 2.0.0 ok
	fake_well
}

later_reply()
{
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:450 4.2.1 full' L 'S:250 r' \
		L 'S:354 go' D 'S:554 5.6.0 bad content' L 'A:RSET' 'S:250 r' \
		"${BYE[@]}"
	give 75 host="127.0.0.1:$port" -- s@x.test a@x.test b@x.test
	row 1 a@x.test transient 450 4.2.1 full
	row 2 b@x.test permanent 554 5.6.0 'bad content'
	fake_well
}

@test "R-ST-11: the last reply is only for who was accepted" {
	both later_reply
}

data_250()
{
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:250 Ok' C
	give 75 host="127.0.0.1:$port" -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.5.0 \
		'unexpected reply from 127.0.0.1\[127.0.0.1\]:* while sending DATA: 250 Ok*'
	fake_well
	heard 0 'Message-Id|^\.$'
}

@test "R-ST-12: DATA answered 250" {
	both data_250
}

pipelined()
{
	fake_start "${PIPED[@]}" G:4 'A:DATA' \
		'W:250 m\r\n250 r\r\n250 r\r\n354 go\r\n' D 'S:250 ok' "${BYE[@]}"
	give 0 host="127.0.0.1:$port" -- s@x.test a@x.test b@x.test
	fake_well
	smtp_sink_start -p
	give 0 host="127.0.0.1:$port" -- s@x.test a@x.test b@x.test
	rm "$D/fake"
	fake_start 'S:220 x' L E 'W:250-x\r\n250 8BITMIME\r\n' L E 'S:250 m' \
		L E 'S:250 r' L E 'S:250 r' L E 'S:354 go' D E 'S:250 ok' "${BYE[@]}"
	give 0 host="127.0.0.1:$port" -- s@x.test a@x.test b@x.test
	fake_well
}

@test "R-ST-13: PIPELINING where it is offered, no early line where not" {
	both pipelined
}

@test "R-ST-13: replies to a group in single octets, or all in one packet" {
	bytes '250 m'
	local all=("${steps[@]}")
	bytes '250 r'
	all+=("${steps[@]}")
	bytes '354-go'
	all+=("${steps[@]}")
	bytes '354 on'
	all+=("${steps[@]}")
	bytes '250 2.6.0 ok'
	fake_start "${PIPED[@]}" G:3 "${all[@]}" D "${steps[@]}" "${BYE[@]}"
	VIA=agent give 0 host="127.0.0.1:$port" -- s@x.test a@x.test
	row 1 a@x.test delivered 250 2.6.0 ok
	fake_well
}

@test "R-ST-13: pipelined, all recipients refused, yet 354: an empty message to nobody" {
	fake_start "${PIPED[@]}" G:3 'W:250 m\r\n550 5.1.1 who\r\n354 go\r\n' \
		L 'A:.' 'S:554 no recipients' L 'A:RSET' 'S:250 r' "${BYE[@]}"
	VIA=agent give 69 host="127.0.0.1:$port" -- s@x.test a@x.test
	row 1 a@x.test permanent 550 5.1.1 who
	fake_well
	heard 0 Message-Id
}

@test "R-ST-13: pipelined, all recipients refused, then DATA" {
	fake_start "${PIPED[@]}" G:3 \
		'W:250 m\r\n550 5.1.1 who\r\n503 no recipients\r\n' \
		L 'A:RSET' 'S:250 r' "${BYE[@]}"
	VIA=agent give 69 host="127.0.0.1:$port" -- s@x.test a@x.test
	row 1 a@x.test permanent 550 5.1.1 who
	fake_well
}

@test "R-ST-13: pipelined, MAIL refused, yet 354: nothing is sent, the connection dropped" {
	fake_start "${PIPED[@]}" G:3 'W:550 5.7.1 no\r\n250 r\r\n354 go\r\n' C
	VIA=agent give 69 host="127.0.0.1:$port" -- s@x.test a@x.test
	row 1 a@x.test permanent 550 5.7.1 no
	fake_well
	heard 0 'Message-Id|^\.$'
}

@test "R-ST-13: pipelined, MAIL refused, the rest 503" {
	fake_start "${PIPED[@]}" G:4 \
		'W:450 4.7.1 no\r\n503 mail\r\n503 mail\r\n503 mail\r\n' \
		L 'A:RSET' 'S:250 r' "${BYE[@]}"
	VIA=agent give 75 host="127.0.0.1:$port" -- s@x.test a@x.test b@x.test
	row 1 a@x.test transient 450 4.7.1 no
	row 2 b@x.test transient 450 4.7.1 no
	fake_well
}

@test "R-ST-14: 5,000 recipients, small buffers, a slow reader" {
	local pad
	pad=$(printf 'p%.0s' {1..60})
	fake_start --each --rcvbuf=4096 --sndbuf=4096 "${PIPED[@]}" L 'S:250 m' \
		Z:0.5 "M:1000:250 2.1.5 $pad $pad $pad" L 'A:DATA' 'S:354 go' \
		D 'S:250 ok' "${BYE[@]}"
	# shellcheck disable=SC2046
	VIA=agent give 0 host="127.0.0.1:$port" -- s@x.test \
		$(seq -f "$pad%g@x.test" 5000)
	rows 5000
	[[ $(cut -f 2 "$D/rows" | uniq) == delivered ]]
	[[ $(cut -f 1 "$D/rows" | sort -u | wc -l) -eq 5000 ]]
}

refused_port()
{
	port=$(nh_free_port)
	give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.4.1 \
		"connect to 127.0.0.1\\[127.0.0.1\\]:$port: Connection refused"
	[[ $took -lt 20000 ]]	# no time-out of 30 seconds
}

@test "R-ST-16: connection refused" {
	both refused_port
}

# ---- several hosts ----

@test "hosts: the first that answers gets the message, the next is not asked" {
	sink_start -a "$D/commands"
	local a=$port
	both give 0 "host=127.0.0.1:$(nh_free_port), 127.0.0.1:$a, 127.0.0.1:1" -- \
		s@x.test r@x.test
	[[ $(cut -f 8 "$D/rows") == "$a" ]]
}

# next_host STEP...: the first host does that, the second delivers.
next_host()
{
	fake_start "$@"
	local first=$port
	sink_start
	give 0 host="127.0.0.1:$first, 127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test delivered 250 2.0.0
	[[ $(cut -f 8 "$D/rows") == "$port" ]]
	sink_end
	counted unique 1
}

@test "hosts: greeting 554, 521, 450 or 421, or none: the next one" {
	both next_host 'S:554 no mail here' "${BYE[@]}"
	both next_host 'S:521 no mail here' "${BYE[@]}"
	both next_host 'S:450 4.3.2 busy' "${BYE[@]}"
	both next_host 'S:421 4.3.2 busy' X
	both next_host X
	both next_host R
	both next_host 'S:hello' C
}

@test "hosts: 421 or the end at EHLO or MAIL, HELO refused: the next one" {
	both next_host 'S:220 x' L 'S:421 4.3.2 busy' X
	both next_host 'S:220 x' L X
	both next_host 'S:220 x' L 'S:502 no' L 'S:550 no' "${BYE[@]}"
	both next_host "${HELLO[@]}" L 'S:421 4.7.0 too many messages' X
	both next_host "${HELLO[@]}" L X
	both next_host "${PIPED[@]}" G:3 'S:421 4.7.0 too many messages' X
	both next_host "${HELLO[@]}" L 'S:250 m' L 'S:421 4.7.0 not you' X
}

# same_host STATUS CLASS CODE STEP...: the answer stands, no other is asked.
same_host()
{
	fake_start "${@:4}"
	local first=$port
	sink_start
	give "$1" host="127.0.0.1:$first, 127.0.0.1:$port" -- s@x.test r@x.test
	[[ $(cut -f 2,3,8 "$D/rows") == "$2"$'\t'"$3"$'\t'"$first" ]]
	sink_end
	counted connections 0
}

@test "hosts: a word on the message or a recipient is the answer" {
	both same_host 69 permanent 550 "${HELLO[@]}" L 'S:550 5.7.1 no' L 'S:250 r' "${BYE[@]}"
	both same_host 75 transient 451 "${HELLO[@]}" L 'S:451 4.7.1 no' L 'S:250 r' "${BYE[@]}"
	both same_host 69 permanent 550 "${HELLO[@]}" L 'S:250 m' L 'S:550 5.1.1 no' L 'S:250 r' "${BYE[@]}"
	both same_host 69 permanent 554 "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:554 no' L 'S:250 r' "${BYE[@]}"
	both same_host 69 permanent 554 "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:354 go' D 'S:554 no' L 'S:250 r' "${BYE[@]}"
}

# both_fail GREETING GREETING CLASS CODE ENHANCED TEXT: what two hosts say,
# where "-" is nobody; PORT in TEXT is that of the last one.
both_fail()
{
	local hosts=() greeting

	for greeting in "$1" "$2"; do
		if [[ $greeting == - ]]; then
			port=$(nh_free_port)
		else
			fake_start "S:$greeting" "${BYE[@]}"
		fi
		hosts+=("127.0.0.1:$port")
	done
	VIA=agent try_all static ehlo_as=client.test \
		host="${hosts[0]}, ${hosts[1]}" command_timeout=5 -- \
		s@x.test r@x.test <"$D/M" >"$D/rows" || true
	row 1 r@x.test "${@:3:3}" "${6/PORT/$port} (2 hosts or addresses tried)"
}

@test "hosts: none takes it: a transient failure, the furthest, of equals the last is told" {
	both_fail - - transient 451 4.4.1 'connect to 127.0.0.1\[127.0.0.1\]:PORT: Connection refused'
	both_fail '450 4.3.2 a' - transient 450 4.3.2 a
	both_fail - '450 4.3.2 b' transient 450 4.3.2 b
	both_fail '450 4.3.2 a' '451 4.3.2 b' transient 451 4.3.2 b
	both_fail '554 5.3.2 a' '450 4.3.2 b' transient 450 4.3.2 b
	both_fail '450 4.3.2 a' '554 5.3.2 b' transient 450 4.3.2 a
	both_fail '554 5.3.2 a' '521 5.3.2 b' permanent 521 5.3.2 b
	both_fail '554 5.3.2 a' - transient 451 4.4.1 'connect to *'
}

nexthop_override()
{
	sink_start
	give 0 host=127.0.0.1:1 --nexthop="127.0.0.1:$(nh_free_port),127.0.0.1:$port" \
		-- s@x.test r@x.test
	[[ $(cut -f 8 "$D/rows") == "$port" ]]
	give 0 host=127.0.0.1:1 port="$port" --nexthop=127.0.0.1 -- s@x.test r@x.test
	give 75 host="127.0.0.1:$port" --nexthop='a b:0' -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.3.5 'bad next hop a b:0: *'
	sink_end
	counted messages 2
}

@test "hosts: --nexthop for one envelope, with several hosts" {
	both nexthop_override
}

unix_socket()
{
	sink_start -l "unix:$D/u.sock"
	chmod 777 "$D/u.sock"
	give 0 "host=unix:$D/u.sock" -- s@x.test r@x.test
	row 1 r@x.test delivered 250 2.0.0
	[[ $(cut -f 6 "$D/rows") == "$D/u.sock" ]]
	sink_end
	counted unique 1
	rm -f "$D/u.sock"
	give 75 "host=unix:$D/u.sock" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.4.1 "connect to $D/u.sock: No such file or directory"
}

@test "hosts: a UNIX socket" {
	both unix_socket
}

# ---- source addresses ----

sources()
{
	smtp_sink_start
	give 0 host="127.0.0.1:$port" source_addresses=127.0.0.11,127.0.0.12 \
		--count=20 -- s@x.test r@x.test
	[[ $(sed -n 's/^X-Client-Addr: //p' "$D"/m.* | sort | uniq -c | xargs) == \
		'10 127.0.0.11 10 127.0.0.12' ]]
}

@test "R-ST-29: source addresses take turns" {
	both sources
}

@test "R-ST-29: by random, both occur and no other" {
	smtp_sink_start
	VIA=agent give 0 host="127.0.0.1:$port" source_policy=random \
		source_addresses=127.0.0.11,127.0.0.12 --count=40 -- s@x.test r@x.test
	[[ $(sed -n 's/^X-Client-Addr: //p' m.* | sort -u | xargs) == \
		'127.0.0.11 127.0.0.12' ]]
}

# stable POLICY SENDER RCPT: @ in one of them stands for each domain.
stable()
{
	local i addrs=() domain=(a.test A.TEST b.test c.test d.test e.test f.test
	    g.test h.test i.test)

	for i in {0..9}; do
		rm -f "$D"/m.*
		VIA=agent give 0 host="127.0.0.1:$port" source_policy="$1" \
			source_addresses=127.0.0.11,127.0.0.12,127.0.0.13 \
			--count=3 -- "${2/%@/@${domain[i]}}" \
			"${3/%@/@${domain[i]}}"
		addrs[i]=$(sed -n 's/^X-Client-Addr: //p' "$D"/m.* | sort |
			uniq -c | xargs)
		[[ ${addrs[i]} == '3 127.0.0.1'[123] ]]
	done
	[[ ${addrs[0]} == "${addrs[1]}" ]]
	[[ $(printf '%s\n' "${addrs[@]}" | sort -u | wc -l) -gt 1 ]]
}

@test "R-ST-29: by the sender's or the recipient's domain: always the same" {
	smtp_sink_start
	stable sender-domain s@ r@x.test
	stable recipient-domain s@x.test r@
}

source_override()
{
	smtp_sink_start
	give 0 host="127.0.0.1:$port" source_addresses=127.0.0.11 \
		--source=127.0.0.44 -- s@x.test r@x.test
	dump X-Client-Addr 127.0.0.44
	give 75 host="127.0.0.1:$port" --source=::1 -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.4.1 'no source address of the family of 127.0.0.1'
	give 75 host="127.0.0.1:$port" --source=192.0.2.1 -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.3.0 'cannot bind source address 192.0.2.1: *'
	give 75 host="127.0.0.1:$port" --source=nowhere -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.3.5 'bad source address override nowhere: *'
	[[ $(find "$D" -name 'm.*' | wc -l) -eq 1 ]]
}

@test "R-ST-29: --source for one envelope" {
	both source_override
}

@test "R-ST-29: an IPv6 source address leaves IPv4 alone" {
	smtp_sink_start
	both give 0 host="127.0.0.1:$port" source_addresses=::1 -- s@x.test r@x.test
}

# ---- Postfix ----

@test "R-ST-31: Postfix takes three recipients at once, five are delivered" {
	postfix_start
	both give 0 host=127.0.0.1 port="$port" -- s@example.com a@example.com
	row 1 a@example.com delivered 250 2.0.0 'Ok: * queued as *'
	both give 0 host=127.0.0.1 port="$port" chunking=no -- s@example.com a@example.com
	row 1 a@example.com delivered 250 2.0.0 'Ok: queued as *'
	for VIA in agent master; do
		: >"$D/log.postfix"
		give 0 host=127.0.0.1 port="$port" -- s@example.com \
			{a,b,c,d,e}@example.com
		rows 5
		[[ $(cut -f 2,3,4 "$D/rows" | uniq) == $'delivered\t250\t2.0.0' ]]
		# Two messages, one connection.
		[[ $(cut -f 5 "$D/rows" | sort -u | wc -l) -eq 2 ]]
		nh_until 5 grep -q 'disconnect from' log.postfix
		grep -qE 'disconnect from .* ehlo=1 mail=2 rcpt=(5/)?7 b?data?=2 quit=1' log.postfix
		[[ $(grep -cE 'postfix/discard.*status=sent' log.postfix) -eq 5 ]]
	done
	# A message larger than it takes.
	head -c 30000 /dev/zero | tr '\0' 'x' | fold -w 70 >BIG
	MSG=BIG both give 69 host=127.0.0.1 port="$port" -- s@example.com a@example.com
	row 1 a@example.com permanent 552 5.3.4 'message size 30*'
}

# ---- memory ----

@test "R-PM-07: 50 MB, small memory" {
	sink_start -s 0
	{
		cat M
		yes "$(printf 'x%.0s' {1..98})"$'\r' | head -n 500000
	} >BIG
	python3 - >peak <<-END
	import resource, subprocess
	subprocess.run(["$NH_BUILD/libexec/nexthop/smtp-static",
	    "-ohost=127.0.0.1:$port", "-oehlo_as=client.test", "--from=s@x.test",
	    "r@x.test"], stdin=open("BIG"), check=True,
	    stderr=open("log.agent", "w"))
	print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
	END
	is_instrumented || [[ $(tail -n 1 peak) -lt 32768 ]]

	nh_conf <<<"[relay r]
	type = static
	host = 127.0.0.1:$port
	ehlo_as = client.test"
	nh_start
	nh submit --relay=r --from=s@x.test r@x.test <BIG
	for pid in "$(nh_agent r)" "$MASTER"; do
		kb=$(sed -n 's/^VmHWM:\s*\([0-9]*\).*/\1/p' "/proc/$pid/status")
		[[ $kb -gt 0 ]]
		is_instrumented || [[ $kb -lt 32768 ]]
	done
	sink_end
	counted messages 2
	counted unique 1
	# The header and its empty line are no part of the body.
	counted body_bytes $((2 * ($(wc -c <BIG) - $(wc -c <M) + 6)))
}
