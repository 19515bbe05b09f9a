#!/usr/bin/env bats
# What is counted, as Prometheus sees it: by `nexthop metrics`, over HTTP, in
# the rules and the dashboard of contrib/.

# shellcheck disable=SC2154 # port is set by the helpers

load lib/nexthop

setup()
{
	nh_setup
	unset http_proxy
}

teardown()
{
	nh_teardown
}

prometheus()
{
	python3 "$NH_ROOT/t/lib/prometheus.py" "$@"
}

# value NAME [LABEL=VALUE]...: of the text of the moment
value()
{
	nh metrics | prometheus get "$@"
}

# is VALUE NAME...: within the second or two that statistics may take
is_now()
{
	[[ $(value "${@:2}") == "$1" ]]
}

is()
{
	nh_until 30 is_now "$@" || {
		echo "${*:2}: $(value "${@:2}"), not $1"
		return 1
	}
}

send()
{
	nh submit --relay="$1" --from=s@x.test --count="$2" \
		--parallel="${3:-1}" r@x.test <"$D/M" >/dev/null
}

# A server of metrics; $url
with_http()
{
	local http

	http=$(nh_free_port)
	url=http://127.0.0.1:$http
	{
		printf '[metrics]\nlisten = inet:127.0.0.1:%s, unix:%s\n' \
			"$http" "$D/m.sock"
		printf 'listen_mode = 0666\n'
		[[ $# -eq 0 ]] || printf '%s\n' "$@"
	} >>"$CONF"
}

nh_http()
{
	nh_start
	nh_until 30 curl -sf -o /dev/null "$url/healthz"
}

# ---- the text ----

@test "metrics: recipients by class and stage, times by phase, connections" {
	sink_start
	nh_conf <<-EOC
	[relay out]
	type = static
	host = 127.0.0.1:$port
	[relay bh]
	type = blackhole
	[relay none]
	type = static
	host = 127.0.0.1:1
	EOC
	nh_start
	send out 20 2
	send bh 3
	send none 2 || [[ $? -eq 75 ]]
	is 20 nexthop_relay_recipients_total relay=out class=delivered \
		'stage=end of data'
	is 3 nexthop_relay_recipients_total relay=bh class=delivered stage=none
	is 2 nexthop_relay_recipients_total relay=none class=transient \
		stage=connect
	is 20 nexthop_relay_delivery_seconds_count relay=out class=delivered
	is 0 nexthop_relay_delivery_seconds_count relay=out class=permanent
	is 20 nexthop_relay_queue_seconds_count relay=out
	is 20 nexthop_agent_phase_seconds_count relay=out phase=wait
	is 20 nexthop_agent_phase_seconds_count relay=out phase=reply
	opened=$(value nexthop_agent_connections_opened_total relay=out)
	[[ $opened -ge 1 && $opened -le 2 ]]
	is "$opened" nexthop_agent_phase_seconds_count relay=out phase=connect
	is "$opened" nexthop_agent_phase_seconds_count relay=out phase=hello
	is $((20 - opened)) nexthop_agent_connections_reused_total relay=out
	is none nexthop_agent_phase_seconds_count relay=out phase=tls
	is 1 nexthop_relay_up relay=out
	is 3 nexthop_relay_agents_ready
	is 0 nexthop_destination_last_error_timestamp_seconds relay=out
	is 0 nexthop_destination_waiting relay=none destination=127.0.0.1:1
	[[ $(value nexthop_destination_last_error_timestamp_seconds \
		relay=none) != 0 ]]
	# All of it is sound, and named in the manual page.
	nh metrics >m.txt
	prometheus check <m.txt
	prometheus families <m.txt >shown
	[[ $(wc -l <shown) -gt 40 ]]
	while read -r name kind; do
		grep -q "^\.It Ic $name\$" "$NH_BUILD/man/nexthop-metrics.7"
	done <shown
}

@test "metrics: phases of a slow server lie where the time was spent; TLS" {
	local phase

	fake_start Z:1.2 'S:220 x' L 'S:250-x' 'S:250 STARTTLS' L 'S:220 go' T \
		L 'S:250 x' L Z:1.2 'S:250 ok' L 'S:250 ok' L 'S:354 go' \
		D Z:1.2 'S:250 taken' L 'S:221 bye' X
	nh_conf <<-EOC
	[relay out]
	type = static
	host = 127.0.0.1:$port
	EOC
	nh_start
	send out 1
	for phase in connect hello tls commands body reply; do
		is 1 nexthop_agent_phase_seconds_count relay=out phase=$phase
	done
	# At least the time of the script; much more only on a busy machine.
	for phase in hello commands reply; do
		is 0 nexthop_agent_phase_seconds_bucket relay=out \
			phase=$phase le=1
	done
	is 1 nexthop_agent_phase_seconds_bucket relay=out phase=reply le=10
	# What others spent does not count for these.
	is 1 nexthop_agent_phase_seconds_bucket relay=out phase=connect le=1
	is 1 nexthop_agent_phase_seconds_bucket relay=out phase=body le=1
	is 0 nexthop_relay_delivery_seconds_bucket relay=out class=delivered \
		le=2.5
	is 1 nexthop_agent_tls_sessions_total result=unverified
	is 0 nexthop_agent_tls_sessions_total result=failed
}

@test "metrics: a program's run and its wait" {
	nh_conf <<-EOC
	[relay p]
	type = pipe
	args = /bin/sh -c "sleep 1.5; exit 0"
	max_processes = 1
	EOC
	nh_start
	send p 2 2
	is 2 nexthop_agent_phase_seconds_count relay=p phase=run
	is 0 nexthop_agent_phase_seconds_bucket relay=p phase=run le=1
	is 2 nexthop_agent_phase_seconds_bucket relay=p phase=run le=+Inf
	# The second waited for the first.
	is 1 nexthop_agent_phase_seconds_bucket relay=p phase=wait le=1
	is 2 nexthop_agent_runs_total relay=p
}

@test "metrics: counters never go back: an agent killed, options changed" {
	nh_conf <<-EOC
	[relay bh]
	type = blackhole
	[relay none]
	type = static
	host = 127.0.0.1:1
	EOC
	nh_start
	send bh 50
	send none 5 || [[ $? -eq 75 ]]
	is 50 nexthop_agent_recipients_delivered_total relay=bh
	is 5 nexthop_agent_phase_seconds_count relay=none phase=wait
	nh metrics >old
	kill -9 "$(nh_agent bh)" "$(nh_agent none)"
	nh_until 30 nh_field_is bh restarts 1
	nh metrics >new
	prometheus grown old <new
	nh_until 30 nh_field_is bh state ready
	nh_until 30 nh_field_is none state ready
	send bh 7
	send none 1 || [[ $? -eq 75 ]]
	is 57 nexthop_agent_recipients_delivered_total relay=bh
	is 6 nexthop_agent_phase_seconds_count relay=none phase=wait
	is 2 nexthop_relay_restarts_total
	nh metrics | prometheus grown new
	# What a draining agent counted in its last second is not lost.
	nh metrics >old
	send bh 9
	sed -i 's/^type = blackhole/&\nwindow = 77/' "$CONF"
	nh reload
	is 66 nexthop_agent_recipients_delivered_total relay=bh
	nh metrics | prometheus grown old
	is 2 nexthop_relay_generation relay=bh
}

@test "metrics: what an agent lies about cannot break the text" {
	nh_conf <<-EOC
	[relay r]
	type = custom
	exec = $NH_ROOT/t/lib/rogue_agent.py
	mode = stats
	EOC
	nh_start
	send r 1
	is 5 nexthop_custom_mine_total relay=r
	is 13 nexthop_custom_mine relay=r
	is 7 nexthop_custom_mine relay=r a=b
	is 8 nexthop_agent_requests_total relay=r
	is 210 nexthop_agent_phase_seconds_count relay=r phase=run
	is 1.5 nexthop_agent_phase_seconds_sum relay=r phase=run
	is 6 nexthop_destination_waiting relay=r
	nh metrics >m.txt
	prometheus check <m.txt
	run ! grep -i evil m.txt
	run ! grep 'relay="other' m.txt
	[[ $(grep -c '^nexthop_destination_waiting' m.txt) -eq 2 ]]
	grep -F 'destination="a\"b\\\\c\\n:25"} 3' m.txt
	run -0 nh metrics --destinations=1
	[[ $(grep -c '^nexthop_destination_waiting' <<<"$output") -eq 1 ]]
	run -0 nh metrics --destinations=0
	run ! grep '^nexthop_destination' <<<"$output"
	run -64 nh metrics --destinations=1001
	run -64 nh metrics --nonsense
	# The status tells them, too, and is still JSON.
	nh status --output=json >s.json
	python3 -c 'import json, sys
d = json.load(open("s.json"))["relays"][0]
assert d["agents"][0]["stats"]["mine_total"] == 5
assert len(d["destinations"]) == 2, d["destinations"]
assert d["times"]["run"]["counts"][20] == 20'
	run ! grep -P '[\x00-\x08\x1b]' s.json
}

@test "metrics: an intake's connections, messages and answers" {
	nh_conf <<-EOC
	[intake in]
	listen = unix:$D/l.sock
	listen_mode = 0666
	relay = bh
	[relay bh]
	type = blackhole
	EOC
	nh_start
	nh_until 30 is_now 1 nexthop_door_up door=in kind=intake
	python3 - <<-'EOP'
	import socket
	with socket.socket(socket.AF_UNIX) as s:
	    s.settimeout(20)
	    s.connect('l.sock')
	    f = s.makefile('rb')
	    def say(text, replies=1):
	        if text:
	            s.sendall(text.encode() + b'\r\n')
	        for _ in range(replies):
	            while (line := f.readline())[3:4] == b'-':
	                pass
	            assert line[:1] in b'23', line
	    say('')
	    say('LHLO x.test')
	    say('MAIL FROM:<a@x.test>')
	    say('RCPT TO:<b@y.test>')
	    say('RCPT TO:<c@y.test>')
	    say('DATA')
	    say('From: a@x.test\r\n\r\nhi\r\n.', 2)
	    say('QUIT')
	EOP
	is 1 nexthop_intake_connections_opened_total intake=in
	is 1 nexthop_intake_messages_total intake=in
	is 2 nexthop_intake_recipients_delivered_total intake=in
	is 1 nexthop_door_deliveries_total door=in kind=intake
	is 2 nexthop_relay_recipients_total relay=bh class=delivered
	nh metrics >old
	prometheus check <old
	run ! grep '^nexthop_custom' old
	# What was counted stays when its process goes.
	kill -9 "$(nh_field in pids)"
	is 1 nexthop_door_restarts_total door=in
	nh metrics | prometheus grown old
}

# ---- over HTTP ----

@test "metrics-http: GET and HEAD of /metrics and /healthz, and nothing else" {
	nh_conf <<-EOC
	[relay bh]
	type = blackhole
	EOC
	with_http
	nh_http
	curl -s -D head "$url/metrics" >m.txt
	grep -q '^HTTP/1.1 200 OK' head
	grep -q '^Content-Type: text/plain; version=0.0.4; charset=utf-8' head
	prometheus check <m.txt
	[[ $(prometheus get nexthop_door_up door=metrics <m.txt) == 1 ]]
	run -0 curl -s --unix-socket "$D/m.sock" http://localhost/healthz
	[[ $output == ok ]]
	run -0 curl -sI "$url/metrics"
	[[ $output == *'200 OK'*Content-Length:* ]]
	run -0 curl -s -o /dev/null -w '%{http_code}' "$url/"
	[[ $output == 404 ]]
	run -0 curl -s -D - -X DELETE "$url/metrics"
	[[ $output == *'405 Method Not Allowed'*'Allow: GET, HEAD'* ]]
	run -0 curl -s -o /dev/null -w '%{http_code}' -d x "$url/metrics"
	[[ $output == 413 ]]
	run -0 curl -s -o /dev/null -w '%{http_code}' -H "A: $(printf 'x%.0s' \
		{1..9000})" "$url/metrics"
	[[ $output == 431 ]]
	# One connection for several requests, and for some sent at once.
	run -0 curl -s -w '%{num_connects}\n' -o /dev/null "$url/healthz" \
		-o /dev/null "$url/metrics" -o /dev/null "$url/x"
	[[ $output == $'1\n0\n0' ]]
	exec 5<>"/dev/tcp/127.0.0.1/${url##*:}"
	printf 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n%s' \
		$'HEAD /x HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n' >&5
	run -0 timeout 60 cat <&5
	exec 5>&-
	[[ $(grep -c '^HTTP/1.1' <<<"$output") -eq 3 ]]
	[[ $output == *'200 OK'*'404 Not Found'*'400 Bad Request'*'Connection: close'* ]]
	# It has no rights.
	pid=$(nh_field metrics pids)
	if [[ $(id -u) -eq 0 ]]; then
		[[ $(ps -o user= -p "$pid") == nobody ]]
	fi
	nh_until 30 is_now 1 nexthop_door_processes_ready
	counted() { [[ $(value nexthop_metrics_http_requests_total) -ge 8 ]]; }
	nh_until 30 counted
}

@test "metrics-http: an answer is good for a second, for whoever asks" {
	nh_conf <<-EOC
	[relay bh]
	type = blackhole
	EOC
	with_http
	nh_http
	# Where two questions took a second they say nothing: once more.
	python3 - "${url##*:}" "$NH_BUILD/bin/nexthop" -c "$CONF" submit \
		--relay=bh r@x.test <<-'EOP'
	import socket, subprocess, sys, time
	n = 0
	def ask(f, s):
	    s.sendall(b'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n')
	    assert f.readline().startswith(b'HTTP/1.1 200 ')
	    size = 0
	    while (line := f.readline()) != b'\r\n':
	        if line.lower().startswith(b'content-length:'):
	            size = int(line.split()[1])
	    return f.read(size)
	with socket.create_connection(('127.0.0.1', int(sys.argv[1]))) as s:
	    f = s.makefile('rb')
	    for _ in range(40):
	        time.sleep(1.1)
	        began = time.monotonic()
	        one = ask(f, s)
	        with open('M') as m:
	            subprocess.run(sys.argv[2:], stdin=m, check=True,
	                           stdout=subprocess.DEVNULL)
	        n += 1
	        two = ask(f, s)
	        if time.monotonic() - began < 0.9:
	            break
	    else:
	        sys.exit('never two of them within a second')
	    assert one == two
	with open('n', 'w') as f:
	    print(n, file=f)
	EOP
	delivered()
	{
		[[ $(curl -s "$url/metrics" | prometheus get \
			nexthop_relay_recipients_total class=delivered) == $(<n) ]]
	}
	nh_until 30 delivered
	# The master's part in a flood: at most a text a second.
	before=$(awk '{ print $14 + $15 }' "/proc/$MASTER/stat")
	python3 - "${url##*:}" <<-'EOP'
	import socket, sys
	n = 0
	with socket.create_connection(('127.0.0.1', int(sys.argv[1]))) as s:
	    f = s.makefile('rb')
	    for _ in range(3000):
	        s.sendall(b'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n')
	        assert f.readline().startswith(b'HTTP/1.1 200 ')
	        size = 0
	        while (line := f.readline()) != b'\r\n':
	            if line.lower().startswith(b'content-length:'):
	                size = int(line.split()[1])
	        assert len(f.read(size)) == size
	EOP
	after=$(awk '{ print $14 + $15 }' "/proc/$MASTER/stat")
	echo "ticks of the master: $((after - before))"
	[[ $((after - before)) -le 50 ]]
}

@test "metrics-http: /healthz names relays without an agent, 503" {
	nh_conf <<-EOC
	[relay bh]
	type = blackhole
	[relay r]
	type = blackhole
	EOC
	with_http
	nh_http
	run -0 nh metrics --health
	[[ $output == ok ]]
	# A text is up to a second old, and so long is the first wait for a new
	# agent: each death doubles it.
	sick()
	{
		kill -9 "$(nh_agent r)" || :
		curl -s -w ' %{http_code}' "$url/healthz" >health
		[[ $(<health) == *503 ]]
	}
	nh_until 30 sick
	[[ $(<health) == 'relay r has no ready agent'*503 ]]
	nh_until 30 nh_field_is r state ready
	nh_until 30 curl -sf "$url/healthz"
}

@test "metrics-http: slow clients and too many of them lose their place" {
	nh_conf <<-EOC
	[relay bh]
	type = blackhole
	EOC
	with_http 'max_connections = 4' 'request_timeout = 1s' \
		'idle_timeout = 60s'
	nh_http
	python3 - "${url##*:}" <<-'EOP'
	import socket, sys, time
	at = ('127.0.0.1', int(sys.argv[1]))
	get = b'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
	def answer(s):
	    s.settimeout(10)
	    return s.recv(65536)
	# A byte now and then does not lengthen the time.
	slow = socket.create_connection(at)
	began = time.monotonic()
	got = b''
	try:
	    for c in get * 3:
	        slow.sendall(bytes([c]))
	        slow.settimeout(0.1)
	        try:
	            got = slow.recv(65536)
	            break
	        except TimeoutError:
	            pass
	except OSError:
	    got = answer(slow)
	assert got.startswith(b'HTTP/1.1 408 '), got
	assert time.monotonic() - began > 0.8
	# The fifth one takes the place of the one that was quiet for longest.
	all = []
	for _ in range(4):
	    s = socket.create_connection(at)
	    s.sendall(get)
	    assert answer(s).startswith(b'HTTP/1.1 200 ')
	    all.append(s)
	    time.sleep(0.05)
	s = socket.create_connection(at)
	s.sendall(get)
	assert answer(s).startswith(b'HTTP/1.1 200 ')
	assert answer(all[0]) == b''
	all[3].sendall(get)
	assert answer(all[3]).startswith(b'HTTP/1.1 200 ')
	EOP
	nh_until 30 curl -sf "$url/healthz"
}

@test "metrics-http: killed, it comes back on the same socket; a stop ends it" {
	nh_conf <<-EOC
	[relay bh]
	type = blackhole
	EOC
	with_http
	nh_http
	kill -9 "$(nh_field metrics pids)"
	nh_until 30 curl -sf --max-time 5 "$url/healthz"
	is 1 nexthop_door_restarts_total kind=metrics
	nh_stop
	run ! curl -s --max-time 5 "$url/healthz"
}

@test "metrics-http: options, faults of them, and by hand" {
	nh_conf <<-EOC
	[relay bh]
	type = blackhole
	EOC
	with_http 'max_connections = 0' 'colour = red'
	run -78 nh check
	[[ $output == *max_connections* && $output == *colour* ]]
	run -64 "$NH_BUILD/libexec/nexthop/metrics-http"
	run -0 "$NH_BUILD/libexec/nexthop/metrics-http" --help
	[[ $output == *request[-_]timeout* ]]
}

# ---- contrib ----

promtool()
{
	PROMTOOL=$NH_ROOT/build/peers/prometheus/usr/bin/promtool
	[[ -x $PROMTOOL ]] ||
		skip "no prometheus in build/peers; make deps-test gets it"
}

@test "contrib: rules, their tests, and what nexthop prints, by promtool" {
	promtool
	cd "$NH_ROOT/contrib/prometheus"
	"$PROMTOOL" check rules nexthop.rules.yml
	"$PROMTOOL" test rules nexthop.rules.test.yml
	"$PROMTOOL" check config prometheus.yml
	cd "$D"
	nh_conf <<-EOC
	[relay out]
	type = static
	host = 127.0.0.1:1
	EOC
	nh_start
	send out 3 || [[ $? -eq 75 ]]
	is 3 nexthop_agent_phase_seconds_count relay=out phase=wait
	run -0 bash -c "'$NH_BUILD/bin/nexthop' -c '$CONF' metrics |
		'$PROMTOOL' check metrics"
	[[ -z $output ]]
}

@test "contrib: rules and dashboard name nothing that is not there" {
	nh_conf <<-EOC
	[relay bh]
	type = blackhole
	EOC
	nh_start
	nh metrics | prometheus families | while read -r name kind; do
		echo "$name"
		[[ $kind != histogram ]] ||
			printf '%s\n' "$name"_{bucket,sum,count}
	done | sort >there
	for file in prometheus/nexthop.rules.yml grafana/nexthop.json; do
		prometheus used "$NH_ROOT/contrib/$file" |
			grep -vxE 'nexthop_(recipients|failures|delivery_seconds|connections_reused)' >named
		[[ $(wc -l <named) -gt 8 ]]
		run -0 comm -23 named there
		echo "$file: $output"
		[[ -z $output ]]
	done
}
