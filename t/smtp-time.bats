#!/usr/bin/env bats
# smtp-static: time-outs, deadlines, interruption. Times are as the clock on
# the wall says, with some room above for a busy machine.
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

# ---- connecting ----

no_connection()
{
	fake_start --full
	give 75 host="127.0.0.1:$port" connect_timeout=2 -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.4.1 \
		"connect to 127.0.0.1\\[127.0.0.1\\]:$port: Connection timed out"
	took 2000 3500
}

@test "R-ST-15: connect_timeout" {
	both no_connection
}

@test "R-ST-15: then the next host" {
	fake_start --full
	local full=$port
	sink_start
	VIA=agent give 0 host="127.0.0.1:$full, 127.0.0.1:$port" \
		connect_timeout=1 -- s@x.test r@x.test
	took 1000 2500
	[[ $(cut -f 8 "$D/rows") == "$port" ]]
}

unknown_name()
{
	give 75 host=name.invalid dns_timeout=3 -- s@x.test r@x.test
	[[ $(cut -f 2,3 "$D/rows") == $'transient\t451' ]]
	[[ $(cut -f 4 "$D/rows") == 4.4.[34] ]]
	[[ $(cut -f 5 "$D/rows") == *name.invalid* ]]
	[[ $took -lt 5000 ]]
	sink_start
	give 0 host="name.invalid, 127.0.0.1:$port" dns_timeout=3 -- \
		s@x.test r@x.test
	[[ $took -lt 5000 ]]
}

@test "R-ST-16: a name that does not exist" {
	both unknown_name
}

@test "R-ST-16: name servers that do not answer: dns_timeout" {
	unshare -mn true 2>/dev/null || skip "needs unshare"
	echo 'nameserver 127.0.0.1' >resolv.conf
	cat >run <<-EOS
	ip link set lo up
	mount --bind "$D/resolv.conf" /etc/resolv.conf
	python3 -c 'import socket, time
	s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	s.bind(("127.0.0.1", 53))
	open("silent", "w").close()
	time.sleep(20)' &
	pid=\$!
	until [ -e silent ]; do sleep 0.02; done
	"$NH_BUILD/libexec/nexthop/smtp-static" -o host=mx.example.net \
		-o dns_timeout=1 -o ehlo_as=client.test --output=tsv \
		--from=s@x.test r@x.test <M >rows 2>log.agent
	echo \$? >status
	kill \$pid
	EOS
	sed -i 's/^\t//' run
	start=$(nh_ms)
	unshare -mn sh run 3>&-
	took=$(($(nh_ms) - start))
	[[ $(<status) -eq 75 ]]
	row 1 r@x.test transient 451 4.4.3 'mx.example.net: DNS lookup failed: *'
	took 1000 3500
}

# ---- commands ----

slow_mail()
{
	smtp_sink_start -p -W MAIL:6
	give 75 host="127.0.0.1:$port" command_timeout=2 -- s@x.test r@x.test
	row 1 r@x.test transient 421 4.4.2 \
		"conversation with 127.0.0.1\\[127.0.0.1\\]:$port timed out while sending MAIL FROM"
	took 2000 3500
}

@test "R-ST-17: command_timeout" {
	both slow_mail
}

# silent WHAT STEP...: the server says no more; one connection, in time.
silent()
{
	rm -f "$D/fake"
	fake_start --each "${@:2}" C
	VIA=agent give 75 host="127.0.0.1:$port" command_timeout=1 -- \
		s@x.test a@x.test b@x.test
	row 1 a@x.test transient 421 4.4.2 "conversation with * timed out while $1"
	row 2 b@x.test transient 421 4.4.2 "conversation with * timed out while $1"
	took 1000 2500
	heard 1 '^--- connection'
}

@test "R-ST-17: silence at each step" {
	silent 'receiving the greeting'
	silent 'sending EHLO' 'S:220 x' L
	silent 'sending HELO' 'S:220 x' L 'S:500 x' L
	silent 'sending MAIL FROM' "${PIPED[@]}" G:4
	silent 'sending RCPT TO' "${HELLO[@]}" L 'S:250 m' L
	silent 'sending RCPT TO' "${PIPED[@]}" G:4 'W:250 m\r\n250 r\r\n'
	silent 'sending DATA' "${PIPED[@]}" G:4 'W:250 m\r\n250 r\r\n250 r\r\n'
}

@test "R-ST-17: half a reply is no sign of life" {
	local drip=()
	for _ in {1..12}; do drip+=('W:2' Z:0.3); done
	rm -f fake
	fake_start 'S:220 x' L "${drip[@]}"
	VIA=agent give 75 host="127.0.0.1:$port" command_timeout=1 -- s@x.test a@x.test
	row 1 a@x.test transient 421 4.4.2 'conversation with * timed out while sending EHLO'
	took 1000 2500
	drip=()
	for _ in {1..12}; do drip+=('S:250-x' Z:0.3); done
	fake_start 'S:220 x' L "${drip[@]}"
	VIA=agent give 75 host="127.0.0.1:$port" command_timeout=1 -- s@x.test a@x.test
	row 1 a@x.test transient 421 4.4.2 'conversation with * timed out while sending EHLO'
	took 1000 2500
}

@test "R-ST-17: each reply has its own time" {
	fake_start 'S:220 x' L Z:0.7 'S:250 x' L Z:0.7 'S:250 m' L Z:0.7 'S:250 r' \
		L Z:0.7 'S:354 go' D 'S:250 ok' "${BYE[@]}"
	VIA=agent give 0 host="127.0.0.1:$port" command_timeout=1 -- s@x.test a@x.test
	fake_well
}

@test "R-ST-17: who does not answer QUIT is not waited for long" {
	fake_start "${HELLO[@]}" "${TAKE[@]}" L C
	VIA=agent give 0 host="127.0.0.1:$port" command_timeout=1 -- s@x.test a@x.test
	took 0 2000
	fake_start "${HELLO[@]}" "${TAKE[@]}" L C
	VIA=agent give 0 host="127.0.0.1:$port" command_timeout=30 -- s@x.test a@x.test
	took 0 4000
	heard 2 '^QUIT'
}

# ---- the message ----

slow_dot()
{
	smtp_sink_start "${@:2}" -W .:6
	give 75 host="127.0.0.1:$port" data_timeout="$1" -- s@x.test r@x.test
	row 1 r@x.test transient 421 4.4.2 \
		'conversation with * timed out after end of data; message may have been delivered'
	took "$1"000 4000
}

@test "R-ST-18: data_timeout, without PIPELINING and with it" {
	both slow_dot 2 -p
	both slow_dot 1
}

stops_reading()
{
	fake_start --each --rcvbuf=4096 "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L \
		'S:354 go' P:20
	MSG=$D/BIG give 75 host="127.0.0.1:$port" data_timeout=2 -- s@x.test r@x.test
	row 1 r@x.test transient 421 4.4.2 'conversation with * timed out while sending message body'
	took 2000 4000
	heard 1 '^--- connection'
}

@test "R-ST-18: data_timeout while sending" {
	head -c 5000000 /dev/zero | tr '\0' 'x' | fold -w 70 >BIG
	both stops_reading
}

# The last piece and the dot are on their way and cannot leave: whatever the
# size is, one try.
@test "R-ST-18: a server that stops reading near the end: no second try" {
	local kb pids=()

	fake_start --each --unix="$D/u.sock" "${HELLO[@]}" L 'S:250 m' L 'S:250 r' \
		L 'S:354 go' P:20
	for kb in 100 150 180 200 220 250 300 350 400; do
		head -c $((kb * 1024)) /dev/zero | tr '\0' 'x' | fold -w 70 >"B$kb"
		"$NH_BUILD/libexec/nexthop/smtp-static" -o "host=unix:$D/u.sock" \
			-o ehlo_as=client.test -o data_timeout=1 --output=tsv \
			--from=s@x.test "r$kb@x.test" <"B$kb" 2>>log.agent \
			>"out.$kb" 3>&- &
		pids+=($!)
	done
	sleep 3
	for pid in "${pids[@]}"; do
		# Ended by itself, or stuck.
		! kill "$pid" 2>/dev/null || stuck=1
		wait "$pid" || :
	done
	[[ -z ${stuck-} ]]
	cat out.*
	[[ $(cat out.* | grep -c 'timed out') -eq 9 ]]
	[[ $(cut -f 2,3 out.* | uniq) == $'transient\t421' ]]
	heard 9 '^--- connection'
}

@test "R-ST-18: a slow reader that makes progress is waited for" {
	local slow=()
	head -c 16000000 /dev/zero | tr '\0' 'x' | fold -w 70 >BIG
	for _ in {1..8}; do slow+=(B:1900000 Z:0.4); done
	fake_start --rcvbuf=65536 "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L \
		'S:354 go' "${slow[@]}" D 'S:250 ok' "${BYE[@]}"
	MSG=BIG VIA=agent give 0 host="127.0.0.1:$port" data_timeout=1 -- \
		s@x.test r@x.test
	took 2500 30000
	fake_well
}

# ---- waiting for a connection ----

waiting()
{
	smtp_sink_start -w 60
	give 75 host="127.0.0.1:$port" concurrent_connections=1 \
		queue_timeout=2 command_timeout=3 --count=3 --parallel=3 -- \
		s@x.test r@x.test
	[[ $(cut -f 4 "$D/rows" | sort | xargs) == '4.4.2 4.4.5 4.4.5' ]]
	[[ $(cut -f 5 "$D/rows" | grep -cxF "too many concurrent connections to 127.0.0.1[127.0.0.1]:$port") -eq 2 ]]
	took 3000 5500
}

@test "R-ST-22: waiting for a connection is bounded" {
	both waiting
}

@test "R-ST-22: they are answered when their time is over, not later" {
	smtp_sink_start -w 60
	nh_conf <<<"[relay r]
	type = static
	host = 127.0.0.1:$port
	ehlo_as = client.test
	concurrent_connections = 1
	queue_timeout = 1s
	command_timeout = 5s"
	nh_start
	nh_spawn nh submit --relay=r --from=s@x.test r@x.test <M >first 2>err.submit
	is_connected() { ss -tnH state established "( dport = :$port )" | grep -q .; }
	nh_until 5 is_connected
	sleep 0.1
	start=$(nh_ms)
	nh submit --relay=r --from=s@x.test --output=tsv r@x.test <M >rows || [[ $? -eq 75 ]]
	took=$(($(nh_ms) - start))
	row 1 r@x.test transient 451 4.4.5
	took 1000 2500
	kill -9 "$MASTER"
	wait "$MASTER" || MASTER=''
}

# ---- the envelope's own end ----

deadline()
{
	fake_start --each "${HELLO[@]}" L C
	give 75 host="127.0.0.1:$port" --deadline=1 -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.4.7 'deadline passed before delivery'
	took 1000 2500
	heard 1 '^--- connection'
}

@test "R-ST-22: --deadline" {
	both deadline
}

@test "R-ST-22: --deadline while connecting, and while waiting for a connection" {
	fake_start --full
	VIA=agent give 75 host="127.0.0.1:$port" --deadline=1 -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.4.7 'deadline passed before delivery'
	took 1000 2500
	fake_start --each "${HELLO[@]}" L C
	VIA=agent give 75 host="127.0.0.1:$port" concurrent_connections=1 \
		--deadline=1 --count=3 --parallel=3 -- s@x.test r@x.test
	rows 3
	[[ $(cut -f 4 "$D/rows" | uniq) == 4.4.7 ]]
	took 1000 2500
}

@test "R-ST-22: past the dot there is no deadline" {
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:354 go' D Z:1.6 \
		'S:250 ok' "${BYE[@]}"
	VIA=agent give 0 host="127.0.0.1:$port" --deadline=1 -- s@x.test r@x.test
	row 1 r@x.test delivered 250 2.0.0 ok
	fake_well
}

# ---- Ctrl-C ----

# interrupted SIGNAL STATUS [--option...]: when the server has read WHEN.
interrupted()
{
	env --default-signal=INT "$NH_BUILD/libexec/nexthop/smtp-static" \
		-o "host=127.0.0.1:$port" -o ehlo_as=client.test --output=tsv \
		--from=s@x.test "${@:3}" r@x.test <M >rows 2>>log.agent 3>&- &
	local pid=$! status=0
	NH_PIDS+=("$pid")
	nh_until 5 grep -q "$WHEN" fake
	start=$(nh_ms)
	kill "-$1" "$pid"
	wait "$pid" || status=$?
	took=$(($(nh_ms) - start))
	[[ $status -eq $2 ]] || { echo "status $status"; cat rows log.agent; return 1; }
}

@test "R-PM-04: SIGINT and SIGTERM by hand: cancelled, 75" {
	for signal in INT TERM; do
		rm -f fake
		fake_start --each "${HELLO[@]}" L C
		WHEN=MAIL interrupted "$signal" 75
		row 1 r@x.test transient 451 4.3.0 'delivery cancelled'
		took 0 1500
		heard 0 RCPT
	done
	# Of three messages the one at work is told, the others were not begun.
	rm -f fake
	fake_start --each "${HELLO[@]}" L C
	WHEN=MAIL interrupted INT 75 --count=3
	grep -q 'interrupted: not all messages were sent' log.agent
	rows 1
}

@test "R-PM-04: SIGINT past the dot: the answer is waited for" {
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:354 go' D Z:0.5 \
		'S:250 ok' "${BYE[@]}"
	WHEN='^\.' interrupted INT 0
	row 1 r@x.test delivered 250 2.0.0 ok
	fake_well
}

@test "R-PM-04: SIGINT in the body: it does not end like a whole message" {
	head -c 5000000 /dev/zero | tr '\0' 'x' | fold -w 70 >M
	fake_start --rcvbuf=4096 "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L \
		'S:354 go' B:1000 Z:1 D 'S:250 ok'
	WHEN=xxxx interrupted INT 75
	row 1 r@x.test transient 451 4.3.0 'delivery cancelled'
	wait "$FAKE" || :
	grep -q '^--- eof (reset)' fake
	heard 0 '^\.$'
}
