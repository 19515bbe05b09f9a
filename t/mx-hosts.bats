#!/usr/bin/env bats
# smtp-mx: hosts of the operator's and of the envelope's, hosts that are dead,
# slow or shared, and what happens while DNS is waited for.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/dns
load lib/mx

setup()
{
	nh_setup
	[[ $(id -u) -eq 0 ]] || skip "smtp-sink needs root"
	mx_setup
	dns_test_zones
}

teardown()
{
	nh_teardown
}

# ---- hosts of the operator's, and of the envelope's ----

fallback()
{
	to 0 u@two.test u@x.bad u@dead.test -- fallback_hosts=127.0.0.5
	got 5 3
	to 69 u@null.test u@nx.test -- fallback_hosts=127.0.0.5
	row 1 u@null.test permanent 556 5.1.10
	row 2 u@nx.test permanent 550 5.1.2
	to 0 u@two.test -- "fallback_hosts=127.0.0.4,mxz.test,aonly.test"
	got 5 4
}

@test "fallback_hosts: if no host is reached or DNS fails, not if there is none" {
	mx_dns
	mxsink 5
	both fallback
}

fallback_is_last()
{
	to 0 u@two.test -- fallback_hosts=127.0.0.5
	got 3 1
	got 5 0
}

@test "fallback_hosts: after all exchangers; not after a definite answer" {
	mx_dns
	mxsink 5
	mxsink 3
	both fallback_is_last
	mx_end "$SINK"
	mxsink 3 -f RCPT
	both to 69 u@two.test -- fallback_hosts=127.0.0.5
	got 5 0
}

private()
{
	local refuse=private_targets=refuse

	to 69 u@two.test u@six.test 'u@[127.0.0.2]' -- "$refuse"
	row 1 u@two.test permanent 550 5.4.4 '*private addresses*'
	row 2 u@six.test permanent 550 5.4.4
	row 3 'u@[127.0.0.2]' permanent 550 5.4.4
	to 69 u@ip.test -- "$refuse" mx_is_address=yes
	row 1 u@ip.test permanent 550 5.4.4
	got 2 0
	got 6 0
	got 9 0
	to 0 u@two.test -- "$refuse" force_mx.two.test=mxa.test
	to 0 u@two.test -- "$refuse" --nexthop='[mxa.test]'
	to 0 u@two.test -- "$refuse" fallback_hosts=127.0.0.2
	got 2 3
}

@test "private_targets: refused from DNS and literals, not from the operator" {
	local n

	mx_dns
	for n in 2 6 9; do
		mxsink "$n"
	done
	both private
}

overridden()
{
	to 0 u@two.test v@nx.test -- --nexthop="[127.0.0.5]:$MX_PORT"
	got 5 1
	to 0 u@two.test -- --nexthop='[127.0.0.5]'
	got 5 2
	to 0 u@two.test v@nx.test -- --nexthop=aonly.test
	got 5 3
	to 0 u@nx.test -- --nexthop="TWO.test:$MX_PORT"
	got 2 1
	to 0 u@nx.test -- --nexthop="[127.0.0.4]:$MX_PORT,[127.0.0.5]:$MX_PORT"
	got 5 4
	to 69 u@two.test -- --nexthop=nx.test
	row 1 u@two.test permanent 550 5.1.2 '*: nx.test'
	to 75 u@two.test -- --nexthop='[127.0.0.5]:x'
	row 1 u@two.test transient 451 4.3.5 'bad next hop *'
}

@test "a next hop from the envelope: [host]:port, a domain, a list, nonsense" {
	mx_dns
	mxsink 2
	mxsink 5
	both overridden
}

twins()
{
	to 0 u@two.test v@aonly.test u@two.test U@two.test
	rows 4
	got 2 1
	[[ $(grep -hc '^X-Rcpt-Args: <u@' "$D"/m.2.*) -eq 1 ]]
	[[ $(grep -hc '^X-Rcpt-Args: <U@' "$D"/m.2.*) -eq 1 ]]
}

@test "equal recipients: said once, answered each" {
	mx_dns
	mxsink 2
	mxsink 5
	both twins
}

@test "one relay, 200 domains, one host: its connections are shared" {
	local i rcpts=()

	for i in {1..200}; do
		echo "d$i MX 10 mx.test."
		rcpts+=("u@d$i.many.test")
	done >all
	printf 'mx A 127.0.0.2\n' | dns_zone more.test
	sed 's/mx.test./mx.more.test./' all | dns_zone many.test
	mx_dns
	# A seventh is refused.
	mxours 2 -c 6 -d 20
	relay_start concurrent_connections=6
	submit "${rcpts[@]}"
	rows 200
	[[ $(cut -f 2 rows | sort -u) == delivered ]]
	counts connections_opened 6
	counts connections_reused 194
	mx_end "$SINK"
	grep -qE '"peak": *6,' sink.2 || { cat sink.2; return 1; }
}

# explains RCPT key=value...: the hosts it names, in one line.
explains()
{
	local args=() option

	for option in "${MX[@]}" "${@:2}"; do
		args+=(-o "$option")
	done
	"$NH_BUILD/libexec/nexthop/smtp-mx" "${args[@]}" --explain "$1" \
		>said 2>>log.agent
	grep -E '^  host' said | sed -E 's/^  host +//' | xargs
}

@test "--explain: ends where a delivery does" {
	mx_dns
	[[ $(explains u@self.test own_addresses=127.0.0.8) == \
	    'me.test, preference 10' ]]
	grep -q 'not used  554 5.4.6' said
	[[ $(explains u@self.test) == \
	    'me.test, preference 10 mxb.test, preference 20' ]]
	[[ $(explains u@nx.test fallback_hosts=127.0.0.5) == nx.test ]]
	[[ $(explains u@two.test fallback_hosts=127.0.0.5) == \
	    *'mxb.test, preference 20 127.0.0.5, a fallback' ]]
}

# ---- dead and slow ones ----

@test "dead_host_time: only the first message waits for a dead host" {
	mx_dns
	mxfake 2 --full
	mxours 3
	relay_start connect_timeout=8 idle_timeout=0
	first=$(nh_ms)
	submit u@two.test
	second=$(nh_ms)
	[[ $((second - first)) -ge 8000 ]]
	submit u@two.test
	submit u@two.test
	[[ $(($(nh_ms) - second)) -lt 8000 ]]
	[[ $(grep -c MAIL commands.3) -eq 3 ]]
	nh_stop
	relay_start connect_timeout=1 idle_timeout=0 dead_host_time=0
	submit u@two.test
	second=$(nh_ms)
	submit u@two.test
	[[ $(($(nh_ms) - second)) -ge 1000 ]]
}

@test "dead_host_time: with nothing but dead hosts they are tried all the same" {
	mx_dns
	relay_start
	run -75 submit u@two.test
	mxours 3
	submit u@two.test
	row 1 u@two.test delivered 250 2.0.0
}

@test "dead_host_time: fallback_hosts go before hosts known to be dead" {
	mx_dns
	mxsink 5
	fallback=$SINK
	relay_start fallback_hosts=127.0.0.5 idle_timeout=0
	submit u@two.test
	got 5 1
	mxours 3
	submit u@two.test
	got 5 2
	kill "$fallback"
	wait "$fallback" || :
	submit u@two.test
	[[ $(grep -c MAIL commands.3) -eq 1 ]]
}

# Opens, SECONDS after the first connection has been asked for, a socket at ::1
# on which connects hang until then; whoever comes is greeted.
slow_six()
{
	cat >slow.py <<-'EOC'
	import socket, sys, time
	s = socket.socket(socket.AF_INET6)
	s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
	s.bind(("::1", int(sys.argv[1])))
	s.listen(0)
	fill = []
	for i in range(4):
	    c = socket.socket(socket.AF_INET6)
	    c.setblocking(False)
	    c.connect_ex(("::1", int(sys.argv[1])))
	    fill.append(c)
	ours = {c.getsockname()[1] for c in fill}
	time.sleep(float(sys.argv[2]))
	s.settimeout(20)
	lines = {b"EHLO": b"250 x", b"MAIL": b"250 m", b"RCPT": b"250 r",
	    b"DATA": b"354 go", b"QUIT": b"221 bye"}
	while True:
	    c, peer = s.accept()
	    if peer[1] in ours:
	        continue
	    print("accepted", flush=True)
	    c.sendall(b"220 six\r\n")
	    body = False
	    for line in c.makefile("rb"):
	        if body:
	            body = line != b".\r\n"
	            answer = b"" if body else b"250 taken by six"
	        else:
	            answer = lines.get(line[:4], b"500 what")
	            body = line[:4] == b"DATA"
	        if answer:
	            try:
	                c.sendall(answer + b"\r\n")
	            except OSError:
	                break
	EOC
	nh_spawn python3 slow.py "$MX_PORT" "$1" >slow.out 2>>err.slow
	SIX=$NH_PID
	nh_until 5 mx_is_bound 6
	sleep 0.1
}

raced()
{
	to 0 u@dual.test
	row 1 u@dual.test delivered 250 2.0.0
	[[ $(cut -f 7 rows) == 127.0.0.7 ]]
	took 250 15000
}

@test "RFC 8305: a family whose connects hang costs a moment" {
	mx_dns
	mxfake 6 --full
	mxsink 7
	both raced
}

@test "RFC 8305: the second message does not wait for the slower family" {
	mx_dns
	mxfake 6 --full
	mxours 7
	relay_start idle_timeout=0
	submit --count=4 u@dual.test
	rows 4
	# delays=.../.../...: what came before the session.
	[[ $(grep -c 'status=sent' "$LOG") -eq 4 ]]
	[[ $(grep 'status=sent' "$LOG" | grep -cE 'delay=0\.[01]') -ge 2 ]]
}

@test "RFC 8305: who was first wins in the end" {
	mx_dns
	mxfake 7 --full
	slow_six 0.6
	VIA=agent to 0 u@dual.test
	row 1 u@dual.test delivered 250 2.0.0 'taken by six'
	[[ $(cut -f 7 rows) == ::1 ]]
}

@test "RFC 8305: one that opens late takes nothing from a kept connection" {
	mx_dns
	mxfake 6 --full
	mxours 7 -D 2500
	relay_start dead_host_time=0
	submit u@dual.test
	mx_end "$FAKE"
	slow_six 0.5
	submit u@dual.test
	row 1 u@dual.test delivered 250 2.0.0
	[[ $(cut -f 7 rows) == 127.0.0.7 ]]
	said 7 1 EHLO
	said 7 2 MAIL
	counts connections_reused 1
}

in_race()
{
	relay_start
	submit_later u@dual.test
	nh_until 5 nh_field_is r open 1
	sleep 0.5
}

@test "RFC 8305: cancelled, stopped and killed while both families hang" {
	mx_dns
	mxfake 6 --full
	mxfake 7 --full
	in_race
	kill "$NH_PID"
	nh_until 8 nh_field_is r open 0
	nh_stop
	in_race
	nh_stop
	wait "$NH_PID" || [[ $? -eq 75 ]]
	rows 1
	in_race
	kill -9 "$(nh_agent r)"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	rows 1
	VIA=agent to 75 u@dual.test -- --deadline=2 connect_timeout=20
	row 1 u@dual.test transient 451 4.4.7
	took 2000 15000
}

# ---- while DNS is waited for ----

late()
{
	to 75 "$1" v@six.test -- --deadline=2 dns_timeout=25 connect_timeout=1
	row 1 "$1" transient 451 4.4.7 'deadline passed before delivery'
	row 2 v@six.test transient 451 4.4.1
	took 2000 20000
}

@test "the deadline comes while MX records, or addresses, are waited for" {
	mx_dns --drop=MX:two.test --drop=A:mxa.test --drop=TXT:_mta-sts.cname.test
	both late u@two.test
	both late u@zero.test
	both late u@cname.test
}

asking()
{
	relay_start dns_timeout=60
	submit_later u@two.test u@zero.test v@aonly.test
	nh_until 5 nh_field_is r open 1
	nh_until 5 asked_both
}

asked_both()
{
	[[ $(dns_asked MX two.test) -ge 1 && $(dns_asked A mxa.test) -ge 1 ]]
}

@test "cancelled, stopped and killed while DNS is waited for" {
	mx_dns --drop=MX:two.test --drop=A:mxa.test
	mxours 5
	asking
	kill "$NH_PID"
	nh_until 8 nh_field_is r open 0
	nh_stop
	: >dns.log
	asking
	nh_stop
	wait "$NH_PID" || [[ $? -eq 75 ]]
	rows 3
	row 3 v@aonly.test delivered 250 2.0.0
	: >dns.log
	asking
	kill -9 "$(nh_agent r)"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	rows 3
	[[ $(cut -f 2 rows | sort | uniq -c | xargs) == '1 delivered 2 transient' ]]
}
