#!/usr/bin/env bats
# FORWARD: agents that hand recipients on to other relays, whatever becomes of
# either; and the time an agent of the operator's own may take.

# shellcheck disable=SC2030,SC2031 # each test has a shell of its own
# shellcheck disable=SC2154 # port is set by the helpers

load lib/nexthop

setup()
{
	nh_setup
	ROGUE=$NH_ROOT/t/lib/rogue_agent.py
	AGENT=$NH_ROOT/contrib/agent-template/agent.py
}

teardown()
{
	nh_teardown
}

submit()
{
	nh submit --relay=front --output=tsv --from=s@x.test "$@" <"$D/M"
}

submit_later()
{
	nh_spawn "$NH_BUILD/bin/nexthop" -c "$CONF" submit --relay=front \
		--output=tsv --from=s@x.test "$@" <"$D/M" >"$D/out" \
		2>>"$D/err.submit"
}

# cell COLUMN ROW
cell()
{
	sed -n "${2}p" "$D/out" | cut -f "$1"
}

# front exec|MODE [LINE...] <RELAYS: the relay "front" that forwards to "out".
front()
{
	local how=$1

	shift
	nh_conf "${MASTER_LINES[@]}" <<-EOC
	[relay front]
	type = custom
	$(if [[ $how == exec ]]; then
		echo "exec = $AGENT"
	else
		printf 'exec = %s\nmode = %s\n' "$ROGUE" "$how"
	fi)
	relay = out
	$(printf '%s\n' "$@")
	$(cat)
	EOC
}

@test "FORWARD: overrides of the submitter stay where none are given" {
	fake_start 'S:220 x' L 'A:EHLO mine.test*' 'S:250 x' L 'S:250 ok' \
		L 'S:250 ok' L 'S:354 go' D 'S:250 2.0.0 taken' L 'S:221 bye' X
	front exec <<-EOC
	[relay out]
	type = static
	host = 127.0.0.9
	EOC
	nh_start
	run -0 submit --nexthop="127.0.0.1:$port" --ehlo=mine.test a@x.test
	wait "$FAKE"
}

@test "FORWARD: a source address goes along" {
	front exec 'source = nonsense' <<-EOC
	[relay out]
	type = static
	host = 127.0.0.9
	EOC
	nh_start
	run -75 submit a@x.test
	[[ $output == *$'\t451\t4.3.5\tbad source address override nonsense: '* ]]
}

@test "FORWARD: to a relay that is not there: transient" {
	front exec <<<''
	nh_start
	run -75 submit a@x.test b@x.test
	[[ ${lines[1]} == b@x.test$'\ttransient\t451\t4.3.5\tno relay named out\t'* ]]
	[[ ${#lines[@]} -eq 2 ]]
	nh_field_is front forwarded 0
}

@test "FORWARD: four hops, a fifth is a loop; a relay to itself" {
	nh_conf <<-EOC
	$(for i in 1 2 3 4 5; do
		printf '[relay r%d]\ntype = custom\nexec = %s\nrelay = r%d\n' \
		    $i "$AGENT" $((i + 1))
	done)
	[relay r6]
	type = blackhole
	[relay front]
	type = custom
	exec = $AGENT
	relay = front
	EOC
	nh_start
	run -0 nh submit --relay=r2 --output=tsv a@x.test b@x.test <M
	[[ ${lines[1]} == b@x.test$'\tdelivered\t250'* ]]
	run -69 nh submit --relay=r1 --output=tsv a@x.test b@x.test <M
	[[ ${lines[0]} == a@x.test$'\tpermanent\t554\t5.4.6\tmail loop: forwarded 4 times, and relay r5 forwards it again to r6\t'* ]]
	[[ ${#lines[@]} -eq 2 ]]
	run -69 submit --count=20 --parallel=20 a@x.test
	[[ ${#lines[@]} -eq 20 ]]
	[[ $(grep -c $'554\t5.4.6' <<<"$output") -eq 20 ]]
	nh_field_is front forwarded 80
	nh_field_is front open 0
}

@test "FORWARD: the agent dies behind it, the other relay answers" {
	front die 'processes = 1' <<-EOC
	[relay out]
	type = blackhole
	delay = 1
	EOC
	nh_start
	run -0 submit a@x.test b@x.test
	[[ ${#lines[@]} -eq 2 ]]
	nh_until 5 nh_field_is front restarts 1
	nh_field_is out delivered 2
}

@test "FORWARD: the other relay dies: in doubt only what was" {
	front exec <<-EOC
	[relay out]
	type = custom
	exec = $AGENT
	work = 30
	[relay later]
	type = custom
	exec = $AGENT
	delay = 30
	EOC
	nh_start
	submit_later a@x.test b@x.test
	nh_until 5 nh_field_is out open 1
	sleep 0.3
	kill -9 "$(nh_agent out)"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	[[ $(cell 5 2) == 'delivery agent ended by signal 9 (Killed) after end of data; message may have been delivered' ]]
	[[ $(wc -l <out) -eq 2 ]]
	sed -i 's/^relay = out/relay = later/' "$CONF"
	nh reload
	submit_later a@x.test
	nh_until 5 nh_field_is later open 1
	kill -9 "$(nh_agent later)"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	[[ $(cell 5 1) == 'delivery agent ended by signal 9 (Killed)' ]]
}

@test "FORWARD: half of it, the rest missing; answers and FORWARD of the same" {
	front half <<-EOC
	[relay out]
	type = blackhole
	EOC
	nh_start
	run -75 submit a@x.test b@x.test c@x.test d@x.test
	[[ ${lines[0]} == *'from a rogue'* ]]
	[[ ${lines[1]} == b@x.test$'\tdelivered'*'Message Delivered'* ]]
	[[ ${lines[2]} == c@x.test$'\ttransient\t451\t4.3.0\tdelivery agent gave no answer'* ]]
	[[ ${lines[3]} == d@x.test$'\tdelivered'*'Message Delivered'* ]]
	nh_stop
	for mode in both odd; do
		front "$mode" <<-EOC
		[relay out]
		type = blackhole
		EOC
		nh_start
		run -0 submit a@x.test b@x.test
		[[ ${#lines[@]} -eq 2 && $output != *'a lie'* ]]
		[[ $mode != both || ${lines[0]} == *'from a rogue'* ]]
		[[ ${lines[1]} == *'Message Delivered'* ]]
		nh_logged 'FORWARD of a recipient that'
		nh_field_is front restarts 0
		nh_stop
	done
	: >"$LOG"
	front late <<<''
	nh_start
	run -75 submit a@x.test
	nh_until 3 nh_logged 'FORWARD for a delivery that is over'
	nh_field_is front restarts 0
}

@test "R-CU-03 FORWARD malformed: the agent is killed, its deliveries answered" {
	for pair in 'norelay:FORWARD without a relay' \
	    'set:malformed attribute in FORWARD' \
	    'double:malformed attribute in FORWARD' \
	    'line:control byte in a text of FORWARD'; do
		front "${pair%%:*}" <<-EOC
		[relay out]
		type = blackhole
		EOC
		nh_start
		run -75 submit a@x.test b@x.test
		[[ ${#lines[@]} -eq 2 ]]
		[[ $output == *"broke the protocol: ${pair#*:}"* ]]
		nh submit --relay=out a@x.test <M
		nh_stop
	done
}

@test "FORWARD: each recipient by itself, a thousand of them" {
	front split <<-EOC
	[relay out]
	type = blackhole
	EOC
	nh_start
	run -0 submit $(seq -f 'r%g@x.test' 1 1000)
	[[ ${#lines[@]} -eq 1000 ]]
	[[ ${lines[999]} == r1000@x.test$'\tdelivered'* ]]
	nh_field_is front forwarded 1000
	nh_field_is out delivered 1000
}

@test "FORWARD: cancelled and abandoned where it is, running and waiting" {
	front exec <<-EOC
	[relay out]
	type = custom
	exec = $ROGUE
	delay = 60
	window = 1
	note = $D/cancelled
	EOC
	chmod 777 .
	nh_start
	submit_later --count=3 --parallel=3 a@x.test
	nh_until 5 nh_field_is out open 1
	nh_until 5 nh_field_is out queued 2
	kill -INT "$NH_PID"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	[[ $(grep -c 'delivery cancelled' out) -eq 3 ]]
	[[ $(wc -l <out) -eq 3 ]]
	[[ $(wc -l <cancelled) -eq 1 ]]
	submit_later --count=3 --parallel=3 a@x.test
	nh_until 5 nh_field_is out open 1
	nh_until 5 nh_field_is out queued 2
	kill -9 "$NH_PID"
	nh_until 5 nh_field_is out open 0
	nh_field_is out queued 0
	[[ $(wc -l <cancelled) -eq 2 ]]
	nh_field_is out restarts 0
	nh_field_is front restarts 0
}

@test "FORWARD: of what was cancelled: no other relay begins it" {
	front oncancel <<-EOC
	[relay out]
	type = blackhole
	EOC
	nh_start
	submit_later a@x.test b@x.test
	nh_until 5 nh_field_is front open 1
	sleep 0.3
	kill -INT "$NH_PID"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	[[ $(grep -c 'delivery cancelled' out) -eq 2 && $(wc -l <out) -eq 2 ]]
	submit_later a@x.test
	nh_until 5 nh_field_is front open 1
	kill -9 "$NH_PID"
	nh_until 5 nh_field_is front open 0
	nh_field_is out delivered 0
	nh_field_is front forwarded 0
	nh_field_is front restarts 0
}

@test "FORWARD: a queue that is full holds the first relay up, nothing is lost" {
	front exec 'backlog = 1' 'window = 4' <<-EOC
	[relay out]
	type = blackhole
	window = 2
	delay = 50ms
	backlog = 3
	EOC
	nh_start
	run -0 submit --count=200 --parallel=200 a@x.test b@x.test
	[[ ${#lines[@]} -eq 400 ]]
	nh_field_is front forwarded 400
	nh_field_is front queued 0
	nh_field_is out queued 0
	nh_field_is out delivered 400
}

has_refused()
{
	[[ $(nh_field front transient) -gt 0 ]]
}

@test "FORWARD: each recipient with its message: memory has an end" {
	# All of them are open before the first is handed on.
	front split 'delay = 2' <<-EOC
	[relay out]
	type = blackhole
	window = 1
	delay = 600
	backlog_timeout = 600
	EOC
	head -c 32000 /dev/zero | tr '\0' x | fold -w 70 >M
	nh_start
	# A shell gives what it starts in the background an empty stdin.
	nh_spawn sh -c 'exec "$@" <M >out' sh "$NH_BUILD/bin/nexthop" \
		-c "$CONF" submit --relay=front --output=tsv --count=20 \
		--parallel=20 $(seq -f 'r%g@x.test' 1 1000) 2>>"$D/err.submit"
	nh_until 60 has_refused
	[[ $(nh status --output=json | sed 's/.*"queued_bytes":\([0-9]*\).*/\1/') -le $((513 << 20)) ]]
	kill -INT "$NH_PID"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	grep -q $'\t451\t4.3.2\trelay out is busy\t' out
	[[ $(cut -f 1,10 out | sort -u | wc -l) -eq 20000 ]]
	[[ $(wc -l <out) -eq 20000 ]]
	nh_until 10 nh_field_is out open 0
	nh_field_is out queued 0
}

@test "FORWARD: no room and no agent: refused at once" {
	front exec <<-EOC
	[relay out]
	type = custom
	exec = $AGENT
	delay = 60
	window = 1
	backlog = 0
	restart_delay_max = 60s
	EOC
	nh_start
	kill -9 "$(nh_agent out)"
	nh_until 5 nh_field_is out state down
	run -75 submit a@x.test
	[[ $output == *$'\t451\t4.3.0\tdelivery agent of relay out is not running: '* ]]
}

@test "FORWARD: deadlines go along" {
	front exec <<-EOC
	[relay out]
	type = custom
	exec = $AGENT
	delay = 60
	window = 1
	EOC
	nh_start
	submit_later --count=2 --parallel=2 --deadline=1 a@x.test
	wait "$NH_PID" || [[ $? -eq 75 ]]
	cat out
	[[ $(grep -c $'451\t4.4.7\|delivery cancelled' out) -eq 2 ]]
	[[ $(wc -l <out) -eq 2 ]]
}

@test "FORWARD: reload of either relay meanwhile, and its removal" {
	front exec <<-EOC
	[relay out]
	type = custom
	exec = $AGENT
	delay = 2
	EOC
	nh_start
	submit_later a@x.test
	nh_until 5 nh_field_is out open 1
	sed -i -e 's/^relay = out/relay = out\ntext = x/' \
	    -e 's/^delay = 2/delay = 0/' "$CONF"
	nh reload
	run -0 submit b@x.test
	wait "$NH_PID"
	[[ $(cell 2 1) == delivered ]]
	sed -i 's/^delay = 0/delay = 2/' "$CONF"
	nh reload
	submit_later a@x.test
	nh_until 5 nh_field_is out open 1
	nh_conf <<-EOC
	[relay bh]
	type = blackhole
	EOC
	nh reload
	wait "$NH_PID"
	[[ $(cell 2 1) == delivered ]]
	nh_until 5 [ "$(nh status --output=tsv | wc -l)" -eq 2 ]
}

@test "FORWARD: a drain waits for what is forwarded, a stop does not" {
	front exec 'delay = 1' <<-EOC
	[relay out]
	type = custom
	exec = $AGENT
	delay = 1
	EOC
	nh_start
	submit_later a@x.test
	nh_until 5 nh_field_is front open 1
	nh drain
	wait "$NH_PID"
	[[ $(cell 2 1) == delivered ]]
	nh_until 5 finished "$MASTER"
	wait "$MASTER"
	MASTER=''
	nh_start
	submit_later a@x.test
	nh_until 5 nh_field_is front open 1
	nh_stop
	wait "$NH_PID" || [[ $? -eq 75 ]]
	[[ $(cell 3 1) == 421 && $(cell 5 1) == 'nexthop is stopping' ]]
}

finished()
{
	! kill -0 "$1" 2>/dev/null
}

@test "FORWARD: kill -9 of everything at random, one answer each" {
	front exec 'processes = 2' 'restart_delay_max = 1s' <<-EOC
	[relay out]
	type = custom
	exec = $AGENT
	processes = 2
	work = 0.01
	restart_delay_max = 1s
	EOC
	nh_start
	submit_later --count=400 --parallel=40 --gap=0.01 a@x.test b@x.test
	for i in 1 2 3 4 5 6 7 8; do
		sleep 0.4
		read -ra pids <<<"$(nh_agent front) $(nh_agent out)"
		[[ ${#pids[@]} -eq 0 ]] ||
			kill -9 "${pids[RANDOM % ${#pids[@]}]}" || :
	done
	wait "$NH_PID" || [[ $? -eq 75 ]]
	[[ $(wc -l <out) -eq 800 ]]
	[[ $(cut -f 1,10 out | sort -u | wc -l) -eq 800 ]]
	nh_until 5 nh_field_is front open 0
	nh_until 5 nh_field_is out open 0
	nh_field_is out queued 0
}

# ---- no answer ----

@test "R-CU-03 timeout: CANCEL, then the master answers; others are unharmed" {
	nh_conf <<-EOC
	[relay front]
	type = custom
	exec = $ROGUE
	mode = forget
	timeout = 1s
	work = 4
	[relay bh]
	type = blackhole
	EOC
	nh_start
	SECONDS=0
	submit_later forget@x.test f2@x.test
	nh_until 5 nh_field_is front open 1
	sleep 0.5
	nh_until 15 finished "$NH_PID"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	cat out
	[[ $SECONDS -ge 5 && $(wc -l <out) -eq 2 ]]
	[[ $(cell 3 1) == 451 && $(cell 4 2) == 4.4.7 ]]
	[[ $(cell 5 1) == 'delivery agent gave no answer in time after end of data; message may have been delivered' ]]
	nh_logged 'rogue_agent.py: no answer in time'
	nh_until 5 nh_field_is front restarts 1
	nh submit --relay=bh a@x.test <M
}

@test "R-CU-03 timeout: the agent goes only when its other deliveries have ended" {
	nh_conf <<-EOC
	[relay front]
	type = custom
	exec = $ROGUE
	mode = forget
	timeout = 4s
	work = 3
	EOC
	nh_start
	submit_later forget@x.test
	nh_until 5 nh_field_is front open 1
	sleep 6.5
	was=$NH_PID
	nh_spawn "$NH_BUILD/bin/nexthop" -c "$CONF" submit --relay=front \
		--output=tsv good@x.test <M >"$D/good"
	# It began before the other one was given up, and ends after that.
	wait "$NH_PID"
	grep -q $'\tdelivered\t' good
	wait "$was" || [[ $? -eq 75 ]]
	grep -q 'gave no answer in time' out
	nh_until 10 nh_field_is front restarts 1
	run -0 submit good@x.test
}

@test "R-CU-03 timeout: what was handed on is not concerned" {
	front keep 'timeout = 500ms' <<-EOC
	[relay out]
	type = blackhole
	delay = 7
	EOC
	nh_start
	run -75 submit forget@x.test b@x.test c@x.test
	[[ ${lines[0]} == forget@x.test$'\ttransient\t451\t4.4.7\tdelivery agent gave no answer in time\t'* ]]
	[[ ${lines[1]} == b@x.test$'\ttransient\t451\t4.4.7\t'* ]]
	[[ ${lines[2]} == c@x.test$'\tdelivered\t'* ]]
	[[ ${#lines[@]} -eq 3 ]]
}

@test "R-CU-03 timeout: all answered but no DONE ends too" {
	front mute 'timeout = 500ms' <<-EOC
	[relay out]
	type = blackhole
	EOC
	nh_start
	run -0 submit a@x.test b@x.test
	[[ ${#lines[@]} -eq 2 ]]
	nh_field_is out delivered 2
}
