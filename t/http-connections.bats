#!/usr/bin/env bats
# http: connections kept and shared, HTTP/2, UNIX sockets, bodies as JSON, size;
# by nginx and a scripted server as the other side.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/http

setup()
{
	nh_setup
}

teardown()
{
	nh_teardown
}

# ---- connections ----

@test "R-HT-10: idle_timeout keeps a connection, without it each message has its own" {
	nginx_start
	give 0 url="http://127.0.0.1:$port/ok" idle_timeout=4 --count=3 -- s@x.test a@x.test
	requests 3 '^POST'
	[[ $(cut -d ' ' -f 7 "$D/requests" | tr '\n' ' ') == '1 2 3 ' ]]
	[[ $(cut -d ' ' -f 6 "$D/requests" | sort -u | wc -l) -eq 1 ]]
	: >"$D/requests"
	give 0 url="http://127.0.0.1:$port/ok" --count=3 -- s@x.test a@x.test
	requests 3 '^POST'
	[[ $(cut -d ' ' -f 6 "$D/requests" | sort -u | wc -l) -eq 3 ]]
}

@test "R-HT-10: with idle_timeout = 0 a message that waits already uses it" {
	nginx_start
	give 0 url="http://127.0.0.1:$port/ok" concurrent_connections=1 --count=5 \
		--parallel=5 -- s@x.test a@x.test
	requests 5 '^POST'
	[[ $(cut -d ' ' -f 6 "$D/requests" | sort -u | wc -l) -eq 1 ]]
}

@test "R-HT-10: a server that closes each connection" {
	nginx_start
	give 0 url="http://127.0.0.1:$port_close/ok" idle_timeout=4 --count=3 -- s@x.test a@x.test
	[[ $(cut -d ' ' -f 6 "$D/requests" | sort -u | wc -l) -eq 3 ]]
}

connections_to()
{
	ss -Htn state established "dport = :$1" | wc -l
}

idle_none()
{
	[[ $(connections_to "$port") -eq 0 ]]
}

@test "R-HT-11: an idle connection is closed when its time is over" {
	nginx_start
	printf '[relay web]\ntype = http\nurl = http://127.0.0.1:%s/ok\nidle_timeout = 1\n' \
		"$port" | nh_conf
	nh_start
	nh submit --relay=web --from=s@x.test a@x.test <"$D/M"
	[[ $(connections_to "$port") -eq 1 ]]
	nh_until 3 idle_none
}

@test "R-HT-11: the server closes an idle connection: noticed at once, no failure" {
	respond '200 OK'
	fake_start "${exchange[@]}" Z:0.3 X + "${exchange[@]}" X
	hook 0 idle_timeout=30 --count=2 --gap=1 -- s@x.test a@x.test
	rows 2
	heard 2 '^POST'
}

@test "R-HT-11: closed just as the next request comes: sent once more, delivered once" {
	respond '200 OK'
	fake_start "${exchange[@]}" H X + "${exchange[@]}"
	hook 0 idle_timeout=30 --count=2 -- s@x.test a@x.test
	rows 2
	row 2 a@x.test delivered 250 2.0.0
	heard 3 '^POST'
	[[ $(grep -a Idempotency-Key "$D/fake" | sort -u | wc -l) -eq 1 ]]
}

@test "R-HT-11: sent once more, not twice" {
	respond '200 OK'
	fake_start "${exchange[@]}" H X + H X + "${exchange[@]}"
	hook 75 idle_timeout=30 --count=2 -- s@x.test a@x.test
	row 2 a@x.test transient 451 4.5.0 '*may have been delivered'
	heard 3 '^POST'
}

@test "R-HT-11: without the key what went out whole is not sent again" {
	respond '200 OK'
	fake_start "${exchange[@]}" H X + "${exchange[@]}"
	hook 75 idempotency_key=no idle_timeout=30 --count=2 -- s@x.test a@x.test
	row 2 a@x.test transient 451 4.5.0 '*may have been delivered'
	heard 2 '^POST'
	heard 0 Idempotency-Key
}

@test "the key is the same for the same message and recipients only" {
	VIA=agent
	local keys
	respond '500 Oops'
	fake_start --each "${exchange[@]}"
	hook 75 -- s@x.test a@x.test
	hook 75 -- s@x.test a@x.test
	hook 75 -- s@x.test b@x.test
	hook 75 -- t@x.test a@x.test
	hook 75 --envid=e1 -- s@x.test a@x.test || :
	echo >>"$D/M"
	hook 75 -- s@x.test a@x.test
	mapfile -t keys < <(grep -a ^Idempotency-Key "$D/fake")
	[[ ${keys[0]} == "${keys[1]}" ]]
	[[ $(printf '%s\n' "${keys[@]}" | sort -u | wc -l) -ge 4 ]]
}

@test "concurrent_connections is a ceiling; who waits too long has 451 4.4.5" {
	respond '200 OK'
	fake_start --each H Z:2 "${exchange[1]}"
	hook 75 concurrent_connections=1 queue_timeout=1 timeout=10 --count=2 \
		--parallel=2 -- s@x.test a@x.test
	row 1 a@x.test delivered 250 2.0.0
	row 2 a@x.test transient 451 4.4.5 'too many concurrent connections to 127.0.0.1:*'
	heard 1 '^POST'
}

@test "HTTP/2 in clear text: many requests at once over one connection" {
	nginx_start
	give 0 url="http://127.0.0.1:$port_h2/app" http2=yes concurrent_connections=1 \
		--count=200 --parallel=50 -- s@x.test a@x.test
	rows 200
	[[ $(cut -f 2 "$D/rows" | sort -u) == delivered ]]
	requests 200 '/app .* HTTP/2\.0 '
	[[ $(grep HTTP/2 "$D/requests" | cut -d ' ' -f 6 | sort -u | wc -l) -le 4 ]]
}

@test "a UNIX socket, by url and by socket" {
	respond '200 OK'
	fake_start --unix="$D/web.sock" "${exchange[@]}" X + "${exchange[@]}" || :
	nh_until 5 test -S "$D/web.sock"
	chmod 777 "$D/web.sock"
	give 0 url="unix:$D/web.sock:/a?b=c" -- s@x.test a@x.test
	[[ $(cut -f 6-8 "$D/rows") == "$D/web.sock"$'\t'"$D/web.sock"$'\t0' ]]
	give 0 url=http://app.test/x socket="$D/web.sock" -- s@x.test a@x.test
	heard 1 '^POST /a\?b=c '
	heard 1 '^Host: app\.test'
	give 75 url="unix:$D/none.sock:/" -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.4.1 "connect to $D/none.sock: No such file*"
}

# ---- JSON ----

json_hook()
{
	rm -f "$D"/bodies/* "$D/requests"
	nginx_start
	printf 'From: s@x.test\r\nSubject: one\r\n two\r\nX-Odd:\377"\\\r\nReceived: a\r\nReceived: b\r\n\r\nbody \377\0\n' >"$D/m"
	MSG=$D/m give 0 format=json url="http://127.0.0.1:$port/keep" -- s@x.test a@x.test b@x.test
	requests 1 '^POST /keep application/json '
	python3 - "$D"/bodies/* "$D/m" <<-'EOP'
	import base64, json, sys
	o = json.load(open(sys.argv[1]))
	assert o["version"] == 1, o
	e = o["envelope"]
	assert e["sender"] == "s@x.test" and e["recipients"] == ["a@x.test", "b@x.test"], e
	assert e["ehlo"] == "client.test", e
	assert o["headers"] == [["From", "s@x.test"], ["Subject", "one two"],
	    ["X-Odd", "\ufffd\"\\"], ["Received", "a"], ["Received", "b"]], o
	assert o["headers_truncated"] is False
	raw = open(sys.argv[2], "rb").read()
	assert base64.b64decode(o["message"], validate=True) == raw
	assert o["size"] == len(raw)
	EOP
	kill "$NGINX"
}

@test "format = json: envelope, header fields and the whole message" {
	both json_hook
}

@test "format = json: a large message, exactly as long as was said" {
	VIA=agent
	nginx_start
	# Without a header: any bytes may look like one.
	{ echo && head -c 3000000 /dev/urandom; } >"$D/big"
	MSG=$D/big give 0 format=json url="http://127.0.0.1:$port/keep" -- s@x.test a@x.test
	python3 -c 'import base64, json, sys
o = json.load(open(sys.argv[1]))
assert base64.b64decode(o["message"]) == open(sys.argv[2], "rb").read()
assert o["headers"] == []' "$D"/bodies/* "$D/big"
}

# ---- size ----

rss_peak()
{
	awk '/^VmHWM/ { print $2 }' "/proc/$1/status"
}

@test "R-PM-07: a message of 200 MiB in flat memory" {
	local format pid n=209715200
	nginx_start
	is_instrumented && n=20971520
	head -c "$n" /dev/zero | tr '\0' x >"$D/big"
	for format in rfc822 json; do
		printf '[relay web]\ntype = http\nurl = http://127.0.0.1:%s/ok\nformat = %s\n' \
			"$port" "$format" | nh_conf
		nh_start
		pid=$(nh_agent web)
		nh submit --relay=web --from=s@x.test a@x.test <"$D/big"
		is_instrumented || [[ $(rss_peak "$pid") -lt 32768 ]] ||
			{ echo "$(rss_peak "$pid") KiB"; return 1; }
		nh_stop
	done
	requests 1 "^POST .* $n "
}
