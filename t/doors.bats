#!/usr/bin/env bats
# Doors, the children of the master that face the network: their sockets, what
# they submit, their deaths, and the end.  The door is t/lib/door.py.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # port is set by the helpers

load lib/nexthop

setup()
{
	nh_setup
	DOOR=$NH_ROOT/t/lib/door.py
	chmod 755 "$D"
}

teardown()
{
	nh_teardown
}

# doors [LINE...]: an intake "in" for the relay "out", which is a blackhole
# unless RELAY says otherwise.
doors()
{
	nh_conf "${MASTER_LINES[@]}" <<-EOC
	[relay out]
	${RELAY:-type = blackhole}
	[intake in]
	type = custom
	exec = $DOOR
	relay = out
	listen = ${LISTEN:-unix:$D/l.sock}
	$(printf '%s\n' "$@")
	EOC
}

# lmtp [--to=ADDRESS] [RCPT...]: one transaction; the replies to DATA.
lmtp()
{
	python3 - "${TO:-$D/l.sock}" "$@" <<-'EOP'
	import socket, sys
	to, rcpts = sys.argv[1], sys.argv[2:]
	if to.startswith('/'):
	    s = socket.socket(socket.AF_UNIX)
	    s.connect(to)
	else:
	    host, port = to.rsplit(':', 1)
	    s = socket.create_connection((host, int(port)))
	s.settimeout(30)
	f = s.makefile('rw', newline='')
	def say(line):
	    f.write(line + '\r\n')
	    f.flush()
	f.readline()
	say('LHLO x')
	while f.readline()[3] == '-':
	    pass
	say('MAIL FROM:<s@x.test>')
	f.readline()
	for r in rcpts:
	    say('RCPT TO:<%s>' % r)
	    f.readline()
	say('DATA')
	f.readline()
	say('Subject: x\r\n\r\ntest\r\n.')
	for r in rcpts:
	    print(f.readline().strip())
	say('QUIT')
	f.readline()
	EOP
}

pids_of()
{
	nh_field "$1" pids | tr , ' '
}

is_ready()
{
	nh_field_is in state ready
}

@test "UNIX, IPv4 and IPv6 sockets: delivered, shown, closed at the end" {
	local p4 p6

	p4=$(nh_free_port) p6=$(nh_free_port)
	LISTEN="unix:$D/l.sock, inet:127.0.0.1:$p4, inet:[0:0::1]:$p6"
	doors 'listen_mode = 0600'
	nh_start
	nh_until 10 is_ready
	[[ $(stat -c %a l.sock) == 600 ]]
	run -0 lmtp a@x.test b@x.test
	[[ ${#lines[@]} -eq 2 && ${lines[1]} == '250 2.0.0 '* ]]
	TO=127.0.0.1:$p4 run -0 lmtp a@x.test
	[[ $output == '250 2.0.0 '* ]]
	TO=::1:$p6 run -0 lmtp a@x.test
	[[ $output == '250 2.0.0 '* ]]
	[[ $(nh_field out delivered) -eq 4 ]]
	nh status --output=json | python3 -c '
import json, sys
door, = json.load(sys.stdin)["doors"]
assert door["name"] == "in" and door["kind"] == "intake", door
assert door["deliveries"] == 3 and door["restarts"] == 0, door
assert door["listen"][2].startswith("inet:[::1]:"), door
assert len(door["processes"]) == 1, door'
	nh_stop
	[[ ! -e l.sock ]]
	run ! nh_listens "$p4"
}

@test "a door is unprivileged, and the master reads no network socket" {
	[[ $(id -u) -eq 0 ]] || skip "not root"
	LISTEN="inet:127.0.0.1:$(nh_free_port)" doors 'user = daemon'
	nh_start
	nh_until 10 is_ready
	[[ $(stat -c %U "/proc/$(pids_of in)") == daemon ]]
	run -0 ss -tnpH state established
	[[ $output != *"pid=$MASTER,"* ]]
}

@test "check and config ask the program, and make no socket" {
	doors 'mode = none'
	run -0 nh check
	[[ $output == *'ok, 1 relay'* ]]
	[[ ! -e l.sock ]]
	run -0 nh config
	[[ $output == *"[intake in]"* && $output == *"listen = unix:$D/l.sock"* ]]
	[[ $output == *$'\nno_wait = 1'* ]]
	doors 'no_wait = x' 'colour = blue'
	run -78 nh check
	[[ $output == *'[intake in] no_wait: x makes no sense'* ]]
	[[ $output == *'[intake in] colour: unknown option'* ]]
}

@test "faults of the section are named" {
	nh_conf <<-EOC
	[relay out]
	type = blackhole
	[intake a]
	type = custom
	exec = $DOOR
	listen = tcp:1, inet:localhost:24, inet:127.0.0.1
	[intake b]
	listen_mode = 9
	[intake]
	[metrics x]
	[intake c]
	type = custom
	exec = $DOOR
	listen = unix:$D/a, unix:$D/a
	[intake d]
	type = custom
	exec = $DOOR
	listen = unix:$SOCKET
	listen_group = nosuchgroup
	[inlet x]
	EOC
	run -78 nh check
	[[ $output == *'tcp:1'*'must begin with unix: or inet:'* ]]
	[[ $output == *'[intake b]'*'listen_mode'* ]]
	[[ $output == *'an intake needs a name: [intake NAME]'* ]]
	[[ $output == *'[metrics x]'*'this section has no name'* ]]
	[[ $output == *"[intake c] listen: unix:$D/a is listened on already"* ]]
	[[ $output == *"[intake d] listen: unix:$SOCKET is listened on"* ]]
	[[ $output == *'[intake d] listen_group: no group named nosuchgroup'* ]]
	[[ $output == *'known are [master], [relay NAME], [intake NAME]'* ]]
}

@test "a taken address keeps the master from starting, and leaves nothing" {
	local other

	sink_start
	LISTEN="unix:$D/l.sock, inet:127.0.0.1:$port" doors
	run -75 "$NH_BUILD/sbin/nexthop-master" -c "$CONF" --foreground
	[[ $output == *"inet:127.0.0.1:$port: Address already in use"* ]]
	[[ ! -e l.sock && ! -e $SOCKET && ! -e $CONTROL ]]
	other=$(nh_free_port)
	LISTEN="unix:$D/l.sock, inet:127.0.0.1:$other" doors
	nh_start
	LISTEN="unix:$D/l.sock, inet:127.0.0.1:$port" doors
	run -75 nh reload
	[[ $output == *'Address already in use'* ]]
	nh_listens "$other"
	run -0 lmtp a@x.test
}

@test "NO_WAIT: a full queue is an answer; without it the door waits" {
	local i n=0

	RELAY="type = custom
exec = $NH_ROOT/t/lib/rogue_agent.py
mode = hang
window = 1
backlog = 2"
	doors
	nh_start
	nh_until 10 is_ready
	for i in 1 2 3; do
		nh_spawn lmtp "hang$i@x.test" >"$D/out.$i" 2>"$D/err.$i"
	done
	nh_until 10 nh_field_is out queued 2
	run -0 lmtp a@x.test b@x.test
	[[ ${lines[0]} == '451 4.3.2 relay out is busy: its queue is full' ]]
	[[ ${lines[1]} == "${lines[0]}" ]]
	for i in 1 2 3; do
		[[ ! -s $D/out.$i ]] || n=$((n + 1))
	done
	[[ $n -eq 0 ]]
	[[ $(nh_field in open) -eq 3 ]]
}

@test "an intake killed: started again, its deliveries are cancelled" {
	local pid

	RELAY="type = custom
exec = $NH_ROOT/t/lib/rogue_agent.py
mode = hang
note = $D/note"
	touch "$D/note" && chmod 666 "$D/note"
	doors
	nh_start
	nh_until 10 is_ready
	nh_spawn lmtp a@x.test >"$D/out" 2>"$D/err"
	nh_until 10 nh_field_is out open 1
	pid=$(pids_of in)
	kill -9 "$pid"
	nh_until 10 grep -q cancel note
	nh_until 10 nh_field_is out open 0
	[[ -z $(tr -d '\n' <out) ]]
	nh_until 10 is_ready
	[[ $(nh_field in restarts) -eq 1 && $(pids_of in) != "$pid" ]]
	nh_logged 'agent_died intake=in .*door.py .*ended by signal 9 .*next start in 1 s'
}

@test "an intake that breaks the protocol is killed, the master stays" {
	doors 'mode = bad'
	nh_start
	nh_until 10 nh_logged 'intake=in .*unexpected RESULT frame'
	doors
	nh reload
	nh_until 10 is_ready
	run -0 lmtp a@x.test
}

@test "an agent of a relay may not submit" {
	nh_conf <<-EOC
	[relay out]
	type = custom
	exec = $DOOR
	mode = submit
	EOC
	nh_start
	nh_until 10 nh_logged 'relay=out .*unexpected CANCEL frame'
}

@test "several processes take connections from the same sockets" {
	local i

	doors 'processes = 3' "note = $D/note"
	touch note && chmod 666 note
	nh_start
	nh_until 10 is_ready
	[[ $(pids_of in | wc -w) -eq 3 ]]
	for i in 1 2 3 4 5 6; do
		run -0 lmtp a@x.test
	done
	[[ $(grep -c "unix:$D/l.sock" note) -eq 3 ]]
	# shellcheck disable=SC2046
	kill -9 $(pids_of in | cut -d' ' -f 1-2)
	run -0 lmtp a@x.test
}

@test "stop: the transaction that runs is answered, idle sessions are told" {
	RELAY="type = custom
exec = $NH_ROOT/contrib/agent-template/agent.py
delay = 1"
	doors
	nh_start
	nh_until 10 is_ready
	nh_spawn lmtp a@x.test >"$D/out" 2>"$D/err"
	python3 -c 'import socket, time
s = socket.socket(socket.AF_UNIX)
s.connect("l.sock")
s.settimeout(20)
print(s.recv(999).decode())
open("connected", "w")
print(s.recv(999).decode())' >idle 3>&- &
	NH_PIDS+=($!)
	nh_until 5 test -e connected
	nh_until 10 nh_field_is out open 1
	nh drain
	[[ $(<out) == '250 2.0.0 taken' ]]
	nh_until 5 grep -q '421 4.3.2' idle
	[[ ! -e l.sock ]]
}

@test "stop: a door that does not end is killed at the limit" {
	MASTER_LINES=('stop_timeout = 1')
	doors 'mode = deaf'
	nh_start
	nh_until 10 is_ready
	nh stop
	nh_logged 'intake=in .*took too long to stop'
}

@test "[metrics]: its program may ask for metrics, and for nothing else" {
	mkdir lib
	ln -s "$DOOR" lib/metrics-http
	for f in "$NH_BUILD"/libexec/nexthop/*; do
		[[ ${f##*/} == metrics-http ]] || ln -s "$f" lib/
	done
	nh_conf "agents = $D/lib" <<-EOC
	[relay out]
	type = blackhole
	[metrics]
	listen = unix:$D/m.sock
	figures = 1
	text = stop
	EOC
	nh_start
	nh_until 10 nh_field_is metrics state ready
	python3 -c 'import socket
s = socket.socket(socket.AF_UNIX)
s.connect("m.sock")
s.settimeout(20)
f = s.makefile()
print(f.readline(), f.readline())' >got
	grep -q '^ *77 stop is not for doors' got
	nh_field_is out state ready
	# Without an address there is none.
	nh_conf "agents = $D/lib" <<-EOC
	[relay out]
	type = blackhole
	[metrics]
	figures = 1
	EOC
	nh reload
	nh_until 10 test ! -e m.sock
}
