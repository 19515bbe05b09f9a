#!/usr/bin/env bats
# smtp-static: connections that are kept, used again, bounded in number and
# age, or found dead.
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

# said N PATTERN: our sink got so many such commands (grep -E).
said()
{
	local n
	n=$(grep -cE -- "$2" "$D/commands" || :)
	[[ $n -eq $1 ]] || { echo "$n times, not $1: $2"; cat "$D/commands"
		return 1; }
}

# ---- reuse ----

reuse()
{
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${TAKE[@]}" "${BYE[@]}"
	give 0 host="127.0.0.1:$port" --count=2 "$@" -- s@x.test r@x.test
	rows 2
	[[ $(cut -f 2,10 "$D/rows" | xargs) == 'delivered 1 delivered 2' ]]
	fake_well
	heard 1 '^--- connection'
	heard 1 EHLO
	heard 2 MAIL
	heard 0 RSET
}

@test "R-ST-19: the second message goes over the same connection" {
	both reuse idle_timeout=5
}

@test "R-ST-19: by default too, a second later" {
	both reuse --gap=1
}

@test "R-ST-19: smtp-sink sees one session" {
	smtp_sink_start -v
	both give 0 host="127.0.0.1:$port" --count=3 -- s@x.test r@x.test
	[[ $(grep -c ': EHLO' "$D/err.smtp-sink") -eq 2 ]]
	[[ $(grep -c ': MAIL' "$D/err.smtp-sink") -eq 6 ]]
}

quit_when_idle()
{
	# Nothing for 0.85 s; the next connection is made at 2 s.
	fake_start "${HELLO[@]}" "${TAKE[@]}" E Z:0.55 E "${BYE[@]}" X + \
		"${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	give 0 host="127.0.0.1:$port" idle_timeout=1 --count=2 --gap=2 -- \
		s@x.test r@x.test
	fake_well
	heard 2 '^--- connection'
}

@test "R-ST-20: idle_timeout=1: QUIT about a second after the delivery" {
	both quit_when_idle
}

no_idling()
{
	sink_start -a "$D/commands" -D 50
	give 0 host="127.0.0.1:$port" idle_timeout=0 --count=2 --gap=0.3 -- \
		s@x.test r@x.test
	said 2 'EHLO'
	# For one that waits already, it is kept.
	give 0 host="127.0.0.1:$port" idle_timeout=0 concurrent_connections=1 \
		--count=4 --parallel=4 -- s@x.test r@x.test
	said 3 'EHLO'
	said 6 'MAIL'
}

@test "R-ST-19: idle_timeout=0: only for a message that waits" {
	both no_idling
}

@test "R-ST-20: the end of one idle connection leaves the others" {
	sink_start -a "$D/commands" -D 100
	nh_conf <<<"[relay r]
	type = static
	host = 127.0.0.1:$port
	ehlo_as = client.test
	idle_timeout = 1s"
	nh_start
	nh submit --relay=r --from=s@x.test --count=2 --parallel=2 r@x.test <M
	said 2 EHLO
	sleep 0.6
	nh submit --relay=r --from=s@x.test r@x.test <M
	# One has been idle for a second when the other has not.
	nh_until 3 said 1 QUIT
	nh submit --relay=r --from=s@x.test r@x.test <M
	said 2 EHLO
	said 4 MAIL
}

@test "R-ST-19: another EHLO name or source needs another connection, at the limit too" {
	sink_start -a "$D/commands"
	nh_conf <<<"[relay r]
	type = static
	host = 127.0.0.1:$port
	ehlo_as = client.test
	concurrent_connections = 1"
	nh_start
	SECONDS=0
	nh submit --relay=r --from=s@x.test r@x.test <M
	nh submit --relay=r --from=s@x.test --ehlo=other.test r@x.test <M
	nh submit --relay=r --from=s@x.test --source=127.0.0.9 r@x.test <M
	nh submit --relay=r --from=s@x.test --source=127.0.0.9 r@x.test <M
	[[ $SECONDS -lt 5 ]]
	said 2 'EHLO client.test'
	said 1 'EHLO other.test'
	said 4 MAIL
	nh_stop
	sink_end
	counted peak 1
	counted connections 3
}

# ---- limits ----

two_at_once()
{
	sink_start -D 300
	give 0 host="127.0.0.1:$port" concurrent_connections=2 --count=10 \
		--parallel=10 -- s@x.test r@x.test
	rows 10
	[[ $(cut -f 2 "$D/rows" | uniq) == delivered ]]
	took 1500 2800		# always two busy
	sink_end
	counted peak 2
	counted connections 2
	counted messages 10
}

@test "R-ST-21: concurrent_connections bounds, and all are used" {
	both two_at_once
}

@test "R-ST-21: never more than two connections are seen" {
	local seen most=0
	smtp_sink_start -w 1
	(VIA=agent give 0 host="127.0.0.1:$port" concurrent_connections=2 \
		--count=6 --parallel=6 -- s@x.test r@x.test) 3>&- &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		seen=$(ss -tnH state established "( dport = :$port )" | wc -l)
		[[ $seen -le $most ]] || most=$seen
		sleep 0.05
	done
	wait "$pid"
	[[ $most -eq 2 ]]
	[[ $(find . -name 'm.*' | wc -l) -eq 6 ]]
}

@test "R-ST-21: five by default" {
	sink_start -D 200
	VIA=agent give 0 host="127.0.0.1:$port" --count=20 --parallel=20 -- \
		s@x.test r@x.test
	sink_end
	counted peak 5
	counted messages 20
}

@test "R-ST-21: places of failed connections are free again" {
	fake_start --each 'S:450 4.3.2 no' "${BYE[@]}"
	VIA=agent give 75 host="127.0.0.1:$port" concurrent_connections=1 \
		--count=50 --parallel=50 -- s@x.test r@x.test
	rows 50
	[[ $(cut -f 3,5 "$D/rows" | uniq) == $'450\tno' ]]
	port=$(nh_free_port)
	VIA=agent give 75 host="127.0.0.1:$port" concurrent_connections=1 \
		--count=50 --parallel=50 -- s@x.test r@x.test
	[[ $(cut -f 3,4 "$D/rows" | uniq) == $'451\t4.4.1' ]]
}

@test "R-PM-06: a slow destination does not hold up another" {
	smtp_sink_start -w 20
	slow=$port
	sink_start
	nh_conf <<<"[relay r]
	type = static
	host = 127.0.0.1:$slow
	ehlo_as = client.test
	concurrent_connections = 1"
	nh_start
	nh_spawn nh submit --relay=r --from=s@x.test --count=5 --parallel=5 \
		r@x.test <M >out 2>err.submit
	nh_until 15 nh_field_is r open 5
	start=$(nh_ms)
	nh submit --relay=r --from=s@x.test --nexthop="127.0.0.1:$port" \
		r@x.test <M
	# Not a part of the slow one's 20 seconds.
	[[ $(($(nh_ms) - start)) -lt 10000 ]]
	[[ ! -s out ]]
	kill -9 "$MASTER"
	wait "$MASTER" || MASTER=''
}

many_recipients()
{
	sink_start -a "$D/commands"
	give 0 host="127.0.0.1:$port" max_recipients=2 -- s@x.test \
		{a,b,c,d,e}@x.test
	rows 5
	[[ $(cut -f 1,2 "$D/rows" | xargs) == 'a@x.test delivered b@x.test delivered c@x.test delivered d@x.test delivered e@x.test delivered' ]]
	said 1 EHLO
	said 3 MAIL
	[[ $(grep -oE 'RCPT TO:<.' "$D/commands" | cut -c 10 | xargs) == 'a b c d e' ]]
	sink_end
	counted messages 3
}

@test "R-ST-31: max_recipients: further transactions over the same connection" {
	both many_recipients
}

@test "R-ST-31: max_recipients, and each transaction has its own end" {
	fake_start "${HELLO[@]}" "${TAKE[@]}" L 'A:MAIL*' 'S:450 4.2.0 full' L \
		'A:MAIL*' 'S:250 m' L 'A:RCPT*' 'S:550 5.1.1 who' \
		L 'A:RSET' 'S:250 r' "${BYE[@]}"
	VIA=agent give 75 host="127.0.0.1:$port" max_recipients=1 -- s@x.test \
		{a,b,c}@x.test
	row 1 a@x.test delivered 250 2.0.0 taken
	row 2 b@x.test transient 450 4.2.0 full
	row 3 c@x.test permanent 550 5.1.1 who
	fake_well
}

too_many()
{
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L \
		'S:452 4.5.3 too many' L 'S:552 too many' L 'S:354 go' D \
		'S:250 one' L 'A:MAIL*' 'S:250 m' L 'A:RCPT TO:<b@x.test>' \
		'S:250 r' L 'A:RCPT TO:<c@x.test>' 'S:452 4.2.2 over quota' \
		L 'S:354 go' D 'S:250 two' "${BYE[@]}"
	give 75 host="127.0.0.1:$port" -- s@x.test {a,b,c}@x.test
	row 1 a@x.test delivered 250 2.0.0 one
	row 2 b@x.test delivered 250 2.0.0 two
	row 3 c@x.test transient 452 4.2.2 'over quota'
	fake_well
}

@test "R-ST-31: 452 and 552 to RCPT: the rest in a further transaction; not for a full mailbox" {
	both too_many
}

@test "R-ST-31: 452 to the first recipient is an answer, no loop" {
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:452 4.5.3 too many' L \
		'S:452 4.5.3 too many' L 'A:RSET' 'S:250 r' "${BYE[@]}"
	VIA=agent give 75 host="127.0.0.1:$port" -- s@x.test {a,b}@x.test
	row 1 a@x.test transient 452 4.5.3 'too many'
	row 2 b@x.test transient 452 4.5.3 'too many'
	fake_well
}

@test "R-ST-31: the connection ends before the further transaction: a new one" {
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L \
		'S:452 4.5.3 too many' L 'S:354 go' D 'S:250 one' L X + \
		"${HELLO[@]}" L 'A:MAIL*' 'S:250 m' L 'A:RCPT TO:<b@x.test>' \
		'S:250 r' L 'S:354 go' D 'S:250 two' "${BYE[@]}"
	VIA=agent give 0 host="127.0.0.1:$port" -- s@x.test {a,b}@x.test
	row 1 a@x.test delivered 250 2.0.0 one
	row 2 b@x.test delivered 250 2.0.0 two
	fake_well
}

messages_limit()
{
	sink_start -a "$D/commands"
	give 0 host="127.0.0.1:$port" max_messages_per_connection=2 --count=5 \
		-- s@x.test r@x.test
	said 3 EHLO
	said 3 QUIT
	said 5 MAIL
}

@test "R-ST-21: max_messages_per_connection" {
	both messages_limit
}

@test "R-ST-24: a server that takes two messages a connection" {
	sink_start -n 2
	VIA=agent give 0 host="127.0.0.1:$port" --count=7 -- s@x.test r@x.test
	sink_end
	counted messages 7
	counted connections 4
}

age_limit()
{
	sink_start -a "$D/commands"
	give 0 host="127.0.0.1:$port" max_connection_time=1 --count=3 \
		--gap=0.6 -- s@x.test r@x.test
	said 2 EHLO
	rm "$D/commands"
	sink_start -a "$D/commands"
	give 0 host="127.0.0.1:$port" max_connection_time=1 --count=2 \
		--gap=1.4 -- s@x.test r@x.test
	said 2 EHLO
}

@test "R-ST-21: a connection older than max_connection_time takes no message" {
	both age_limit
}

# ---- dead connections ----

# second STEP...: the first connection goes well and then does that; the
# second message must come over a second connection.
second()
{
	fake_start "${HELLO[@]}" "${TAKE[@]}" "$@" + "${HELLO[@]}" "${TAKE[@]}" \
		"${BYE[@]}"
	give 0 host="127.0.0.1:$port" --count=2 --gap=0.3 -- s@x.test r@x.test
	[[ $(cut -f 2,3 "$D/rows" | uniq) == $'delivered\t250' ]]
	fake_well
	heard 2 '^--- connection'
}

@test "R-ST-23: an idle connection closed by the server, with 421, without, by a reset" {
	both second X
	both second R
	both second 'S:421 4.4.2 idle too long' X
	both second Z:0.1 'S:421 4.4.2 idle too long' X
	both second 'S:250 what is this' C
}

@test "R-ST-24: the server ends a used connection at MAIL, RCPT or DATA" {
	both second L 'A:MAIL*' X
	both second L 'A:MAIL*' R
	both second L 'A:MAIL*' 'S:421 4.7.0 too many messages' X
	both second L 'S:250 m' L X
	both second L 'S:250 m' L 'S:421 4.7.0 enough' X
	both second L 'S:250 m' L 'S:250 r' L 'S:421 4.7.0 enough' X
	both second L 'S:250 m' L 'S:250 r' L 'A:DATA' X
}

once_more()
{
	fake_start "${HELLO[@]}" "${TAKE[@]}" L X + "${HELLO[@]}" L \
		'S:421 4.7.0 again' X + "${HELLO[@]}"
	give 75 host="127.0.0.1:$port" --count=2 --gap=0.2 -- s@x.test r@x.test
	row 1 r@x.test delivered 250 2.0.0
	row 2 r@x.test transient 421 4.7.0 again
	heard 2 '^--- connection'
}

@test "R-ST-24: one new connection, then the failure counts" {
	both once_more
}

# Every kept connection is dead: the next try must not be another of them.
@test "R-ST-24: a server that was started anew" {
	sink_start -D 150
	nh_conf <<<"[relay r]
	type = static
	host = 127.0.0.1:$port
	ehlo_as = client.test"
	nh_start
	nh submit --relay=r --from=s@x.test --count=3 --parallel=3 r@x.test <M
	sink_end
	counted connections 3
	nh_spawn "$NH_BUILD/t/tools/sink" -q -l "127.0.0.1:$port" >sink.json \
		2>>err.sink
	SINK=$NH_PID
	nh_until 5 nh_listens "$port"
	nh submit --relay=r --from=s@x.test --count=3 --parallel=3 r@x.test <M
	nh_stop
	sink_end
	counted messages 3
}

after_dot()
{
	fake_start "${HELLO[@]}" "${TAKE[@]}" L 'S:250 m' L 'S:250 r' L \
		'S:354 go' D X + "${HELLO[@]}" "${TAKE[@]}"
	give 75 host="127.0.0.1:$port" --count=2 --gap=0.2 -- s@x.test r@x.test
	row 2 r@x.test transient 421 4.4.2 'lost connection with * after end of data; message may have been delivered'
	heard 1 '^--- connection'
}

@test "R-ST-24: a used connection lost after the dot: no second try" {
	both after_dot
}

# A small message over CHUNKING and PIPELINING leaves whole with its commands.
CHUNKED=('S:220 x' L 'W:250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n')

chunked()
{
	fake_start "${CHUNKED[@]}" G:3 B:49 'W:250 m\r\n250 r\r\n250 ok\r\n' \
		"$@" + "${CHUNKED[@]}" G:3 B:49 \
		'W:250 m\r\n250 r\r\n250 ok\r\n' "${BYE[@]}"
	give 0 host="127.0.0.1:$port" --count=2 --gap=0.2 -- s@x.test r@x.test
	fake_well
	heard 2 '^--- connection'
	heard 0 DATA
}

@test "R-ST-24: BDAT: closed while idle, or 421 to MAIL: once more" {
	both chunked X
	both chunked 'S:421 4.4.2 idle' X
	both chunked G:3 B:49 'S:421 4.7.0 too many messages' X
}

chunked_lost()
{
	fake_start --each "${CHUNKED[@]}" G:3 B:49 "$@"
	give 75 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test transient 421 4.4.2 'lost connection with * after end of data; message may have been delivered'
	heard 1 '^--- connection'
}

@test "R-ST-25: BDAT: lost without an answer to the message: may have been delivered" {
	both chunked_lost X
	both chunked_lost 'W:250 m\r\n250 r\r\n' X
}

@test "R-ST-25: BDAT: refused recipients are not in doubt" {
	fake_start --each "${CHUNKED[@]}" G:4 B:49 'W:250 m\r\n550 5.1.1 who\r\n250 r\r\n' X
	VIA=agent give 75 host="127.0.0.1:$port" -- s@x.test a@x.test b@x.test
	row 1 a@x.test permanent 550 5.1.1 who
	row 2 b@x.test transient 421 4.4.2 '*may have been delivered'
	rm fake
	fake_start --each "${CHUNKED[@]}" G:4 B:49 'W:250 m\r\n550 5.1.1 who\r\n450 4.2.1 full\r\n503 nobody\r\n' L 'A:RSET' 'S:250 r' "${BYE[@]}"
	VIA=agent give 75 host="127.0.0.1:$port" -- s@x.test a@x.test b@x.test
	row 1 a@x.test permanent 550 5.1.1 who
	row 2 b@x.test transient 450 4.2.1 full
}
