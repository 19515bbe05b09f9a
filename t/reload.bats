#!/usr/bin/env bats
# nexthop reload: of all or of some, at full rate, and with doors, whose
# sockets stay open.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # port is set by the helpers

load lib/nexthop
load lib/rate

setup()
{
	nh_setup
	chmod 755 "$D"
	DOOR=$NH_ROOT/t/lib/door.py
}

teardown()
{
	nh_teardown
}

# conf TEXT: relays a and b, of which `text` is an option.
conf()
{
	nh_conf <<-EOC
	[relay a]
	type = custom
	exec = $NH_ROOT/contrib/agent-template/agent.py
	text = $1
	[relay b]
	type = custom
	exec = $NH_ROOT/contrib/agent-template/agent.py
	text = $1
	$2
	EOC
}

answer()
{
	nh submit --relay="$1" --output=tsv a@x.test <"$D/M" | cut -f 5
}

door_conf()
{
	nh_conf <<-EOC
	[relay out]
	${RELAY:-type = blackhole}
	[intake in]
	type = custom
	exec = $DOOR
	relay = out
	listen = $1
	text = $2
	EOC
}

@test "by name: only that relay, though others have changed; by force" {
	local a b

	conf one
	nh_start
	a=$(nh_agent a) b=$(nh_agent b)
	conf two
	run -0 nh reload a
	[[ $output == 'a: reloaded' ]]
	[[ $(nh_agent a) != "$a" && $(nh_agent b) == "$b" ]]
	[[ $(answer a) == two && $(answer b) == one ]]
	a=$(nh_agent a)
	run -0 nh reload a b
	[[ $output == $'a: reloaded\nb: reloaded' ]]
	[[ $(nh_agent a) != "$a" && $(answer b) == two ]]
	a=$(nh_agent a) b=$(nh_agent b)
	nh reload
	[[ $(nh_agent a) == "$a" && $(nh_agent b) == "$b" ]]
	run -78 nh reload a nosuch
	[[ $output == *'no relay or intake is named nosuch' ]]
	[[ $(nh_agent a) == "$a" ]]
}

@test "by name: a new one comes, one that is gone from the file ends" {
	conf one '[relay c]
	type = blackhole'
	sed -i 's/^\t//' "$CONF"
	cp "$CONF" with
	conf one
	cp "$CONF" without
	nh_start
	cp with "$CONF"
	nh reload c
	[[ $(answer c) == 'Message Delivered;'* ]]
	cp without "$CONF"
	nh reload a
	[[ $(answer c) == 'Message Delivered;'* ]]
	run -0 nh reload c
	[[ $output == 'c: no longer there, ending' ]]
	[[ $(answer c) == 'no relay named c' ]]
	# A fault anywhere in the file leaves all as it was.
	echo 'processes = many' >>"$CONF"
	run -78 nh reload a
	[[ $(answer a) == one ]]
}

@test "a door's sockets: kept, added, taken away, and owned anew" {
	local p q pid

	p=$(nh_free_port) q=$(nh_free_port)
	door_conf "unix:$D/l, inet:127.0.0.1:$p" one
	nh_start
	nh_until 10 nh_field_is in state ready
	ino=$(stat -c %i l)
	pid=$(nh_field in pids)
	door_conf "unix:$D/l, inet:127.0.0.1:$q" two
	echo 'listen_mode = 0606' >>"$CONF"
	nh reload
	nh_listens "$q"
	[[ $(stat -c '%i %a' l) == "$ino 606" ]]
	nh_until 10 sh -c "! kill -0 $pid"
	run ! nh_listens "$p"
	pid=$(nh_field in pids)
	nh reload in
	nh_until 10 sh -c "! kill -0 $pid"
	nh_until 10 nh_field_is in state ready
	# The section goes, and all it had.
	sed -i '/^.intake/,$d' "$CONF"
	nh reload
	nh_until 10 test ! -e l
	nh_until 10 sh -c "! (exec 4<>/dev/tcp/127.0.0.1/$q) 2>/dev/null"
	nh_until 10 nh_field_is in state ''
}

@test "a door that cannot start after a reload: the old one goes on" {
	door_conf "unix:$D/l" one
	nh_start
	nh_until 10 nh_field_is in state ready
	pid=$(nh_field in pids)
	# Its options are good; it dies where it gets its sockets.
	echo 'mode = broken' >>"$CONF"
	nh reload
	nh_until 10 nh_logged 'intake=in .*exited with status 5'
	kill -0 "$pid"
	python3 -c 'import socket
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect("l")
assert s.recv(99).startswith(b"220"), "nobody"'
	sed -i '/^mode/d' "$CONF"
	nh reload
	nh_until 10 nh_field_is in state ready
	nh_until 10 sh -c "! kill -0 $pid"
}

@test "100 reloads at full rate: none refused, none lost, none twice" {
	local round n

	sink_start
	conf_rate()
	{
		nh_conf <<-EOC
		[relay out]
		type = static
		host = 127.0.0.1
		port = $port
		concurrent_connections = $1
		[intake in]
		type = custom
		exec = $DOOR
		relay = out
		listen = unix:$D/l
		text = $1
		EOC
	}
	conf_rate 20
	nh_start
	rate_submit
	cat >client.py <<-EOP
	import os, smtplib, socket
	class Client(smtplib.LMTP):
	    pass
	while not os.path.exists("$D/enough"):
	    with Client("$D/l", local_hostname="x") as c:
	        c.sendmail("s@x.test", ["a@x.test"], "From: x\r\n\r\nx\r\n")
	        print("delivered", flush=True)
	EOP
	nh_spawn python3 client.py >out.lmtp 2>err.lmtp
	for ((round = 1; round <= 100; round++)); do
		if ((round % 10 == 0)); then
			conf_rate $((20 + round))
			run -0 nh reload
		else
			run -0 nh reload out in
		fi
	done
	rate_end
	rate_all_delivered out.1 out.3000 out.lmtp
	n=$(cat out.1 out.3000 out.lmtp | wc -l)
	[[ $(wc -l <out.1) -gt 20 && $(wc -l <out.lmtp) -gt 20 && $n -gt 5000 ]]
	nh_stop
	rate_sink "$n"
}

@test "100 reloads by intake-lmtp at full rate: smtp-source -L sees no failure" {
	local round sent

	sink_start
	rate_conf
	nh_start
	nh_until 10 nh_field_is in state ready
	rate_source
	for ((round = 1; round <= 100; round++)); do
		run -0 nh reload out in
	done
	rate_end
	rate_source_sent
	nh_stop
	rate_sink "$sent"
}
