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
	# The process that was only asked about its options is not there.
	[[ $(grep -c ' agent_ready intake=in ' "$LOG") -eq 1 ]]
}

@test "a link put in a socket's place does not get the socket's mode" {
	command -v strace >/dev/null || skip "no strace"
	doors 'listen_mode = 0666'
	echo secret >victim
	chmod 600 victim
	# Held behind the third listen(2), for five seconds, before the
	# mode is set.
	ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 \
	    strace -D -qq -o strace.out -e trace=listen \
		-e inject=listen:delay_exit=5000000:when=3 \
		"$NH_BUILD/sbin/nexthop-master" -c "$CONF" --foreground \
		>>"$LOG" 2>&1 </dev/null 3>&- &
	MASTER=$!
	nh_until 50 test -S l.sock
	rm l.sock
	ln -s victim l.sock
	nh_until 25 nh_is_up		# or gone
	[[ $(stat -c %a victim) == 600 ]]
	run ! kill -0 "$MASTER"
	MASTER=''
	nh_logged "$D/l.sock: is no socket any more"
}

@test "names and paths that are no UTF-8: the status is JSON all the same" {
	local odd=$'\xff'

	LISTEN="unix:$D/l$odd.sock"
	doors "[relay odd$odd]" 'type = blackhole'
	nh_start
	nh_until 10 is_ready
	nh status --output=json >status
	python3 - <<-'EOP'
	import json
	status = json.load(open("status", encoding="utf-8"))
	door, = status["doors"]
	assert door["listen"][0].endswith("/l\\xFF.sock"), door
	assert [r["relay"] for r in status["relays"]][1] == "odd\\xFF"
	EOP
	nh metrics | python3 -c '
import sys
text = sys.stdin.buffer.read().decode()
assert "relay=\"odd\\\\xFF\"" in text'
	nh top | grep -a 'odd'
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

@test "a door that has a client before its READY has come finishes it" {
	local how

	for how in stop reload; do
		rm -f note.go idle
		touch note && chmod 666 note
		doors 'mode = early' "note = $D/note"
		nh_start
		python3 -c 'import socket
s = socket.socket(socket.AF_UNIX)
s.connect("l.sock")
s.settimeout(60)
print(s.recv(999).decode())
open("connected", "w")
print(s.recv(999).decode())' >idle 3>&- &
		NH_PIDS+=($!)
		nh_until 20 test -e connected
		rm connected
		if [[ $how == reload ]]; then
			doors "note = $D/note"
		fi
		nh_spawn nh "$how"
		nh_until 20 nh_logged "${how/stop/stopping}"
		sleep 0.3
		touch note.go
		nh_until 30 grep -q '421 4.3.2' idle
		[[ $how == stop ]] || nh_stop
		nh_until 20 nh_none_left
		! nh_logged 'agent_failed\|no longer needed' || return 1
		: >"$LOG"
	done
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

# Each program alone, with the test as its master; none can open anything more
# when LOG or LISTEN comes, and so the kernel drops the descriptor.
@test "a child without a descriptor left: LOG is kept out, LISTEN is a fault" {
	ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 \
	    python3 - "$NH_BUILD/libexec/nexthop" <<-'EOP'
	import array, os, resource, socket, struct, sys, time

	HELO, CONFIG, READY, LISTEN, LOG = 1, 2, 3, 15, 16
	NAME, VALUE, WANT_OPTIONS, ERROR, ADDRESS = 6, 7, 8, 11, 54

	class Child:
	    def __init__(self, name):
	        self.name = name
	        self.ours, theirs = socket.socketpair()
	        self.ours.settimeout(30)
	        self.pid = os.fork()
	        if self.pid == 0:
	            err = os.open(name + '.err', os.O_WRONLY | os.O_CREAT, 0o600)
	            os.dup2(err, 2)
	            os.dup2(theirs.fileno(), 3)
	            os.set_inheritable(3, True)
	            os.closerange(4, 64)
	            os.environ['NEXTHOP_CHANNEL'] = '3'
	            path = os.path.join(sys.argv[1], name)
	            os.execv(path, [path])
	        theirs.close()
	        assert self.frame()[0] == HELO
	    def limit(self, n):
	        hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)[1]
	        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (n, hard))
	    def read(self, n):
	        got = b''
	        while len(got) < n:
	            some = self.ours.recv(n - len(got))
	            if not some:
	                raise EOFError
	            got += some
	        return got
	    def frame(self):
	        length, _, kind, _, _ = struct.unpack('!IBBHQ', self.read(16))
	        return kind, self.read(length - 16)
	    def send(self, kind, body=b'', fd=None):
	        data = struct.pack('!IBBHQ', 16 + len(body), 1, kind,
	            0 if fd is None else 1, 0) + body
	        rights = [] if fd is None else [(socket.SOL_SOCKET,
	            socket.SCM_RIGHTS, array.array('i', [fd]))]
	        self.ours.sendmsg([data], rights)
	    def says(self, text):
	        end = time.monotonic() + 30
	        while text not in open(self.name + '.err').read():
	            assert time.monotonic() < end, (self.name, text)
	            time.sleep(0.02)
	    def ends(self):
	        self.ours.close()
	        return os.waitpid(self.pid, 0)[1]

	def attr(tag, data=b''):
	    return struct.pack('!HI', tag, len(data)) + data
	def attrs(body):
	    while body:
	        tag, n = struct.unpack('!HI', body[:6])
	        yield tag, body[6:6 + n]
	        body = body[6 + n:]

	for name in 'blackhole', 'intake-lmtp', 'metrics-http':
	    c = Child(name)
	    c.limit(3)
	    c.send(LOG, fd=os.open('new.log', os.O_WRONLY | os.O_CREAT))
	    c.says("no descriptor is left for the log's new file")
	    c.limit(1024)
	    c.send(CONFIG, attr(WANT_OPTIONS) + (attr(NAME, b'relay') +
	        attr(VALUE, b'x') if name == 'intake-lmtp' else b''))
	    kind, body = c.frame()
	    tags = [tag for tag, _ in attrs(body)]
	    assert kind == READY and NAME in tags and ERROR not in tags, body
	    assert c.ends() == 0, name

	s = socket.socket()
	s.bind(('127.0.0.1', 0))
	s.listen()
	for name in 'intake-lmtp', 'metrics-http':
	    c = Child(name)
	    c.limit(3)
	    c.send(LISTEN, attr(ADDRESS, b'inet:127.0.0.1:1'), s.fileno())
	    c.says('no descriptor is left for a listening socket')
	    assert os.waitstatus_to_exitcode(c.ends()) == os.EX_PROTOCOL, name
	assert os.path.getsize('new.log') == 0
	EOP
}
