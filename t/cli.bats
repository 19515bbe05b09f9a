#!/usr/bin/env bats
# The agents by hand: arguments and their faults, the three outputs, exit
# statuses, how often and how many at once, the trace, the log.

load lib/nexthop
load lib/smtp

setup()
{
	nh_setup
	STATIC=$NH_BUILD/libexec/nexthop/smtp-static
	HOLE=$NH_BUILD/libexec/nexthop/blackhole
	unset NEXTHOP_LOG
}

teardown()
{
	nh_teardown
}

# fails STATUS COMMAND...: and nothing on stdout; stderr in $D/err.cli.
fails()
{
	local want=$1 status=0

	shift
	"$@" <M >out 2>err.cli || status=$?
	[[ $status -eq $want && ! -s out ]] || {
		echo "status $status, not $want: $*"
		cat out err.cli
		return 1
	}
}

# said PATTERN...: each is in a line of stderr.
said()
{
	local pattern

	for pattern; do
		grep -qE -- "$pattern" err.cli || {
			echo "not said: $pattern"
			cat err.cli
			return 1
		}
	done
}

# static [ARG...]: to the server of this test; rows in $D/rows, $D/err.cli.
static()
{
	local status=0

	"$STATIC" -o host=127.0.0.1 -o port="$port" -o ehlo_as=client.test \
		"$@" <M >rows 2>err.cli || status=$?
	return "$status"
}

# ---- help ----

@test "--help tells every option, --version the version" {
	for agent in "$STATIC" "$HOLE"; do
		"$agent" --help >out 2>err.cli
		[[ ! -s err.cli ]]
		grep -q '^usage: .*RCPT' out
		for word in --from= --output= --count= --parallel= --gap= \
		    --trace --envid= --ret= --notify= --orcpt= window \
		    'Exit status'; do
			grep -q -- "$word" out
		done
		[[ $("$agent" --version) == nexthop\ [0-9]* ]]
	done
	for word in host port connect_timeout command_timeout data_timeout \
	    idle_timeout concurrent_connections ehlo_as eightbit nul_bytes; do
		"$STATIC" --help | grep -q "^ *--*$word\|^ *$word"
	done
	! "$HOLE" --help | grep -q connect_timeout || return 1
}

# ---- wrong arguments ----

@test "wrong options: 78, and all of them in one run" {
	fails 78 "$STATIC" -o connect_timeout=abc -o port=70000 \
		--idle_timeout=-1 -o conect_timeout=3 --bogus=1 \
		-o eightbit=maybe -o novalue a@x.test
	said connect_timeout.*abc port.*70000 idle_timeout.*-1 \
		conect_timeout bogus eightbit.*maybe novalue 'host'
}

@test "a required option is missing: 78, named" {
	fails 78 "$STATIC" a@x.test
	said host
	fails 78 "$STATIC" -o host= a@x.test
	said host
}

@test "no recipient: 64" {
	fails 64 "$HOLE"
	said '^usage:'
	fails 64 "$HOLE" --from=s@x.test --
	fails 64 "$STATIC" -o host=127.0.0.1 --output=tsv
}

@test "wrong words: 64, nothing is sent" {
	for bad in --output=xml --output= --count=0 --count=x --count=-1 \
	    --parallel=0 --parallel=65536 --gap=-1 --gap=x --ret=some \
	    --notify=NEVER,SUCCESS --notify=often --notify= --orcpt=nosemicolon \
	    --envid='a b' --body=9BIT --trace=yes --from --output \
	    $'--from=a\r\nb' $'--envid=\xff'; do
		fails 64 "$HOLE" "$bad" a@x.test
		said "${bad%%=*}"
	done
	fails 64 "$HOLE" -x a@x.test
	said -x
}

@test "values as long as can be" {
	long=$(printf 'x%.0s' {1..130000})
	fails 64 "$HOLE" --from="$long" a@x.test
	fails 64 "$HOLE" --envid="$long" a@x.test
	fails 78 "$HOLE" -o "$long=1" a@x.test
	fails 78 "$HOLE" -o "delay=$long" a@x.test
	status=0
	"$HOLE" --output=tsv "$long@x.test" <M >out || status=$?
	[[ $status -eq 69 ]]
	[[ $(cut -f 2-4 out) == $'permanent\t553\t5.1.3' ]]
	[[ $(cut -f 1 out) == "$long@x.test" ]]
	# Each of its bytes escaped.
	"$HOLE" --output=json "$(tr x '\001' <<<"$long")" <M >out || status=$?
	python3 -c 'import json
row = json.loads(open("out").read())
assert row["recipient"] == "\x01" * 130000 and row["code"] == 553'
}

@test "-o and --, _ and - are alike; the last one counts" {
	sink_start -U -a commands
	for how in "-o ehlo_as=n1.test" "-o ehlo-as=n1.test" \
	    "--ehlo_as=n1.test" "--ehlo-as=n1.test" "-oehlo_as=n1.test" \
	    "-o ehlo_as=n0.test --ehlo-as=n1.test"; do
		# shellcheck disable=SC2086 # words are meant
		"$STATIC" --host=127.0.0.1 -o port="$port" $how r@x.test \
			<M >/dev/null
	done
	sink_end
	[[ $(grep -ci 'ehlo n1.test' commands) -eq 6 ]]
}

@test "-- ends the options" {
	"$HOLE" --output=tsv --from=s@x.test -- -r@x.test --count=2@x.test \
		<M >out
	[[ $(cut -f 1 out) == $'-r@x.test\n--count=2@x.test' ]]
}

@test "an option behind a recipient is told, and nothing is sent" {
	fails 64 "$HOLE" a@x.test --from=s@x.test
	said '--from=s@x.test: options come before the recipients'
	fails 64 "$HOLE" a@x.test -o delay=1
	nh_conf <<<$'[relay r]\ntype = blackhole'
	nh_start
	fails 64 "$NH_BUILD/bin/nexthop" -c "$CONF" submit --relay=r a@x.test \
		--count=2
	said 'options come before'
	[[ $(nh_field r delivered) -eq 0 ]]
	nh_stop
}

# ---- exit statuses ----

@test "exit status: 0, 75 before 69" {
	peer()
	{
		fake_start "${HELLO[@]}" L 'S:250 m' L "S:$1" L "S:$2" \
			L 'S:354 x' D 'S:250 x' "${BYE[@]}"
	}
	peer '250 x' '250 x'
	static a@x.test b@x.test
	peer '250 x' '550 x'
	run -69 static a@x.test b@x.test
	peer '250 x' '450 x'
	run -75 static a@x.test b@x.test
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:450 x' L 'S:550 x' "${BYE[@]}" L
	run -75 static a@x.test b@x.test
	# Only an address that cannot be sent.
	run -69 static 'a@x..y'
}

@test "exit status: a message that cannot be read is 74" {
	run -74 "$HOLE" a@x.test </
	[[ $output != *delivered* ]]
}

# ---- outputs ----

four()
{
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:550 5.1.1 no' \
		L 'S:450 4.2.1 later' L 'S:250 r' L 'S:354 x' D \
		'S:250 2.6.0 taken' "${BYE[@]}"
	run -75 static "$@" a@x.test b@x.test c@x.test d@x..y e@x.test
}

@test "text: the enhanced code first, the worst recipient first" {
	four
	cat rows
	[[ $(wc -l <rows) -eq 5 ]]
	grep -vqE '^[245]\.[0-9]+\.[0-9]+ <[^>]*> (delivered|transient|permanent): ' \
		rows && return 1
	[[ $(cut -d' ' -f 1-3 rows) == '4.2.1 <c@x.test> transient:
5.1.1 <b@x.test> permanent:
5.1.3 <d@x..y> permanent:
2.6.0 <a@x.test> delivered:
2.6.0 <e@x.test> delivered:' ]]
	grep -q '^4.2.1 .*127.0.0.1.*said: 450 later (in reply to RCPT TO)$' rows
	four --output=text
	[[ $(wc -l <rows) -eq 5 ]]
}

@test "tsv: ten columns, recipients in order" {
	four --output=tsv
	cat rows
	[[ $(awk -F'\t' '{ print NF }' rows | sort -u) == 10 ]]
	cmp rows - <<-EOT
	a@x.test	delivered	250	2.6.0	taken	127.0.0.1	127.0.0.1	$port	end of data	1
	b@x.test	permanent	550	5.1.1	no	127.0.0.1	127.0.0.1	$port	RCPT TO	1
	c@x.test	transient	450	4.2.1	later	127.0.0.1	127.0.0.1	$port	RCPT TO	1
	d@x..y	permanent	553	5.1.3	$(sed -n 4p rows | cut -f 5)			0		1
	e@x.test	delivered	250	2.6.0	taken	127.0.0.1	127.0.0.1	$port	end of data	1
	EOT
	[[ $(sed -n 4p rows | cut -f 5) == 'bad recipient address: '* ]]
}

@test "json: an object a line, the same names" {
	four --output=json
	cat rows
	while read -r line; do
		python3 -m json.tool <<<"$line" >/dev/null
	done <rows
	python3 - "$port" <<-'EOP'
	import json, sys
	rows = [json.loads(line) for line in open('rows')]
	names = {'recipient', 'class', 'code', 'enhanced_code', 'text', 'host',
	    'address', 'port', 'stage', 'message', 'by', 'tls', 'times'}
	assert len(rows) == 5
	for r in rows:
	    assert set(r) == names, set(r) ^ names
	    assert set(r['times']) == {'wait', 'connect', 'transaction', 'total'}
	a, b, c, d, e = rows
	assert [r['recipient'] for r in rows] == ['a@x.test', 'b@x.test',
	    'c@x.test', 'd@x..y', 'e@x.test']
	assert (a['class'], a['code'], a['enhanced_code']) == ('delivered', 250, '2.6.0')
	assert (b['class'], b['code'], b['text']) == ('permanent', 550, 'no')
	assert (c['class'], c['stage'], c['port']) == ('transient', 'RCPT TO', int(sys.argv[1]))
	assert c['address'] == '127.0.0.1' and c['message'] == 1 and c['tls'] is None
	assert d['class'] == 'permanent' and d['host'] == ''
	assert b['by'] == c['by'] != d['by']
	EOP
}

# A server that says tabs, ESC, NUL, quotes, a backslash, half a character.
hostile()
{
	fake_start "${HELLO[@]}" L 'S:250 m' \
		L 'W:550-5.1.1 \x1b[2J\t"q" \\ \x01\xff\r\n550 5.1.1 caf\xc3\xa9 \x7f\r\n' \
		L 'S:250 x' "${BYE[@]}"
	run -69 static "$@" r@x.test
}

@test "control bytes of a server are escaped in each output" {
	for format in text tsv json; do
		hostile --output=$format
		cat rows
		[[ $(wc -l <rows) -eq 1 ]]
		! LC_ALL=C tr -d '\n\t' <rows | LC_ALL=C grep -qaP '[\x00-\x1f\x7f]' ||
			return 1
	done
	python3 -m json.tool <rows >/dev/null
	hostile --output=tsv
	[[ $(awk -F'\t' '{ print NF }' rows) -eq 10 ]]
	grep -q '\\x1B\[2J' rows
}

@test "recipients with control bytes are escaped, in their place" {
	for format in tsv json; do
		status=0
		"$HOLE" --output=$format a@x.test $'b\tc\n\x1b"\\@x' d@x.test \
			<M >rows || status=$?
		[[ $status -eq 69 ]]
		cat rows
		[[ $(wc -l <rows) -eq 3 ]]
		sed -n 2p rows | grep -q 'permanent'
	done
	python3 -c 'import json
rows = [json.loads(line) for line in open("rows")]
assert rows[1]["recipient"] == "b\tc\n\x1b\"\\@x", rows[1]'
}

# ---- many ----

@test "--count: messages numbered, one connection, order kept" {
	sink_start -U
	static --count=20 --output=tsv a@x.test b@x.test
	rows 40
	[[ $(cut -f 10 rows | uniq -c | awk '{ print $1, $2 }') == \
	    "$(seq -f '2 %.0f' 20)" ]]
	[[ $(cut -f 1 rows | paste - - | sort -u) == $'a@x.test\tb@x.test' ]]
	sink_end
	counted messages 20
	counted connections 1
}

@test "--parallel: so many at once" {
	start=$(nh_ms)
	"$HOLE" -o delay=0.4 --count=20 --parallel=10 --output=tsv a@x.test \
		<M >rows
	took=$(($(nh_ms) - start))
	rows 20
	took 790 2500
	# No more connections than are allowed.
	sink_start -U -D 20
	static --count=40 --parallel=40 -o concurrent_connections=3 \
		--output=tsv a@x.test
	rows 40
	sink_end
	counted peak 3
	counted messages 40
}

@test "--gap: from the start of one to the next" {
	start=$(nh_ms)
	"$HOLE" --count=4 --gap=0.2 --output=tsv a@x.test <M >rows
	took=$(($(nh_ms) - start))
	rows 4
	took 590 3000
}

@test "SIGTERM: what has not been sent is answered as cancelled" {
	fake_start "${HELLO[@]}" L Z:20
	nh_spawn "$STATIC" -o host=127.0.0.1 -o port="$port" --output=tsv \
		--from=s@x.test a@x.test b@x.test >rows 2>err.cli
	nh_until 5 grep -q '^MAIL' fake
	kill "$NH_PID"
	status=0
	wait "$NH_PID" || status=$?
	[[ $status -eq 75 ]]
	rows 2
	[[ $(cut -f 2-5 rows | sort -u) == $'transient\t451\t4.3.0\tdelivery cancelled' ]]
	! grep -q '^DATA' fake || return 1
}

@test "SIGTERM after the dot: the answer is awaited" {
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:354 x' D Z:0.6 \
		'S:250 taken' "${BYE[@]}"
	nh_spawn sh -c 'exec "$@" <M' sh "$STATIC" -o host=127.0.0.1 \
		-o port="$port" --output=tsv a@x.test >rows 2>err.cli
	nh_until 5 grep -q $'^\\.\r' fake
	kill "$NH_PID"
	wait "$NH_PID"
	row 1 a@x.test delivered 250 2.0.0 taken
}

@test "nobody reads the answers: the delivery ends all the same" {
	sink_start -U
	"$STATIC" -o host=127.0.0.1 -o port="$port" --output=tsv \
		--count=2000 --parallel=50 a@x.test <M 2>err.cli | head -n 1 >out
	[[ $(wc -l <out) -eq 1 ]]
	sink_end
	counted messages 2000
}

# ---- trace and log ----

@test "--trace: the dialogue on stderr" {
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	static --trace --from=s@x.test --output=tsv r@x.test
	said 'C: EHLO client.test$' 'S: 250 x$' 'C: MAIL FROM:<s@x.test>' \
		'C: RCPT TO:<r@x.test>' 'C: DATA$' 'S: 354 go$' 'S: 250 taken$' \
		'C: QUIT$'
	rows 1
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	static --from=s@x.test --output=tsv r@x.test
	! grep -q MAIL err.cli || return 1
}

@test "--trace: control bytes of a server are escaped" {
	hostile --trace
	said '550-5.1.1 .x1B'
	! LC_ALL=C tr -d '\n' <err.cli | LC_ALL=C grep -qaP '[\x00-\x1f\x7f]' ||
		return 1
}

@test "DSN options on the wire" {
	HELLO=('S:220 x' L 'A:EHLO *' 'W:250-x\r\n250 DSN\r\n')
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:250 r' \
		L 'S:354 x' D 'S:250 x' "${BYE[@]}"
	static --from=s@x.test --ret=full --envid=x+3Dy --notify=FAILURE \
		--orcpt='rfc822;o@x.test' a@x.test b@x.test
	heard 1 '^MAIL FROM:<s@x.test> RET=FULL ENVID=x\+3Dy$'
	heard 1 '^RCPT TO:<a@x.test> NOTIFY=FAILURE ORCPT=rfc822;o@x.test$'
	heard 1 '^RCPT TO:<b@x.test> NOTIFY=FAILURE ORCPT=rfc822;o@x.test$'
	fake_well
}

LINE='^[0-9TZ:-]+ smtp-static\[[0-9]+\]: [^ ]+: to=<[^ ]*> from=<[^ ]*> relay=[^ ]+ delay=[0-9]+\.[0-9]{3} delays=[0-9./]+ dsn=[245]\.[0-9]+\.[0-9]+ status=(sent|deferred|bounced) stage="[A-Za-z ]*" \([0-9]{3} .*\)$'

@test "R-LG-01: a line for each recipient, with host, delay, code and text" {
	export NEXTHOP_LOG=stderr:info
	fake_start "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:550 5.1.1 no' \
		L 'S:450 4.2.1 later' L 'S:354 x' D 'S:250 2.6.0 taken' "${BYE[@]}"
	run -75 static --id=Q1 --from=s@x.test a@x.test b@x.test c@x.test
	cat err.cli
	[[ $(grep -c ' to=<' err.cli) -eq 3 ]]
	[[ $(grep -cE "$LINE" err.cli) -eq 3 ]]
	said "Q1: to=<a@x.test> from=<s@x.test> relay=127.0.0.1\[127.0.0.1\]:$port .*dsn=2.6.0 status=sent .*\(250 taken\)\$" \
		"Q1: to=<b@x.test> .*dsn=5.1.1 status=bounced .*\(550 no\)\$" \
		"Q1: to=<c@x.test> .*dsn=4.2.1 status=deferred .*\(450 later\)\$"
}

@test "R-LG-01: 200 mixed deliveries, 400 lines" {
	export NEXTHOP_LOG=stderr:info
	sink_start -U -r rcpt:20:550 -r rcpt:20:450 -r dot:10:451
	run -75 static --count=200 --parallel=20 --output=tsv a@x.test b@x.test
	[[ $(grep -cE "$LINE" err.cli) -eq 400 ]]
	[[ $(grep -c ' to=<' err.cli) -eq 400 ]]
	# And they say what the rows say.
	[[ $(grep -c status=sent err.cli) -eq $(grep -c $'\tdelivered\t' rows) ]]
	[[ $(grep -c status=bounced err.cli) -eq $(grep -c $'\tpermanent\t' rows) ]]
	[[ $(grep -c status=deferred err.cli) -gt 0 ]]
	sink_end
}

@test "R-LG-01: a reply with ESC and newline, and an address, are escaped" {
	export NEXTHOP_LOG=stderr:info
	hostile --from='"s> status=sent"@x.test'
	cat err.cli
	[[ $(grep -c ' to=<' err.cli) -eq 1 ]]
	! LC_ALL=C tr -d '\n' <err.cli | LC_ALL=C grep -qaP '[\x00-\x1f\x7f]' ||
		return 1
	said 'x1B\[2J'
}

@test "R-LG-01: no address and no name looks like a field" {
	export NEXTHOP_LOG=stderr:info
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	static --id='Q1: to=<x> status=bounced' \
		--from='"s> status=bounced"@x.test' '"r <b> dsn=5.0.0"@x.test'
	cat err.cli
	[[ $(grep -cE "$LINE" err.cli) -eq 1 ]]
	[[ $(grep ' to=<' err.cli | grep -o ' [a-z]*=<*' | tr -d '\n') == \
	    " to=< from=< relay= delay= delays= dsn= status= stage=" ]]
	grep -qF 'Q1:\x20to=\x3Cx\x3E\x20status=bounced: to=<"r\x20\x3Cb\x3E\x20dsn=5.0.0"@x.test> from=<"s\x3E\x20status=bounced"@x.test> relay=' \
		err.cli
}

@test "R-LG-01: nothing of it without being asked" {
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	static r@x.test
	[[ ! -s err.cli ]]
}

# ---- standard files ----

@test "rows that cannot be written: said, and 74" {
	local agent

	for agent in "$HOLE" "$STATIC"; do
		run -74 bash -c '"$0" --help >/dev/full' "$agent"
		[[ $output == *"writing to stdout: No space left on device"* ]]
	done
	run -74 bash -c '"$0" a@x.test <M >/dev/full' "$HOLE"
	[[ $output == *"writing to stdout: No space left on device"* ]]
	run -74 bash -c '"$0" --count=1000 --output=json a@x.test <M >/dev/full' \
		"$HOLE"
	[[ $output == *"writing to stdout"* ]]
	run -74 bash -c '"$0" a@x.test <M >&-' "$HOLE"
	[[ $output == *"writing to stdout: Bad file descriptor"* ]]
}

@test "started without stdin, stdout, stderr: nothing of ours goes to the server" {
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	run -74 bash -c 'exec "$@" <M >&- 2>&-' - "$STATIC" --trace \
		-o host=127.0.0.1 -o port="$port" -o ehlo_as=client.test r@x.test
	fake_well
	run -74 bash -c 'exec "$@" <&-' - "$HOLE" r@x.test
	[[ $output == *"reading the message from stdin: Bad file descriptor"* ]]
}

# ---- blackhole ----

@test "R-BH-01: always a success, with an identifier" {
	"$HOLE" --output=tsv --from=s@x.test a@x.test b@x.test <M >rows
	rows 2
	uuid='[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}'
	for i in 1 2; do
		[[ $(sed -n ${i}p rows | cut -f 2-4) == $'delivered\t250\t2.0.0' ]]
		[[ $(sed -n ${i}p rows | cut -f 5) =~ ^Message\ Delivered\;\ $uuid$ ]]
	done
	try blackhole -- s@x.test a@x.test <M >out
	[[ $(cut -f 1-4 out) == $'a@x.test\tdelivered\t250\t2.0.0' ]]
	"$HOLE" x@x.test </dev/null >out
	grep -q '^2.0.0 ' out
}

@test "R-BH-01: 10,000 messages, 10,000 identifiers" {
	"$HOLE" --count=10000 --parallel=1000 --output=tsv a@x.test <M >rows
	rows 10000
	[[ $(cut -f 1-4 rows | sort -u) == $'a@x.test\tdelivered\t250\t2.0.0' ]]
	[[ $(cut -f 5 rows | sort -u | wc -l) -eq 10000 ]]
	nh_conf <<-EOC
	[relay r]
	type = blackhole
	EOC
	nh_start
	nh submit --count=10000 --parallel=1000 --output=tsv a@x.test <M >rows
	rows 10000
	[[ $(cut -f 5 rows | sort -u | wc -l) -eq 10000 ]]
	nh_field_is r delivered 10000
	nh_field_is r restarts 0
}

@test "R-BH-01: it waits on request, takes no other option" {
	start=$(nh_ms)
	"$HOLE" -o delay=0.3 a@x.test <M >out
	took=$(($(nh_ms) - start))
	took 290 2000
	fails 78 "$HOLE" -o host=127.0.0.1 a@x.test
	said host
	fails 78 "$HOLE" -o delay=2h a@x.test
	said delay
}
