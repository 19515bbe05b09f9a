#!/usr/bin/env bats
# nexthop-master: processes and their rights, what becomes of deliveries when
# an agent, the master or a submitter dies or lies, reload and stop.

# shellcheck disable=SC2154 # port is set by the helpers

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

# rogue MODE [LINE...]: a relay "r" of that mode, and "bh" beside it.
rogue()
{
	local mode=$1

	shift
	nh_conf "${MASTER_LINES[@]}" <<-EOC
	[relay r]
	type = custom
	exec = $ROGUE
	mode = $mode
	$(printf '%s\n' "$@")
	[relay bh]
	type = blackhole
	EOC
}

submit()
{
	nh submit --relay=r --output=tsv --from=s@x.test "$@" <"$D/M"
}

# In the background; $NH_PID, answers in $D/out.
submit_later()
{
	nh_spawn "$NH_BUILD/bin/nexthop" -c "$CONF" submit --relay=r \
		--output=tsv --from=s@x.test "$@" <"$D/M" >"$D/out" \
		2>>"$D/err.submit"
}

# column N of row ROW of $D/out or the file given
cell()
{
	sed -n "${2}p" "${3:-$D/out}" | cut -f "$1"
}

finished()
{
	! kill -0 "$1" 2>/dev/null
}

# ---- processes and their rights ----

@test "R-PM-01 one process per type, unprivileged, no TCP socket in the master" {
	nh_conf <<-EOC
	[relay a]
	type = blackhole
	[relay b]
	type = custom
	exec = $NH_ROOT/contrib/agent-template/agent.py
	EOC
	nh_start
	run -0 ps --ppid "$MASTER" -o user=,comm=
	[[ ${#lines[@]} -eq 2 ]]
	[[ $output == *blackhole* ]]
	if [[ $(id -u) -eq 0 ]]; then
		[[ $output != *root* ]]
		[[ $output == *nobody* ]]
	fi
	run ss -tnpH
	[[ $output != *"pid=$MASTER,"* ]]
	run ss -tlnpH
	[[ $output != *"pid=$MASTER,"* ]]
}

@test "an agent's environment, rights, group and descriptors" {
	export SECRET=1
	rogue show
	nh_start
	submit a@x.test >out
	cat out
	text=$(cell 5 1)
	[[ $text == *'env='*'LANG'* || -z ${LANG:-} ]]
	[[ $text == *NEXTHOP_CHANNEL,NEXTHOP_LOG,PATH* ]]
	[[ $text != *SECRET* ]]
	[[ $text == *'newprivs=1 '* ]]
	[[ $text == *"argv=$ROGUE pgrp=True stdin=/dev/null cwd=/ "* ]]
	# 0 to 3, and the one that lists the folder.
	[[ $text == *'fds=0,1,2,3,4' ]]
	[[ $text == *"files=$(ulimit -Hn | sed 's/unlimited/1048576/') "* ]]
	if [[ $(id -u) -eq 0 ]]; then
		uid=$(id -u nobody)
		[[ $text == *"uid=$uid,$uid,$uid,$uid "* ]]
	fi
}

@test "a relay's own user and group" {
	[[ $(id -u) -eq 0 ]] || skip "not root"
	rogue show 'user = daemon' 'group = mail'
	nh_start
	submit a@x.test >out
	uid=$(id -u daemon) gid=$(getent group mail | cut -d: -f3)
	[[ $(cell 5 1) == *"uid=$uid,$uid,$uid,$uid gid=$gid,$gid,$gid,$gid "* ]]
}

@test "sockets: modes and owner; gone after the stop, and the pid file" {
	MASTER_LINES=('socket_mode = 0666' 'control_mode = 0640'
		"pid_file = $D/pid")
	[[ $(id -u) -ne 0 ]] || MASTER_LINES+=('socket_group = mail')
	rogue none
	nh_start
	[[ $(stat -c %a s.sock) == 666 ]]
	[[ $(stat -c %a c.sock) == 640 ]]
	[[ $(id -u) -ne 0 || $(stat -c %G s.sock) == mail ]]
	[[ $(<pid) == "$MASTER" ]]
	nh_stop
	[[ ! -e s.sock && ! -e c.sock && ! -e pid ]]
}

@test "a stale socket is replaced, a second master refused" {
	rogue none
	python3 -c 'import socket
socket.socket(socket.AF_UNIX).bind("'"$SOCKET"'")'
	[[ -S $SOCKET ]]
	nh_start
	run "$NH_BUILD/sbin/nexthop-master" -c "$CONF" --foreground
	[[ $status -eq 73 || $status -eq 75 ]]
	[[ $output == *'listens there already'* ]]
	submit a@x.test
	# What is no socket stays.
	nh_stop
	echo precious >"$SOCKET"
	run "$NH_BUILD/sbin/nexthop-master" -c "$CONF" --foreground
	[[ $status -eq 75 && $(<"$SOCKET") == precious ]]
	rm "$SOCKET"
}

@test "in the background: the parent returns when it is ready" {
	MASTER_LINES=("pid_file = $D/pid" 'log = stderr')
	rogue none
	"$NH_BUILD/sbin/nexthop-master" -c "$CONF" 2>>"$LOG" 3>&-
	nh status
	submit a@x.test
	pid=$(<pid)
	[[ $(cut -d' ' -f 6 "/proc/$pid/stat") == "$pid" ]]	# own session
	nh stop
	nh_until 5 finished "$pid"
}

@test "in the background: who started it sees the end of its stderr" {
	MASTER_LINES=("pid_file = $D/pid" 'log = file' "log_file = $D/m.log")
	rogue none
	# cat ends when nobody has the pipe any more.
	"$NH_BUILD/sbin/nexthop-master" -c "$CONF" 2>&1 3>&- |
		timeout 60 cat
	[[ ${PIPESTATUS[1]} -eq 0 ]]
	pid=$(<pid)
	nh stop
	nh_until 5 finished "$pid"
}

@test "in the background: what agents say on stderr is escaped in the log" {
	MASTER_LINES=("pid_file = $D/pid" 'log = file' "log_file = $D/m.log")
	cat >says <<-EOP
	#!/bin/sh
	printf 'one\\033[2J\\000two\\200\\n' >&2
	exec "$ROGUE"
	EOP
	chmod 755 says
	nh_conf "${MASTER_LINES[@]}" <<-EOC
	[relay r]
	type = custom
	exec = $D/says
	mode = none
	EOC
	"$NH_BUILD/sbin/nexthop-master" -c "$CONF" 2>>"$LOG" 3>&-
	pid=$(<pid)
	nh_until 10 grep -qF 'agent: one\x1B[2J\x00two\x80' m.log
	nh stop
	nh_until 5 finished "$pid"
}

# An agent that begins when there is a file "go".
slow_start()
{
	cat >slow <<-EOP
	#!/bin/sh
	echo it waits >&2
	until [ -e "$D/go" ]; do sleep 0.05; done
	exec "$ROGUE"
	EOP
	chmod 755 slow
	nh_conf "${MASTER_LINES[@]}" <<-EOC
	[relay r]
	type = custom
	exec = $D/slow
	mode = none
	EOC
	nh_launch
	nh_until 20 nh_logged 'it waits'
}

@test "SIGHUP and SIGUSR1 during the start are heeded" {
	MASTER_LINES=('log = file' "log_file = $D/log.m")
	slow_start
	mv log.m log.old
	kill -USR1 "$MASTER"
	nh_until 20 test -s log.m
	rogue none
	kill -HUP "$MASTER"
	# The signals were taken when the second has had its effect.
	touch go
	nh_until 25 grep -q 'reloaded: 2 relays, 2 of them' log.m
	nh status
}

@test "SIGTERM during the start: nothing is left" {
	local status=0

	slow_start
	nh_stop || status=$?
	[[ $status -eq 75 ]]
	nh_until 10 nh_none_left
	[[ ! -e $SOCKET && ! -e $CONTROL ]]
}

@test "systemd is told" {
	rogue none
	python3 - >told 3>&- <<-EOP &
	import socket
	s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
	s.bind("$D/notify")
	s.settimeout(20)
	while True:
	    got = s.recv(999).decode()
	    print(got, flush=True)
	    if "STOPPING" in got:
	        break
	EOP
	NH_PIDS+=($!)
	nh_until 5 test -S notify
	NOTIFY_SOCKET=$D/notify nh_start
	nh_until 3 grep -qx READY=1 told
	nh_stop
	nh_until 3 grep -qx STOPPING=1 told
}

# ---- agents that die ----

@test "R-PM-02 agent killed: transient, not in doubt; the next delivery works" {
	rogue none 'delay = 20'
	nh_start
	submit_later a@x.test b@x.test
	nh_until 5 nh_field_is r open 1
	kill -9 "$(nh_agent r)"
	wait "$NH_PID" || status=$?
	[[ $status -eq 75 ]]
	cat out
	[[ $(wc -l <out) -eq 2 ]]
	for row in 1 2; do
		[[ $(cell 2 $row) == transient ]]
		[[ $(cell 3 $row) == 451 && $(cell 4 $row) == 4.3.0 ]]
		[[ $(cell 5 $row) == 'delivery agent ended by signal 9 (Killed)' ]]
	done
	rogue none
	nh reload
	submit a@x.test
}

@test "R-PM-02 agent killed after end of data: said so" {
	rogue none 'work = 20'
	nh_start
	submit_later a@x.test
	nh_until 5 nh_field_is r open 1
	sleep 0.3
	kill -9 "$(nh_agent r)"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	[[ $(cell 5 1) == 'delivery agent ended by signal 9 (Killed) after end of data; message may have been delivered' ]]
	[[ $(cell 4 1) == 4.3.0 ]]
}

@test "R-PM-02 killed at each stage of an SMTP dialogue" {
	[[ -x $NH_BUILD/libexec/nexthop/smtp-static ]] || skip "no smtp-static"
	for script in 'Z:30' 'S:220_x L Z:30' 'S:220_x L S:250_x L Z:30' \
	    'S:220_x L S:250_x L S:250_x L Z:30' \
	    'S:220_x L S:250_x L S:250_x L S:250_x L Z:30' \
	    'S:220_x L S:250_x L S:250_x L S:250_x L S:354_x D Z:30'; do
		read -ra steps <<<"$script"
		fake_start "${steps[@]//_/ }"
		nh_conf <<-EOC
		[relay r]
		type = static
		host = 127.0.0.1
		port = $port
		EOC
		nh_start
		submit_later a@x.test
		nh_until 5 nh_field_is r open 1
		sleep 0.5
		kill -9 "$(nh_agent r)"
		wait "$NH_PID" || [[ $? -eq 75 ]]
		cat out
		[[ $(cell 2 1) == transient && $(cell 4 1) == 4.3.0 ]]
		if [[ $script == *D* ]]; then
			[[ $(cell 5 1) == *'may have been delivered' ]]
		else
			[[ $(cell 5 1) == *'signal 9 (Killed)' ]]
		fi
		kill "$FAKE" || :
		nh_stop
	done
}

@test "R-PM-02 answers that a dying agent had written count" {
	rogue partial
	nh_start
	run -75 submit a@x.test b@x.test c@x.test
	[[ ${#lines[@]} -eq 3 ]]
	[[ ${lines[0]} == a@x.test$'\t'delivered$'\t'250* ]]
	[[ ${lines[1]} == b@x.test$'\t'transient$'\t'451*'signal 9 (Killed) after end of data'* ]]
	[[ ${lines[2]} == c@x.test$'\t'transient* ]]
}

@test "R-PM-02 an agent that exits is told by its status" {
	rogue once "note = $D/flag"
	chmod 777 .
	nh_start
	kill -9 "$(nh_agent r)"
	# From now on it exits at once: 1 s, 2 s, 4 s between starts.
	nh_until 3 nh_logged 'exited with status 4'
	nh_until 3 nh_logged 'next start in 2 s'
	nh_until 5 nh_logged 'next start in 4 s'
	[[ $(nh_field r last_error) == 'exited with status 4' ]]
	[[ $(nh_field r state) == down ]]
	nh_field_is r restarts 3
	# Others do not notice.
	nh submit --relay=bh a@x.test <M
	# A delivery in the meantime waits, and the agent comes back.
	submit_later a@x.test
	nh_until 3 nh_field_is r queued 1
	rm flag
	nh_until 8 finished "$NH_PID"
	[[ $(cell 2 1) == delivered ]]
}

@test "R-PM-02 restarts back off, up to restart_delay_max" {
	rogue once "note = $D/flag" 'restart_delay_max = 2s'
	chmod 777 .
	nh_start
	kill -9 "$(nh_agent r)"
	sleep 10
	starts=$(nh_field r restarts)
	[[ $starts -ge 4 && $starts -lt 10 ]]
	nh_logged 'next start in 2 s'
	run ! nh_logged 'next start in 4 s'
}

@test "nobody to deliver: a queued delivery fails after backlog_timeout" {
	rogue once "note = $D/flag" 'backlog_timeout = 1s' 'processes = 1'
	chmod 777 .
	nh_start
	kill -9 "$(nh_agent r)"
	nh_until 5 nh_logged 'exited with status 4'
	run -75 submit a@x.test
	[[ $output == *$'451\t4.3.0\tdelivery agent of relay r is not running: exited with status 4'* ]]
}

@test "all busy: a queued delivery fails after backlog_timeout or its deadline" {
	rogue none 'delay = 30' 'window = 1' 'backlog_timeout = 3s'
	nh_start
	submit_later a@x.test
	nh_until 5 nh_field_is r open 1
	run -75 submit --deadline=1 b@x.test
	[[ $output == *$'451\t4.4.7\tdeadline passed before delivery'* ]]
	run -75 submit c@x.test
	[[ $output == *$'451\t4.3.2\trelay r is busy'* ]]
	kill -9 "$(nh_agent r)"
}

@test "several processes: the one with the fewest, death harms its own only" {
	rogue none 'delay = 8' 'processes = 3'
	nh_start
	read -ra agents <<<"$(nh_agent r)"
	[[ ${#agents[@]} -eq 3 ]]
	submit_later --count=9 --parallel=9 a@x.test
	nh_until 5 nh_field_is r open 9
	nh status --output=json | python3 -c 'import json, sys
for r in json.load(sys.stdin)["relays"]:
    if r["relay"] == "r":
        assert [a["open"] for a in r["agents"]] == [3, 3, 3], r'
	kill -9 "${agents[1]}"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	[[ $(cut -f 2 out | sort | uniq -c | tr -s ' ') == $' 6 delivered\n 3 transient' ]]
	nh_until 5 nh_field_is r state ready
}

@test "agents killed again and again under load: each recipient has one answer" {
	nh_conf <<-EOC
	[relay r]
	type = blackhole
	delay = 20ms
	processes = 4
	restart_delay_max = 1s
	backlog = 100
	EOC
	nh_start
	submit_later --count=100000 --parallel=3000 a@x.test b@x.test
	for i in $(seq 20); do
		sleep 0.15
		read -ra agents <<<"$(nh_agent r)"
		[[ ${#agents[@]} -eq 0 ]] || kill -9 "${agents[i % ${#agents[@]}]}"
	done
	wait "$NH_PID" || [[ $? -eq 75 ]]
	[[ $(wc -l <out) -eq 200000 ]]
	cut -f 2,5 out | sed 's/; [-0-9a-f]*$//' | sort | uniq -c
	[[ $(cut -f 2 out | sort -u) == $'delivered\ntransient' ]]
	nh_field_is r open 0
	nh_field_is r queued 0
}

# ---- agents that lie ----

# lie MODE [RCPT...]: what submit says; "bh" must not notice.
lie()
{
	local mode=$1

	shift
	rogue "$mode"
	nh_start
	run submit "${@:-a@x.test}"
	echo "$output"
	nh submit --relay=bh a@x.test <M
}

@test "R-CU-03 too few answers: transient for the missing" {
	lie fewer a@x.test b@x.test
	[[ ${lines[0]} == *$'\tdelivered\t'* ]]
	[[ ${lines[1]} == *$'\ttransient\t451\t4.3.0\tdelivery agent broke the protocol after end of data: no answer for this recipient; message may have been delivered'* ]]
	nh_logged 'DONE with recipients unanswered'
	nh_stop
	lie quiet a@x.test b@x.test
	[[ ${lines[1]} == *$'\ttransient\t451\t4.3.0\tdelivery agent gave no answer for this recipient'* ]]
	nh_field_is r restarts 0
}

@test "R-CU-03 two answers for one recipient: the first counts" {
	lie twice a@x.test b@x.test
	[[ $status -eq 0 && ${#lines[@]} -eq 2 ]]
	[[ ${lines[0]} == *'from a rogue'* ]]
	nh_logged 'second RESULT for a recipient'
	nh_field_is r restarts 0
}

@test "R-CU-03 an answer for a recipient that is not there" {
	lie range
	[[ $status -eq 0 && ${#lines[@]} -eq 1 ]]
	nh_logged 'RESULT for a recipient that is not there'
	nh_field_is r restarts 0
}

@test "R-CU-03 an answer after DONE is ignored" {
	lie late
	[[ $status -eq 0 ]]
	nh_until 3 nh_logged 'RESULT for a delivery that is over'
	submit a@x.test
	nh_field_is r restarts 0
}

@test "R-CU-03 protocol broken: the agent is killed, its deliveries answered" {
	for pair in 'unknown:DONE for an unknown delivery' \
	    'badresult:RESULT without a sound reply' \
	    'nul:malformed attribute in RESULT' \
	    'forward:FORWARD, but its READY did not say FORWARDS' \
	    'garbage:frame length out of range' 'type:unknown frame type' \
	    'descriptor:DONE frame with a descriptor'; do
		lie "${pair%%:*}" a@x.test b@x.test
		[[ $status -eq 75 && ${#lines[@]} -eq 2 ]]
		[[ $output == *$'451\t4.3.0\tdelivery agent broke the protocol after end of data: '"${pair#*:}"* ]]
		nh_stop
	done
	lie cut
	[[ $output == *'after end of data'* ]]
}

@test "R-CU-03 an agent that hangs does not hold up another relay" {
	rogue hang
	nh_start
	submit_later a@x.test
	nh_until 5 nh_field_is r open 1
	SECONDS=0
	nh submit --relay=bh a@x.test <M
	[[ $SECONDS -le 1 ]]
	kill -9 "$(nh_agent r)"
}

# ---- the master dies ----

@test "R-PM-03 master killed: agents end, the submitter is told of the doubt" {
	rogue none 'delay = 20'
	nh_start
	submit_later a@x.test
	nh_until 5 nh_field_is r open 1
	kill -9 "$MASTER"
	wait "$MASTER" || :
	MASTER=''
	wait "$NH_PID" || [[ $? -eq 75 ]]
	cat out
	[[ $(cell 5 1) == 'connection to nexthop-master lost before the answer; message may have been delivered' ]]
	nh_until 3 nh_none_left
	run -69 nh status
	# Sockets are stale now, and no hindrance.
	nh_start
}

@test "master gone before it was sent: not in doubt" {
	rogue none
	run -75 submit a@x.test
	[[ $output == *$'451\t4.3.0\tlocal error: cannot connect to '"$SOCKET"*'No such file'* ]]
	[[ $output != *'may have been'* ]]
}

# ---- submitters ----

@test "submitter gone: what runs is cancelled, what waits dropped" {
	rogue none 'delay = 30' 'window = 2' "note = $D/cancelled"
	chmod 777 .
	nh_start
	submit_later --count=5 --parallel=5 a@x.test
	nh_until 5 nh_field_is r open 2
	nh_until 5 nh_field_is r queued 3
	kill -9 "$NH_PID"
	nh_until 5 nh_field_is r open 0
	nh_until 5 nh_field_is r queued 0
	[[ $(wc -l <cancelled) -eq 2 ]]
	nh_field_is r restarts 0
}

@test "Ctrl-C at submit: what waits and what runs is cancelled" {
	rogue none 'delay = 30' 'window = 2'
	nh_start
	submit_later --count=4 --parallel=3 a@x.test
	nh_until 5 nh_field_is r queued 1
	kill -INT "$NH_PID" || :
	# A background job of a script ignores SIGINT: SIGTERM does the same.
	sleep 0.2
	kill -TERM "$NH_PID" 2>/dev/null || :
	wait "$NH_PID" || [[ $? -eq 75 ]]
	cat out
	[[ $(grep -c 'delivery cancelled' out) -eq 4 ]]
}

@test "backlog full: the submitter waits, nothing is lost" {
	rogue none 'delay = 0.05' 'window = 3' 'backlog = 4'
	nh_start
	run -0 submit --count=100 --parallel=100 a@x.test
	[[ ${#lines[@]} -eq 100 ]]
	[[ $(cut -f 2 <<<"$output" | sort -u) == delivered ]]
}

@test "backlog full: a submitter that is not read and goes is seen to go" {
	rogue none 'delay = 30' 'window = 1' 'backlog = 1'
	nh_start
	submit_later --count=20 --parallel=20 a@x.test
	nh_until 5 nh_field_is r queued 1
	kill -9 "$NH_PID"
	nh_until 3 nh_field_is r open 0
	nh_until 3 nh_field_is r queued 0
}

@test "backlog full: two submitters, one that waits and one that leaves" {
	rogue none 'delay = 0.2' 'window = 1' 'backlog = 1'
	nh_start
	submit_later --count=20 --parallel=20 a@x.test
	first=$NH_PID
	nh_until 5 nh_field_is r queued 1
	submit --count=5 --parallel=5 b@x.test >two
	[[ $(cut -f 2 two | sort -u) == delivered && $(wc -l <two) -eq 5 ]]
	kill -9 "$first" || :
	wait "$first" || :
	submit c@x.test
	nh_until 10 nh_field_is r open 0
	nh_field_is r queued 0
}

@test "a submitter that stops reading: paused, then disconnected; others go on" {
	MASTER_LINES=('submit_timeout = 2s')
	rogue wordy
	nh_start
	cat >slow.py <<-EOP
	import importlib.util, sys, time
	spec = importlib.util.spec_from_file_location(
	    'submit', '$NH_ROOT/contrib/client-template/submit.py')
	s = importlib.util.module_from_spec(spec)
	sys.dont_write_bytecode = True
	spec.loader.exec_module(s)
	c = s.Connection('$SOCKET')
	c.greet()
	try:
	    for i in range(1, 100000):
	        c.deliver(i, 'r', 's@x.test', ['a@x.test'] * 10, b'hi')
	except OSError as error:
	    print(i, error)
	EOP
	nh_spawn python3 slow.py >slow 2>&1
	SECONDS=0
	submit b@x.test
	nh_until 10 nh_logged 'disconnected: takes no answers'
	nh_until 5 finished "$NH_PID"
	cat slow
	[[ $(cut -d' ' -f 1 slow) -lt 5000 ]]
	# What it left behind is not kept.
	nh_until 10 nh_field_is r open 0
	rss=$(awk '/VmHWM/ { print $2 }' "/proc/$MASTER/status")
	[[ $rss -lt 131072 || $NH_BUILD == *asan* ]]
	submit c@x.test
}

@test "10,000 recipients in one submit" {
	rogue none
	nh_start
	nh submit --relay=bh --output=tsv $(seq -f 'r%.0f@x.test' 10000) \
		<M >out
	[[ $(wc -l <out) -eq 10000 ]]
	[[ $(cut -f 2 out | sort -u) == delivered ]]
	[[ $(cell 1 10000) == r10000@x.test ]]
	nh_field_is bh delivered 10000
}

@test "5,000 envelopes at once" {
	nh_conf <<-EOC
	[relay bh]
	type = blackhole
	delay = 1s
	EOC
	nh_start
	nh submit --count=5000 --parallel=5000 --output=tsv a@x.test <M >out
	[[ $(wc -l <out) -eq 5000 ]]
	[[ $(cut -f 2 out | sort -u) == delivered ]]
	nh_field_is bh restarts 0
}

@test "a limit of submitters: the next one waits" {
	MASTER_LINES=('max_submitters = 2')
	rogue none 'delay = 1'
	nh_start
	for i in 1 2 3; do
		nh_spawn "$NH_BUILD/bin/nexthop" -c "$CONF" submit --relay=r \
			"$i@x.test" <M >"out$i"
	done
	nh_until 5 nh_field_is r open 2
	sleep 0.3
	nh_field_is r open 2
	for i in 1 2 3; do
		nh_until 6 grep -q delivered "out$i"
	done
}

# ---- hostile frames ----

# hostile MODE: what the client saw
hostile()
{
	"$NH_ROOT/t/lib/hostile.py" "$SOCKET" "$@"
}

@test "R-PM-05 malformed frames close that connection and no other" {
	rogue none 'delay = 8'
	printf '[relay slow]\ntype = blackhole\ndelay = 9s\n' >>"$CONF"
	nh_start
	submit_later a@x.test
	nh_until 5 nh_field_is r open 1
	[[ $(hostile good) == '6 7' ]]
	[[ $(hostile skippable) == '6 7' ]]
	for mode in long million short zero version type type0 result config \
	    flag tag overrun half id0 rcpts norcpt crlf lfsender nul longtext \
	    bigbody nobody nofd cancelattr cut fdplain fdcancel fdflood; do
		run -0 hostile "$mode"
		echo "$mode: $output"
		[[ $output == closed* ]]
	done
	[[ $(hostile same r) == closed* ]]
	[[ $(hostile cancelnone) == open ]]
	run hostile fds
	echo "fds: $output"
	run hostile directory
	[[ $output == '6 7' ]]
	[[ $(hostile window slow) == closed* ]]
	# All the others are still there, and no agent noticed.
	nh_field_is bh restarts 0
	wait "$NH_PID"
	[[ $(cell 2 1) == delivered ]]
	rss=$(awk '/VmHWM/ { print $2 }' "/proc/$MASTER/status")
	[[ $rss -lt 65536 || $NH_BUILD == *asan* ]]
	# No descriptor stayed behind: submitters, listeners, agents.
	[[ $(ls "/proc/$MASTER/fd" | wc -l) -lt 24 ]]
}

@test "R-PM-05 garbage on the control socket" {
	rogue none
	nh_start
	for text in 'hello' '\xff\xff\xff\xff' '\0\0\0\20\1\4\0\0\0\0\0\0\0\0\0\1'; do
		printf "$text" | timeout 3 python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("'"$CONTROL"'")
s.sendall(sys.stdin.buffer.read())
s.shutdown(socket.SHUT_WR)
print(s.recv(100))' || :
	done
	nh status
}

@test "a master that hangs: status, metrics and reopen do not" {
	rogue none
	nh_start
	kill -STOP "$MASTER"
	run -69 nh status
	[[ $output == *'has not answered for 10 seconds' ]]
	kill -CONT "$MASTER"
	nh status
}

# ---- reload ----

@test "R-PM-04 reload during deliveries: the old finish, the new take over" {
	rogue none 'delay = 3' 'text = old'
	nh_start
	old=$(nh_agent r) bh=$(nh_agent bh)
	submit_later a@x.test
	nh_until 5 nh_field_is r open 1
	rogue none 'text = new'
	kill -HUP "$MASTER"
	nh_until 5 nh_logged 'reloaded: 2 relays, 1 of them new or changed'
	[[ $(submit b@x.test) == *$'\tnew\t'* ]]
	kill -0 "$old"
	# What did not change keeps its process.
	[[ $(nh_agent bh) == "$bh" ]]
	wait "$NH_PID"
	[[ $(cell 5 1) == old ]]
	nh_until 3 finished "$old"
	nh_field_is r restarts 0
	nh_field_is r generation 2
}

@test "R-PM-04 a faulty reload changes nothing and says why" {
	rogue none 'text = old'
	nh_start
	was=$(nh_agent r)
	rogue none 'text = new'
	printf '[relay x]\ntype = blackhole\ndelay = soon\n[relay y]\ntype = z\n' \
		>>"$CONF"
	run -78 nh reload
	[[ $output == *"$CONF:13: [relay x] delay: "* ]]
	[[ $output == *"$CONF:15: [relay y] type: "* ]]
	nh_logged 'nothing was changed'
	[[ $(nh_agent r) == "$was" && $(submit a@x.test) == *$'\told\t'* ]]
	# An agent of the new configuration that does not get ready.
	rogue exit
	run -78 nh reload
	[[ $output == *'exited with status 3'* ]]
	[[ $(nh_agent r) == "$was" ]]
	rogue none 'text = newer'
	nh reload
	[[ $(submit a@x.test) == *$'\tnewer\t'* ]]
}

@test "reload: relays added and removed, a queue handed on" {
	rogue none 'delay = 1' 'window = 1' 'text = old'
	nh_start
	submit_later --count=3 --parallel=3 a@x.test
	nh_until 5 nh_field_is r queued 2
	rogue none 'text = new'
	printf '[relay x]\ntype = blackhole\n' >>"$CONF"
	sed -i '/relay bh/,/blackhole/d' "$CONF"
	nh reload
	wait "$NH_PID"
	[[ $(cut -f 5 out) == $'old\nnew\nnew' ]]
	run -75 nh submit --relay=bh a@x.test <M
	[[ $output == *'no relay named bh'* ]]
	nh submit --relay=x a@x.test <M
	[[ -z $(nh_field bh state) ]]
}

@test "reload: a removed relay finishes its queue" {
	rogue none 'delay = 0.5' 'window = 1'
	nh_start
	submit_later --count=4 --parallel=4 a@x.test
	nh_until 5 nh_field_is r queued 3
	nh_conf <<-EOC
	[relay bh]
	type = blackhole
	EOC
	nh reload
	nh_field_is r state draining
	wait "$NH_PID"
	[[ $(grep -c delivered out) -eq 4 ]]
	nh_until 3 nh_field_is r state ''
	# And comes back as if it were new.
	rogue none
	nh reload
	submit a@x.test
}

@test "reload: what runs in a replaced agent has stop_timeout" {
	MASTER_LINES=('stop_timeout = 1s')
	rogue hang
	nh_start
	old=$(nh_agent r)
	submit_later a@x.test
	nh_until 5 nh_field_is r open 1
	sleep 0.2
	rogue none
	nh reload
	nh_until 6 finished "$old"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	[[ $(cell 5 1) == *'may have been delivered' ]]
	submit a@x.test
}

@test "R-PM-04 reload takes a changed port" {
	[[ -x $NH_BUILD/libexec/nexthop/smtp-static ]] || skip "no smtp-static"
	nh_static()
	{
		nh_conf <<-EOC
		[relay r]
		type = static
		host = 127.0.0.1
		port = $port
		EOC
	}
	sink_start
	nh_static
	nh_start
	submit a@x.test
	kill "$SINK"
	sink_start
	nh_static
	nh reload
	submit a@x.test
}

# ---- stop ----

@test "R-PM-04 SIGTERM: what runs finishes and is reported, new ones refused" {
	rogue none 'delay = 2'
	nh_start
	submit_later a@x.test
	nh_until 5 nh_field_is r open 1
	kill -TERM "$MASTER"
	wait "$NH_PID"
	[[ $(cell 2 1) == delivered ]]
	wait "$MASTER"
	MASTER=''
	nh_until 3 nh_none_left
}

@test "R-PM-04 SIGTERM: what waits fails at once, the limit holds" {
	MASTER_LINES=('stop_timeout = 1s')
	rogue hang 'window = 1'
	nh_start
	submit_later --count=2 --parallel=2 a@x.test
	nh_until 5 nh_field_is r queued 1
	sleep 0.2
	SECONDS=0
	nh_stop
	[[ $SECONDS -le 5 ]]
	wait "$NH_PID" || [[ $? -eq 75 ]]
	cat out
	[[ $(cell 5 1) == *'may have been delivered' ]]
	[[ $(cell 5 2) == 'nexthop is stopping' && $(cell 3 2) == 421 ]]
	nh_none_left
}

@test "an agent deaf to DRAIN and SIGTERM is killed" {
	MASTER_LINES=('stop_timeout = 1s')
	rogue deaf
	nh_start
	SECONDS=0
	nh_stop
	[[ $SECONDS -le 5 ]]
	nh_none_left
}

@test "a second SIGTERM stops at once" {
	rogue hang
	nh_start
	submit_later a@x.test
	nh_until 5 nh_field_is r open 1
	kill -TERM "$MASTER"
	sleep 0.3
	SECONDS=0
	kill -TERM "$MASTER"
	wait "$MASTER"
	MASTER=''
	[[ $SECONDS -le 2 ]]
	wait "$NH_PID" || [[ $? -eq 75 ]]
	[[ $(cell 2 1) == transient ]]
}

@test "stop_timeout = 0: nexthop stop, and a reload that removes, wait for nothing" {
	local old

	MASTER_LINES=('stop_timeout = 0s')
	rogue hang
	nh_start
	old=$(nh_agent r)
	submit_later a@x.test
	nh_until 5 nh_field_is r open 1
	nh_conf "${MASTER_LINES[@]}" <<<$'[relay bh]\ntype = blackhole'
	nh reload
	nh_until 20 finished "$old"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	rogue hang
	nh reload
	submit_later a@x.test
	nh_until 5 nh_field_is r open 1
	timeout 30 "$NH_BUILD/bin/nexthop" -c "$CONF" stop
	wait "$MASTER"
	MASTER=''
	wait "$NH_PID" || [[ $? -eq 75 ]]
	[[ $(cell 2 1) == transient ]]
}

@test "drain finishes running and waiting deliveries, then the master ends" {
	rogue none 'delay = 0.5' 'window = 1'
	nh_start
	submit_later --count=4 --parallel=4 a@x.test
	nh_until 5 nh_field_is r queued 3
	nh drain
	[[ ! -e $SOCKET && ! -e $CONTROL ]]
	wait "$MASTER"
	MASTER=''
	wait "$NH_PID"
	[[ $(grep -c delivered out) -eq 4 ]]
	nh_none_left
}

@test "drain refuses what comes later; stop shortens it" {
	MASTER_LINES=('stop_timeout = 1s')
	rogue hang
	nh_start
	submit_later a@x.test
	nh_until 5 nh_field_is r open 1
	sleep 0.2
	nh_spawn "$NH_BUILD/bin/nexthop" -c "$CONF" drain
	drain=$NH_PID
	nh_until 5 bash -c "! test -e $SOCKET"
	nh status | grep -q stopping
	SECONDS=0
	nh stop
	[[ $SECONDS -le 5 ]]
	wait "$drain"
	wait "$MASTER"
	MASTER=''
}

@test "stop: sockets are gone when it returns, and the master is" {
	rogue none
	nh_start
	nh stop
	[[ ! -e $SOCKET && ! -e $CONTROL ]]
	wait "$MASTER"
	MASTER=''
	run -69 nh stop
	[[ $output == *'no nexthop-master answers'* ]]
}

@test "R-PM-06 a slow relay does not block another" {
	rogue none 'delay = 20' 'window = 1'
	nh_start
	submit_later --count=5 --parallel=5 a@x.test
	nh_until 5 nh_field_is r queued 4
	SECONDS=0
	nh submit --relay=bh a@x.test <M
	[[ $SECONDS -le 1 ]]
}

@test "status: text, tsv, json with the agents' statistics" {
	rogue none
	nh_start
	submit a@x.test
	nh submit --relay=bh b@x.test <M
	run -0 nh status
	[[ ${lines[1]} == RELAY*STATE*'LAST ERROR' ]]
	[[ $output == *custom*ready* ]]
	run -0 nh status --output=tsv
	[[ ${lines[0]} == relay$'\t'type$'\t'state* ]]
	nh status --output=json | python3 -c 'import json, sys
s = json.load(sys.stdin)
assert s["state"] == "running" and s["pid"] == '"$MASTER"'
r = {r["relay"]: r for r in s["relays"]}
assert r["r"]["delivered"] == 1 and r["bh"]["delivered"] == 1
assert r["r"]["agents"][0]["version"] == "agent-template 1"'
	run -64 nh status --output=xml
	run -64 nh status all
}
