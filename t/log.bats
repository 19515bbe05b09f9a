# The log: where it goes, its forms, its events, files that are rotated, and
# transcripts.
# shellcheck shell=bash disable=SC2016,SC2154

load lib/nexthop

setup()
{
	nh_setup
}

teardown()
{
	nh_teardown
}

HOLE='[relay hole]
type = blackhole'

submit()
{
	nh submit --relay="$1" --from=s@x.test "${@:2}" <M >>out.submit
}

# events FILE...: the lines of JSON logs checked; "NAME KEY=VALUE..." of each.
events()
{
	python3 "$NH_ROOT/t/lib/events.py" "$@"
}

# ---- targets ----

@test "log = file: made with mode and owner, by the master for its agents" {
	[[ $EUID -eq 0 ]] || skip "needs root"
	nh_conf 'log = file' "log_file = $D/mail.log" 'log_file_mode = 0604' \
		'log_file_user = daemon' 'log_file_group = mail' <<<"$HOLE"
	nh_start
	submit hole a@x.test
	[[ $(stat -c '%a %U %G' mail.log) == '604 daemon mail' ]]
	nh_until 30 grep -q 'blackhole/hole\[[0-9]*\]: .*to=<a@x.test>' mail.log
	grep -q 'nexthop-master\[[0-9]*\]: start version=' mail.log
	[[ ! -s $LOG ]]
	nh_stop
	[[ $(tail -1 mail.log) == *': stopped' ]]
}

@test "log = file: a file that cannot be is a fault at the start" {
	nh_conf 'log = file' "log_file = $D/none/mail.log" <<<"$HOLE"
	nh_launch
	nh_until 30 nh_logged 'log_file: .*/none/mail.log: No such file'
	nh_conf 'log = file' <<<"$HOLE"
	run -78 nh check
	[[ $output == *'log_file: must be given'* ]]
	ln -s "$D/elsewhere" "$D/mail.log"
	nh_conf 'log = file' "log_file = $D/mail.log" <<<"$HOLE"
	nh_launch
	nh_until 30 nh_logged 'is a symbolic link'
	[[ ! -e elsewhere ]]
	mkfifo "$D/fifo"
	nh_conf 'log = file' "log_file = $D/fifo" <<<"$HOLE"
	nh_launch
	nh_until 5 nh_logged 'log_file: .*/fifo: not a file'
}

reopen_by()
{
	case $1 in
	command) nh reopen ;;
	signal)	kill -USR1 "$MASTER" ;;
	reload)	nh reload ;;
	esac
}

@test "log = file: beyond a limit of file sizes lines are lost, nothing else" {
	nh_conf 'log = file' "log_file = $D/mail.log" <<<"$HOLE"
	bash -c 'ulimit -f 16; exec "$@"' _ "$NH_BUILD/sbin/nexthop-master" \
		-c "$CONF" --foreground >>"$LOG" 2>&1 </dev/null 3>&- &
	MASTER=$!
	nh_until 25 nh_is_up
	nh submit --relay=hole --count=500 --from=s@x.test a@x.test <M >rows
	[[ $(grep -c delivered rows) -eq 500 ]]
	nh_until 10 bash -c '[[ $(stat -c %s mail.log) -eq 16384 ]]'
	[[ $(nh_field hole restarts) -eq 0 ]]
	mv mail.log full.log
	nh reopen
	nh submit --relay=hole --from=s@x.test a@x.test <M
	nh_until 10 grep -q 'log_lost lines=[1-9]' mail.log
	nh_stop
}

@test "log = file: reopened by command, signal and reload" {
	local how

	nh_conf 'log = file' "log_file = $D/mail.log" <<<"$HOLE"
	nh_start
	for how in command signal reload; do
		submit hole "before-$how@x.test"
		nh_until 30 grep -q "to=<before-$how" mail.log
		mv mail.log "mail.$how"
		reopen_by "$how"
		nh_until 30 grep -q ': reopened file=' mail.log
		submit hole "after-$how@x.test"
		nh_until 30 grep -q "to=<after-$how" mail.log
		! grep -q "after-$how" "mail.$how" || return 1
	done
	mv mail.log last.log
	mkdir mail.log
	run -73 nh reopen
	[[ $output == *'mail.log: '*'; the log goes on in the old file' ]]
	nh_until 30 grep -q 'error: reopen_failed error=' last.log
	# A FIFO that nobody reads holds up nothing.
	rmdir mail.log
	mkfifo mail.log
	run -73 nh reopen
	[[ $output == *'mail.log: not a file'* ]]
	submit hole old@x.test
	nh_until 30 grep -q 'to=<old@x.test>' last.log
}

@test "log = file: rotated twenty times under load, no line is lost" {
	local i

	nh_conf 'log = file' "log_file = $D/mail.log" <<<"$HOLE"$'\n''processes = 2'
	nh_start
	nh submit --relay=hole --from=s@x.test --count=6000 --parallel=40 \
		--output=tsv a@x.test b@x.test <M >rows &
	i=$!
	for n in {1..20}; do
		sleep 0.05
		mv mail.log "mail.log.$n"
		nh reopen
	done
	wait "$i"
	nh_stop
	[[ $(wc -l <rows) -ge 12000 ]]
	[[ $(cat mail.log* | grep -cE ' to=<[ab]@x.test> .* status=sent ') -eq 12000 ]]
	! cat mail.log* | grep -vE '^[0-9TZ:-]+ [a-z/-]+\[[0-9]+\]: ' || return 1
}

# As systemd does it: $D/dev is /dev, $D/run /run, in a mount namespace.
with_sockets()
{
	unshare -m bash -c '
		mount --make-rprivate /
		mkdir -p "$0/run/systemd/journal"
		mount --bind "$0/run" /run
		touch "$0/devlog"
		mount -t tmpfs none /mnt
		cp -a /dev/null /dev/urandom /dev/zero /dev/tty /dev/random /mnt
		ln -s /proc/self/fd /mnt/fd
		mkdir /mnt/shm
		mount --move /mnt /dev
		exec "$@"' "$D" "$@"
}

# listen_and_log SOCKET WHAT: a daemon at SOCKET, a master; Q1 is delivered.
listen_and_log()
{
	[[ $EUID -eq 0 ]] || skip "needs root"
	with_sockets bash -c '
		listen()
		{
			python3 "$NH_ROOT/t/lib/log_server.py" "$1" \
				"$D/heard" 3>&- &
			server=$!
			until [[ -S $1 ]]; do sleep 0.05; done
		}
		listen "$1"
		trap "kill \"\$server\"" EXIT
		bats_require_minimum_version() { :; }
		. "$NH_ROOT/t/lib/nexthop.bash"
		LOG=$D/log MASTER=
		nh_start
		submit()
		{
			nh submit --relay=hole --from=s@x.test "$@" a@x.test \
				<M >>out.submit
		}
		# All lines are there, or counted as lost.
		adds_up()
		{
			[[ $(awk "/ to=</ { n++ }
				/log_lost/ { sub(/.*=/, \"\"); n += \$0 }
				END { print n }" "$D/heard") -eq $((4001 + tries)) ]]
		}
		tries=0
		submit --id=Q1
		nh_until 30 grep -q Q1 "$D/heard" || exit
		case $2 in
		restart)
			kill "$server"
			wait "$server"
			rm "$1"
			submit --id=Q2
			# A second from then on the log is tried again.
			sleep 2.5
			listen "$1"
			submit --id=Q3
			nh_until 30 grep -q Q3 "$D/heard" || exit
			;;
		burst)
			submit --count=3000 --parallel=40
			nh_until 30 eval "[[ \$(grep -c \" to=<\" heard) -eq 3001 ]]" ||
				exit
			;;
		stop)
			kill -STOP "$server"
			submit --count=4000 --parallel=40
			kill -CONT "$server"
			# It is not waited for: the first may be lost still.
			until grep -q Q3 "$D/heard"; do
				((++tries <= 40)) || exit
				submit --id=Q3
				sleep 0.25
			done
			nh_until 30 adds_up || exit
			;;
		esac
		nh_stop
		nh_until 30 grep -q stopped "$D/heard"' _ "$@"
}

@test "log = syslog: datagrams at /dev/log, with facility and tag" {
	export NH_ROOT NH_BUILD D CONF SOCKET CONTROL BATS_TEST_DIRNAME
	nh_conf 'log = syslog' 'syslog_facility = local3' 'syslog_tag = mx1' \
		<<<"$HOLE"
	listen_and_log /dev/log once
	cat heard
	# local3 is 19: 19 * 8 + 6
	grep -qE '^<158>[A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} mx1/blackhole/hole\[[0-9]+\]: Q1: to=<a@x.test> .*status=sent' heard
	grep -qE '^<158>.* mx1/nexthop-master\[[0-9]+\]: ready relays=1$' heard
}

@test "log = syslog: who starts it is told where nobody listens" {
	[[ $EUID -eq 0 ]] || skip "needs root"
	nh_conf 'log = syslog' "pid_file = $D/pid" <<<"$HOLE"
	with_sockets "$NH_BUILD/sbin/nexthop-master" -c "$CONF" 2>err 3>&-
	nh stop
	[[ $(<err) == *'warning: nobody listens at /dev/log, where the log goes' ]]
}

@test "log = syslog: connected again when the daemon was restarted" {
	export NH_ROOT NH_BUILD D CONF SOCKET CONTROL BATS_TEST_DIRNAME
	nh_conf 'log = syslog' <<<"$HOLE"
	listen_and_log /dev/log restart
	cat heard
	grep -q 'Q1: to=' heard
	grep -q 'Q3: to=' heard
	grep -qE 'blackhole.*log_lost lines=1$' heard
}

@test "log = journald: entries with fields" {
	export NH_ROOT NH_BUILD D CONF SOCKET CONTROL BATS_TEST_DIRNAME
	nh_conf 'log = journald' 'syslog_tag = mx1' <<<"$HOLE"
	listen_and_log /run/systemd/journal/socket restart
	cat heard
	python3 - heard <<-'EOP'
	import json, sys
	rows = [json.loads(line) for line in open(sys.argv[1])]
	sent = [r for r in rows if r["NEXTHOP_EVENT"] == "delivered"]
	assert [r["NEXTHOP_ID"] for r in sent][0] == "Q1", sent
	assert sent[-1]["NEXTHOP_ID"] == "Q3", sent
	r = sent[0]
	assert r["PRIORITY"] == "6" and r["SYSLOG_FACILITY"] == "2", r
	assert r["SYSLOG_IDENTIFIER"] == "mx1/blackhole/hole", r
	assert r["NEXTHOP_RELAY"] == "hole", r
	assert r["NEXTHOP_TO"] == "a@x.test", r
	assert r["NEXTHOP_DSN"] == "2.0.0", r
	assert r["MESSAGE"].startswith("Q1: to=<a@x.test> "), r
	assert any(r["NEXTHOP_EVENT"] == "ready" for r in rows)
	EOP
}

@test "log = journald-text: lines by the journal's stream" {
	export NH_ROOT NH_BUILD D CONF SOCKET CONTROL BATS_TEST_DIRNAME
	nh_conf 'log = journald-text' 'syslog_facility = local3' \
		'syslog_tag = mx1' <<<"$HOLE"
	listen_and_log /run/systemd/journal/stdout restart
	cat heard
	grep -qE '^mx1/blackhole/hole 19 <6>Q1: to=<a@x.test> .*status=sent' heard
	grep -qE '^mx1/nexthop-master 19 <6>ready relays=1$' heard
	# The stream has the relay's name again.
	grep -qE '^mx1/blackhole/hole 19 <6>Q3: to=<a@x.test> .*status=sent' heard
	nh_conf 'log = journald-text' 'log_format = json' <<<"$HOLE"
	listen_and_log /run/systemd/journal/stdout once
	grep '"id":"Q1"' heard | sed 's/^blackhole.hole 2 <6>//' |
		python3 "$NH_ROOT/t/lib/events.py" /dev/stdin
}

target_socket()
{
	case $1 in
	syslog) echo /dev/log ;;
	journald) echo /run/systemd/journal/socket ;;
	journald-text) echo /run/systemd/journal/stdout ;;
	esac
}

@test "log = syslog, journald, journald-text: a burst, and nothing after it" {
	local target

	export NH_ROOT NH_BUILD D CONF SOCKET CONTROL BATS_TEST_DIRNAME
	for target in syslog journald journald-text; do
		echo "$target"
		rm -f heard
		nh_conf "log = $target" <<<"$HOLE"
		listen_and_log "$(target_socket "$target")" burst
		[[ $(grep -c ' to=<' heard) -eq 3001 ]]
		run ! grep -q log_lost heard
	done
}

@test "log = syslog, journald-text: a daemon that stands still keeps no mail, and lost lines are counted" {
	local target

	export NH_ROOT NH_BUILD D CONF SOCKET CONTROL BATS_TEST_DIRNAME
	for target in syslog journald-text; do
		echo "$target"
		rm -f heard
		nh_conf "log = $target" <<<"$HOLE"
		listen_and_log "$(target_socket "$target")" stop
		tail -3 heard
		grep -q 'hole.*log_lost lines=[0-9]' heard
	done
}

@test "systemd-journald itself takes entries and lines, many at once" {
	export NH_ROOT NH_BUILD D CONF SOCKET CONTROL BATS_TEST_DIRNAME
	export JOURNALD=/lib/systemd/systemd-journald TARGET

	[[ $EUID -eq 0 ]] || skip "needs root"
	[[ -x $JOURNALD && -s /etc/machine-id ]] || skip "no systemd-journald"
	for TARGET in journald journald-text; do
		rm -rf run
		nh_conf "log = $TARGET" 'syslog_tag = mx1' <<<"$HOLE"
		with_sockets bash -c '
			mkdir -p /run/log/journal /run/systemd/journald.conf.d
			printf "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nRateLimitIntervalSec=0\n" \
				>/run/systemd/journald.conf.d/x.conf
			"$JOURNALD" 2>"$D/journald.err" 3>&- &
			trap "kill $!; wait $!" EXIT
			bats_require_minimum_version() { :; }
			. "$NH_ROOT/t/lib/nexthop.bash"
			LOG=$D/log MASTER=
			nh_until 20 test -S /run/systemd/journal/stdout || exit
			nh_start
			nh submit --relay=hole --from=s@x.test --count=500 \
				--parallel=40 a@x.test <M >>out.submit
			nh_stop
			read_journal()
			{
				journalctl -D /run/log/journal -o json \
					>"$D/entries.$TARGET" 2>/dev/null
				[[ $(grep -c "to=<a@x.test>" "$D/entries.$TARGET") -eq 500 ]]
			}
			nh_until 20 read_journal' || { cat journald.err; return 1; }
	done
	python3 - entries.journald entries.journald-text <<-'EOP'
	import json, sys
	fields, lines = ([r for r in map(json.loads, open(path))
	                  if "to=<a@x.test>" in r["MESSAGE"]]
	                 for path in sys.argv[1:])
	for r in fields + lines:
	    assert r["SYSLOG_IDENTIFIER"] == "mx1/blackhole/hole", r
	    assert r["PRIORITY"] == "6" and r["SYSLOG_FACILITY"] == "2", r
	    assert " status=sent " in r["MESSAGE"], r
	    assert r["MESSAGE"].index(": to=") < 40, r
	assert all(r["NEXTHOP_TO"] == "a@x.test" for r in fields)
	assert not any("NEXTHOP_TO" in r for r in lines)
	assert {r["_TRANSPORT"] for r in lines} == {"stdout"}
	EOP
}

@test "log = auto: the journal where systemd has given us its stream" {
	export NH_ROOT NH_BUILD D CONF SOCKET CONTROL BATS_TEST_DIRNAME
	nh_conf <<<"$HOLE"
	: >log
	JOURNAL_STREAM=$(stat -c '%d:%i' log)
	export JOURNAL_STREAM
	listen_and_log /run/systemd/journal/socket once
	grep -q '"NEXTHOP_EVENT": "ready"' heard
	[[ ! -s log ]]
}

# ---- forms and events ----

# A server whose answers are trouble, and addresses that are.
mixed()
{
	printf '%s\n' '[relay a]' 'type = static' "host = 127.0.0.1" \
		"port = $port" 'ehlo_as = out.test' 'idle_timeout = 1s' \
		'[relay gone]' 'type = static' 'host = 127.0.0.1' 'port = 9' \
		'ehlo_as = out.test' \
		'[relay prog]' 'type = pipe' 'args = /bin/sh -c "exit 69"' \
		"$HOLE"
}

@test "R-LG-01: JSON lines of 200 mixed deliveries parse, each event is in the manual" {
	sink_start -r rcpt:20:550 -r rcpt:20:450 -r dot:10:451
	mixed | nh_conf 'log = file' "log_file = $D/mail.log" 'log_format = json'
	nh_start
	nh submit --relay=a --count=150 --parallel=10 --output=tsv \
		--from='"s> \"status=sent"@x.test' a@x.test \
		'"r <b> dsn=5.0.0"@x.test' <M >rows || :
	nh submit --relay=gone --count=30 --from= --smtputf8 --output=tsv \
		'ö@x.test' <M >>rows || :
	nh submit --relay=prog --count=20 --output=tsv --from=s@x.test \
		a@x.test <M >>rows || :
	kill -9 "$(nh_agent hole)"
	nh_until 30 grep -q '"event":"agent_died"' mail.log
	nh reload
	printf '[relay a\n' >>"$CONF"
	run -78 nh reload
	mixed | nh_conf 'log = file' "log_file = $D/mail.log" 'log_format = json'
	nh stop
	MASTER=
	events mail.log >events
	[[ $(grep -cE '^(delivered|deferred|bounced) ' events) -eq 350 ]]
	[[ $(grep -c '^delivered ' events) -eq $(grep -c $'\tdelivered\t' rows) ]]
	[[ $(grep -c '^bounced ' events) -eq $(grep -c $'\tpermanent\t' rows) ]]
	[[ $(grep -c '^deferred ' events) -eq $(grep -c $'\ttransient\t' rows) ]]
	for e in start ready agent_ready agent_died reloading reloaded \
		reload_refused reopened stopping stopped session run; do
		grep -q "^$e " events || { echo "no $e"; return 1; }
	done
	# Every name is in the manual.
	sed -n 's/^\.It Cm \([a-z_]*\) Pq .*/\1/p' \
		"$NH_BUILD/man/nexthop-events.7" | sort >known
	cut -d ' ' -f 1 events | sort -u >seen
	[[ -z $(comm -13 known seen) ]]
}

@test "a start that fails is in the log, too; a reload of some is an event" {
	nh_conf 'log = file' "log_file = $D/m.log" <<<"$HOLE
delay = soon
[relay x]
type = static"
	run -78 "$NH_BUILD/sbin/nexthop-master" -c "$CONF"
	grep -q "error: start_refused message=\"$CONF:[0-9]*: \[relay hole\]" m.log
	grep -q "error: start_refused message=\"$CONF:[0-9]*: \[relay x\]" m.log
	rm m.log
	touch s.sock
	nh_conf 'log = file' "log_file = $D/m.log" <<<"$HOLE"
	run -75 "$NH_BUILD/sbin/nexthop-master" -c "$CONF"
	[[ $output == *"$SOCKET: "* ]]
	grep -q "error: start_refused message=\"$SOCKET: " m.log
	rm s.sock
	nh_start
	nh reload hole
	nh_until 5 grep -q \
		'reloaded relays=1 changed=1 message="hole: reloaded"' m.log
}

@test "every event of the table is in the source, and in the manual" {
	local name

	name=$(sed -n 's/^\(EVENT\|FINAL\)(\([A-Z_]*\), .*/\2/p' \
		"$NH_ROOT/common/base/events.h")
	[[ $(wc -w <<<"$name") -gt 20 ]]
	for name in $name; do
		[[ $name == INTAKE_SESSION ]] ||
			grep -rq "EVENT_$name\b" "$NH_ROOT/common" "$NH_ROOT/master" \
			--include='*.c' || { echo "$name"; return 1; }
		grep -q "^\.It Cm ${name,,} Pq " \
			"$NH_BUILD/man/nexthop-events.7" ||
			{ echo "$name: not in the manual"; return 1; }
	done
}

@test "log_level: less is logged, and a reload changes the master's" {
	nh_conf 'log_level = error' <<<"$HOLE"
	nh_start
	submit hole a@x.test
	[[ ! -s $LOG ]]
	nh_conf 'log_level = info' 'log_format = json' <<<"$HOLE"
	run -0 nh reload
	[[ $output == *'[master] log_format: takes effect by nexthop upgrade'* ]]
	nh_until 30 nh_logged 'reloaded relays=1'
	nh_stop
}

# ---- sessions ----

@test "a kept connection that the server ends was waiting, not at the greeting" {
	sink_start
	nh_conf <<-EOC
	[relay a]
	type = static
	host = 127.0.0.1
	port = $port
	idle_timeout = 1h
	EOC
	nh_start
	submit a a@x.test
	kill "$SINK"
	nh_until 10 nh_logged 'session session=1 .* messages=1 .* end="lost connection with 127\.0\.0\.1\[127\.0\.0\.1\]:[0-9]+ while waiting for the next message"'
}

@test "a line for each connection: what went over it, and why it ended" {
	sink_start
	nh_conf <<-EOC
	[relay a]
	type = static
	host = 127.0.0.1
	port = $port
	ehlo_as = out.test
	idle_timeout = 600s
	[relay gone]
	type = static
	host = 127.0.0.1
	port = 9
	ehlo_as = out.test
	EOC
	nh_start
	submit a a@x.test b@x.test
	submit a c@x.test
	submit gone a@x.test || :
	nh_until 30 nh_logged 'session session=1 .* messages=0 recipients=0 .* end="connect to 127.0.0.1\[127.0.0.1\]:9: Connection refused"'
	nh_stop
	nh_logged "smtp-static/a\[[0-9]+\]: session session=1 protocol=smtp host=127.0.0.1 address=127.0.0.1 port=$port tls=none ehlo=out.test messages=2 recipients=3 bytes=[0-9]+ reused=1 duration=[0-9.]+ end=\"quit\"\$"
}

# The master's events since the last call: name, relay or intake.
told()
{
	local all

	all=$(sed -nE 's/.* nexthop-master\[[0-9]+\]: (warning: |error: )?([a-z_]+( (relay|intake)=[^ ]+)?).*/\2/p' "$LOG")
	tail -n "+$((TOLD + 1))" <<<"$all"
	TOLD=$(wc -l <<<"$all")
}

@test "the log of a start and of reloads: who has begun, once each, and nobody who was only asked" {
	local http intake good

	TOLD=0
	http=$(nh_free_port)
	nh_conf <<-EOC
	[relay a]
	type = blackhole
	processes = 2
	[intake in]
	listen = unix:$D/in.sock
	relay = a
	[metrics]
	listen = inet:127.0.0.1:$http
	EOC
	nh_start
	# Doors are ready in any order, behind the rest.
	nh_until 20 eval '[[ $(grep -c "agent_ready" "$LOG") -ge 4 ]]'
	nh_until 20 nh_field_is in state ready
	told >events
	cat events
	[[ $(head -4 events) == $'start\nagent_ready relay=a\nagent_ready relay=a\nready' ]]
	[[ $(tail -n +5 events | sort) == $'agent_ready\nagent_ready intake=in' ]]
	# What is refused has not begun.
	good=$(<"$CONF")
	printf '%s\n' '[relay b]' 'type = blackhole' '[relay c]' \
		'type = static' 'host = 127.0.0.1' 'ipv4_only = perhaps' >>"$CONF"
	run -78 nh reload
	told >events
	[[ $(head -1 events) == reloading ]]
	! grep agent_ready events || return 1
	printf '%s\n' "$good" '[relay b]' 'type = blackhole' >"$CONF"
	nh reload
	told >events
	[[ $(<events) == $'reloading\nagent_ready relay=b\nreloaded' ]]
	intake=$(nh_field in pids)
	nh reload in
	nh_until 20 sh -c "! kill -0 $intake"
	nh_until 20 nh_field_is in state ready
	told >events
	[[ $(grep -c 'agent_ready intake=in' events) -eq 1 ]]
	[[ $(grep -c agent_ready events) -eq 1 ]]
	# One that is started again.
	kill -9 "$(nh_field b pids)"
	nh_until 20 nh_logged 'agent_died relay=b'
	nh_until 20 nh_field_is b state ready
	told >events
	[[ $(<events) == $'agent_died relay=b\nagent_ready relay=b' ]]
}

@test "a recipient that no agent came to is told by the master" {
	nh_conf <<-EOC
	[relay slow]
	type = blackhole
	delay = 60
	window = 1
	backlog_timeout = 1s
	EOC
	nh_start
	nh submit --relay=slow --id=Q1 --from=s@x.test a@x.test <M >out.1 &
	NH_PIDS+=($!)
	nh_until 30 nh_field_is slow open 1
	run -75 nh submit --relay=slow --id=Q2 --from=s@x.test a@x.test \
		b@x.test <M
	nh_until 30 nh_logged 'nexthop-master\[[0-9]+\]: Q2: to=<a@x.test> from=<s@x.test> relay=none delay=[0-9.]+ dsn=4\.[0-9.]+ status=deferred stage="" \(451 '
	[[ $(grep -c 'Q2: to=' "$LOG") -eq 2 ]]
}

# ---- transcripts ----

HELLO=('S:220 x' L 'A:EHLO *' 'W:250-x\r\n250 STARTTLS\r\n' L 'A:STARTTLS'
	'S:220 go' T L 'A:EHLO *' 'W:250-x\r\n250 AUTH PLAIN\r\n'
	L 'A:AUTH PLAIN *' 'S:235 in')
TAKE=(L 'S:250 m' L 'S:250 r' L 'S:354 go' D 'S:250 taken' L 'S:221 bye')

transcript_conf()
{
	nh_conf <<-EOC
	[relay a]
	type = static
	host = 127.0.0.1
	port = $port
	ehlo_as = out.test
	credentials.username = alice
	credentials.password = sesame-open
	idle_timeout = 0
	$1
	EOC
}

@test "transcript: the dialogue with secrets masked, switched by a reload" {
	fake_start "${HELLO[@]}" "${TAKE[@]}" X + "${HELLO[@]}" "${TAKE[@]}" X
	transcript_conf ''
	nh_start
	nh submit --relay=a --id=Q1 --from=s@x.test r@x.test <M
	! nh_logged transcript || return 1
	transcript_conf 'transcript = y.test, 127.0.0.0/8'
	nh reload
	nh submit --relay=a --id=Q2 --from=s@x.test r@x.test <M
	cat "$LOG"
	nh_until 30 nh_logged 'Q2: to=<r@x.test>'
	nh_logged 'Q2: transcript session=1 line="C: MAIL FROM:<s@x.test>'
	nh_logged 'line="C: EHLO out.test"'
	nh_logged 'line="S: 354 go"'
	nh_logged 'line="C: AUTH PLAIN'
	nh_logged 'line="-- TLSv1'
	nh_logged 'line="C: \([0-9]+ bytes of the message\)"'
	! nh_logged 'line="C: (From|test)' || return 1
	run ! grep -E "sesame|$(printf '\0alice\0sesame-open' | base64)" "$LOG"
	nh_stop
}

@test "transcript: by recipient's domain, host or range, and no other; its limit" {
	local how

	for how in '.test' 'x.test' '127.0.0.1' 'loopback' 'on'; do
		sink_start
		: >"$LOG"
		nh_conf <<-EOC
		[relay a]
		type = static
		host = 127.0.0.1
		port = $port
		ehlo_as = out.test
		transcript = $how
		transcript_limit = 5
		EOC
		nh_start
		submit a a@x.test
		nh_until 30 nh_logged 'line="-- more than transcript_limit lines'
		nh_logged 'transcript session=1 line="C: EHLO'
		[[ $(grep -c ' transcript ' "$LOG") -eq 6 ]]
		nh_stop
	done
	nh_conf <<-EOC
	[relay a]
	type = static
	host = 127.0.0.1
	port = $port
	ehlo_as = out.test
	transcript = test, .x.test, 127.0.0.2, y.test, other
	EOC
	: >"$LOG"
	nh_start
	submit a a@x.test
	! nh_logged transcript || return 1
	nh_stop
	nh_conf <<-EOC
	[relay a]
	type = static
	host = 127.0.0.1
	transcript = a@b
	EOC
	run -78 nh check
	[[ $output == *transcript*'is neither on, off'* ]]
}

@test "transcript: a program's words and end" {
	nh_conf <<-EOC
	[relay p]
	type = pipe
	args = /bin/sh -c "echo no; exit 75"
	transcript = on
	EOC
	nh_start
	submit p a@x.test || :
	nh_until 30 nh_logged 'run session=1 command=.*sh recipients=1 exit=75 duration=[0-9.]+ end="exited"'
	nh_logged 'transcript session=1 line="run \[/bin/sh\] \[-c\] \[echo no; exit 75\]"'
	nh_logged 'line="[0-9]+ out: no"'
	nh_logged 'line="[0-9]+ end: status '
	nh_stop
}

@test "logrotate: the example is understood" {
	command -v logrotate >/dev/null || skip "no logrotate here"
	logrotate -d "$NH_ROOT/contrib/logrotate/nexthop"
}
