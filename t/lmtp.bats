#!/usr/bin/env bats
# lmtp: the dialogue, an answer for each recipient, wrong numbers of answers,
# connections that end in the midst of them, time-outs, limits. Dovecot as the
# other side: lmtp-peers.bats.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp

setup()
{
	TYPE=lmtp
	nh_setup
}

teardown()
{
	nh_teardown
}

LHLO=('S:220 x' L 'A:LHLO client.test' 'S:250 x')
LPIPED=('S:220 x' L 'A:LHLO client.test' 'W:250-x\r\n250 PIPELINING\r\n')
CHUNKED=('S:220 x' L 'A:LHLO client.test'
	'W:250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n')
# A transaction for a@x.test and b@x.test up to the replies after the data.
TWO=(L 'A:MAIL*' 'S:250 m' L 'A:RCPT TO:<a@x.test>' 'S:250 r' L
	'A:RCPT TO:<b@x.test>' 'S:250 r' L 'A:DATA' 'S:354 go' D)
NEXT=("${TWO[@]}" 'W:250 a2\r\n250 b2\r\n')

# pair STATUS [key=value...]: a message for a and b.
pair()
{
	give "$1" host="127.0.0.1:$port" "${@:2}" -- s@x.test a@x.test b@x.test
}

# said N PATTERN: our sink got so many such commands (grep -E).
said()
{
	local n
	n=$(grep -cE -- "$2" "$D/commands" || :)
	[[ $n -eq $1 ]] || { echo "$n times, not $1: $2"; cat "$D/commands"
		return 1; }
}

LOST='lost connection with * after end of data; message may have been delivered'

# ---- host, port, LHLO ----

# A network of its own for port 24. Prefix a command with "ns".
ns_start()
{
	unshare -n true 2>/dev/null || skip "needs unshare"
	nh_spawn unshare -n sh -c 'ip link set lo up && : >up; exec sleep 90' \
		2>>"$D/err.ns"
	NS=$NH_PID
	nh_until 5 test -e "$D/up"
}

ns()
{
	nsenter -t "$NS" -n -- "$@"
}

ns_sink()
{
	rm -f "$D/sink.port"
	nh_spawn nsenter -t "$NS" -n -- "$NH_BUILD/t/tools/sink" -q -m lmtp \
		-l "$1" -P "$D/sink.port" >"$D/sink.json" 2>>"$D/err.sink"
	SINK=$NH_PID
	nh_until 5 test -s "$D/sink.port"
}

# ns_give RELAY-LINE...: by hand and through a master of that network.
ns_give()
{
	local key args=() at

	for key in "$@"; do
		args+=(-o "$key")
	done
	ns "$NH_BUILD/libexec/nexthop/lmtp" "${args[@]}" --output=tsv \
		--from=s@x.test r@x.test <"$D/M" >"$D/rows" 2>>"$D/log.agent"
	at=$(cut -f 2,6-8 "$D/rows")
	{
		printf '[relay r]\ntype = lmtp\n'
		[[ $# -eq 0 ]] || printf '%s\n' "$@"
	} | nh_conf
	nh_spawn nsenter -t "$NS" -n -- "$NH_BUILD/sbin/nexthop-master" \
		-c "$CONF" --foreground >>"$LOG" 2>&1 </dev/null
	MASTER=$NH_PID
	nh_until 25 nh_is_up
	nh submit --relay=r --from=s@x.test --output=tsv r@x.test <"$D/M" \
		>"$D/rows"
	nh_stop
	[[ $(cut -f 2,6-8 "$D/rows") == "$at" ]]
}

@test "R-LM-03: host is localhost, port is 24 by default" {
	ns_start
	ns_sink 127.0.0.1:24
	ns_give
	[[ $(cut -f 2,6-8 rows) == $'delivered\tlocalhost\t127.0.0.1\t24' ]]
	ns_give host=127.0.0.1
	[[ $(cut -f 2,6-8 rows) == $'delivered\t127.0.0.1\t127.0.0.1\t24' ]]
	sink_end
	counted messages 4
	ns_sink 127.0.0.1:2424
	ns_give port=2424
	[[ $(cut -f 2,6-8 rows) == $'delivered\tlocalhost\t127.0.0.1\t2424' ]]
	sink_end
	counted messages 2
	# An IPv6 address with a port of its own, whatever the default is.
	ns_sink '[::1]:2425'
	ns_give 'host=[::1]:2425'
	[[ $(cut -f 2,6-8 rows) == $'delivered\t::1\t::1\t2425' ]]
	sink_end
	counted messages 2
}

plain()
{
	smtp_sink_start -L "$@"
	pair 0
	rows 2
	row 1 a@x.test delivered 250 2.2.0 Ok
	row 2 b@x.test delivered 250 2.2.0 Ok
	grep -qx 'X-Client-Proto: LMTP' "$D"/m.*
	grep -qx 'X-Helo-Args: client.test' "$D"/m.*
	grep -qx 'X-Mail-Args: <s@x.test>' "$D"/m.*
	[[ $(grep -h '^X-Rcpt-Args' "$D"/m.* | xargs) == 'X-Rcpt-Args: <a@x.test> X-Rcpt-Args: <b@x.test>' ]]
	[[ $(tail -n 5 "$D"/m.*) == $(printf 'From: s@x.test\nMessage-Id: <m1@x.test>\n\ntest') ]]
}

@test "R-LM-04: LHLO, with PIPELINING and without" {
	both plain
	both plain -p
}

order()
{
	fake_start E 'S:220 x' L E 'S:250 x' "${TWO[@]}" \
		'W:250 a\r\n250 b\r\n' "${BYE[@]}"
	pair 0
	fake_well
	{
		echo '--- connection 1'
		printf '%s\r\n' 'LHLO client.test' 'MAIL FROM:<s@x.test>' \
			'RCPT TO:<a@x.test>' 'RCPT TO:<b@x.test>' DATA
		cat "$D/M"
		printf '.\r\nQUIT\r\n'
	} >want
	cmp want "$D/fake"
}

@test "R-LM-04: the order of commands" {
	both order
}

# no_fallback REPLY STATUS CLASS CODE ENHANCED
no_fallback()
{
	fake_start 'S:220 x' L 'A:LHLO *' "S:$1" "${BYE[@]}"
	pair "$2"
	rows 2
	row 1 a@x.test "${@:3}"
	row 2 b@x.test "${@:3}"
	[[ $(cut -f 9 "$D/rows" | uniq) == EHLO ]]
	fake_well
	heard 0 'EHLO|HELO|MAIL'
}

@test "R-LM-04: LHLO refused is the answer: neither EHLO nor HELO follows" {
	both no_fallback '500 what' 69 permanent 500 5.0.0 what
	both no_fallback '502 5.5.1 no' 69 permanent 502 5.5.1 no
	both no_fallback '451 4.3.2 later' 75 transient 451 4.3.2 later
}

starttls()
{
	sink_start -m lmtp -T -a "$D/commands"
	pair 0 --count=2 tls_mode=require
	[[ $(cut -f 2 "$D/rows" | uniq) == delivered ]]
	said 2 'LHLO client.test'
	said 1 STARTTLS
	said 0 EHLO
	said 2 MAIL
	sink_end
	counted tls 1
	counted recipients 4
	rm "$D/commands"
}

@test "R-TL-07: LHLO again after STARTTLS" {
	both starttls
}

# ---- UNIX socket ----

unix_socket()
{
	sink_start -m lmtp -l "unix:$D/lmtp" -a "$D/commands" -M "$D/maildir"
	chmod 666 "$D/lmtp"		# the agent is nobody
	give 0 host="unix:$D/lmtp" --count=2 -- s@x.test a@x.test b@x.test
	rows 4
	[[ $(cut -f 2 "$D/rows" | uniq) == delivered ]]
	[[ $(cut -f 10 "$D/rows" | xargs) == '1 1 2 2' ]]
	[[ $(cut -f 6-8 "$D/rows" | uniq) == "$D/lmtp"$'\t\t0' ]]
	said 1 LHLO
	said 2 MAIL
	sink_end
	counted connections 1
	counted messages 2
	counted recipients 4
	rm "$D/commands"
}

@test "R-LM-05: UNIX socket" {
	both unix_socket
	# Both ways, two messages, a file for each recipient.
	[[ $(grep -lx 'Delivered-To: a@x.test' maildir/new/* | wc -l) -eq 4 ]]
	[[ $(grep -lx 'Delivered-To: b@x.test' maildir/new/* | wc -l) -eq 4 ]]
}

no_socket()
{
	give 75 host="unix:$D/nothing" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.4.1 "connect to $D/nothing: No such file or directory"
	[[ $(cut -f 6-9 "$D/rows") == "$D/nothing"$'\t\t0\tconnect' ]]
	: >"$D/file"
	chmod 666 "$D/file"
	give 75 host="unix:$D/file" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.4.1 "connect to $D/file: Connection refused"
	# The next host of the list is tried.
	sink_start -m lmtp
	give 0 host="unix:$D/nothing, 127.0.0.1:$port" -- s@x.test r@x.test
	[[ $(cut -f 2,6-8 "$D/rows") == $'delivered\t127.0.0.1\t127.0.0.1\t'$port ]]
}

@test "R-LM-05: nobody at the socket" {
	both no_socket
}

unix_lost()
{
	fake_start --unix="$D/u" "${LHLO[@]}" "${TWO[@]}" 'S:250 ok' X
	give 75 host="unix:$D/u" -- s@x.test a@x.test b@x.test
	row 1 a@x.test delivered 250 2.0.0 ok
	row 2 b@x.test transient 421 4.4.2 "lost connection with $D/u after end of data; message may have been delivered"
	fake_well
}

@test "R-LM-05, R-LM-06: a socket's end between the replies" {
	# Without a port the fake waits for none.
	fake_start() {
		nh_spawn "$NH_BUILD/t/tools/fake" --log="$D/fake" "$@" \
			2>>"$D/err.fake"
		FAKE=$NH_PID
		nh_until 5 test -S "$D/u"
		chmod 666 "$D/u"
	}
	both unix_lost
}

# ---- after the data, an answer for each ----

# after STEP...: three recipients, accepted, then those replies.
after()
{
	fake_start "${LHLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:250 r' L 'S:250 r' \
		L 'S:354 go' D "$@"
	give 75 host="127.0.0.1:$port" -- s@x.test {a,b,c}@x.test
	rows 3
	fake_well
	heard 1 '^--- connection'
}

each_its_own()
{
	after 'S:250 2.1.5 in' 'S:552 5.2.2 full' 'S:451 4.2.0 locked' \
		"${BYE[@]}"
	row 1 a@x.test delivered 250 2.1.5 in
	row 2 b@x.test permanent 552 5.2.2 full
	row 3 c@x.test transient 451 4.2.0 locked
	[[ $(cut -f 9 "$D/rows" | uniq) == 'end of data' ]]
	rm "$D/fake"
	# Nobody got it: the transaction is reset.
	after 'W:450-4.2.1 a\r\n450 4.2.1 a\r\n550 5.7.1 b\r\n550 5.7.1 c\r\n' \
		L 'A:RSET' 'S:250 r' "${BYE[@]}"
	row 1 a@x.test transient 450 4.2.1 'a\\na'
	row 2 b@x.test permanent 550 5.7.1 b
	row 3 c@x.test permanent 550 5.7.1 c
}

@test "R-LM-02: refused after the data, each for itself" {
	both each_its_own
}

accepted_only()
{
	fake_start "${LHLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:550 5.1.1 who' \
		L 'S:251 2.1.5 r' L 'S:450 4.2.1 full' L 'S:252 2.1.5 r' \
		L 'S:354 go' D 'W:250 one\r\n452 4.2.2 three\r\n250 five\r\n' \
		"${BYE[@]}"
	give 75 host="127.0.0.1:$port" -- s@x.test {a,b,c,d,e}@x.test
	rows 5
	row 1 a@x.test delivered 250 2.0.0 one
	row 2 b@x.test permanent 550 5.1.1 who
	row 3 c@x.test transient 452 4.2.2 three
	row 4 d@x.test transient 450 4.2.1 full
	row 5 e@x.test delivered 250 2.0.0 five
	fake_well
}

@test "R-LM-02: replies only for who was accepted, in their order" {
	both accepted_only
}

# Before the data a reply is for all of them.
for_all()
{
	fake_start "${LHLO[@]}" L 'S:450 4.3.0 m' L 'A:RSET' 'S:250 r' "${BYE[@]}"
	pair 75
	row 1 a@x.test transient 450 4.3.0 m
	row 2 b@x.test transient 450 4.3.0 m
	fake_start "${LHLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:250 r' L \
		'S:554 5.6.0 d' L 'A:RSET' 'S:250 r' "${BYE[@]}"
	pair 69
	row 1 a@x.test permanent 554 5.6.0 d
	row 2 b@x.test permanent 554 5.6.0 d
	fake_start "${LHLO[@]}" L 'S:250 m' L 'S:450 4.2.1 a' L 'S:550 5.1.1 b' \
		L 'A:RSET' 'S:250 r' "${BYE[@]}"
	pair 75
	row 1 a@x.test transient 450 4.2.1 a
	row 2 b@x.test permanent 550 5.1.1 b
	fake_well
}

@test "R-LM-02: MAIL, all recipients or DATA refused" {
	both for_all
}

one_421()
{
	after 'W:250 a\r\n421 4.3.2 b\r\n250 c\r\n' C
	row 1 a@x.test delivered 250 2.0.0 a
	row 2 b@x.test transient 421 4.3.2 b
	row 3 c@x.test delivered 250 2.0.0 c
	rm "$D/fake"
	after 'S:250 a' 'S:421 4.3.2 b' X
	row 1 a@x.test delivered 250 2.0.0 a
	row 2 b@x.test transient 421 4.3.2 b
	row 3 c@x.test transient 421 4.4.2 "$LOST"
}

@test "R-LM-02: 421 for one recipient" {
	both one_421
}

after_421()
{
	fake_start "${LHLO[@]}" "${TWO[@]}" 'W:421 4.3.2 a\r\n250 b\r\n' C + \
		"${LHLO[@]}" "${NEXT[@]}" "${BYE[@]}"
	pair 75 --count=2 command_timeout=3
	[[ $(cut -f 1,3,5 "$D/rows" | xargs) == 'a@x.test 421 a b@x.test 250 b a@x.test 250 a2 b@x.test 250 b2' ]]
	fake_well
	heard 2 '^--- connection'
	heard 2 '^MAIL'
}

@test "R-LM-02: 421 for one recipient, and the next message takes another connection" {
	both after_421
}

malformed()
{
	after 'S:250 a' 'S:354 go' 'S:250 c' C
	row 1 a@x.test delivered 250 2.0.0 a
	row 2 b@x.test transient 451 4.5.0 '*may have been delivered*'
	row 3 c@x.test transient 451 4.5.0 '*may have been delivered*'
	rm "$D/fake"
	after 'S:250 a' 'S:garbage' 'S:250 c' C
	row 1 a@x.test delivered 250 2.0.0 a
	row 2 b@x.test transient 451 4.5.0 '*may have been delivered*'
	row 3 c@x.test transient 451 4.5.0 '*may have been delivered*'
}

@test "R-LM-07: a reply in the midst that is none" {
	both malformed
}

rcpt_354()
{
	fake_start "${LHLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:354 go' C
	pair 75
	row 1 a@x.test transient 451 4.5.0 '* while sending RCPT TO: *'
	row 2 b@x.test transient 451 4.5.0 '* while sending RCPT TO: *'
	fake_well
	heard 0 DATA
}

@test "R-LM-07: 354 to RCPT" {
	both rcpt_354
}

# ---- the end between the replies ----

lost_between()
{
	after 'S:250 2.6.0 in' "$1"
	row 1 a@x.test delivered 250 2.6.0 in
	row 2 b@x.test transient 421 4.4.2 "$LOST"
	row 3 c@x.test transient 421 4.4.2 "$LOST"
	rm "$D/fake"
	after 'S:550 5.7.1 no' 'S:250 b' "$1"
	row 1 a@x.test permanent 550 5.7.1 no
	row 2 b@x.test delivered 250 2.0.0 b
	row 3 c@x.test transient 421 4.4.2 "$LOST"
	rm "$D/fake"
	after 'W:250 a\r\n250' "$1"
	row 1 a@x.test delivered 250 2.0.0 a
	row 2 b@x.test transient 421 4.4.2 "$LOST"
	row 3 c@x.test transient 421 4.4.2 "$LOST"
	rm "$D/fake"
	after "$1"
	row 1 a@x.test transient 421 4.4.2 "$LOST"
	row 3 c@x.test transient 421 4.4.2 "$LOST"
}

@test "R-LM-06: EOF between the replies: what was said counts, the rest is in doubt" {
	both lost_between X
}

# What was sent just before a reset may be lost with it.
@test "R-LM-06: a reset between the replies" {
	after 'S:250 a' Z:0.2 R
	row 1 a@x.test delivered 250 2.0.0 a
	row 2 b@x.test transient 421 4.4.2 "$LOST"
	row 3 c@x.test transient 421 4.4.2 "$LOST"
}

lost_later()
{
	fake_start "${LHLO[@]}" "${NEXT[@]}" "${TWO[@]}" 'S:250 a3' X + \
		"${LHLO[@]}" "${NEXT[@]}" "${BYE[@]}"
	pair 75 --count=3
	[[ $(cut -f 1,3 "$D/rows" | xargs) == 'a@x.test 250 b@x.test 250 a@x.test 250 b@x.test 421 a@x.test 250 b@x.test 250' ]]
	[[ $(cut -f 5 "$D/rows" | sed -n 3p) == a3 ]]
	fake_well
	heard 2 '^--- connection'
	heard 3 '^MAIL'
}

@test "R-LM-06: on a used connection: no second try, the next message takes another" {
	both lost_later
}

# ---- equal recipients ----

equals()
{
	fake_start "${LHLO[@]}" "${TWO[@]}" 'W:250 a\r\n552 5.2.2 b\r\n' \
		"${BYE[@]}"
	give 69 host="127.0.0.1:$port" -- s@x.test a@x.test a@x.test b@x.test \
		a@x.test b@x.test
	rows 5
	[[ $(cut -f 1,3,5 "$D/rows" | xargs) == 'a@x.test 250 a a@x.test 250 a b@x.test 552 b a@x.test 250 a b@x.test 552 b' ]]
	fake_well
	heard 2 '^RCPT'
	rm "$D/fake"
	# In doubt together.
	fake_start "${LHLO[@]}" "${TWO[@]}" 'S:250 a' X
	give 75 host="127.0.0.1:$port" -- s@x.test a@x.test b@x.test b@x.test \
		a@x.test
	[[ $(cut -f 1,3 "$D/rows" | xargs) == 'a@x.test 250 b@x.test 421 b@x.test 421 a@x.test 250' ]]
	fake_well
}

@test "R-CF-10: equal recipients are said once, one reply is theirs, each is reported" {
	both equals
}

# ---- wrong numbers of replies ----

nobody_354()
{
	fake_start "${LPIPED[@]}" G:4 'A:DATA' \
		'W:250 m\r\n550 5.1.1 a\r\n450 4.2.1 b\r\n354 go\r\n' C + \
		"${LPIPED[@]}" G:4 'W:250 m\r\n250 r\r\n250 r\r\n354 go\r\n' D \
		'W:250 a2\r\n250 b2\r\n' "${BYE[@]}"
	pair 75 --count=2 data_timeout=30
	[[ $took -lt 20000 ]]
	[[ $(cut -f 1,3,5 "$D/rows" | xargs) == 'a@x.test 550 a b@x.test 450 b a@x.test 250 a2 b@x.test 250 b2' ]]
	fake_well
	heard 2 '^--- connection'
	heard 1 Message-Id
	heard 1 '^\.$'
}

@test "R-LM-07: 354 with nobody accepted: nothing is sent, the next message takes another connection" {
	both nobody_354
}

nobody_503()
{
	fake_start "${LPIPED[@]}" G:4 \
		'W:250 m\r\n550 5.1.1 a\r\n450 4.2.1 b\r\n503 nobody\r\n' \
		L 'A:RSET' G:4 \
		'W:250 reset\r\n250 m\r\n250 r\r\n250 r\r\n354 go\r\n' D \
		'W:250 a2\r\n250 b2\r\n' "${BYE[@]}"
	pair 75 --count=2
	[[ $(cut -f 1,3,5 "$D/rows" | xargs) == 'a@x.test 550 a b@x.test 450 b a@x.test 250 a2 b@x.test 250 b2' ]]
	fake_well
	heard 1 '^--- connection'
}

@test "R-LM-07: 503 with nobody accepted" {
	both nobody_503
}

# surplus STEP...: one reply more than recipients, in that way; whatever the
# second message gets must be its own.
surplus()
{
	fake_start "${LHLO[@]}" "${TWO[@]}" "$@" C + "${LHLO[@]}" "${TWO[@]}" \
		'W:450 4.2.0 a2\r\n250 b2\r\n' "${BYE[@]}"
	pair 75 --count=2 command_timeout=30 ${GAP:+--gap=$GAP}
	[[ $took -lt 20000 ]]
	[[ $(cut -f 1,3,5 "$D/rows" | xargs) == 'a@x.test 250 a b@x.test 250 b a@x.test 450 a2 b@x.test 250 b2' ]]
	fake_well
	heard 2 '^--- connection'
	heard 2 MAIL
}

@test "R-LM-07: three replies for two: nothing more goes over that connection" {
	both surplus 'W:250 a\r\n250 b\r\n250 c\r\n'
	both surplus 'W:250 a\r\n250 b\r\n550 c\r\n250 d\r\n'
	both surplus 'W:250 a\r\n250 b\r\n25'
	both surplus 'W:250 a\r\n250 b\r\n250-'
	GAP=1.5
	both surplus 'S:250 a' 'S:250 b' Z:0.1 'S:250 c'
	both surplus 'S:250 a' 'S:250 b' Z:0.1 'S:550 c'
	both surplus 'S:250 a' 'S:250 b' Z:0.1 W:25
}

# When the surplus reply and the next message have come, whichever is seen
# first.
@test "R-LM-07: a surplus reply and the next message at the same time" {
	local agent
	fake_start "${LHLO[@]}" "${TWO[@]}" 'W:250 a\r\n250 b\r\n' Z:0.5 \
		'S:250 c' C + "${LHLO[@]}" "${TWO[@]}" \
		'W:450 4.2.0 a2\r\n250 b2\r\n' "${BYE[@]}"
	nh_conf <<<"[relay r]
	type = lmtp
	host = 127.0.0.1:$port
	ehlo_as = client.test"
	nh_start
	nh submit --relay=r --from=s@x.test {a,b}@x.test <M
	agent=$(nh_agent r)
	kill -STOP "$agent"
	nh_spawn nh submit --relay=r --from=s@x.test --output=tsv \
		{a,b}@x.test <M >rows 2>err.submit
	sleep 1
	kill -CONT "$agent"
	wait "$NH_PID" || [[ $? -eq 75 ]]
	row 1 a@x.test transient 450 4.2.0 a2
	row 2 b@x.test delivered 250 2.0.0 b2
	nh_stop
	fake_well
	heard 2 '^--- connection'
	heard 2 MAIL
}

# When it comes after the next MAIL nobody can tell it from MAIL's reply; yet
# no answer to MAIL or RCPT is ever taken for a delivery.
too_late()
{
	fake_start "${LHLO[@]}" "${TWO[@]}" 'W:250 a\r\n250 b\r\n' L 'A:MAIL*' \
		'W:250 c\r\n250 m\r\n' C + "${LHLO[@]}" "${NEXT[@]}" "${BYE[@]}"
	pair 0 --count=2
	[[ $(cut -f 5 "$D/rows" | xargs) == 'a b a2 b2' ]]
	fake_well
	rm "$D/fake"
	# Each reply is that to the command before.
	fake_start "${LHLO[@]}" "${TWO[@]}" 'W:250 a\r\n250 b\r\n' L 'A:MAIL*' \
		'S:250 c' L 'A:RCPT TO:<a@*' 'S:250 m' L 'A:RCPT TO:<b@*' \
		'S:250 r' L 'A:DATA' 'S:250 r' C + "${LHLO[@]}" "${NEXT[@]}" \
		"${BYE[@]}"
	pair 0 --count=2
	[[ $(cut -f 5 "$D/rows" | xargs) == 'a b a2 b2' ]]
	fake_well
	heard 2 '^\.$'
}

@test "R-LM-07: a surplus reply that comes too late is no delivery" {
	both too_late
}

too_few()
{
	fake_start "${LHLO[@]}" "${TWO[@]}" 'S:250 a' C + "${LHLO[@]}" \
		"${TWO[@]}" 'W:450 4.2.0 a2\r\n250 b2\r\n' "${BYE[@]}"
	pair 75 --count=2 data_timeout=1
	took 1000 3500
	row 1 a@x.test delivered 250 2.0.0 a
	row 2 b@x.test transient 421 4.4.2 'conversation with * timed out after end of data; message may have been delivered'
	row 3 a@x.test transient 450 4.2.0 a2
	row 4 b@x.test delivered 250 2.0.0 b2
	fake_well
	heard 2 '^--- connection'
}

@test "R-LM-07: one reply for two: data_timeout, then another connection" {
	both too_few
}

# ---- BDAT ----

bdat()
{
	fake_start "${CHUNKED[@]}" G:4 'A:RCPT TO:<c@x.test>' E \
		'W:250 m\r\n250 r\r\n550 5.1.1 b\r\n250 r\r\n' L \
		'A:BDAT 49 LAST' B:49 E 'W:250 a\r\n452 4.2.2 c\r\n' \
		G:4 'A:RCPT TO:<c@x.test>' E \
		'W:250 m\r\n250 r\r\n250 r\r\n250 r\r\n' L 'A:BDAT 49 LAST' \
		B:49 E 'W:250 a2\r\n250 b2\r\n550 5.2.2 c2\r\n' "${BYE[@]}"
	give 75 host="127.0.0.1:$port" --count=2 -- s@x.test {a,b,c}@x.test
	[[ $(cut -f 1,3,5 "$D/rows" | xargs) == 'a@x.test 250 a b@x.test 550 b c@x.test 452 c a@x.test 250 a2 b@x.test 250 b2 c@x.test 550 c2' ]]
	fake_well
	heard 1 '^--- connection'
	heard 0 '^\.|DATA'
}

@test "R-LM-02: BDAT: one reply for each accepted recipient, and no early data" {
	both bdat
}

bdat_nobody()
{
	fake_start "${CHUNKED[@]}" G:3 'W:250 m\r\n550 5.1.1 a\r\n450 4.2.1 b\r\n' \
		L 'A:RSET' 'S:250 r' "${BYE[@]}"
	pair 75
	row 1 a@x.test permanent 550 5.1.1 a
	row 2 b@x.test transient 450 4.2.1 b
	fake_well
	heard 0 'BDAT|Message-Id'
}

@test "R-LM-07: BDAT, and nobody accepted" {
	both bdat_nobody
}

bdat_wrong()
{
	fake_start "${CHUNKED[@]}" G:3 'W:250 m\r\n250 r\r\n250 r\r\n' L B:49 \
		"$@" + "${CHUNKED[@]}" G:3 'W:250 m\r\n250 r\r\n250 r\r\n' \
		L B:49 'W:450 4.2.0 a2\r\n250 b2\r\n' "${BYE[@]}"
	pair 75 --count=2 data_timeout=1
	row 1 a@x.test delivered 250 2.0.0 a
	row 2 b@x.test "${BDAT[@]}"
	row 3 a@x.test transient 450 4.2.0 a2
	row 4 b@x.test delivered 250 2.0.0 b2
	fake_well
	heard 2 '^--- connection'
}

@test "R-LM-06, R-LM-07: BDAT: too few replies, too many, the end between" {
	BDAT=(transient 421 4.4.2 "$LOST")
	both bdat_wrong 'S:250 a' X
	BDAT=(transient 421 4.4.2 'conversation with * timed out after end of data; message may have been delivered')
	both bdat_wrong 'S:250 a' C
	BDAT=(delivered 250 2.0.0 b)
	both bdat_wrong 'W:250 a\r\n250 b\r\n250 c\r\n' C
}

# ---- many recipients ----

# many FLAG...: each is said and reported in its order.
many()
{
	sink_start -m lmtp -a "$D/commands" "$@"
	give 0 host="127.0.0.1:$port" -- s@x.test r{1..500}@x.test
	rows 500
	[[ $(cut -f 1 "$D/rows") == $(printf '%s\n' r{1..500}@x.test) ]]
	[[ $(cut -f 2 "$D/rows" | uniq) == delivered ]]
	[[ $(grep -oE 'RCPT TO:<[^@]*' "$D/commands" | cut -c 10-) == $(printf '%s\n' r{1..500}) ]]
	said 1 MAIL
	sink_end
	counted messages 1
	counted recipients 500
	rm "$D/commands"
}

@test "R-LM-08: 500 recipients, with PIPELINING, without, with DATA" {
	both many
	both many -p
	both many -k
}

# The reply tells the recipient's number: none is exchanged for another.
many_replies()
{
	local i after=() rcpt=()
	for i in {1..500}; do
		case $((i % 5)) in
		0)	rcpt+=(L "S:550 5.1.1 r$i") ;;
		1)	rcpt+=(L "S:250 r$i"); after+=("S:452 4.2.2 d$i") ;;
		*)	rcpt+=(L "S:250 r$i"); after+=("S:250 d$i") ;;
		esac
	done
	fake_start "$@" L 'S:250 m' "${rcpt[@]}" L 'A:DATA' 'S:354 go' D \
		"${after[@]}" "${BYE[@]}"
	give 75 host="127.0.0.1:$port" -- s@x.test r{1..500}@x.test
	for i in {1..500}; do
		case $((i % 5)) in
		0)	printf 'r%u@x.test\t550\tr%u\n' "$i" "$i" ;;
		1)	printf 'r%u@x.test\t452\td%u\n' "$i" "$i" ;;
		*)	printf 'r%u@x.test\t250\td%u\n' "$i" "$i" ;;
		esac
	done >"$D/want"
	cut -f 1,3,5 "$D/rows" | diff "$D/want" -
	fake_well
}

@test "R-LM-08: 500 recipients with 500 answers, each its own" {
	both many_replies "${LHLO[@]}"
	both many_replies "${LPIPED[@]}"
}

smtp_sink_many()
{
	smtp_sink_start -L "$@"
	give 0 host="127.0.0.1:$port" -- s@x.test r{1..500}@x.test
	[[ $(cut -f 1,2 "$D/rows") == $(printf '%s\tdelivered\n' r{1..500}@x.test) ]]
	[[ $(grep -hc '^X-Rcpt-Args' "$D"/m.*) -eq 500 ]]
}

@test "R-LM-08: 500 recipients at smtp-sink" {
	both smtp_sink_many
	both smtp_sink_many -p
}

# Each transaction has as many replies as it has accepted recipients.
several_tx()
{
	fake_start "${LHLO[@]}" "${TWO[@]}" 'W:250 a\r\n450 4.2.0 b\r\n' \
		L 'A:MAIL*' 'S:250 m' L 'A:RCPT TO:<c@x.test>' 'S:250 r' \
		L 'A:RCPT TO:<d@x.test>' 'S:452 4.5.3 too many' L 'S:354 go' D \
		'S:250 c' L 'A:MAIL*' 'S:250 m' L 'A:RCPT TO:<d@x.test>' \
		'S:250 r' L 'A:RCPT TO:<e@x.test>' 'S:250 r' L 'S:354 go' D \
		'W:250 d\r\n552 5.2.2 e\r\n' "${BYE[@]}"
	give 75 host="127.0.0.1:$port" max_recipients=2 -- s@x.test \
		{a,b,c,d,e}@x.test
	[[ $(cut -f 1,3,5 "$D/rows" | xargs) == 'a@x.test 250 a b@x.test 450 b c@x.test 250 c d@x.test 250 d e@x.test 552 e' ]]
	fake_well
}

@test "R-ST-31: max_recipients and 452: several transactions, each with its own replies" {
	both several_tx
}

# ---- reuse, time-outs, limits: as smtp-static ----

reuse()
{
	fake_start "${LHLO[@]}" "${NEXT[@]}" "${NEXT[@]}" "${BYE[@]}"
	pair 0 --count=2 "$@"
	[[ $(cut -f 2,10 "$D/rows" | xargs) == 'delivered 1 delivered 1 delivered 2 delivered 2' ]]
	fake_well
	heard 1 '^--- connection'
	heard 1 LHLO
	heard 0 RSET
}

@test "R-LM-08: R-ST-19: one connection for two messages" {
	both reuse idle_timeout=5
	both reuse --gap=0.3
}

stale()
{
	fake_start "${LHLO[@]}" "${NEXT[@]}" "$@" + "${LHLO[@]}" "${NEXT[@]}" \
		"${BYE[@]}"
	pair 0 --count=2 --gap=0.2
	fake_well
	heard 2 '^--- connection'
}

@test "R-LM-08: R-ST-23: a kept connection that is dead" {
	both stale X
	both stale 'S:421 4.4.2 idle' X
	both stale L 'A:MAIL*' 'S:421 4.7.0 enough' X
	both stale L 'S:250 m' L 'S:250 r' L X
}

@test "R-LM-08: R-ST-20: idle_timeout=1: QUIT about a second later" {
	fake_start "${LHLO[@]}" "${NEXT[@]}" E Z:0.55 E "${BYE[@]}" X + \
		"${LHLO[@]}" "${NEXT[@]}" "${BYE[@]}"
	VIA=master pair 0 idle_timeout=1 --count=2 --gap=2
	fake_well
	heard 2 '^--- connection'
}

no_connection()
{
	fake_start --full
	pair 75 connect_timeout=1
	row 2 b@x.test transient 451 4.4.1 \
		"connect to 127.0.0.1\\[127.0.0.1\\]:$port: Connection timed out"
	took 1000 2500
}

@test "R-LM-08: R-ST-15: connect_timeout" {
	both no_connection
}

slow_mail()
{
	smtp_sink_start -L -p -W MAIL:6
	pair 75 command_timeout=1
	row 2 b@x.test transient 421 4.4.2 \
		"conversation with 127.0.0.1\\[127.0.0.1\\]:$port timed out while sending MAIL FROM"
	took 1000 2500
}

slow_lhlo()
{
	fake_start "S:220 x" L C
	pair 75 command_timeout=1
	row 1 a@x.test transient 421 4.4.2 'conversation with * timed out while sending LHLO'
	took 1000 2500
}

@test "R-LM-08: R-ST-17: command_timeout" {
	both slow_mail
	VIA=agent slow_lhlo
}

slow_dot()
{
	smtp_sink_start -L "$@" -W .:6
	pair 75 data_timeout=1
	row 1 a@x.test transient 421 4.4.2 \
		'conversation with * timed out after end of data; message may have been delivered'
	row 2 b@x.test transient 421 4.4.2 \
		'conversation with * timed out after end of data; message may have been delivered'
	took 1000 2500
}

stops_reading()
{
	fake_start --each --rcvbuf=4096 "${LHLO[@]}" L 'S:250 m' L 'S:250 r' L \
		'S:250 r' L 'S:354 go' P:20
	MSG=$D/BIG pair 75 data_timeout=1
	row 2 b@x.test transient 421 4.4.2 'conversation with * timed out while sending message body'
	took 1000 2500
	heard 1 '^--- connection'
}

@test "R-LM-08: R-ST-18: data_timeout, with PIPELINING, without, while sending" {
	head -c 5000000 /dev/zero | tr '\0' 'x' | fold -w 70 >BIG
	both slow_dot
	VIA=agent slow_dot -p
	VIA=agent stops_reading
}

@test "R-LM-08: R-ST-18: each reply after the data has its own time" {
	fake_start "${LHLO[@]}" "${TWO[@]}" Z:0.7 'S:250 a' Z:0.7 'S:250 b' \
		"${BYE[@]}"
	VIA=agent pair 0 data_timeout=1
	fake_well
}

two_at_once()
{
	sink_start -m lmtp -D 200
	pair 0 concurrent_connections=2 --count=10 --parallel=10
	rows 20
	[[ $(cut -f 2 "$D/rows" | uniq) == delivered ]]
	took 1000 2300		# always two busy
	sink_end
	counted peak 2
	counted connections 2
	counted messages 10
	counted recipients 20
}

@test "R-LM-08: R-ST-21: concurrent_connections bounds, and all are used" {
	both two_at_once
}

@test "R-LM-08: R-ST-21: smtp-sink -L: never more than two, five by default" {
	local seen most=0 pid
	smtp_sink_start -L -w 1
	(VIA=agent pair 0 concurrent_connections=2 --count=4 --parallel=4) 3>&- &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		seen=$(ss -tnH state established "( dport = :$port )" | wc -l)
		[[ $seen -le $most ]] || most=$seen
		sleep 0.05
	done
	wait "$pid"
	[[ $most -eq 2 ]]
	[[ $(find . -name 'm.*' | wc -l) -eq 4 ]]
	sink_start -m lmtp -D 100
	VIA=agent pair 0 --count=20 --parallel=20
	sink_end
	counted peak 5
	counted messages 20
}

# ---- content and memory ----

stored()
{
	cat "$D"/maildir/new/* | sed -n '/^From: s@x/,$p' >"$D/got"
	tr -d '\r' <"$1" | cmp - "$D/got"
}

content()
{
	rm -rf "$D/maildir"
	sink_start -m lmtp -M "$D/maildir" "$@"
	MSG=$D/DOTS give 0 host="127.0.0.1:$port" -- s@x.test a@x.test
	stored "$D/DOTS"
}

@test "R-CT-01, R-CT-06: dots and 8-bit octets, by DATA and by BDAT" {
	{ cat M; printf '.\r\n..\r\n.x\r\ngr\303\274n \201\r\n.\r\n'; } >DOTS
	both content
	both content -k
	both content -p
}

# Postfix's sink has 8BITMIME; a server without it gets nothing it cannot keep.
@test "R-CT-06: 8-bit octets for a server that has not 8BITMIME" {
	{ cat M; printf 'gr\303\274n\r\n'; } >EIGHT
	sink_start -m lmtp -x 8BITMIME
	MSG=EIGHT VIA=agent give 69 host="127.0.0.1:$port" eightbit=refuse -- s@x.test a@x.test
	row 1 a@x.test permanent 554 5.6.3
	MSG=EIGHT VIA=agent give 0 host="127.0.0.1:$port" eightbit=send -- s@x.test a@x.test
}

@test "R-PM-07: 50 MB for two recipients, small memory" {
	sink_start -m lmtp -s 0
	{
		cat M
		yes "$(printf 'x%.0s' {1..98})"$'\r' | head -n 500000
	} >BIG
	python3 - >peak <<-END
	import resource, subprocess
	subprocess.run(["$NH_BUILD/libexec/nexthop/lmtp",
	    "-ohost=127.0.0.1:$port", "-oehlo_as=client.test", "--from=s@x.test",
	    "a@x.test", "b@x.test"], stdin=open("BIG"), check=True,
	    stderr=open("log.agent", "w"))
	print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
	END
	is_instrumented || [[ $(tail -n 1 peak) -lt 32768 ]]
	sink_end
	counted messages 1
	counted recipients 2
	counted body_bytes $(($(wc -c <BIG) - $(wc -c <M) + 6))
}
