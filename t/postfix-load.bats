#!/usr/bin/env bats
# Agents as services of a real Postfix: many deliveries at once, reload, stop
# and death under them.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/postfix

setup()
{
	nh_setup
	pf_layout
}

teardown()
{
	pf_teardown
}

# ---- many at once ----

@test "500 at once in one process, few descriptors, then 64" {
	FLAGS=(--late=4)
	pf_relay_start
	pf_bulk 500 late@b.test
	nh_until 30 late_are 400
	[[ $(pf_agent out | wc -l) -eq 1 ]]
	WAIT=60 pf_empty
	took_mail 500
	pf_calm
}

@test "64 descriptors: requests wait, none fails" {
	host_start --late=0.2
	printf '#!/bin/bash\nulimit -n 64\nexec -a "$0" %s/libexec/nexthop/smtp-static "$@"\n' "$NH_BUILD" >"$D/few"
	chmod 755 "$D/few"
	PF_SERVICES=("out unix - - n - 1 $(realpath --relative-to=/usr/lib/postfix/sbin "$D")/few -o host=127.0.0.1:$port -o ehlo_as=c.test -o concurrent_connections=100")
	pf_start 'default_transport = out:' \
		'default_destination_concurrency_limit = 100' \
		'initial_destination_concurrency = 100'
	pf_bulk 100 late@b.test
	WAIT=60 pf_empty
	took_mail 100
	pf_logged 0 'status=deferred'
	pf_calm
}

@test "two processes of a service share its requests" {
	PF_SERVICES=("hole unix - - n - 2 $AGENTS/blackhole -o delay=2s -o window=3")
	pf_start 'default_transport = hole:'
	pf_bulk 9
	nh_until 10 eval '[[ $(pf_front hole | wc -l) -eq 2 ]]'
	pf_logged 9 status=sent
	pf_empty
	pf_calm
}

@test "an agent that has nothing to do ends, and comes back" {
	PF_SERVICES=("$(agent_line hole blackhole)")
	PF_SERVICES[0]+=' -i 1'
	pf_start 'default_transport = hole:'
	pf_send b@b.test <"$D/M"
	pf_empty
	nh_until 20 eval '[[ -z $(pf_front hole) ]]'
	pf_send b@b.test <"$D/M"
	pf_logged 2 status=sent
	pf_empty
	pf_calm
}

@test "a worker that stands still is ended, and its service comes back" {
	PF_SERVICES=("$(agent_line hole blackhole daemon_timeout=10s)")
	pf_start 'default_transport = hole:'
	pf_send b@b.test <"$D/M"
	pf_logged 1 status=sent
	pid=$(pf_agent hole)
	kill -STOP "$pid"
	sleep 11
	kill -CONT "$pid"
	pf_logged 1 "warning: process .*blackhole pid [0-9]+ killed by signal 14"
	pf_send b@b.test <"$D/M"
	pf_logged 2 status=sent
}

# ---- reload, stop, death ----

@test "reload with 500 under way and more coming: none lost, none twice" {
	FLAGS=(--late=8)
	pf_relay_start
	pf_bulk 500 late@b.test
	nh_until 30 late_are 400
	old=$(pf_agent out)
	postfix -c "$PF" reload 2>/dev/null
	pf_bulk 50 b@b.test
	pf_logged 50 'to=<b@b.test>.*status=sent'
	WAIT=60 pf_logged 500 'to=<late@b.test>.*status=sent'
	took_mail 500 late
	took_mail 50 'b@b'
	nh_until 20 eval "! kill -0 $old"
	postqueue -c "$PF" -f
	sleep 1
	pf_calm 'skipped, still being delivered'
}

@test "stop and start with 500 under way: stop is quick, all arrives" {
	FLAGS=(--late=60)
	pf_relay_start
	pf_bulk 500 late@b.test
	nh_until 40 late_are 400
	start=$(nh_ms)
	pf_down
	[[ $(($(nh_ms) - start)) -lt 6000 ]]
	nh_until 15 pf_none_left
	host_stop
	host_start --late=0
	pf_up
	WAIT=60 pf_logged 500 'status=sent'
}

@test "the service is removed: the master goes on, other services answer" {
	FLAGS=(--late=6)
	pf_relay_start
	pf_bulk 20 late@b.test
	nh_until 30 late_are 15
	PF_SERVICES=("$(agent_line hole blackhole)")
	pf_conf 'default_transport = hole:'
	postfix -c "$PF" reload 2>/dev/null
	pf_send b@b.test <"$D/M"
	pf_logged 1 'to=<b@b.test>.*status=sent'
	a=$(awk '{ print $14 + $15 }' "/proc/$PFMASTER/stat")
	sleep 1
	b=$(awk '{ print $14 + $15 }' "/proc/$PFMASTER/stat")
	[[ $((b - a)) -lt 20 ]]
	nh_until 20 eval '[[ -z $(pgrep -g "$PFMASTER" smtp-static) ]]'
}

# death WHICH: kill -9 with mail under way.
death()
{
	FLAGS=(--late=2)
	pf_relay_start 'minimal_backoff_time = 1s' 'maximal_backoff_time = 1s' \
		'queue_run_delay = 2s'
	pf_send first@b.test <"$D/M"
	pf_logged 1 'to=<first@b.test>.*status=sent'
	pf_bulk 100 late@b.test
	nh_until 30 late_are 50
	kill -9 "$("$1" out)"
	WAIT=90 pf_empty
	# Those whose message the host had and whose answer was lost come again.
	[[ $(grep -c '^taken' "$D/got.log") -ge 101 ]]
	[[ $(grep -oE '^[^:]+: [0-9A-F]+: to=<late.*status=sent|[0-9A-F]{6,}: to=<late@b.test>.*status=sent' "$PFLOG" |
	    grep -oE '[0-9A-F]{9,}' | sort -u | wc -l) -eq 100 ]]
	pf_logged 0 'throttling'
}

@test "the worker is killed with 100 under way: none is lost" {
	death pf_agent
}

@test "the worker is killed while bounce(8) has not answered: no bounce is lost" {
	pf_relay_start 'minimal_backoff_time = 1s' 'maximal_backoff_time = 1s' \
		'queue_run_delay = 2s'
	pf_send first@b.test <"$D/M"
	pf_logged 1 status=sent
	mv "$Q/private/bounce" "$Q/private/bounce.off"
	nh_spawn python3 -c 'import socket, sys, time, os
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
s.listen(9)
c = s.accept()[0]
c.sendall(b"protocol\0delivery_status_protocol\0\0")
open(sys.argv[2], "wb").write(c.recv(9000))
time.sleep(600)' "$Q/private/bounce" "$D/asked" 2>>"$D/err.python"
	nh_until 5 test -S "$Q/private/bounce"
	pf_send bounce@b.test <"$D/M"
	nh_until 10 test -s "$D/asked"
	[[ $(marks active) == Rbounce ]]
	kill -9 "$(pf_agent out)"
	mv "$Q/private/bounce.off" "$Q/private/bounce"
	WAIT=40 pf_logged 1 'to=<bounce@b.test>.*status=bounced'
	pf_kept_is 1
	pf_empty
}

@test "no space for the copy of a large message: deferred, then delivered" {
	mount -t tmpfs -o size=12m,mode=755 nexthop "$Q" || skip "no mount"
	MOUNTED=$Q
	pf_layout
	pf_relay_start 'minimal_backoff_time = 1s' 'maximal_backoff_time = 1s' \
		'defer_transports = out'
	python3 -c 'import sys
sys.stdout.write("Subject: x\r\n\r\n" + "".join("%070d\r\n" % i for i in range(60000)))' >"$D/big"
	pf_send b@b.test <"$D/big"
	nh_until 10 eval '[[ -n $(pf_files deferred) ]]'
	dd if=/dev/zero of="$Q/filler" bs=1M count=5 2>/dev/null
	postconf -c "$PF" -e 'defer_transports ='
	postfix -c "$PF" reload 2>/dev/null
	# By itself, and by each flush.
	nh_until 30 eval 'sleep 1; postqueue -c "$PF" -f; grep -q "dsn=4.3.0, status=deferred (local error: copying the message: No space left on device)" "$PFLOG"'
	took_mail 0
	# What had been copied had made room for defer(8) before it was asked.
	pf_logged 0 'bounce.*No space left'
	rm "$Q/filler"
	# A flush may come while qmgr(8) still puts the message away.
	nh_until 30 eval 'sleep 1; postqueue -c "$PF" -f; pf_logs 1 status=sent'
	took_mail 1
	pf_empty
}

@test "the master's child is killed with 100 under way: none is lost" {
	death pf_front
}

# The calls that mark a recipient, those that log it, and how many of these came
# before their mark: as many of both as $1.
marked_first()
{
	[[ $(awk '/pwrite64\(.*"D", 1,/ { d++ } /status=sent/ { s++ }
	    s > d { bad++ } END { print s + 0, d + 0, bad + 0 }' "$D/calls") == \
	    "$1 $1 0" ]]
}

# Whoever is killed between the two: its message must not come again.
@test "a recipient is marked as done before the log says so" {
	local agent

	command -v strace >/dev/null || skip "no strace"
	pf_relay_start
	pf_send first@b.test <"$D/M"
	pf_logged 1 'to=<first@b.test>.*status=sent'
	agent=$(pf_agent out)
	nh_spawn strace -f -qq -s 400 -o "$D/calls" -p "$agent" \
		-e trace=pwrite64,write,sendto,sendmsg 2>>"$D/err.strace"
	nh_until 20 grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$agent/status"
	pf_bulk 20
	pf_empty
	pf_logged 20 'to=<b@b.test>.*status=sent'
	# strace writes a call down after it was made.
	nh_until 20 marked_first 20 || { cat "$D/calls"; return 1; }
}
