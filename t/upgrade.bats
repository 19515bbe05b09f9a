#!/usr/bin/env bats
# nexthop upgrade: another master takes over the sockets, the old one finishes
# what it has.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # port is set by the helpers

load lib/nexthop
load lib/rate

setup()
{
	nh_setup
	MASTER_LINES=("pid_file = $D/pid" )
	# A program of its own, to be replaced.
	mkdir sbin
	cp "$NH_BUILD/sbin/nexthop-master" sbin/
	MASTER_LINES+=("agents = $NH_BUILD/libexec/nexthop")
}

# The last of them is nobody's child here.
teardown()
{
	nh stop >/dev/null 2>&1 || :
	nh_until 10 nh_none_left || :
	nh_teardown
}

conf()
{
	nh_conf "${MASTER_LINES[@]}" <<-EOC
	[relay out]
	${RELAY:-type = blackhole}
	$(printf '%s\n' "$@")
	EOC
}

start()
{
	"$D/sbin/nexthop-master" -c "$CONF" --foreground >>"$LOG" 2>&1 \
		</dev/null 3>&- &
	MASTER=$!
	nh_until 25 nh_is_up
	nh status >/dev/null
}

gone()
{
	! kill -0 "$1" 2>/dev/null
}

pid()
{
	nh status --output=json | python3 -c 'import json, sys
print(json.load(sys.stdin)["pid"])'
}

submit()
{
	nh submit --relay=out --output=tsv --from=s@x.test a@x.test <"$D/M"
}

@test "another process takes over, and keeps sockets and pid file" {
	local old new

	conf
	start
	old=$(pid)
	run -0 nh upgrade
	[[ $output == 'upgraded: process '*" takes over from $old" ]]
	new=$(pid)
	[[ $new != "$old" && $(<pid) == "$new" ]]
	nh_until 10 gone "$old"
	wait "$MASTER"
	MASTER=''
	[[ -S $SOCKET && -S $CONTROL && $(<pid) == "$new" ]]
	submit
	kill -USR2 "$new"
	nh_until 20 gone "$new"
	[[ $(pid) != "$new" ]]
	submit
	nh stop
	[[ ! -e $SOCKET && ! -e $CONTROL && ! -e pid ]]
}

@test "what replaced the program is what is started" {
	local old

	conf
	start
	old=$(pid)
	# As dpkg(1) does it: the old file is gone, though it runs on.
	cp sbin/nexthop-master sbin/was
	rm sbin/nexthop-master
	cat >sbin/nexthop-master <<-EOC
	#!/bin/sh
	echo new >"$D/seen"
	exec "$D/sbin/was" "\$@"
	EOC
	chmod +x sbin/nexthop-master
	nh upgrade
	[[ $(<seen) == new && $(pid) != "$old" ]]
	submit
}

# What an upgrade starts says so.
says()
{
	rm -f "$1"
	printf '%s\n' '#!/bin/sh' "echo $2 >'$D/seen'" \
		"exec '$NH_BUILD/sbin/nexthop-master' \"\$@\"" >"$1"
	chmod +x "$1"
}

@test "the old program moved aside, or behind a symbolic link, is not started" {
	conf
	start
	mv sbin/nexthop-master sbin/old
	says sbin/nexthop-master new
	nh upgrade
	[[ $(<seen) == new ]]
	nh_stop
	# The link as in /opt/nexthop/current.
	nh stop
	mkdir one two
	mv sbin/old one/nexthop-master
	says two/nexthop-master two
	rm -r sbin
	ln -s one sbin
	start
	ln -sfn two sbin
	nh upgrade
	[[ $(<seen) == two ]]
	submit
}

@test "a new one that cannot start changes nothing, and says why" {
	local old

	conf
	start
	old=$(pid)
	conf 'colour = blue'
	run -78 nh upgrade
	[[ $output == *'[relay out] colour: unknown option'* ]]
	[[ $output == *'nothing was changed' ]]
	[[ $(pid) == "$old" && $(<pid) == "$old" ]]
	submit
	nh_logged 'upgrade_failed .*colour: unknown option'
	conf
	# A program that is none, one that dies, one that is missing.
	cp sbin/nexthop-master sbin/good
	rm sbin/nexthop-master
	run -72 nh upgrade
	[[ $output == *'No such file or directory; nothing was changed' ]]
	printf '#!/bin/sh\nexit 3\n' >sbin/nexthop-master
	chmod +x sbin/nexthop-master
	run -70 nh upgrade
	[[ $output == *'the new process died; nothing was changed' ]]
	[[ $(pid) == "$old" && -S $SOCKET && -S $CONTROL ]]
	submit
	mv sbin/good sbin/nexthop-master
	nh upgrade
	[[ $(pid) != "$old" ]]
}

@test "a second one while one is under way is refused; a stop ends it" {
	local old

	cat >slow.py <<-EOC
	#!/usr/bin/python3
	import os, time
	if os.path.exists("$D/slow"):
	    time.sleep(5)
	os.execv("$NH_ROOT/contrib/agent-template/agent.py", ["agent"])
	EOC
	chmod +x slow.py
	RELAY="type = custom
exec = $D/slow.py"
	conf
	start
	old=$(pid)
	touch slow
	nh_spawn nh upgrade >up.1 2>&1
	nh_until 5 nh_logged 'upgrading'
	run -75 nh upgrade
	[[ $output == *'another one is under way'* ]]
	run -75 nh reload
	submit
	wait "$NH_PID"
	[[ $(pid) != "$old" ]]
	nh_until 10 gone "$old"
	MASTER=''
	old=$(pid)
	nh_spawn nh upgrade >up.2 2>&1
	sleep 0.5
	nh stop
	nh_until 10 gone "$old"
	grep -q 'is stopping; nothing was changed' up.2
	[[ ! -e $SOCKET && ! -e $CONTROL ]]
}

@test "deliveries under way are finished by the old one, new ones go to the new" {
	local old

	RELAY="type = custom
exec = $NH_ROOT/contrib/agent-template/agent.py
delay = 2"
	conf
	start
	old=$(pid)
	nh_spawn "$NH_BUILD/bin/nexthop" -c "$CONF" submit --relay=out \
		--output=tsv --from=s@x.test --count=6 --parallel=2 a@x.test \
		<"$D/M" >out 2>err
	nh_until 10 nh_field_is out open 2
	nh upgrade
	[[ $(pid) != "$old" ]]
	wait "$NH_PID"
	[[ $(cut -f 2 out | sort | uniq -c) == *'6 delivered' ]]
	nh_until 10 gone "$old"
	[[ $(nh_field out delivered) -eq 4 ]]
}

@test "a submitter that ignores DRAIN is served until stop_timeout" {
	local old

	MASTER_LINES+=('stop_timeout = 3')
	conf
	start
	old=$(pid)
	cat >deaf.py <<-EOP
	import os, sys, time
	sys.path.insert(0, "$NH_ROOT/contrib/client-template")
	sys.dont_write_bytecode = True
	import submit
	c = submit.Connection("$SOCKET")
	c.greet()
	n, drained, seen = 0, None, set()
	end = time.monotonic() + 20
	while time.monotonic() < end:
	    n += 1
	    c.deliver(n, "out", "s@x.test", ["a@x.test"], b"x\r\n")
	    code = [a[2] for a in c.answers(n)]
	    assert len(code) == 1
	    if c.draining and drained is None:
	        drained = n
	        open("$D/drained", "w").close()
	    seen.add((code[0], c.draining))
	    if code[0] != 250:
	        break
	    open("$D/begun", "w").close()
	    time.sleep(0.01)
	print(sorted(seen), n - drained > 10)
	EOP
	nh_spawn python3 deaf.py >out 2>err
	nh_until 10 test -e begun
	nh upgrade
	nh_until 5 test -e drained
	submit
	wait "$NH_PID"
	cat out
	[[ $(<out) == '[(250, False), (250, True), (421, True)] True' ]]
	nh_until 10 gone "$old"
}

@test "20 upgrades at full rate: none refused, none lost, none twice" {
	local round old n=0

	sink_start
	RELAY="type = static
host = 127.0.0.1
port = $port
concurrent_connections = 20"
	conf
	start
	rate_submit
	for ((round = 1; round <= 20; round++)); do
		old=$(pid)
		nh upgrade
		[[ $(pid) != "$old" ]]
	done
	rate_end
	rate_all_delivered out.1 out.3000
	n=$(cat out.1 out.3000 | wc -l)
	[[ $(wc -l <out.1) -gt 20 && $n -gt 5000 ]]
	rate_sink "$n"
}

@test "20 upgrades by intake-lmtp at full rate: smtp-source -L sees no failure" {
	local round sent

	sink_start
	rate_conf "${MASTER_LINES[@]}"
	start
	nh_until 10 nh_field_is in state ready
	rate_source
	for ((round = 1; round <= 20; round++)); do
		nh upgrade
	done
	rate_end
	rate_source_sent
	nh stop
	rate_sink "$sent"
}

# One LMTP session that is never idle: messages until 421, each of which must
# have its reply; prints how many there were.
busy_session()
{
	python3 - "$1" <<-'EOP'
	import socket, sys, time
	s = socket.socket(socket.AF_UNIX)
	s.settimeout(20)
	s.connect(sys.argv[1])
	f = s.makefile("rb")
	def reply():
	    while True:
	        line = f.readline()
	        if line == b"":
	            sys.exit("the session was lost")
	        if line[3:4] != b"-":
	            return line
	def say(text):
	    s.sendall(text)
	    return reply()
	reply()
	say(b"LHLO x.test\r\n")
	n, end = 0, time.monotonic() + 120
	while time.monotonic() < end:
	    line = say(b"MAIL FROM:<s@x.test>\r\n")
	    if line.startswith(b"421 4.3.2"):
	        print(n)
	        sys.exit(0)
	    say(b"RCPT TO:<a@x.test>\r\n")
	    say(b"DATA\r\n")
	    line = say(b"Subject: x\r\n\r\nx\r\n.\r\n")
	    assert line.startswith(b"250"), line
	    n += 1
	sys.exit("no end")
	EOP
}

@test "a session of LMTP that is never idle ends between messages, not in one" {
	[[ -x $NH_BUILD/libexec/nexthop/intake-lmtp ]] || skip "no intake"
	MASTER_LINES+=("stop_timeout = 1")
	sink_start -D 100
	RELAY=$(printf 'type = static\nhost = 127.0.0.1:%s' "$port")
	conf '[intake door]' "listen = unix:$D/i.sock"
	start
	busy_session "$D/i.sock" >sent 2>err.session &
	local busy=$!
	nh_until 60 eval '[[ $(grep -c " status=sent" "$LOG") -ge 5 ]]'
	nh upgrade
	wait "$busy" || { cat err.session; return 1; }
	[[ $(<sent) -ge 5 ]]
}

# master_conf LINE...: [master] with these, and our blackhole
master_conf()
{
	printf '%s\n' '[master]' "agents = $NH_BUILD/libexec/nexthop" "$@" \
		'[relay out]' 'type = blackhole' >"$CONF"
}

@test "what a reload cannot change: it says so until an upgrade has done it" {
	local old key round

	[[ $EUID -eq 0 ]] || skip "needs root"
	master_conf "socket = $SOCKET" "control = $CONTROL" "pid_file = $D/pid"
	start
	old=$(pid)
	master_conf "socket = $D/s2" 'socket_mode = 0606' \
		'socket_user = daemon' 'socket_group = mail' \
		"control = $D/c2" 'control_mode = 0640' "pid_file = $D/pid2" \
		'log = file' "log_file = $D/log.2" 'log_format = json' \
		'syslog_facility = local1' 'syslog_tag = mx'
	for round in 1 2; do
		run -0 nh reload --control="$CONTROL"
		for key in socket socket_mode socket_user socket_group \
		    control control_mode pid_file log log_format \
		    syslog_facility syslog_tag; do
			[[ $'\n'$output$'\n' == *$'\n'"[master] $key: takes effect by nexthop upgrade --control=$CONTROL"$'\n'* ]]
		done
		[[ $(grep -c 'takes effect by' <<<"$output") -eq 11 ]]
	done
	nh_logged 'warning: \[master\] socket: takes effect by an upgrade'
	[[ -S $SOCKET && -S $CONTROL && ! -e s2 && ! -e c2 && ! -e pid2 ]]
	nh upgrade --control="$CONTROL"
	nh_until 10 gone "$old"
	wait "$MASTER"
	MASTER=
	nh_until 10 test ! -e "$SOCKET"
	nh_until 10 test ! -e "$CONTROL"
	[[ -S s2 && -S c2 && ! -e pid ]]
	[[ $(pid) != "$old" && $(<pid2) == "$(pid)" ]]
	[[ $(stat -c %a s2) == 606 && $(stat -c %a c2) == 640 ]]
	[[ $(stat -c '%U %G' s2) == 'daemon mail' ]]
	submit
	nh_until 5 grep -q '"event":"delivered"' log.2
	run -0 nh reload
	[[ $output != *'takes effect by'* ]]
	# Without a change of control the usual command does it.
	sed -i 's/^socket_mode.*/socket_mode = 0600/' "$CONF"
	run -0 nh reload
	[[ $output == *'[master] socket_mode: takes effect by nexthop upgrade'* ]]
	nh upgrade
	[[ $(stat -c %a s2) == 600 ]]
	nh stop
	[[ ! -e s2 && ! -e c2 && ! -e pid2 ]]
}

@test "every other key of [master] takes effect by a reload" {
	local agent

	[[ $EUID -eq 0 ]] || skip "needs root"
	master_conf "socket = $SOCKET" "control = $CONTROL"
	start
	agent=$(nh_field out pids)
	mkdir agents
	ln -s "$NH_BUILD"/libexec/nexthop/* agents/
	master_conf "socket = $SOCKET" "control = $CONTROL" 'user = daemon' \
		'group = mail' 'log_level = debug' 'stop_timeout = 1' \
		'submit_timeout = 1' 'max_submitters = 1'
	sed -i "s|^agents =.*|agents = $D/agents|" "$CONF"
	run -0 nh reload
	[[ $output != *'takes effect by'* ]]
	[[ $(nh_field out pids) != "$agent" ]]
	agent=$(nh_field out pids)
	[[ $(stat -c '%U %G' "/proc/$agent") == 'daemon mail' ]]
	[[ $(tr '\0' '\n' <"/proc/$agent/cmdline") == "$D/agents/blackhole"* ]]
	# The level is an agent's when it is started next.
	nh reload out
	tr '\0' '\n' <"/proc/$(nh_field out pids)/environ" |
		grep '^NEXTHOP_LOG=.*debug'
	nh stop
}

# A relay whose agent hangs at its start while $D/hang is there.
hanging()
{
	cat >hang.py <<-EOC
	#!/usr/bin/python3
	import os, time
	if os.path.exists("$D/hang"):
	    open("$D/hung", "w").write(str(os.getpid()))
	    time.sleep(600)
	os.execv("$NH_ROOT/contrib/agent-template/agent.py", ["agent"])
	EOC
	chmod +x hang.py
	chmod 777 "$D"
	RELAY="type = custom
exec = $D/hang.py"
	LINES=("${MASTER_LINES[@]}")
	limit 1s
}

# limit TIME: what a new master may take; a good one needs longer at times.
limit()
{
	MASTER_LINES=("${LINES[@]}" "upgrade_timeout = $1")
}

children()
{
	cat "/proc/$1/task/$1/children"
}

@test "a new one that is not ready in upgrade_timeout ends, with its agents; the old goes on" {
	local old before n

	hanging
	conf
	start
	old=$(pid)
	before=$(children "$old")
	touch hang
	cat >again.sh <<-EOC
	while [ ! -e "$D/enough" ]; do
		"$NH_BUILD/bin/nexthop" -c "$CONF" submit --relay=out \
			--output=tsv --from=s@x.test a@x.test <"$D/M"
	done
	EOC
	nh_spawn sh again.sh >out 2>err
	run -75 nh upgrade
	[[ $output == 'upgrade: the new process is not ready after 1 s; nothing was changed' ]]
	gone "$(<hung)"
	[[ $(children "$old") == "$before" ]]
	[[ $(pid) == "$old" && $(<pid) == "$old" && -S $SOCKET && -S $CONTROL ]]
	nh_logged 'error: upgrade_failed message="upgrade: the new process is not ready after 1 s; nothing was changed"'
	submit
	rm hang
	limit 60s
	conf
	nh reload
	nh upgrade
	[[ $(pid) != "$old" ]]
	submit
	nh_until 30 sh -c '[ "$(wc -l <out)" -ge 5 ]'
	touch enough
	wait "$NH_PID"
	[[ ! -s err ]]
	n=$(wc -l <out)
	[[ $(cut -f 2 out | sort | uniq -c | xargs) == "$n delivered" ]]
	nh_until 10 gone "$old"
	MASTER=
	nh stop
	[[ ! -e $SOCKET && ! -e $CONTROL && ! -e pid ]]
}

@test "a new one that hears nothing is killed" {
	local old before

	hanging
	conf
	start
	old=$(pid)
	before=$(children "$old")
	cp sbin/nexthop-master sbin/good
	rm sbin/nexthop-master
	printf '#!/bin/sh\ntrap "" TERM\nkill -STOP $$\n' >sbin/nexthop-master
	chmod +x sbin/nexthop-master
	run -75 nh upgrade
	[[ $output == *'is not ready after 1 s; nothing was changed' ]]
	[[ $(children "$old") == "$before" && $(pid) == "$old" ]]
	submit
	mv sbin/good sbin/nexthop-master
	limit 60s
	conf
	nh reload
	nh upgrade
	[[ $(pid) != "$old" ]]
}

@test "a stop while a new one hangs ends both" {
	hanging
	limit 60s
	conf
	start
	touch hang
	nh_spawn nh upgrade >up 2>&1
	nh_until 20 test -s hung
	nh stop
	grep -q 'is stopping; nothing was changed' up
	gone "$(<hung)"
	[[ ! -e $SOCKET && ! -e $CONTROL && ! -e pid ]]
}

# The new one under an old one that is played: says "ready", then hears HOW.
played()
{
	timeout 60 python3 - "$1" "$D/sbin/nexthop-master" "$CONF" "$SOCKET" \
		"$CONTROL" <<-'EOP'
	import os, signal, socket, sys
	how, program, conf, *paths = sys.argv[1:]
	listening = []
	for path in paths:
	    s = socket.socket(socket.AF_UNIX)
	    s.bind(path)
	    s.listen()
	    listening.append(s)
	if how == 'pipe':
	    ours, theirs = os.pipe()
	else:
	    ours, theirs = (s.detach() for s in socket.socketpair())
	log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
	high = [os.dup(fd) for fd in range(20)]     # above what is placed
	fds = [os.dup(fd) for fd in [theirs] + [s.fileno() for s in listening]]
	pid = os.fork()
	if pid == 0:
	    os.dup2(log, 1)
	    os.dup2(log, 2)
	    for n, fd in enumerate(fds):
	        os.dup2(fd, 3 + n)
	    os.execve(program, ["nexthop-master", "-c", conf, "--foreground"],
	        dict(os.environ, NEXTHOP_UPGRADE="oo"))
	for fd in fds + high + [theirs]:
	    try:
	        os.close(fd)
	    except OSError:
	        pass
	said = b""
	while not said.endswith(b"\0\0"):
	    piece = os.read(ours, 100)
	    assert piece, said
	    said += piece
	if how == 'yes':
	    os.write(ours, b"\0")
	if how == 'dies':
	    print(pid, flush=True)
	    os._exit(0)
	os.close(ours)
	if how == 'no':
	    print(os.WEXITSTATUS(os.waitpid(pid, 0)[1]))
	else:
	    print(pid)
	EOP
}

@test "a new one whose word came too late ends, and leaves the sockets' paths" {
	conf
	run -0 played no
	[[ $output == 0 && -S $SOCKET && -S $CONTROL && ! -e pid ]]
	nh_logged 'stopping how="the master before this one goes on"'
}

@test "a new one goes on where the old says yes, has died, or is of the old kind" {
	local how new

	for how in yes dies pipe; do
		rm -f "$SOCKET" "$CONTROL"
		conf
		new=$(played $how)
		nh_until 10 nh status
		[[ $(pid) == "$new" ]]
		submit
		nh stop
		nh_until 10 gone "$new"
		[[ ! -e $SOCKET && ! -e $CONTROL && ! -e pid ]]
	done
}
