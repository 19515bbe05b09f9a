#!/usr/bin/env bats
# What systemd gives nexthop-master and hears from it: sockets, readiness,
# watchdog, reloads; played by a script.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # port is set by the helpers

load lib/nexthop

setup()
{
	nh_setup
	nh_conf <<-EOC
	[relay out]
	type = blackhole
	EOC
	cat >listen.py <<-EOP
	import socket, struct
	s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
	s.setsockopt(socket.SOL_SOCKET, 29, 1)	# SO_TIMESTAMP
	s.bind("$D/notify")
	while True:
	    got, more, _, _ = s.recvmsg(9999, 999)
	    # When it was sent; we may be late.
	    at = struct.unpack("ll", more[0][2])
	    print("%d.%06d" % at, got.decode().replace("\n", " "), flush=True)
	EOP
	nh_spawn python3 listen.py >told
	nh_until 30 test -S notify
	export NOTIFY_SOCKET=$D/notify
}

teardown()
{
	nh stop >/dev/null 2>&1 || :
	nh_teardown
}

told()
{
	grep -qE -- "$1" told
}

# activated NAME:ADDRESS...: the master with these sockets from descriptor 3.
activated()
{
	cat >activate.py <<-'EOP'
	import os, socket, sys
	names, fds = [], []
	log, program, *args = sys.argv[1:]
	split = args.index('--')
	for spec in args[:split]:
	    name, kind, where = spec.split(':', 2)
	    names.append(name)
	    if kind == 'unix':
	        s = socket.socket(socket.AF_UNIX)
	        s.bind(where)
	        s.listen()
	    elif kind == 'inet':
	        s = socket.socket()
	        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
	        s.bind(('127.0.0.1', int(where)))
	        s.listen()
	    elif kind == 'file':
	        s = open(where, 'w')
	    else:
	        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	    fds.append(os.dup2(s.fileno(), 50 + len(fds)))
	for i, fd in enumerate(fds):
	    os.dup2(fd, 3 + i)
	os.closerange(3 + len(fds), 100)
	err = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
	os.dup2(err, 2)
	os.closerange(3 + len(fds), 100)
	os.environ.update(LISTEN_PID=os.environ.get('FOR_PID') or
	                  str(os.getpid()), LISTEN_FDS=str(len(fds)),
	                  LISTEN_FDNAMES=':'.join(names))
	os.execv(program, [program] + args[split + 1:])
	EOP
	python3 activate.py "$LOG" "$NH_BUILD/sbin/nexthop-master" "$@" \
		-- -c "$CONF" --foreground </dev/null >/dev/null 3>&- &
	MASTER=$!
	nh_until 30 nh_is_up
}

@test "ready, what it does, stopping" {
	nh_start
	nh_until 30 told ' READY=1 STATUS=running, 1 relays$'
	nh_stop
	nh_until 30 told ' STOPPING=1 STATUS=stopping$'
}

@test "a reload: RELOADING with the time, READY when it is over" {
	local sent

	nh_start
	nh reload
	nh_until 30 told ' RELOADING=1 MONOTONIC_USEC=[0-9]+$'
	nh_until 30 sh -c '[ $(grep -c READY=1 told) -eq 2 ]'
	sent=$(sed -n 's/.*MONOTONIC_USEC=//p' told)
	python3 -c 'import sys, time
assert 0 <= time.monotonic() - int(sys.argv[1]) / 1e6 < 60' "$sent"
	echo 'colour = blue' >>"$CONF"
	run -78 nh reload
	nh_until 30 told 'READY=1 STATUS=running, 1 relays; the last reload was'
	kill -HUP "$MASTER"
	nh_until 30 sh -c '[ $(grep -c RELOADING=1 told) -eq 3 ]'
	nh_until 30 sh -c '[ $(grep -c READY=1 told) -eq 4 ]'
}

@test "the watchdog hears of us twice in its time, others' watchdogs do not" {
	export WATCHDOG_USEC=1000000
	nh_start
	nh_until 30 sh -c '[ $(grep -c WATCHDOG=1 told) -ge 6 ]'
	# Every half second; a busy machine may be late, not early.
	awk '/WATCHDOG/ { if (!n++) t = $1; last = $1 }
	    END { print n, last - t; exit last - t < 0.45 * (n - 1) }' told
	nh_stop
	export WATCHDOG_PID=1
	: >told
	nh_start
	sleep 1.5
	run ! told WATCHDOG
}

@test "an upgrade: the old one names the new, which feeds the watchdog" {
	local old

	export WATCHDOG_USEC=1000000
	nh_start
	old=$MASTER
	nh upgrade
	nh_until 30 told "MAINPID=[0-9]+ READY=1$"
	new=$(sed -n 's/.*MAINPID=\([0-9]*\).*/\1/p' told)
	[[ $new != "$old" && -d /proc/$new ]]
	nh_until 30 sh -c "! kill -0 $old"
	: >told
	nh_until 30 told WATCHDOG=1
	run ! told STOPPING
	nh stop
	nh_until 30 told STOPPING=1
}

@test "sockets by address: used, left when we end, handed on by an upgrade" {
	local port

	port=$(nh_free_port)
	nh_conf "socket_mode = 0600" <<-EOC
	[relay out]
	type = blackhole
	[intake in]
	type = custom
	exec = $NH_ROOT/t/lib/door.py
	relay = out
	listen = inet:127.0.0.1:$port
	EOC
	chmod 755 "$D"
	activated "submit:unix:$SOCKET" "lmtp:inet:$port"
	[[ $(stat -c %a s.sock) != 600 ]]	# systemd's, with its mode
	nh submit --relay=out a@x.test <M
	nh_until 30 nh_field_is in state ready
	nh_listens "$port"
	nh upgrade
	nh_until 30 sh -c "! kill -0 $MASTER"
	nh submit --relay=out a@x.test <M
	nh stop
	[[ -S s.sock && ! -e c.sock ]]
}

@test "sockets nobody wants, files and datagrams are named and closed" {
	activated "submit:unix:$SOCKET" "old:unix:$D/old" "f:file:$D/file" \
		"d:dgram:x" "bad"$'\t'"name:unix:$D/other"
	nh_logged "socket unix:$D/old: handed to us by systemd, but nothing"
	nh_logged 'systemd: "f": descriptor 5 is no socket; closed'
	nh_logged 'systemd: "d": descriptor 6 is no listening stream socket'
	nh_logged "socket unix:$D/other: handed to us"
	# Nothing of them is left, and none reached an agent.
	for pid in "$MASTER" $(nh_agent out); do
		run ls -l "/proc/$pid/fd"
		[[ $output != *"$D/file"* ]]
	done
	nh submit --relay=out a@x.test <M
}

@test "LISTEN_PID of another process: its descriptors are not ours" {
	FOR_PID=1 activated "f:unix:$D/x"
	nh submit --relay=out a@x.test <M
	run ss -xlpH
	[[ $output != *"$D/x"*"pid=$MASTER,"* ]]
}

@test "drain has a limit if it is given one" {
	nh_conf <<-EOC
	[relay out]
	type = custom
	exec = $NH_ROOT/contrib/agent-template/agent.py
	delay = 60
	EOC
	nh_start
	nh_spawn "$NH_BUILD/bin/nexthop" -c "$CONF" submit --relay=out \
		--output=tsv a@x.test <M >out 2>err
	nh_until 30 nh_field_is out open 1
	run -64 nh drain soon
	run -0 nh drain 1
	wait "$NH_PID" || status=$?
	[[ $(cut -f 2 out) == transient ]]
	run ! kill -0 "$MASTER"
}
