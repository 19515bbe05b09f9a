#!/usr/bin/env bats
# The configuration: what is known, what is refused and how it is said, and
# that nothing runs after a refusal. `nexthop check`, `nexthop config`, and the
# start of nexthop-master see the same.

load lib/nexthop

setup()
{
	nh_setup
	ROGUE=$NH_ROOT/t/lib/rogue_agent.py
}

teardown()
{
	nh_teardown
}

# check STATUS: nexthop check, both outputs in $output.
check()
{
	run -"$1" nh check
}

# fault LINE TEXT: a line of $output that holds all of TEXT.
fault()
{
	grep -F -- "$CONF:$1: " <<<"$output" | grep -qF -- "$2" || {
		echo "no '$CONF:$1: ... $2' in:"
		echo "$output"
		return 1
	}
}

nothing_started()
{
	run -78 "$NH_BUILD/sbin/nexthop-master" -c "$CONF" --foreground
	[[ ! -e $SOCKET && ! -e $CONTROL ]]
	nh_none_left
}

have()
{
	[[ -x $NH_BUILD/libexec/nexthop/$1 ]] || skip "no $1 yet"
}

@test "R-CF-01 relays with free-form names, several of one type" {
	nh_conf <<-EOC
	[relay Müller & Söhne, 2nd]
	type = blackhole
	[relay b/h:2]
	type = blackhole
	delay = 1ms
	EOC
	check 0
	[[ $output == "$CONF: ok, 2 relays" ]]
	nh_start
	for name in 'Müller & Söhne, 2nd' 'b/h:2'; do
		nh submit --relay="$name" --from=s@x.test a@x.test <M
		nh_field_is "$name" delivered 1
	done
}

@test "R-CF-01 all nine types" {
	have smtp-mx; have smtp-static; have lmtp; have pipe; have http
	have custom
	nh_conf <<-EOC
	[relay mx]
	type = mx
	[relay one]
	type = static
	host = 127.0.0.1
	[relay two]
	type = static
	host = 127.0.0.1
	port = 2602
	[relay lmtp]
	type = lmtp
	[relay pipe]
	type = pipe
	args = /bin/cat
	[relay maildrop]
	type = maildrop
	[relay dovecot]
	type = dovecot
	[relay http]
	type = http
	url = http://127.0.0.1/
	[relay blackhole]
	type = blackhole
	[relay custom]
	type = custom
	exec = $ROGUE
	EOC
	check 0
}

@test "R-CF-02 unknown and missing type" {
	nh_conf <<-EOC
	[relay a]
	type = bogus
	[relay b]
	port = 25
	EOC
	check 78
	fault 5 '[relay a] type: '
	fault 5 bogus
	fault 5 blackhole
	fault 6 '[relay b] type: required'
	[[ ${#lines[@]} -eq 2 ]]
	nothing_started
}

@test "R-CF-03 static needs a host" {
	have smtp-static
	nh_conf <<-EOC
	[relay a]
	type = static
	EOC
	check 78
	fault 4 '[relay a] host: '
	nothing_started
}

@test "R-CF-04 custom needs a factory or a program" {
	nh_conf <<-EOC
	[relay a]
	type = custom
	foo = bar
	EOC
	check 78
	fault 4 '[relay a] factory: required'
	nothing_started
}

@test "R-CF-05 pipe needs args" {
	have pipe
	nh_conf <<-EOC
	[relay a]
	type = pipe
	EOC
	check 78
	fault 4 '[relay a] args: '
	nothing_started
}

@test "R-CF-06 an agent's own faults: key and line, all in one run" {
	nh_conf <<-EOC
	[relay a]
	type = blackhole
	delay = abc
	widnow = 3
	[relay b]
	type = blackhole
	window = 70000000
	processes = 3
	[relay c]
	type = blackhole
	EOC
	check 78
	fault 6 '[relay a] delay: '
	fault 6 abc
	fault 7 '[relay a] widnow: unknown option'
	fault 7 window
	fault 10 '[relay b] window: '
	[[ ${#lines[@]} -eq 3 ]]
	nothing_started
	[[ $output == *"$CONF:6: "* ]]
}

@test "R-CF-06 wrong type, range and unknown key of SMTP options" {
	have smtp-static
	nh_conf <<-EOC
	[relay a]
	type = static
	host = 127.0.0.1
	connect_timeout = abc
	port = 70000
	conect_timeout = 3
	data_timeout = -1
	EOC
	check 78
	fault 7 '[relay a] connect_timeout: '
	fault 8 '[relay a] port: '
	fault 9 '[relay a] conect_timeout: unknown option'
	fault 10 '[relay a] data_timeout: '
	nothing_started
}

@test "R-CF-07 defaults are shown" {
	nh_conf <<-EOC
	[relay a]
	type = blackhole
	EOC
	run -0 nh config
	grep -qx 'backlog_timeout = 1m' <<<"$output"
	grep -qx 'delay = 0s' <<<"$output"
	grep -qx 'stop_timeout = 30s' <<<"$output"
}

@test "R-CF-07 defaults of the SMTP relays" {
	have smtp-static
	nh_conf <<-EOC
	[relay a]
	type = static
	host = 127.0.0.1
	EOC
	run -0 nh config
	grep -qx 'connect_timeout = 30s' <<<"$output"
	grep -qx 'command_timeout = 30s' <<<"$output"
	grep -qxE 'data_timeout = (60s|1m)' <<<"$output"
	grep -qx 'idle_timeout = 10s' <<<"$output"
	grep -qx 'concurrent_connections = 5' <<<"$output"
}

@test "faults of [master]: range, mode, path, user, unknown key" {
	nh_conf 'socket_mode = 999' 'control_mode = rw' 'pid_file = relative' \
		'max_submitters = 0' 'stop_timeout = soon' 'socktet = /x' \
		'user = no-such-user' 'socket_group = no-such-group' <<-EOC
	[relay a]
	type = blackhole
	EOC
	check 78
	fault 4 '[master] socket_mode: '
	fault 5 '[master] control_mode: '
	fault 6 '[master] pid_file: '
	fault 7 '[master] max_submitters: '
	fault 8 '[master] stop_timeout: '
	fault 9 '[master] socktet: unknown option'
	fault 10 'no user named no-such-user'
	fault 11 'no group named no-such-group'
	nothing_started
}

@test "faults of relays' common keys" {
	nh_conf <<-EOC
	[relay a]
	type = blackhole
	processes = 65
	backlog = many
	backlog_timeout = 1ms
	restart_delay_max = 0
	EOC
	check 78
	fault 6 '[relay a] processes: '
	fault 7 '[relay a] backlog: '
	fault 8 '[relay a] backlog_timeout: '
	fault 9 '[relay a] restart_delay_max: '
	nothing_started
}

@test "a user that does not exist" {
	[[ $(id -u) -eq 0 ]] || skip "not root"
	nh_conf <<-EOC
	[relay a]
	type = blackhole
	user = no-such-user
	[relay b]
	type = blackhole
	group = no-such-group
	EOC
	check 78
	fault 6 '[relay a] user: no user named no-such-user'
	fault 9 '[relay b] group: no group named no-such-group'
	nothing_started
}

@test "sections: unknown, without a name, twice, none" {
	nh_conf <<-EOC
	[relay]
	type = blackhole
	[realy a]
	type = blackhole
	[relay b]
	type = blackhole
	[relay b]
	type = blackhole
	EOC
	check 78
	fault 4 'needs a name'
	fault 6 'unknown kind of section'
	fault 10 '[relay b]'
	nothing_started
	nh_conf </dev/null
	check 78
	[[ $output == *'no relay'* ]]
	nothing_started
}

@test "a key twice, a line too long, a file that is not there" {
	nh_conf <<-EOC
	[relay a]
	type = blackhole
	delay = 1s
	delay = 2s
	EOC
	check 78
	fault 7 '[relay a] delay: '
	nothing_started
	{ cat "$CONF"; printf '%09999d\n' 0; } >long
	mv long "$CONF"
	check 78
	fault 8 ''
	rm "$CONF"
	check 78
	[[ $output == "$CONF: "* ]]
}

@test "agents: missing folder, missing program, not executable" {
	nh_conf "agents = $D/none" <<-EOC
	[relay a]
	type = blackhole
	EOC
	check 78
	fault 6 "[relay a] type: $D/none/blackhole is no executable file"
	nothing_started
	echo '#!/no/such/interpreter' >agent
	chmod 755 agent
	nh_conf <<-EOC
	[relay a]
	type = custom
	exec = $D/none
	[relay b]
	type = custom
	exec = agent
	[relay c]
	type = custom
	exec = $D/agent
	EOC
	check 78
	fault 6 "[relay a] exec: $D/none is no executable file"
	fault 9 '[relay b] exec: must be an absolute path'
	fault 10 "cannot execute: No such file"
	nothing_started
}

@test "agents that do not get ready: each says why" {
	nh_conf <<-EOC
	[relay exits]
	type = custom
	exec = $ROGUE
	mode = exit
	[relay refuses]
	type = custom
	exec = $ROGUE
	mode = fault
	[relay windowless]
	type = custom
	exec = $ROGUE
	mode = window
	[relay no-agent]
	type = custom
	exec = /bin/true
	[relay talks]
	type = custom
	exec = /bin/ls
	[relay early]
	type = custom
	exec = $ROGUE
	mode = early
	EOC
	check 78
	fault 4 'exited with status 3'
	fault 8 'no luck today'
	fault 12 'broke the protocol: READY without a window'
	fault 16 'exited with status 0'
	fault 19 'exited with status 0'
	fault 22 'broke the protocol: DONE frame instead of READY'
	nothing_started
}

@test "an agent that says nothing is given up after 20 seconds" {
	nh_conf <<-EOC
	[relay a]
	type = custom
	exec = $ROGUE
	mode = silent
	EOC
	SECONDS=0
	check 78
	fault 4 'not ready after 20 seconds'
	[[ $SECONDS -ge 19 && $SECONDS -le 25 ]]
}

@test "several processes report one fault once" {
	nh_conf <<-EOC
	[relay a]
	type = blackhole
	processes = 8
	delay = never
	EOC
	run -78 "$NH_BUILD/sbin/nexthop-master" -c "$CONF" --foreground
	[[ ${#lines[@]} -eq 1 ]]
	fault 7 '[relay a] delay: '
}

@test "started in the background, faults reach the terminal and the status" {
	nh_conf <<-EOC
	[relay a]
	type = bogus
	EOC
	run -78 "$NH_BUILD/sbin/nexthop-master" -c "$CONF"
	fault 5 bogus
	[[ ! -e $SOCKET ]]
	nh_none_left
}

@test "config prints a configuration that means the same" {
	nh_conf 'max_submitters = 7' 'user = daemon' <<-EOC
	[relay a b]
	type = blackhole
	processes = 3
	delay = 1500ms
	[relay c]
	type = custom
	exec = $ROGUE
	answer = transient
	text = a # b
	EOC
	nh config >first
	grep -qx 'processes = 3' first
	cp first "$CONF"
	nh check
	nh config >second
	diff first second
}

@test "config hides what sounds secret where the agent does not tell" {
	# HELO, then READY with a window of 1, whatever CONFIG says.
	cat >mute <<-'EOP'
	#!/bin/sh
	zero='\0\0\0\0\0\0\0\0'
	printf "\0\0\0\36\1\1\0\0$zero\0\1\0\0\0\1\1\0\2\0\0\0\1\1" >&3
	sleep 0.2
	printf "\0\0\0\32\1\3\0\0$zero\0\11\0\0\0\4\0\0\0\1" >&3
	EOP
	chmod 755 mute
	nh_conf <<-EOC
	[relay d]
	type = custom
	exec = $D/mute
	login_password = geheim
	colour = blue
	EOC
	run -0 nh config
	grep -qx 'colour = blue' <<<"$output"
	grep -qx '#login_password = (hidden)' <<<"$output"
	[[ $output != *geheim* ]]
}

@test "R-CU-01 custom: the program gets type, exec and all options" {
	cat >show <<-'EOP'
	#!/usr/bin/env python3
	import socket, struct, sys
	s = socket.socket(fileno=3)
	def frame(kind, *attrs):
	    body = b''.join(struct.pack('>HI', t, len(d)) + d for t, d in attrs)
	    s.sendall(struct.pack('>IBBHQ', 16 + len(body), 1, kind, 0, 0) + body)
	frame(1, (1, b'\1'), (2, b'\1'), (3, b'show'), (4, b'1'))
	data = s.recv(65536)[16:]
	seen = []
	while data:
	    tag, n = struct.unpack('>HI', data[:6])
	    seen.append('%d=%s' % (tag, data[6:6 + n].decode()))
	    data = data[6 + n:]
	frame(3, (11, '; '.join(seen).encode()))
	EOP
	chmod 755 show
	nh_conf <<-EOC
	[relay c]
	type = custom
	exec = $D/show
	foo = one
	bar = two
	processes = 2
	EOC
	check 78
	[[ $output == *"5=c; 6=type; 7=custom; 6=exec; 7=$D/show; 6=foo; 7=one; 6=bar; 7=two"* ]]
	[[ $output != *processes* ]]
}
