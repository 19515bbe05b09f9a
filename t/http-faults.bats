#!/usr/bin/env bats
# http: servers that misbehave, time, what dies in the middle, addresses that
# are not allowed; a scripted server as the other side.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/http

setup()
{
	nh_setup
}

teardown()
{
	nh_teardown
}

# ---- time ----

late()
{
	fake_start H P:6
	hook 75 timeout=2 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.4.2 "conversation with 127.0.0.1\\[127.0.0.1\\]:$port timed out after end of data; message may have been delivered"
	took 2000 5500
	kill "$FAKE"
}

@test "R-HT-08: no response in time" {
	both late
}

@test "R-HT-08: a server that accepts no connection" {
	VIA=agent
	fake_start --full
	hook 75 timeout=2 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.4.2 "conversation with 127.0.0.1:$port timed out while connecting"
	took 2000 8000
}

@test "R-HT-08: a header and a body that never end" {
	VIA=agent
	fake_start H 'W:HTTP/1.1 200 OK\r\nX-A: b\r\n' P:8
	hook 75 timeout=1 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.4.2 '*may have been delivered'
	fake_start H 'W:HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc' P:8
	hook 75 timeout=1 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.4.2 '*may have been delivered'
}

@test "R-HT-08: a server that does not read: the message cannot have been delivered" {
	VIA=agent
	head -c 30000000 /dev/zero >"$D/big"
	fake_start --rcvbuf=4096 L P:8
	MSG=$D/big hook 75 timeout=2 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.4.2 '*timed out while sending the request'
}

@test "R-HT-08: the time of one exchange is not that of another on the same connection" {
	respond '200 OK'
	fake_start H Z:0.8 "${exchange[1]}" H Z:0.8 "${exchange[1]}"
	hook 0 timeout=1.5 idle_timeout=9 --count=2 -- s@x.test a@x.test
	rows 2
}

# ---- no answer, or none that can be read ----

refused()
{
	port=$(nh_free_port)
	hook 75 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.4.1 "connect to 127.0.0.1:$port: Connection refused"
}

@test "R-HT-09: connection refused" {
	both refused
}

silent()
{
	fake_start H X
	hook 75 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.5.0 'no valid HTTP answer from 127.0.0.1\[127.0.0.1\]:*; message may have been delivered'
}

@test "R-HT-09: closed without a response is no permanent failure" {
	both silent
}

@test "R-HT-09: what is no HTTP" {
	VIA=agent
	fake_start H 'S:garbage' X
	hook 75 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.5.0 '*may have been delivered'
	fake_start 'S:220 mail.test ESMTP' H X
	hook 75 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.5.0
	fake_start H 'W:HTTP/1.1 abc\r\n\r\n' X
	hook 75 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.5.0
	fake_start H R
	hook 75 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.5.0 '*may have been delivered'
}

@test "R-HT-09: a body shorter than was said" {
	VIA=agent
	fake_start H 'W:HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc' X
	hook 75 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.5.0 '*may have been delivered'
}

@test "R-HT-09: closed in the middle of the request: sure not to be delivered" {
	VIA=agent
	head -c 30000000 /dev/zero >"$D/big"
	fake_start L L Z:0.3 R
	MSG=$D/big hook 75 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.5.0 'no valid HTTP answer from * while sending the request: *'
	[[ $(cut -f 5 "$D/rows") != *'may have been'* ]]
}

@test "R-HT-09: a host that does not exist" {
	VIA=agent
	give 75 url=http://nx.invalid/ timeout=20 -- s@x.test a@x.test
	row 1 a@x.test transient 451 '4.4.[34]' || row 1 a@x.test transient 451 4.4.4 ||
		row 1 a@x.test transient 451 4.4.3
}

@test "an answer before the whole request was read" {
	VIA=agent
	head -c 30000000 /dev/zero >"$D/big"
	fake_start G:11 'W:HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n' Z:1
	MSG=$D/big hook 69 -- s@x.test a@x.test
	row 1 a@x.test permanent 552 5.3.4 'HTTP 413 Too Large'
}

@test "a response that is too long is read no further, and counts" {
	VIA=agent
	fake_start H 'W:HTTP/1.1 200 OK\r\nX-Smtp-Reply: 250; message="2.0.0 fine"\r\n\r\n' \
		'N:20000:0123456789012345678901234567890123456789' X
	hook 0 -- s@x.test a@x.test
	row 1 a@x.test delivered 250 2.0.0 fine
}

@test "a header that is too long is no answer" {
	VIA=agent
	fake_start H 'W:HTTP/1.1 200 OK\r\n' 'N:20000:X-A: 0123456789012345678901234567890123456789' X
	hook 75 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.5.0
}

@test "what comes behind a response ends the connection, not the next message" {
	respond '200 OK'
	fake_start "${exchange[@]}" 'S:HTTP/1.1 500 Oops' Z:0.3 + "${exchange[@]}"
	hook 0 idle_timeout=9 --count=2 --gap=0.5 -- s@x.test a@x.test
	rows 2
	row 2 a@x.test delivered 250 2.0.0
}

@test "a message that gets shorter while it is sent is not delivered" {
	VIA=agent
	head -c 60000000 /dev/zero >"$D/big"
	fake_start --rcvbuf=4096 L L L Z:2 H Z:1
	{
		sleep 1
		truncate -s 1000 "$D/big"
	} &
	MSG=$D/big hook 75 -- s@x.test a@x.test
	row 1 a@x.test transient 451 '4.[35].0' || row 1 a@x.test transient 451 4.3.0 ||
		row 1 a@x.test transient 451 4.5.0
	[[ $(cut -f 5 "$D/rows") != *'may have been'* ]]
}

# ---- what dies in the middle ----

web_relay()
{
	{
		printf '[relay web]\ntype = http\nurl = http://127.0.0.1:%s/\n' "$port"
		[[ $# -eq 0 ]] || printf '%s\n' "$@"
	} | nh_conf
	nh_start
}

submit_late()
{
	nh submit --relay=web --from=s@x.test --output=tsv a@x.test \
		<"${MSG:-$D/M}" >"$D/rows" || :
}

asked()
{
	grep -qa '^POST' "$D/fake"
}

asked_twice()
{
	[[ $(grep -ac ^POST "$D/fake") -eq 2 ]]
}

@test "the agent is killed before the end of the message: nothing was delivered" {
	fake_start --rcvbuf=4096 L P:8
	web_relay
	head -c 30000000 /dev/zero >"$D/big"
	MSG=$D/big submit_late &
	nh_until 5 asked
	kill -9 "$(nh_agent web)"
	wait $!
	row 1 a@x.test transient 451 4.3.0 'delivery agent *'
	[[ $(cut -f 5 "$D/rows") != *'may have been'* ]]
}

@test "the agent is killed after the end of the message: it may have been delivered" {
	fake_start H P:8
	web_relay
	submit_late &
	nh_until 5 asked
	sleep 0.3
	kill -9 "$(nh_agent web)"
	wait $!
	row 1 a@x.test transient 451 4.3.0 'delivery agent *may have been delivered'
}

@test "the same over a kept connection" {
	respond '200 OK'
	fake_start "${exchange[@]}" H P:8
	web_relay 'idle_timeout = 30'
	submit_late
	submit_late &
	nh_until 5 asked_twice
	sleep 0.3
	kill -9 "$(nh_agent web)"
	wait $!
	row 1 a@x.test transient 451 4.3.0 'delivery agent *may have been delivered'
}

@test "a drain waits for the response" {
	respond '200 OK'
	fake_start H Z:1 "${exchange[1]}"
	web_relay
	submit_late &
	nh_until 5 asked
	nh_stop
	wait $!
	row 1 a@x.test delivered 250 2.0.0
}

@test "Ctrl-C before the end of the message cancels it" {
	fake_start --rcvbuf=4096 L P:8
	head -c 30000000 /dev/zero >"$D/big"
	# shellcheck disable=SC2016 # for the inner shell
	nh_spawn sh -c 'exec "$@" <"$0"' "$D/big" \
		"$NH_BUILD/libexec/nexthop/http" -o url="http://127.0.0.1:$port/" \
		--output=tsv --from=s@x.test a@x.test >"$D/rows" 2>>"$D/err"
	nh_until 5 asked
	kill "$NH_PID"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	row 1 a@x.test transient 451 4.3.0 'delivery cancelled'
}

# ---- addresses ----

@test "target_allow and target_deny hold for the addresses of a name" {
	VIA=agent
	answers '204 No Content'
	give 75 url="http://localhost:$port/" target_deny=loopback -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.7.1 'connection to localhost\[*\] is not allowed by target_allow and target_deny'
	give 75 url="http://127.0.0.1:$port/" target_allow=192.0.2.0/24,2001:db8::/32 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.7.1 'connection to 127.0.0.1\[127.0.0.1\] is not allowed *'
	give 75 url="http://[::ffff:127.0.0.1]:$port/" target_deny=127.0.0.0/8 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.7.1
	give 0 url="http://localhost:$port/" target_allow=127.0.0.1 -- s@x.test a@x.test
	heard 1 '^POST'
	give 78 url=http://127.0.0.1/ target_allow=nonsense -- s@x.test a@x.test
	grep -q 'target_allow.*nonsense' "$D/log.agent"
}

@test "a host with an address that answers and one that does not" {
	[[ $(id -u) -eq 0 ]] || skip "needs root"
	answers '204 No Content'
	printf '127.0.0.1 two.test\n127.0.0.2 two.test\n::1 two.test\n' >"$D/hosts"
	# shellcheck disable=SC2016 # for the inner shell
	unshare -m sh -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$D/hosts" \
		"$NH_BUILD/libexec/nexthop/http" -o url="http://two.test:$port/" \
		--output=tsv --from=s@x.test a@x.test <"$D/M" >"$D/rows"
	[[ $(cut -f 2,6,7 "$D/rows") == $'delivered\ttwo.test\t127.0.0.1' ]]
}

@test "address_family, and an envelope's own source address" {
	VIA=agent
	answers '204 No Content'
	give 75 url="http://localhost:$port/" address_family=ipv6 -- s@x.test a@x.test
	give 0 url="http://localhost:$port/" address_family=ipv4 -- s@x.test a@x.test
	heard 1 '^POST'
}

@test "proxies of the environment are not used; proxy is" {
	VIA=agent
	local dead
	dead=$(nh_free_port)
	export http_proxy=http://127.0.0.1:$dead ALL_PROXY=http://127.0.0.1:$dead
	answers '204 No Content'
	hook 0 -- s@x.test a@x.test
	answers '204 No Content'
	give 0 url=http://web.invalid/x proxy="http://127.0.0.1:$port" -- s@x.test a@x.test
	heard 1 '^POST http://web.invalid/x HTTP/1.1'
	give 78 url=http://web.invalid/x proxy=http://127.0.0.1:1 target_deny=private -- s@x.test a@x.test
	give 78 url=http://web.invalid/x proxy=ftp://127.0.0.1:1 -- s@x.test a@x.test
}

all_wait()
{
	[[ $(nh status --output=json) == *'"deliveries_waiting":999'* ]]
}

@test "1,000 deliveries that wait take little memory" {
	local pid before
	respond '200 OK'
	fake_start H P:10 "${exchange[1]}"
	web_relay 'concurrent_connections = 1' 'timeout = 30'
	pid=$(nh_agent web)
	before=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")
	# shellcheck disable=SC2016 # for the inner shell
	nh_spawn sh -c 'exec "$@" <"$0"' "$D/M" "$NH_BUILD/bin/nexthop" \
		-c "$CONF" submit --relay=web --from=s@x.test --count=1000 \
		--parallel=1000 a@x.test >"$D/rows" 2>>"$D/err"
	nh_until 10 all_wait
	is_instrumented || [[ $(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status") -lt $((before + 4096)) ]]
	kill "$NH_PID"
}

# ---- options ----

@test "faults of options are told at start" {
	VIA=agent
	give 78 -- s@x.test a@x.test
	grep -q 'url' "$D/log.agent"
	give 78 url=ftp://x.test/ -- s@x.test a@x.test
	grep -q 'neither http: nor https:' "$D/log.agent"
	give 78 url=x.test -- s@x.test a@x.test
	give 78 url=http://x.test:99999/ -- s@x.test a@x.test
	give 78 url=http://x.test/ timeout=-1 -- s@x.test a@x.test
	give 78 url=http://x.test/ ehlo_as=3 -- s@x.test a@x.test
	give 78 url=https://x.test/ tls_mode=none -- s@x.test a@x.test
	grep -q 'https: asks for TLS' "$D/log.agent"
	give 78 url=unix:relative:/ -- s@x.test a@x.test
	give 78 url=http://x.test/ token_file=/nonexistent -- s@x.test a@x.test
}

twins_lost()
{
	fake_start H X
	hook 75 -- s@x.test a@x.test b@x.test a@x.test
	rows 3
	for n in 1 2 3; do
		[[ $(sed -n "${n}p" "$D/rows" | cut -f 5) == *'may have been delivered' ]]
	done
}

@test "equal recipients are in doubt together, also when the agent is killed" {
	both twins_lost
	fake_start H P:8
	web_relay
	nh submit --relay=web --from=s@x.test --output=tsv a@x.test b@x.test a@x.test \
		<"$D/M" >"$D/rows" &
	nh_until 5 asked
	sleep 0.3
	kill -9 "$(nh_agent web)"
	wait $! || [[ $? -eq 75 ]]
	[[ $(grep -c 'may have been delivered' "$D/rows") -eq 3 ]]
}

@test "of several requests only the one in doubt is" {
	respond '200 OK'
	fake_start H X + "${exchange[@]}"
	hook 75 max_recipients=1 -- s@x.test a@x.test b@x.test
	row 1 a@x.test transient 451 4.5.0 '*may have been delivered'
	row 2 b@x.test delivered 250 2.0.0
}
