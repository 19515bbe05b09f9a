#!/usr/bin/env bats
# The promise: each recipient gets exactly one answer, whatever dies and
# whenever; "delivered" is said of what was delivered, "may have been
# delivered" only where end-of-data had left; nothing is sent twice.

load lib/nexthop
load lib/smtp

setup()
{
	nh_setup
	declare -gA pids=()
}

teardown()
{
	nh_teardown
}

TO=(a@x.test b@x.test c@x.test)
DOUBT='may have been delivered'
# How far each dialogue gets; the message is too large for buffers.
STAGES=(connect greeting ehlo mail rcpt data body dot)

# steps STAGE: the dialogue up to there; $steps.
steps()
{
	local all=('S:220 x' L 'S:250 x' L 'S:250 m' L 'S:250 r' L 'S:250 r' L
		'S:250 r' L 'S:354 go' B:1000 D)
	local -A n=([greeting]=0 [ehlo]=2 [mail]=4 [rcpt]=8 [data]=12
		[body]=14 [dot]=15)

	steps=("${all[@]:0:${n[$1]}}")
}

# peers LAST...: a scripted server for each stage that ends with these steps,
# and a relay of the same name in $CONF.
peers()
{
	local stage

	for stage in "${STAGES[@]}"; do
		if [[ $stage == connect ]]; then
			steps=(--full 0)
		else
			steps "$stage"
			steps+=("$@")
		fi
		rm -f "port.$stage"
		[[ $stage == connect ]] || steps=(0 "${steps[@]}")
		nh_spawn "$NH_BUILD/t/tools/fake" --log="fake.$stage" \
			--port-file="port.$stage" "${steps[@]}" \
			2>>"$D/err.fake"
	done
	for stage in "${STAGES[@]}"; do
		nh_until 5 test -s "port.$stage"
		printf '[relay %s]\ntype = static\nhost = 127.0.0.1\nport = %s\n' \
			"$stage" "$(<"port.$stage")"
		printf '%s\n' "${KEYS[@]}"
	done | nh_conf
}

large()
{
	python3 -c 'import sys
sys.stdout.write("Message-Id: <1@x>\n\n" + ("x" * 99 + "\n") * 200000)'
}

# submit_all: to every relay, in the background; answers in out.STAGE.
submit_all()
{
	large >large
	for stage in "${STAGES[@]}"; do
		submit_later "$stage" >"out.$stage"
		pids[$stage]=$NH_PID
	done
}

# submit_later RELAY: $NH_PID is that of the program itself.
submit_later()
{
	nh_spawn sh -c 'exec "$@" <large 2>>err.submit' sh \
		"$NH_BUILD/bin/nexthop" -c "$CONF" submit --relay="$1" \
		--output=tsv --from=s@x.test "${TO[@]}"
}

# Every peer has come to its last step.
reached()
{
	local relay

	for relay in "${STAGES[@]}"; do
		nh_field_is "$relay" open 1 || return 1
	done
	[[ $(grep -ac '^--- conn' fake.greeting) -eq 1 ]] &&
		grep -aq '^EHLO' fake.ehlo && grep -aq '^MAIL' fake.mail &&
		[[ $(grep -ac '^RCPT' fake.rcpt) -eq 2 ]] &&
		grep -aq '^DATA' fake.data &&
		[[ $(wc -c <fake.body) -gt 1000 ]] &&
		{ [[ ${STAGES[-1]} != dot ]] || grep -aq $'^\\.\r' fake.dot; }
}

# answers STAGE STATUS: all have one answer, transient and in order.
answers()
{
	local status=0 i

	wait "${pids[$1]}" || status=$?
	echo "$1: status $status"
	cat "out.$1"
	[[ $status -eq 75 ]]
	cut -f 1 "out.$1" | cmp - <(printf '%s\n' "${TO[@]}")
	[[ $(cut -f 2 "out.$1" | sort -u) == transient ]]
	[[ $(cut -f 3 "out.$1" | grep -vc '^4') -eq 0 ]]
	[[ $(cut -f 4 "out.$1" | grep -vc '^4') -eq 0 ]]
}

# doubt: said of those, and of no other, whose end of data had left.
doubt()
{
	local stage

	for stage in "${STAGES[@]}"; do
		answers "$stage"
		if [[ $stage == dot ]]; then
			[[ $(grep -c "$DOUBT" "out.$stage") -eq 3 ]]
		else
			[[ $(grep -c "$DOUBT" "out.$stage") -eq 0 ]]
		fi
	done
	# None of them was given an end that it could take for the real one.
	! grep -aq $'^\\.\r' fake.{greeting,ehlo,mail,rcpt,data,body} ||
		return 1
}

# ---- something stops ----

@test "peers that fall silent, in each stage" {
	KEYS=('connect_timeout = 1s' 'command_timeout = 1s' 'data_timeout = 1s')
	peers Z:20
	nh_start
	submit_all
	doubt
	[[ $(cut -f 4 out.connect | sort -u) == 4.4.1 ]]
	for stage in "${STAGES[@]:1}"; do
		[[ $(cut -f 3-4 "out.$stage" | sort -u) == $'421\t4.4.2' ]]
		nh_field_is "$stage" restarts 0
		nh_field_is "$stage" open 0
	done
}

@test "peers that close, in each stage" {
	KEYS=('connect_timeout = 1s')
	peers X
	nh_start
	submit_all
	doubt
	for stage in "${STAGES[@]:1}"; do
		[[ $(grep -c 'lost connection with' "out.$stage") -eq 3 ]]
	done
}

@test "peers that reset, in each stage" {
	KEYS=('connect_timeout = 1s')
	peers R
	nh_start
	submit_all
	doubt
}

@test "R-PM-02: the agent killed, in each stage" {
	KEYS=('connect_timeout = 20s' 'restart_delay_max = 1s')
	peers Z:20
	nh_start
	submit_all
	nh_until 10 reached
	for stage in "${STAGES[@]}"; do
		kill -9 "$(nh_agent "$stage")"
	done
	doubt
	for stage in "${STAGES[@]}"; do
		[[ $(cut -f 3-4 "out.$stage" | sort -u) == $'451\t4.3.0' ]]
		[[ $(grep -c 'ended by signal 9' "out.$stage") -eq 3 ]]
		nh_field_is "$stage" open 0
	done
}

@test "R-PM-03: the master killed, in each stage: said for each recipient, no agent left" {
	KEYS=('connect_timeout = 20s')
	peers Z:20
	nh_start
	submit_all
	nh_until 10 reached
	agents=()
	for stage in "${STAGES[@]}"; do
		agents+=("$(nh_agent "$stage")")
	done
	[[ ${#agents[@]} -eq 8 ]]
	kill -9 "$MASTER"
	wait "$MASTER" || :
	MASTER=''
	killed=$(nh_ms)
	all_gone()
	{
		local pid

		# One that has ended may wait for init to notice.
		for pid in "${agents[@]}"; do
			! grep -q '^State:[^Z]*$' "/proc/$pid/status" || return 1
		done
	}
	nh_until 8 all_gone
	took=$(($(nh_ms) - killed))
	is_instrumented || took 0 3000
	for stage in "${STAGES[@]}"; do
		answers "$stage"
		[[ $(grep -c 'connection to nexthop-master lost' "out.$stage") \
		    -eq 3 ]]
	done
	! grep -aq $'^\\.\r' fake.{greeting,ehlo,mail,rcpt,data,body} ||
		return 1
}

@test "the submitter killed, in each stage before the dot: it stops" {
	KEYS=('connect_timeout = 20s')
	STAGES=("${STAGES[@]:0:7}")
	peers P:1 D C
	nh_start
	submit_all
	nh_until 10 reached
	kill -9 "${pids[@]}"
	for stage in "${STAGES[@]}"; do
		nh_until 5 nh_field_is "$stage" open 0
		nh_field_is "$stage" restarts 0
		nh_field_is "$stage" queued 0
		[[ ! -s out.$stage ]]
	done
	# Their servers read on, and find the end of the connection.
	for stage in "${STAGES[@]:1}"; do
		nh_until 5 grep -aq -- '--- eof' "fake.$stage"
	done
	! grep -aq $'^\\.\r' fake.* || return 1
	! nh_logged 'status=sent' || return 1
}

@test "the submitter killed in the body: the connection dies without a dot" {
	steps body
	fake_start "${steps[@]}" P:1 D
	nh_conf <<-EOC
	[relay r]
	type = static
	host = 127.0.0.1
	port = $port
	EOC
	nh_start
	large >large
	submit_later r >out
	nh_until 5 grep -aq xxxx fake
	kill -9 "$NH_PID"
	nh_until 5 nh_field_is r open 0
	nh_until 5 grep -aq -- '--- eof' fake
	! grep -aq $'^\\.\r' fake || return 1
	nh_field_is r restarts 0
}

@test "the submitter killed after the dot: it runs to its end" {
	steps dot
	fake_start "${steps[@]}" Z:0.7 'S:250 ok' C
	nh_conf <<-EOC
	[relay r]
	type = static
	host = 127.0.0.1
	port = $port
	EOC
	nh_start
	large >large
	submit_later r >out
	nh_until 8 grep -aq $'^\\.\r' fake
	kill -9 "$NH_PID"
	nh_until 5 nh_logged 'status=sent'
	[[ $(grep -c 'status=sent' "$LOG") -eq 3 ]]
	nh_field_is r open 0
}

# ---- many ----

@test "10,000 recipients, through the master and by hand: 10,000 rows in order" {
	sink_start -U
	nh_conf <<-EOC
	[relay r]
	type = static
	host = 127.0.0.1
	port = $port
	EOC
	nh_start
	seq -f 'r%.0f@x.test' 10000 >to
	mapfile -t to <to
	nh submit --output=tsv --from=s@x.test "${to[@]}" <M >rows
	cut -f 1 rows | cmp - to
	[[ $(cut -f 2 rows | sort -u) == delivered ]]
	"$NH_BUILD/libexec/nexthop/smtp-static" -o host=127.0.0.1 \
		-o port="$port" --output=tsv "${to[@]}" <M >rows 2>>err.agent
	cut -f 1 rows | cmp - to
	[[ $(cut -f 2 rows | sort -u) == delivered ]]
	sink_end
	counted recipients 20000
}

@test "10,000 recipients, some refused: each its own answer" {
	sink_start -U -r rcpt:10:550
	seq -f 'r%.0f@x.test' 10000 >to
	mapfile -t to <to
	status=0
	"$NH_BUILD/libexec/nexthop/smtp-static" -o host=127.0.0.1 \
		-o port="$port" --output=tsv "${to[@]}" <M >rows \
		2>>err.agent || status=$?
	[[ $status -eq 69 ]]
	cut -f 1 rows | cmp - to
	sink_end
	n=$(cut -f 2 rows | grep -c delivered)
	[[ $n -gt 8000 && $n -lt 9900 ]]
	counted recipients "$n"
	[[ $(cut -f 2,3 rows | grep -vc delivered) -eq $((10000 - n)) ]]
	[[ $(cut -f 2,3 rows | sort -u | wc -l) -eq 2 ]]
}

many()
{
	"$@" --count=5000 --parallel=5000 --output=tsv --from=s@x.test r@x.test \
		<M >rows 2>>err.agent
	rows 5000
	[[ $(cut -f 1-2 rows | sort -u) == $'r@x.test\tdelivered' ]]
	cut -f 10 rows | cmp - <(seq 5000)
}

@test "5,000 at once to one host: 5,000 delivered, 5,000 there" {
	sink_start -U
	nh_conf <<-EOC
	[relay r]
	type = static
	host = 127.0.0.1
	port = $port
	EOC
	nh_start
	many nh submit
	many "$NH_BUILD/libexec/nexthop/smtp-static" -o host=127.0.0.1 \
		-o port="$port"
	nh_field_is r delivered 5000
	nh_field_is r restarts 0
	nh_stop
	sink_end
	counted messages 10000
	counted recipients 10000
}

@test "R-BH-01: 5,000 at once into the blackhole" {
	nh_conf <<-EOC
	[relay r]
	type = blackhole
	EOC
	nh_start
	many nh submit
	many "$NH_BUILD/libexec/nexthop/blackhole"
	nh_field_is r delivered 5000
}

# ---- chaos: rows against what the other side has ----

# bulk COUNT: that many messages to two recipients, 100 at once; rows in $D/rows.
bulk()
{
	timeout 80 python3 "$NH_ROOT/t/lib/bulk.py" \
		"$NH_ROOT/contrib/client-template" "$SOCKET" r "$1" 100 \
		a@x.test b@x.test >rows
}

# balance COUNT EXACT: rows against the sink's list of messages.
balance()
{
	python3 - "$@" <<-'EOP'
	import collections, json, sys
	count, exact = int(sys.argv[1]), sys.argv[2] == 'exact'
	rows, told, there = {}, collections.Counter(), {}
	may = collections.Counter()
	for line in open('rows'):
	    ident, index, cls, code, dsn, text = line.rstrip('\n').split('\t')
	    assert cls in ('delivered', 'transient', 'permanent'), line
	    key = int(ident), int(index)
	    assert key not in rows, 'two answers: ' + line
	    rows[key] = cls
	    told[int(ident)] += cls == 'delivered'
	    may[int(ident)] += 'may have been delivered' in text
	    assert cls == 'transient' or 'may have' not in text, line
	assert set(rows) == {(m, r) for m in range(1, count + 1) for r in (0, 1)}
	for line in open('messages'):
	    ident, octets, nrcpt, *rest = line.split()
	    ident = int(ident.split('@')[0])
	    assert ident not in there, 'twice: ' + line
	    there[ident] = int(nrcpt)
	report = json.load(open('sink.json'))
	assert report['duplicates'] == 0, report
	classes = collections.Counter(rows.values())
	print(dict(classes), 'in doubt', sum(may.values()), 'there',
	    sum(there.values()), 'lost replies', report['lost_replies'])
	for m in range(1, count + 1):
	    n = there.get(m, 0)
	    assert told[m] <= n <= told[m] + may[m], (m, n, told[m], may[m])
	    if exact:
	        assert n == told[m] + may[m], (m, n, told[m], may[m])
	assert classes['delivered'] > count // 2
	if exact:
	    assert classes['transient'] > 50 and sum(may.values()) > 0
	    assert len(there) == report['messages']
	EOP
}

chaos()
{
	sink_start -o messages -r rcpt:5:450 -r dot:2:451 -r dot:0.5:0 \
		-r mail:1:0 -n 50 -S 7 "${SINK_FLAGS[@]}"
	nh_conf <<-EOC
	[relay r]
	type = static
	host = 127.0.0.1
	port = $port
	restart_delay_max = 1s
	$(printf '%s\n' "$@")
	EOC
	nh_start
}

@test "a server that refuses and hangs up at random: rows and messages agree" {
	SINK_FLAGS=()
	chaos 'chunking = no'
	bulk 2000
	nh_stop
	sink_end
	balance 2000 exact
}

@test "the same without PIPELINING and with one connection" {
	SINK_FLAGS=(-p -k)
	chaos 'concurrent_connections = 1'
	bulk 1000
	nh_stop
	sink_end
	balance 1000 exact
}

@test "the same with CHUNKING" {
	SINK_FLAGS=()
	chaos
	bulk 2000
	nh_stop
	sink_end
	balance 2000 bounds
}

@test "the agent killed again and again under load: none lost, none twice" {
	SINK_FLAGS=(-D 15)
	chaos 'concurrent_connections = 20'
	nh_spawn bulk 3000
	is_busy()
	{
		[[ -n $(nh_agent r) && $(nh_field r open) -gt 50 ]]
	}
	for _ in 1 2 3; do
		nh_until 10 is_busy
		sleep 0.3
		kill -9 "$(nh_agent r)"
	done
	wait "$NH_PID"
	[[ $(nh_field r restarts) -ge 2 ]]
	nh_stop
	sink_end
	balance 3000 bounds
	[[ $(grep -c 'ended by signal 9' rows) -gt 0 ]]
}

# Three deliveries by descriptor over one connection: as it is, while the
# process $1 may open no file, and again.
without_files()
{
	python3 - "$NH_ROOT/contrib/client-template" "$SOCKET" "$1" <<-'EOP'
	import re
	import subprocess
	import sys
	sys.dont_write_bytecode = True
	sys.path.insert(0, sys.argv[1])
	import submit
	status = open("/proc/%s/status" % sys.argv[3]).read()
	ids = re.search(r"Uid:\t(\d+).*\nGid:\t(\d+)", status)
	was = re.search(r"Max open files +(\w+)", open(
	    "/proc/%s/limits" % sys.argv[3]).read())[1]
	c = submit.Connection(sys.argv[2])
	c.greet()
	for n in range(1, 4):
	    # Even root may set the limits of others with a capability only.
	    subprocess.run(["prlimit", "--pid", sys.argv[3], "--nofile=%s:" %
	                    ("3" if n == 2 else was)], user=int(ids[1]),
	                   group=int(ids[2]), extra_groups=[], check=True)
	    fd = submit.descriptor(b"Subject: x\r\n\r\nx\r\n")
	    c.deliver(n, "r", "s@x.test", ["a@x.test", "b@x.test"], fd=fd)
	    for answer in c.answers(n):
	        print(*answer, sep="\t")
	EOP
}

@test "no descriptor is free for a message: that one fails for now, no other" {
	local pid

	printf '[relay r]\ntype = blackhole\n' | nh_conf
	nh_start
	pid=$(nh_agent r)
	for who in "$MASTER" "$pid"; do
		without_files "$who" >out
		cut -f 1-4 out | paste -sd ' ' | tr '\t' ' ' | grep -x \
			'0 delivered 250 2.0.0 1 delivered 250 2.0.0 0 transient 451 4.3.0 1 transient 451 4.3.0 0 delivered 250 2.0.0 1 delivered 250 2.0.0'
		grep 'no descriptor' out || grep 'has no descriptor free' out
		! grep "$DOUBT" out
	done
	[[ $(nh_agent r) == "$pid" ]]
}
