#!/usr/bin/env bats
# http: the request and what the response means, by nginx and a scripted server
# as the other side. Connections, JSON, size: http-connections.bats; servers
# that misbehave, time: http-faults.bats; TLS, secrets: http-tls.bats.
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

# ---- the request ----

posted()
{
	rm -f "$D/requests" "$D"/bodies/*
	nginx_start
	give 0 url="http://127.0.0.1:$port/ok" -- s@x.test a@x.test
	rows 1
	row 1 a@x.test delivered 250 2.6.0 ok
	[[ $(cut -f 6-10 "$D/rows") == $'127.0.0.1\t127.0.0.1\t'$port$'\trun\t1' ]]
	requests 1 '^POST /ok message/rfc822 client\.test c0B4LnRlc3Q= .* HTTP/1\.1 '"$(stat -c %s "$D/M")"' \\x22[0-9a-f]{32}\\x22 -$'
	give 0 url="http://127.0.0.1:$port/keep" -- s@x.test a@x.test
	cmp "$D/M" "$D"/bodies/*
	kill "$NGINX"
}

@test "R-HT-01: POST to host, port and path; body and Content-Length are the message's" {
	both posted
}

enveloped()
{
	answers '204 No Content'
	hook 0 -- s@x.test a@x.test b@x.test c@x.test
	[[ $(grep -a '^X-Envelope-Recipient' "$D/fake" | tr -d '\r') == $(printf \
		'X-Envelope-Recipient: %s\n' YUB4LnRlc3Q= YkB4LnRlc3Q= YkB4LnRlc3Q= |
		sed '3s/Yk/Y0/') ]]
	heard 1 '^X-Envelope-Sender: c0B4LnRlc3Q=$'
	heard 1 '^X-Ehlo: client\.test$'
	heard 1 '^User-Agent: nexthop/'
	heard 1 '^Content-Type: message/rfc822$'
	heard 1 "^Content-Length: $(stat -c %s "$D/M")\$"
	heard 0 '^(Expect|Transfer-Encoding|Accept):'
	[[ $(sed -n '/^\r$/,$p' "$D/fake" | tail -n +2) == "$(<"$D/M")" ]]
}

@test "R-HT-02: the envelope in headers, in order" {
	both enveloped
}

@test "R-HT-02: the null sender is an empty value; X-Ehlo is this host's name by default" {
	answers '204 No Content'
	hook 0 ehlo_as='{fqdn}' -- '' a@x.test
	heard 1 '^X-Envelope-Sender: ?$'
	heard 1 "^X-Ehlo: $(hostname -f | sed 's/\./\\./g')\$"
}

@test "R-HT-02: addresses beyond ASCII are UTF-8 in base64" {
	answers '204 No Content'
	hook 0 -- s@x.test 'jürgen@x.test'
	heard 1 "^X-Envelope-Recipient: $(printf 'jürgen@x.test' | base64)\$"
}

@test "R-HT-02: equal recipients are said once, each has an answer" {
	answers '200 OK' 'X-Smtp-Recipient-Reply: 1; 550; message="5.1.1 b"'
	hook 69 -- s@x.test a@x.test b@x.test a@x.test b@x.test
	rows 4
	row 1 a@x.test delivered 250 2.0.0 'HTTP 200 OK'
	row 2 b@x.test permanent 550 5.1.1 b
	row 3 a@x.test delivered 250 2.0.0
	row 4 b@x.test permanent 550 5.1.1 b
	heard 2 '^X-Envelope-Recipient'
}

@test "R-HT-02: more than max_recipients make further requests, answered apart" {
	respond '200 OK'
	local first=("${exchange[@]}")
	respond '500 Oops' 'X-Smtp-Reply: 550; message="5.1.1 second"'
	fake_start "${first[@]}" X + "${exchange[@]}"
	hook 69 max_recipients=2 -- s@x.test a@x.test b@x.test c@x.test
	row 1 a@x.test delivered 250 2.0.0
	row 2 b@x.test delivered 250 2.0.0
	row 3 c@x.test permanent 550 5.1.1 second
	heard 2 '^POST'
}

@test "R-HT-02: header lines of recipients stay within what servers take" {
	local rcpts=() i
	nginx_start
	for ((i = 0; i < 300; i++)); do
		rcpts+=("$(printf 'r%0200d' $i)@x.test")
	done
	give 0 url="http://127.0.0.1:$port/ok" max_recipients=1000 idle_timeout=5 \
		-- s@x.test "${rcpts[@]}"
	rows 300
	[[ $(cut -f 2 "$D/rows" | sort -u) == delivered ]]
	requests 6 '^POST'
}

@test "R-HT-14: the query stays, a fragment goes, user information is refused" {
	nginx_start
	give 0 url="http://127.0.0.1:$port/ok?k=v&l=%20../x#frag" -- s@x.test a@x.test
	requests 1 '^POST /ok\?k=v&l=%20\.\./x message'
	VIA=agent give 78 url="http://u:p@127.0.0.1:$port/ok" -- s@x.test a@x.test
	grep -q '"http://\*\*\*\*@127\..* has user information' "$D/log.agent"
}

@test "R-HT-14: no header can be injected" {
	VIA=agent
	answers '204 No Content'
	hook 69 -- s@x.test $'a@x.test\r\nX-Evil: 1' || :
	row 1 $'a@x.test\\r\\nX-Evil: 1' permanent 553 5.1.3
	hook 0 header.X-From='{sender}' -- s@x.test a@x.test
	heard 0 X-Evil
	heard 1 '^X-From: s@x.test$'
	give 78 url="http://127.0.0.1:$port/" $'header.X-A=b\r\nX-Evil: 1' -- s@x.test a@x.test
}

chunked_answer()
{
	fake_start H 'W:HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-Smtp-Reply: 550\r\n\r\n' \
		'W:HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Smtp-Reply: 550\r\n\r\n'
	hook 0 -- s@x.test a@x.test
	row 1 a@x.test delivered 250 2.0.0 'HTTP 200 OK'
}

@test "R-HT-14: 1xx come before the answer; an answer in chunks, with trailers" {
	both chunked_answer
}

@test "further headers, with macros" {
	answers '204 No Content'
	hook 0 header.X-A='{sender} to {recipient}, {size} bytes, {{{message_id}}}' \
		header.X-B=plain header.X-C='{client_ip}' -- s@x.test a@x.test b@x.test
	heard 1 "^X-A: s@x.test to a@x.test, $(stat -c %s "$D/M") bytes, \{<m1@x.test>\}\$"
	heard 1 '^X-B: plain$'
	heard 1 '^X-C: ?$'
	VIA=agent
	give 78 url=http://127.0.0.1/ header.X-A='{nosuch}' -- s@x.test a@x.test
	grep -q 'no macro {nosuch}' "$D/log.agent"
	give 78 url=http://127.0.0.1/ header.Content-Length=3 -- s@x.test a@x.test
	grep -q 'set by the agent itself' "$D/log.agent"
	give 78 url=http://127.0.0.1/ header.Authorization=x -- s@x.test a@x.test
	give 78 url=http://127.0.0.1/ 'header.X A=x' -- s@x.test a@x.test
}

@test "line ends and bytes of the message stay as they are" {
	nginx_start
	printf 'A: b\nC:d\r\n\r\n.\n..x\rZ\0\377end' >"$D/raw"
	MSG=$D/raw give 0 url="http://127.0.0.1:$port/keep" -- s@x.test a@x.test
	cmp "$D/raw" "$D"/bodies/*
}

@test "an empty message is a request with an empty body" {
	answers '204 No Content'
	: >"$D/none"
	MSG=$D/none hook 0 -- s@x.test a@x.test
	heard 1 '^Content-Length: 0$'
}

# ---- what the response means ----

said()
{
	rm -f "$D/requests"
	nginx_start
	give 69 url="http://127.0.0.1:$port/perm" -- s@x.test a@x.test b@x.test
	row 1 a@x.test permanent 550 5.1.1 nope
	row 2 b@x.test permanent 550 5.1.1 nope
	[[ $(cut -f 9 "$D/rows" | sort -u) == 'RCPT TO' ]]
	give 75 url="http://127.0.0.1:$port/temp" -- s@x.test a@x.test
	row 1 a@x.test transient 450 4.2.0 try
	give 0 url="http://127.0.0.1:$port/ok" -- s@x.test a@x.test
	row 1 a@x.test delivered 250 2.6.0 ok
	kill "$NGINX"
}

@test "R-HT-03: X-Smtp-Reply is the reply" {
	both said
}

@test "R-HT-03: it decides against the status, but a success against a failure is none" {
	answers '200 OK' 'X-Smtp-Reply: 550; message="5.1.1 x"'
	hook 69 -- s@x.test a@x.test
	row 1 a@x.test permanent 550 5.1.1 x
	answers '200 OK' 'X-Smtp-Reply: 451; message="4.7.1 greylisted"' 'Retry-After: 300'
	run hook_json -- s@x.test a@x.test
	[[ $status -eq 75 ]]
	grep -q '"code":451.*"text":"greylisted".*"retry_after":300' "$D/rows"
	answers '500 Oops' 'X-Smtp-Reply: 250; message="2.0.0 fine"'
	hook 75 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.5.0 'contradiction from *HTTP 500 Oops, but X-Smtp-Reply 250'
}

statuses()
{
	local n

	nginx_start
	for n in 400 404 405 410 415 401 403; do
		give 69 url="http://127.0.0.1:$port/s$n" -- s@x.test a@x.test
		row 1 a@x.test permanent 550 5.0.0 "HTTP $n *"
	done
	for n in 500 501 503; do
		give 75 url="http://127.0.0.1:$port/s$n" -- s@x.test a@x.test
		row 1 a@x.test transient 450 4.0.0 "HTTP $n *"
	done
	give 69 url="http://127.0.0.1:$port/s413" -- s@x.test a@x.test
	row 1 a@x.test permanent 552 5.3.4 'HTTP 413 Request Entity Too Large: *nginx*'
	kill "$NGINX"
}

@test "R-HT-04: without header 4xx is permanent, 5xx transient" {
	VIA=agent
	statuses
}

@test "R-HT-04: through the master" {
	nginx_start
	give 69 url="http://127.0.0.1:$port/s404" -- s@x.test a@x.test
	row 1 a@x.test permanent 550 5.0.0 'HTTP 404 Not Found*'
	give 75 url="http://127.0.0.1:$port/s500" -- s@x.test a@x.test
	row 1 a@x.test transient 450 4.0.0 'HTTP 500 *'
}

@test "R-HT-04: auth_failure = transient keeps the mail for 401 and 403" {
	VIA=agent
	nginx_start
	for n in 401 403; do
		give 75 url="http://127.0.0.1:$port/s$n" auth_failure=transient -- s@x.test a@x.test
		row 1 a@x.test transient 450 4.0.0 "HTTP $n *"
	done
}

@test "R-HT-05: 2xx without header is delivered; 3xx is transient and not followed" {
	VIA=agent
	nginx_start
	give 0 url="http://127.0.0.1:$port_close/s200" -- s@x.test a@x.test
	row 1 a@x.test delivered 250 2.0.0 'HTTP 200 OK'
	for n in 301 307 308; do
		give 75 url="http://127.0.0.1:$port/s$n" -- s@x.test a@x.test
		row 1 a@x.test transient 450 4.0.0 "HTTP $n *"
	done
	requests 4 '^POST'
}

@test "R-HT-05: with follow_redirects 307 goes to the same host, not elsewhere, not for ever" {
	VIA=agent
	nginx_start
	give 0 follow_redirects=yes url="http://127.0.0.1:$port/s307" -- s@x.test a@x.test
	row 1 a@x.test delivered 250 2.6.0 ok
	requests 1 '^POST /ok'
	give 75 follow_redirects=yes url="http://127.0.0.1:$port/s308" -- s@x.test a@x.test
	row 1 a@x.test transient 450 4.0.0 'HTTP 308 *'
	give 75 follow_redirects=yes url="http://127.0.0.1:$port/s301" -- s@x.test a@x.test
	give 75 follow_redirects=yes url="http://127.0.0.1:$port/loop" -- s@x.test a@x.test
	requests 6 '^POST /loop'
}

@test "R-HT-06: 408, 425 and 429 are transient, Retry-After is a hint" {
	VIA=agent
	nginx_start
	for n in 408 425 429; do
		answers "$n Wait" 'Retry-After: 120'
		hook 75 -- s@x.test a@x.test
		row 1 a@x.test transient 450 4.0.0 "HTTP $n Wait"
	done
	answers '503 Busy' 'Retry-After: 120'
	run hook_json -- s@x.test a@x.test
	[[ $status -eq 75 ]]
	grep -q '"retry_after":120' "$D/rows"
	answers '503 Busy' 'Retry-After: 99999999999'
	run hook_json -- s@x.test a@x.test
	[[ $status -eq 75 ]]
	grep -q '"retry_after":604800' "$D/rows"
}

@test "R-HT-06: Retry-After comes through the master" {
	answers '503 Busy' 'Retry-After: 7'
	printf '[relay web]\ntype = http\nurl = http://127.0.0.1:%s/\n' "$port" |
		nh_conf
	nh_start
	run nh submit --relay=web --from=s@x.test --output=json a@x.test <"$D/M"
	[[ $status -eq 75 && $output == *'"retry_after":7'* ]]
}

grammar()
{
	answers "${2:-200 OK}" "X-Smtp-Reply: $1"
	hook "${3:-69}" -- s@x.test a@x.test
}

@test "R-HT-07: the grammar of X-Smtp-Reply" {
	VIA=agent
	local long
	grammar '550;message="5.1.1 no blank"'
	row 1 a@x.test permanent 550 5.1.1 'no blank'
	grammar '550 ; MESSAGE="5.1.1 say \"no\" \\ x" ;command=RCPT; x=y'
	row 1 a@x.test permanent 550 5.1.1 'say "no" \\\\ x'
	[[ $(cut -f 9 "$D/rows") == 'RCPT TO' ]]
	grammar '550' '500 Oops'
	row 1 a@x.test permanent 550 5.0.0 'HTTP 500 Oops'
	grammar '550; command="RCPT"' '500 Oops'
	row 1 a@x.test permanent 550 5.0.0
	for bad in '999; message="x"' '354; message="x"' '550 message="x"' 'abc' \
	    '550; message="open' '55; message="x"' '5500; message="x"'; do
		grammar "$bad" '200 OK' 0
		row 1 a@x.test delivered 250 2.0.0 'HTTP 200 OK'
	done
	grep -q 'cannot be read, it is ignored' "$D/log.agent"
	long=$(printf '%010240d' 0)
	grammar "550; message=\"5.1.1 $long\""
	row 1 a@x.test permanent 550 5.1.1 '0000*'
	[[ $(cut -f 5 "$D/rows" | wc -c) -le 1030 ]]
}

@test "R-HT-07: X-Smtp-Recipient-Reply by index and by recipient, others have X-Smtp-Reply" {
	answers '200 OK' 'X-Smtp-Recipient-Reply: 0; 450; message="4.2.1 later"' \
		"X-Smtp-Recipient-Reply: $(printf c@x.test | base64) ; 550; message=\"5.2.2 full\"" \
		'X-Smtp-Reply: 250; message="2.0.0 rest"' \
		'X-Smtp-Recipient-Reply: 9; 550'
	hook 75 -- s@x.test a@x.test b@x.test c@x.test
	row 1 a@x.test transient 450 4.2.1 later
	row 2 b@x.test delivered 250 2.0.0 rest
	row 3 c@x.test permanent 550 5.2.2 full
}

@test "the body of a failure is shown: its start, as one line" {
	VIA=agent
	fake_start H 'W:HTTP/1.1 500 Oops\r\nContent-Length: 29\r\n\r\nno\r\n\tdisk\x01 \xff space \xc3\xa4\r\nbye\r\n\r\n'
	hook 75 -- s@x.test a@x.test
	row 1 a@x.test transient 450 4.0.0 'HTTP 500 Oops: no disk *space *bye'
}
