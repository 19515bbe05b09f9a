#!/usr/bin/env bats
# The last line about each recipient: there is one whoever answers, an agent or
# the master in the place of one, and what it tells is counted once.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # port is set by the helpers

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

# In the background; $NH_PID, answers in $D/out.
submit_later()
{
	"$NH_BUILD/bin/nexthop" -c "$CONF" submit --id=Q1 --from=s@x.test \
		--output=tsv "$@" <"$D/M" >"$D/out" 2>>"$D/err.submit" 3>&- &
	NH_PID=$!
	NH_PIDS+=("$NH_PID")
}

# final WHO RCPT PATTERN: its only line, by this process, is of that form.
final()
{
	local own="Q1: to=<$2> from=<s@x.test> "

	if [[ $(grep -cF "$own" "$LOG") -ne 1 ]] || ! grep -F "$own" "$LOG" |
	    grep -qE "Z $1\[[0-9]+\]: Q1: to=.* from=<s@x.test> $3\$"; then
		echo "not one line, or not such a line: $1, $2, $3"
		grep -F "to=<$2>" "$LOG"
		return 1
	fi
}

counted()
{
	[[ $(nh metrics | python3 "$NH_ROOT/t/lib/prometheus.py" get "${@:2}") \
		== "$1" ]]
}

DEFERRED='relay=none delay=[0-9.]+ dsn=4\.3\.0 status=deferred'

@test "R-PM-02 agent killed: the master tells what became of each recipient" {
	nh_conf <<-EOC
	[relay r]
	type = blackhole
	delay = 60
	EOC
	nh_start
	submit_later --relay=r a@x.test b@x.test 'c d@x.test'
	nh_until 10 nh_field_is r open 1
	kill -9 "$(nh_agent r)"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	for rcpt in a@x.test b@x.test 'c\x20d@x.test'; do
		final nexthop-master "$rcpt" "$DEFERRED stage=\"\" \(451 delivery agent ended by signal 9 \(Killed\)\)"
	done
	nh_logged 'agent_died relay=r .* open=1 '
	counted 3 nexthop_relay_recipients_total relay=r class=transient
}

@test "R-PM-02 agent killed between answers: its line for one, the master's for the other" {
	[[ -x $NH_BUILD/libexec/nexthop/lmtp ]] || skip "no lmtp"
	fake_start 'S:220 x' L 'A:LHLO *' 'S:250 x' L 'S:250 m' L 'S:250 r' \
		L 'S:250 r' L 'S:250 r' L 'S:354 go' D 'S:250 taken' \
		'S:550 5.1.1 no' Z:60
	nh_conf <<-EOC
	[relay r]
	type = lmtp
	host = 127.0.0.1
	port = $port
	ehlo_as = out.test
	EOC
	nh_start
	submit_later --relay=r a@x.test b@x.test c@x.test
	nh_until 10 nh_logged 'to=<b@x.test> .*status=bounced'
	kill -9 "$(nh_agent r)"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	final lmtp/r a@x.test 'relay=127.0.0.1.* status=sent .*\(250 taken\)'
	final lmtp/r b@x.test 'relay=127.0.0.1.* status=bounced .*'
	final nexthop-master c@x.test "$DEFERRED stage=\"end of data\" \(451 delivery agent ended by signal 9 \(Killed\) after end of data; message may have been delivered\)"
	[[ $(cut -f 2 out | xargs) == 'delivered permanent transient' ]]
	for cls in delivered permanent transient; do
		counted 1 nexthop_relay_recipients_total relay=r class=$cls
	done
}

@test "R-PM-02 agents killed under load: no recipient without a line, the last is the answer" {
	nh_conf <<-EOC
	[relay r]
	type = blackhole
	delay = 20ms
	processes = 4
	restart_delay_max = 1s
	backlog = 100
	EOC
	nh_start
	cat >load.py <<-EOP
	import sys
	sys.path.insert(0, "$NH_ROOT/contrib/client-template")
	sys.dont_write_bytecode = True
	import struct, submit, threading
	c = submit.Connection("$SOCKET")
	c.greet()
	total = int(sys.argv[1])
	room = threading.Semaphore(1500)
	def feed():
	    for n in range(1, total + 1):
	        room.acquire()
	        c.deliver(n, "r", "s@x.test", ["a%d@x.test" % n,
	            "b%d@x.test" % n], b"x\r\n")
	threading.Thread(target=feed, daemon=True).start()
	done = 0
	while done < total:
	    kind, whose, body = c.read_frame()
	    if kind == submit.DONE:
	        done += 1
	        room.release()
	    elif kind == submit.RESULT:
	        a = dict(submit.attributes(body))
	        print("%s%d@x.test" % ("ab"[struct.unpack(">I",
	            a[submit.INDEX])[0]], whose), a[submit.REPLY][0])
	EOP
	nh_spawn python3 load.py 20000 >out 2>err
	for i in $(seq 15); do
		sleep 0.15
		read -ra agents <<<"$(nh_agent r)"
		[[ ${#agents[@]} -eq 0 ]] || kill -9 "${agents[i % ${#agents[@]}]}"
	done
	wait "$NH_PID" || { cat err; return 1; }
	nh_stop
	# Killed between its line and its answer, an agent leaves a line that the
	# master's comes behind.
	python3 - out "$LOG" <<-'EOP'
	import collections, re, sys
	lines = collections.defaultdict(list)
	for line in open(sys.argv[2]):
	    m = re.match(r"\S+ (\S+?)\[\d+\]: -: to=<(.*?)> .* status=(\w+) ", line)
	    if m:
	        lines[m[2]].append((m[1], m[3]))
	answers = [line.split() for line in open(sys.argv[1])]
	assert len(answers) == 40000 == len(set(a[0] for a in answers))
	by_master = twice = 0
	for rcpt, cls in answers:
	    have = lines.pop(rcpt)
	    assert have[-1][1] == {"1": "sent", "2": "deferred"}[cls], have
	    if len(have) > 1:
	        assert [h[0] for h in have] == ["blackhole/r",
	            "nexthop-master"], have
	        twice += 1
	    by_master += have[-1][0] == "nexthop-master"
	assert not lines, lines
	print(by_master, "by the master,", twice, "of them twice")
	assert by_master > 0
	EOP
}

@test "an agent that breaks a rule, or gives no answer: the master tells it" {
	nh_conf <<-EOC
	[relay broken]
	type = custom
	exec = $ROGUE
	mode = garbage
	[relay quiet]
	type = custom
	exec = $ROGUE
	mode = quiet
	[relay hang]
	type = custom
	exec = $ROGUE
	delay = 60
	timeout = 1s
	EOC
	nh_start
	submit_later --relay=broken a@x.test
	wait "$NH_PID" || [[ $? -eq 75 ]]
	final nexthop-master a@x.test "$DEFERRED stage=\"end of data\" \(451 delivery agent broke the protocol after end of data: .*; message may have been delivered\)"
	submit_later --relay=quiet b@x.test c@x.test
	wait "$NH_PID" || [[ $? -eq 75 ]]
	final nexthop-master c@x.test "$DEFERRED stage=\"\" \(451 delivery agent gave no answer for this recipient\)"
	# It does not even hear CANCEL.
	kill -STOP "$(nh_agent hang)"
	submit_later --relay=hang d@x.test
	wait "$NH_PID" || [[ $? -eq 75 ]]
	final nexthop-master d@x.test 'relay=none delay=[0-9.]+ dsn=4\.4\.7 status=deferred stage="" \(451 delivery agent gave no answer in time\)'
	for relay in broken quiet hang; do
		counted 1 nexthop_relay_recipients_total relay=$relay class=transient
	done
}

@test "no relay, a full queue, a submitter that goes, a stop: the master tells it" {
	nh_conf 'stop_timeout = 1' <<-EOC
	[relay r]
	type = blackhole
	delay = 60
	window = 1
	[relay other]
	type = blackhole
	EOC
	nh_start
	run -75 nh submit --relay=none --id=Q1 --from=s@x.test a@x.test <M
	final nexthop-master a@x.test 'relay=none delay=0.000 dsn=4\.3\.5 status=deferred stage="" \(451 no relay named none\)'
	counted 1 nexthop_master_recipients_refused_total
	# What runs is cancelled, and so is what waits.
	submit_later --relay=r --count=2 --parallel=2 b@x.test
	nh_until 10 nh_field_is r queued 1
	kill -9 "$NH_PID"
	nh_until 10 nh_field_is r queued 0
	nh_until 10 nh_field_is r open 0
	grep -E 'blackhole/r\[[0-9]+\]: Q1: to=<b@x.test> .*delivery cancelled' "$LOG"
	grep -E 'nexthop-master\[[0-9]+\]: Q1: to=<b@x.test> .*delivery cancelled' "$LOG"
	[[ $(grep -c 'to=<b@x.test>' "$LOG") -eq 2 ]]
	counted 2 nexthop_relay_recipients_total relay=r class=transient
	submit_later --relay=r c@x.test
	local first=$NH_PID
	nh_until 10 nh_field_is r open 1
	nh_spawn "$NH_BUILD/bin/nexthop" -c "$CONF" submit --id=Q1 --relay=r \
		--from=s@x.test d@x.test <M >out.d
	nh_until 10 nh_field_is r queued 1
	kill "$MASTER"
	wait "$first" || [[ $? -eq 75 ]]
	wait "$NH_PID" || [[ $? -eq 75 ]]
	wait "$MASTER" || :
	MASTER=
	final nexthop-master d@x.test 'relay=none .*dsn=4\.3\.2 status=deferred stage="" \(421 nexthop is stopping\)'
	[[ $(grep -c 'to=<c@x.test>' "$LOG") -eq 1 ]]
}

@test "agents of type custom that do not log: the master writes their lines" {
	nh_conf 'log_format = json' <<-EOC
	[relay front]
	type = custom
	exec = $ROGUE
	relay = own
	reject = X-Bad: yes
	[relay own]
	type = custom
	exec = $ROGUE
	answer = permanent
	EOC
	nh_start
	submit_later --relay=front a@x.test b@x.test
	wait "$NH_PID" || [[ $? -eq 69 ]]
	nh submit --relay=own --id=Q2 --from=s@x.test c@x.test <M || [[ $? -eq 69 ]]
	nh_stop
	python3 - "$LOG" <<-'EOP'
	import json, sys
	rows = [json.loads(line) for line in open(sys.argv[1])]
	rows = [r for r in rows if "to" in r]
	def have(event, to, relay):
	    return [r for r in rows if (r["event"], r["to"], r["relay"]) ==
	            (event, to, relay)]
	for to in "a@x.test", "b@x.test":
	    (r,) = have("forwarded", to, "front")
	    assert r["next_relay"] == "own" and r["id"] == "Q1", r
	    (r,) = have("bounced", to, "own")
	    assert r["id"] == "Q1" and r["code"] == 550, r
	    assert r["program"] == "nexthop-master", r
	    assert r["size"] > 0 and r["delay"] >= 0, r
	(r,) = have("bounced", "c@x.test", "own")
	assert r["id"] == "Q2", r
	assert len(rows) == 5, rows
	EOP
}

@test "a FORWARD that cannot be: the master tells what becomes of the recipients" {
	nh_conf <<-EOC
	[relay r]
	type = custom
	exec = $ROGUE
	relay = gone
	EOC
	nh_start
	submit_later --relay=r a@x.test b@x.test
	wait "$NH_PID" || [[ $? -eq 75 ]]
	for rcpt in a@x.test b@x.test; do
		final nexthop-master $rcpt 'relay=none .*dsn=4\.3\.5 status=deferred stage="" \(451 no relay named gone\)'
	done
	counted 2 nexthop_relay_recipients_total relay=r class=transient
}

@test "JSON: relay, id and size of the message stand in the master's lines" {
	nh_conf 'log_format = json' <<-EOC
	[relay r]
	type = blackhole
	delay = 60
	EOC
	nh_start
	submit_later --relay=r a@x.test
	nh_until 10 nh_field_is r open 1
	kill -9 "$(nh_agent r)"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	nh_stop
	python3 - "$LOG" "$(stat -c %s M)" <<-'EOP'
	import json, sys
	rows = [json.loads(line) for line in open(sys.argv[1])]
	(r,) = [r for r in rows if r["event"] == "deferred"]
	assert r["id"] == "Q1" and r["relay"] == "r", r
	assert r["to"] == "a@x.test" and r["from"] == "s@x.test", r
	assert r["program"] == "nexthop-master" and r["code"] == 451, r
	assert r["size"] == int(sys.argv[2]) and r["delay"] >= 0, r
	EOP
}

@test "R-PM-03 master killed: its agents tell what became of each recipient" {
	[[ -x $NH_BUILD/libexec/nexthop/smtp-static ]] || skip "no smtp-static"
	fake_start 'S:220 x' L 'S:250 x' L 'S:250 m' L 'S:250 r' L 'S:354 go' \
		D Z:60
	nh_conf <<-EOC
	[relay doubt]
	type = static
	host = 127.0.0.1
	port = $port
	ehlo_as = out.test
	[relay bh]
	type = blackhole
	delay = 60
	EOC
	nh_start
	submit_later --relay=doubt a@x.test
	local first=$NH_PID
	nh_until 10 grep -q '^\.' fake
	nh_spawn "$NH_BUILD/bin/nexthop" -c "$CONF" submit --id=Q1 --relay=bh \
		--from=s@x.test b@x.test >out.b 2>&1
	nh_until 10 nh_field_is bh open 1
	kill -9 "$MASTER"
	wait "$MASTER" || :
	MASTER=
	wait "$first" || [[ $? -eq 75 ]]
	nh_until 20 nh_logged 'to=<a@x.test>'
	nh_until 20 nh_logged 'to=<b@x.test>'
	final smtp-static/doubt a@x.test 'relay=none .*dsn=4\.4\.2 status=deferred stage="end of data" \(451 delivery did not end in time; message may have been delivered\)'
	final blackhole/bh b@x.test '.*dsn=4\.3\.0 status=deferred .*delivery cancelled.*'
}

@test "names of running deliveries have a ceiling: what is beyond waits, nothing is lost" {
	big_conf()
	{
		nh_conf 'log_level = warning' <<-EOC
		[relay r]
		type = blackhole
		delay = $1
		[relay other]
		type = blackhole
		EOC
	}
	big_conf 300
	nh_start
	cat >big.py <<-EOP
	import sys
	sys.path.insert(0, "$NH_ROOT/contrib/client-template")
	sys.dont_write_bytecode = True
	import submit, threading
	c = submit.Connection("$SOCKET")
	c.greet()
	rcpts = ["%s%d@x.test" % ("a" * 4000, n) for n in range(250)]
	total = 80
	def feed():
	    for n in range(1, total + 1):
	        c.deliver(n, "r", "s@x.test", rcpts, b"x\r\n")
	threading.Thread(target=feed, daemon=True).start()
	done = answers = 0
	while done < total:
	    kind, whose, body = c.read_frame()
	    done += kind == submit.DONE
	    answers += kind == submit.RESULT
	assert answers == total * len(rcpts), answers
	print("all")
	EOP
	nh_spawn python3 big.py >out 2>err
	# A little over 1,000,000 bytes each; 64 MiB hold no more than 67.
	nh_until 60 nh_field_is r open 67
	nh_until 60 nh_field_is r queued 13
	nh_field_is r open 67
	nh submit --relay=other a@x.test <M
	big_conf 0
	agent=$(nh_agent r)
	nh reload
	kill -9 "$agent"
	wait "$NH_PID" || { cat err; return 1; }
	[[ $(<out) == all ]]
}
