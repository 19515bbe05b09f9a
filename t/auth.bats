#!/usr/bin/env bats
# smtp-static with AUTH: each mechanism against Dovecot's SASL behind Postfix
# or a scripted server, refusals, and that secrets are told to nobody else.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/certs

setup_file()
{
	certs_make
}

teardown_file()
{
	certs_remove
}

PASSWORD='sesame, open'

setup()
{
	nh_setup
	secret_file pw "$PASSWORD"
	CREDENTIALS=(credentials.username=alice
		credentials.password_file="$D/pw")
}

teardown()
{
	[[ ! -e $D/postfix/main.cf ]] || postfix_stop
	nh_teardown
}

# secret_file NAME TEXT: for whoever the agents run as, and for nobody else.
secret_file()
{
	install -m 600 /dev/null "$D/$1.new"
	printf '%s\n' "$2" >"$D/$1.new"
	[[ ${VIA:-} != master || $(id -u) -ne 0 ]] || chown nobody "$D/$1.new"
	mv "$D/$1.new" "$D/$1"
}

# b64 FORMAT ARGUMENT...: as printf writes it, in base64.
b64()
{
	# shellcheck disable=SC2059 # that is meant
	printf "$@" | base64 -w 0
}

PLAIN=$(b64 '\0alice\0sesame, open')

# What the scripted server says up to AUTH, in TLS; $1: its parameters.
offers()
{
	OFFERS=('S:220 x' L 'A:EHLO *' 'W:250-x\r\n250 STARTTLS\r\n'
		L 'A:STARTTLS' 'S:220 go' T L 'A:EHLO *'
		"W:250-x\\r\\n250 $1\\r\\n" L)
}

# account VIA key=value...: a delivery with an account; as give does.
account()
{
	local VIA=$1 status=$2

	secret_file pw "$PASSWORD"
	give "$status" host="127.0.0.1:$port" "${CREDENTIALS[@]}" "${@:3}" -- \
		s@example.com r@x.test
}

# each_way STATUS key=value...: by hand and through the master.
each_way()
{
	account agent "$@"
	account master "$@"
}

# ---- the mechanisms ----

@test "R-AU-01: PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-256 with Dovecot behind Postfix" {
	local mechanism n=0
	dovecot_auth_start plain login cram-md5 scram-sha-256
	postfix_tls_start may "${SASL[@]}" 'smtpd_tls_auth_only = yes' \
		'default_transport = discard'
	for mechanism in PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256; do
		account agent 0 auth_mechanisms="$mechanism"
		row 1 r@x.test delivered 250 2.0.0
		postfix_logged 1 "sasl_method=$mechanism, sasl_username=alice"
	done
	postfix_logged 4 'disconnect .* ehlo=2 starttls=1 auth=1 mail=1'

	# The strongest that both know, and the order of the option.
	account master 0
	postfix_logged 2 'sasl_method=SCRAM-SHA-256,'
	account master 0 auth_mechanisms='login, PLAIN'
	postfix_logged 2 'sasl_method=LOGIN,'
}

@test "R-AU-01: a name and a password in UTF-8" {
	dovecot_auth_start plain scram-sha-256
	postfix_tls_start may "${SASL[@]}" 'default_transport = discard'
	PASSWORD=böb
	CREDENTIALS[0]=credentials.username=bob
	account agent 0 auth_mechanisms=PLAIN
	account agent 0 auth_mechanisms=SCRAM-SHA-256
	postfix_logged 2 'sasl_username=bob'
}

@test "R-AU-01: the password as a value, for one connection said once" {
	dovecot_auth_start plain
	postfix_tls_start may "${SASL[@]}" 'default_transport = discard'
	nh_conf <<<"[relay r]
	type = static
	host = 127.0.0.1:$port
	credentials.username = alice
	credentials.password = $PASSWORD"
	nh_start
	nh submit --relay=r --from=s@x.test --count=3 r@x.test <M
	nh_stop
	postfix_logged 1 'disconnect .* auth=1 mail=3'
}

plain_line()
{
	rm -f "$D/fake"
	offers 'AUTH PLAIN'
	fake_start "${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:235 2.7.0 in' "${TAKE[@]}" \
		"${BYE[@]}"
	account "$1" 0
	fake_well
	heard 1 "^AUTH PLAIN $PLAIN\$"
}

@test "R-AU-01: PLAIN is one line, after TLS and the last EHLO" {
	plain_line agent
	plain_line master
}

@test "R-AU-01: LOGIN is two answers in base64" {
	offers 'AUTH LOGIN'
	fake_start "${OFFERS[@]}" 'A:AUTH LOGIN' 'S:334 VXNlcm5hbWU6' L \
		'S:334 UGFzc3dvcmQ6' L 'S:235 2.7.0 in' "${TAKE[@]}" "${BYE[@]}"
	account agent 0
	fake_well
	heard 1 "^$(b64 alice)\$"
	heard 1 "^$(b64 "$PASSWORD")\$"
}

@test "R-AU-01: authzid" {
	offers 'AUTH PLAIN'
	fake_start "${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:235 2.7.0 in' "${TAKE[@]}" \
		"${BYE[@]}"
	account agent 0 credentials.authzid=carol
	fake_well
	heard 1 "^AUTH PLAIN $(b64 'carol\0alice\0sesame, open')\$"
}

# scram_start [--option...]: a server that knows SCRAM, also with binding.
scram_start()
{
	rm -f "$D/scram.port"
	nh_spawn python3 "$NH_ROOT/t/lib/scram_server.py" "$D/scram.port" \
		"$CERTS/good.pem" "$@" >"$D/scram" 2>>"$D/err.scram"
	nh_until 10 test -s "$D/scram.port"
	port=$(<"$D/scram.port")
}

scram_said()
{
	[[ $(<"$D/scram") == "$1" ]] || { cat "$D/scram" "$D/err.scram"
		return 1; }
}

@test "R-AU-01: SCRAM-SHA-256-PLUS, bound to TLS 1.3 and 1.2" {
	scram_start --tls=1.3
	account agent 0 tls.ca_certs="$CERTS/ca.crt"
	scram_said 'SCRAM-SHA-256-PLUS p=tls-exporter,, well'
	scram_start --tls=1.2
	account master 0
	scram_said 'SCRAM-SHA-256-PLUS p=tls-server-end-point,, well'
}

@test "R-AU-01: SCRAM-SHA-256-PLUS in a session that was resumed" {
	scram_start --tls=1.3
	account agent 0 max_messages_per_connection=1 --count=2 --parallel=1
	scram_said $'SCRAM-SHA-256-PLUS p=tls-exporter,, well\nSCRAM-SHA-256-PLUS p=tls-exporter,, well'
}

@test "R-AU-01: SCRAM-SHA-256 where the server cannot bind, or we are told not to" {
	scram_start --no-plus
	account agent 0
	scram_said 'SCRAM-SHA-256 y,, well'
	scram_start
	account agent 0 auth_mechanisms=SCRAM-SHA-256
	[[ $(<scram) == 'SCRAM-SHA-256 n,, well' ]]
}

@test "R-AU-01: SCRAM: a server that does not know the password is not believed" {
	for lie in --lie --early; do
		scram_start $lie
		account agent 75
		row 1 r@x.test transient 454 4.7.0 'SASL authentication with * failed: *'
	done
	grep -q '^SCRAM.* well$' scram
	# Nothing is hashed for a day, nor weakly.
	scram_start --rounds=100
	account agent 75
	scram_start --rounds=100000000
	account agent 75
	[[ $took -lt 15000 ]]	# of them all: over 30 seconds
}

@test "R-AU-01: EXTERNAL, where it is asked for, with a client's certificate" {
	offers 'AUTH PLAIN EXTERNAL'
	fake_start "${OFFERS[@]}" 'A:AUTH EXTERNAL *' 'S:235 2.7.0 in' \
		"${TAKE[@]}" "${BYE[@]}"
	VIA=agent give 0 host="127.0.0.1:$port" auth_mechanisms=EXTERNAL \
		tls_mode=require tls.certfile="$CERTS/client.pem" -- \
		s@x.test r@x.test
	fake_well
	heard 1 '^AUTH EXTERNAL =$'
}

# ---- tokens ----

@test "R-AU-01: XOAUTH2, OAUTHBEARER: the token of a file" {
	CREDENTIALS[1]=credentials.token_file=$D/token
	secret_file token tok1
	offers 'AUTH XOAUTH2 PLAIN'
	fake_start "${OFFERS[@]}" 'A:AUTH XOAUTH2 *' 'S:235 2.7.0 in' \
		"${TAKE[@]}" "${BYE[@]}"
	account agent 0
	fake_well
	heard 1 "^AUTH XOAUTH2 $(b64 'user=alice\001auth=Bearer tok1\001\001')\$"

	offers 'AUTH XOAUTH2 OAUTHBEARER'
	fake_start "${OFFERS[@]}" 'A:AUTH OAUTHBEARER *' 'S:235 2.7.0 in' \
		"${TAKE[@]}" "${BYE[@]}"
	account agent 0
	fake_well
	sed -n 's/^AUTH OAUTHBEARER //p' fake | tr -d '\r' | base64 -d |
		tr '\001' '|' >said
	[[ $(<said) == 'n,a=alice,|'*'auth=Bearer tok1||' ]]
}

@test "R-AU-01: a token that is too long for the AUTH line" {
	local token
	token=$(printf 't%.0s' {1..3000})
	CREDENTIALS[1]=credentials.token_file=$D/token
	secret_file token "$token"
	offers 'AUTH XOAUTH2'
	fake_start "${OFFERS[@]}" 'A:AUTH XOAUTH2' 'S:334 ' L 'S:235 2.7.0 in' \
		"${TAKE[@]}" "${BYE[@]}"
	account agent 0
	fake_well
	heard 1 "^$(b64 "user=alice\\001auth=Bearer $token\\001\\001")\$"
}

@test "R-AU-04: a refused token: the server's words are told, the exchange ended" {
	CREDENTIALS[1]=credentials.token_file=$D/token
	secret_file token tok1
	local challenge
	challenge=$(b64 '{"status":"401","schemes":"bearer"}')
	offers 'AUTH XOAUTH2'
	fake_start "${OFFERS[@]}" 'A:AUTH XOAUTH2 *' "S:334 $challenge" L 'A:' \
		'S:535 5.7.8 no' "${BYE[@]}"
	account agent 75
	row 1 r@x.test transient 454 4.7.0 'SASL authentication with * failed: *401*'
	fake_well
	offers 'AUTH OAUTHBEARER'
	fake_start "${OFFERS[@]}" 'A:AUTH OAUTHBEARER *' "S:334 $challenge" L \
		'A:AQ==' 'S:535 5.7.8 no' "${BYE[@]}"
	account agent 75
	row 1 r@x.test transient 454 4.7.0 'SASL authentication with * failed: *401*'
	fake_well
}

@test "R-AU-01: a token file that changes is read again" {
	local VIA=master login
	offers 'AUTH XOAUTH2'
	login=("${OFFERS[@]}" 'A:AUTH XOAUTH2 *' 'S:235 2.7.0 in' "${TAKE[@]}"
		"${BYE[@]}")
	fake_start "${login[@]}" + "${login[@]}" + "${login[@]}"
	secret_file token tok1
	nh_conf <<<"[relay r]
	type = static
	host = 127.0.0.1:$port
	idle_timeout = 0
	credentials.username = alice
	credentials.token_file = $D/token"
	nh_start
	nh submit --relay=r --from=s@x.test r@x.test <M
	secret_file token tok2
	nh submit --relay=r --from=s@x.test r@x.test <M
	# Taken away: not used on; and back again.
	rm token
	run -75 nh submit --relay=r --from=s@x.test r@x.test <M
	[[ $output == *4.7.0*token* && $output != *tok2* ]]
	nh_stop
	heard 1 "^AUTH XOAUTH2 $(b64 'user=alice\001auth=Bearer tok1\001\001')\$"
	heard 1 "^AUTH XOAUTH2 $(b64 'user=alice\001auth=Bearer tok2\001\001')\$"
	run -1 grep -E 'tok[12]' "$LOG"
}

# ---- what is configured ----

# refused_account PATTERN LINE...: by hand and by the check.
refused_account()
{
	VIA=agent give 78 host=127.0.0.1:9 "${@:2}" -- s@x.test r@x.test
	grep -qE -- "$1" "$D/log.agent" || { cat "$D/log.agent"; return 1; }
	{
		printf '[relay a]\ntype = static\nhost = 127.0.0.1\n'
		printf '%s\n' "${@:2}"
	} | nh_conf
	run -78 nh check
	[[ $output =~ $1 ]] || { echo "$output"; return 1; }
	[[ $output != *sesame* ]] || return 1
	untold "$D/log.agent"
	rm "$D/log.agent"
}

@test "R-AU-02: half an account, unknown keys and mechanisms: refused at start" {
	refused_account credentials.password credentials.username=alice
	refused_account credentials.username "credentials.password=$PASSWORD"
	refused_account credentials.username "${CREDENTIALS[1]}"
	refused_account credentials.user "${CREDENTIALS[@]}" credentials.user=x
	refused_account password_file "${CREDENTIALS[@]}" \
		"credentials.password=$PASSWORD"
	refused_account auth_mechanisms "${CREDENTIALS[@]}" 'auth_mechanisms=a b'
	refused_account auth_failure "${CREDENTIALS[@]}" auth_failure=never
}

# refused_file PATTERN: the password file, by hand and at the master's start.
refused_file()
{
	VIA=agent give 78 host=127.0.0.1:9 "${CREDENTIALS[@]}" -- \
		s@x.test r@x.test
	grep -q "$D/pw: .*$1" "$D/log.agent" || { cat "$D/log.agent"; return 1; }
	printf '%s\n' '[relay a]' 'type = static' 'host = 127.0.0.1' \
		"${CREDENTIALS[@]}" | nh_conf
	run -78 nh check
	[[ $output == *"$D/pw: "*$1* ]] || { echo "$output"; return 1; }
	rm "$D/log.agent"
}

@test "R-AU-02: a secret file that others can read, or that is none: refused at start" {
	local VIA=master
	chmod 644 pw
	refused_file 'others have access'
	chmod 604 pw
	refused_file 'others have access'
	secret_file pw "$PASSWORD"
	chmod 640 pw
	refused_file group
	rm pw
	refused_file 'No such file'
	secret_file pw ''
	refused_file empty
	secret_file pw $'two\nlines'
	VIA=agent give 75 host=127.0.0.1:9 "${CREDENTIALS[@]}" -- \
		s@x.test r@x.test
	rm pw
	mkdir pw
	refused_file regular
}

# ---- secrets stay secret ----

# in_the_open VIA: a server without TLS is told nothing.
in_the_open()
{
	rm -f "$D/fake"
	fake_start 'S:220 x' L 'A:EHLO *' 'W:250-x\r\n250 AUTH PLAIN LOGIN\r\n' \
		"${BYE[@]}"
	account "$1" 75
	row 1 r@x.test transient 454 4.7.0 'SASL authentication with * not possible: *'
	fake_well
	heard 0 'AUTH|MAIL'
}

@test "R-AU-03: no password in clear text" {
	in_the_open agent
	in_the_open master
	smtp_sink_start -v
	each_way 75
	row 1 r@x.test transient 454 4.7.0
	run -1 grep -E 'AUTH|MAIL' "$D/err.smtp-sink"
}

@test "R-AU-03: nor when opportunistic TLS fails" {
	fake_start 'S:220 x' L 'W:250-x\r\n250 STARTTLS\r\n' L 'S:220 go' B:5 \
		'S:this is not TLS' C + 'S:220 x' L \
		'W:250-x\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n' "${BYE[@]}"
	account agent 75
	row 1 r@x.test transient 454 4.7.0
	fake_well
	heard 0 'AUTH|MAIL'
}

@test "R-AU-03: CRAM-MD5 and SCRAM-SHA-256 tell no password, PLAIN may over a UNIX socket" {
	local plain=('S:220 x' L 'W:250-x\r\n250 AUTH PLAIN CRAM-MD5\r\n' L)
	fake_start "${plain[@]}" 'A:AUTH CRAM-MD5' "S:334 $(b64 '<1@x>')" L \
		'S:235 in' "${TAKE[@]}" "${BYE[@]}"
	account agent 0
	fake_well
	heard 1 "^$(b64 'alice %s' "$(printf '<1@x>' |
		openssl dgst -md5 -hmac "$PASSWORD" | sed 's/.*= //')")\$"
	fake_start --unix="$D/u.sock" 'S:220 x' L 'W:250-x\r\n250 AUTH PLAIN\r\n' \
		L 'A:AUTH PLAIN *' 'S:235 in' "${TAKE[@]}" "${BYE[@]}"
	VIA=agent give 0 host="unix:$D/u.sock" "${CREDENTIALS[@]}" -- \
		s@x.test r@x.test
	fake_well
}

# untold FILE...: none of them tells the password, in any of its forms.
untold()
{
	local file form

	for file; do
		[[ -r $file ]] || { echo "no $file"; return 1; }
		for form in sesame "$(b64 "$PASSWORD")" "$PLAIN"; do
			if tr '\0' '\n' <"$file" | grep -qaF -- "$form"; then
				echo "$file tells the password"
				return 1
			fi
		done
	done
}

@test "R-AU-03: no password in traces, logs, arguments, environment, answers, or the shown configuration" {
	local mechanism pid steps
	for mechanism in PLAIN LOGIN; do
		offers "AUTH $mechanism"
		steps=('A:AUTH PLAIN *')
		[[ $mechanism == PLAIN ]] || steps=('A:AUTH LOGIN'
			'S:334 VXNlcm5hbWU6' L 'S:334 UGFzc3dvcmQ6' L)
		fake_start "${OFFERS[@]}" "${steps[@]}" 'S:235 in' "${TAKE[@]}" \
			"${BYE[@]}"
		account agent 0 --trace
		fake_well
		grep -q "C: .*AUTH $mechanism" log.agent
		grep -q 'C: .*MAIL FROM' log.agent
	done
	untold log.agent rows

	offers 'AUTH PLAIN'
	fake_start "${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:535 5.7.8 alice who' \
		"${BYE[@]}" X + "${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:235 in' \
		"${TAKE[@]}" "${BYE[@]}"
	nh_conf <<<"[relay r]
	type = static
	host = 127.0.0.1:$port
	credentials.username = alice
	credentials.password = $PASSWORD
	auth_retry_delay = 0"
	nh_start
	run -75 nh submit --relay=r --trace --from=s@x.test r@x.test <M
	[[ $output != *sesame* && $output != *"$PLAIN"* ]]
	nh submit --relay=r --from=s@x.test r@x.test <M >out
	nh config >out.config
	nh status --output=json >out.status
	grep -q credentials.username out.config
	for pid in $MASTER $(nh_agent r); do
		untold "/proc/$pid/cmdline" "/proc/$pid/environ"
	done
	untold "$LOG" out out.config out.status
	# The test itself can tell.
	run -1 untold "$CONF"
}

# ---- refusals ----

# refused_login STATUS key=value...
refused_login()
{
	rm -f "$D/fake"
	offers 'AUTH PLAIN'
	fake_start "${OFFERS[@]}" 'A:AUTH PLAIN *' "S:$REPLY" "${BYE[@]}"
	account "$@"
	fake_well
	heard 0 MAIL
}

@test "R-AU-04: a refused password is transient, permanent if asked" {
	REPLY='535 5.7.8 Bad credentials'
	for via in agent master; do
		refused_login $via 75
		row 1 r@x.test transient 454 4.7.0 \
			'SASL authentication with * failed: 535 5.7.8 Bad credentials'
		refused_login $via 69 auth_failure=permanent
		row 1 r@x.test permanent 535 5.7.8 'Bad credentials'
	done
	REPLY='454 4.7.0 Try later'
	refused_login agent 75 auth_failure=permanent
	row 1 r@x.test transient 454 4.7.0 '*Try later*'
}

@test "R-AU-04: the next host where one refuses the login" {
	offers 'AUTH PLAIN'
	fake_start "${OFFERS[@]}" 'S:535 5.7.8 no' "${BYE[@]}"
	local first=$port
	offers 'AUTH LOGIN PLAIN'
	fake_start "${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:235 in' "${TAKE[@]}" \
		"${BYE[@]}"
	VIA=agent give 0 host="127.0.0.1:$first, 127.0.0.1:$port" \
		"${CREDENTIALS[@]}" -- s@x.test r@x.test
	[[ $(cut -f 8 "$D/rows") == "$port" ]]
	fake_well
}

@test "R-AU-04: many messages and a refused login: all have an answer" {
	offers 'AUTH PLAIN'
	fake_start --each "${OFFERS[@]}" 'S:535 5.7.8 no' "${BYE[@]}"
	account agent 75 concurrent_connections=2 --count=20 --parallel=20
	rows 20
	[[ $(cut -f 2,3,4 "$D/rows" | uniq) == $'transient\t454\t4.7.0' ]]
}

# tries N MESSAGES STATUS key=value... [--option...]: what the scripted server
# heard of so many messages to it, given one after the other.
tries()
{
	VIA=agent give "$3" host="127.0.0.1:$port" "${CREDENTIALS[@]}" \
		--count="$2" --parallel=1 "${@:4}" -- s@example.com r@x.test
	rows "$2"
	heard "$1" '^AUTH'
	heard "$1" '^--- connection'
}

@test "R-AU-04: a refused login is not tried again with each message" {
	offers 'AUTH PLAIN'
	fake_start "${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:535 5.7.8 Bad' "${BYE[@]}"
	tries 1 3 75
	fake_well
	row 1 r@x.test transient 454 4.7.0 \
		"SASL authentication with 127.0.0.1?127.0.0.1]:$port failed: 535 5.7.8 Bad"
	row 3 r@x.test transient 454 4.7.0 \
		"SASL authentication with 127.0.0.1?127.0.0.1]:$port failed: 535 5.7.8 Bad ([0-9]* seconds ago)"
	[[ $(sed -n 3p "$D/rows" | cut -f 6-9) == \
	    $'127.0.0.1\t127.0.0.1\t'$port$'\tAUTH' ]]

	rm "$D/fake"
	fake_start "${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:535 5.7.8 Bad' "${BYE[@]}"
	tries 1 3 69 auth_failure=permanent
	row 1 r@x.test permanent 535 5.7.8 'Bad'
	row 3 r@x.test permanent 535 5.7.8 'Bad ([0-9]* seconds ago)'
}

@test "R-AU-04: auth_retry_delay: when it is over, and 0" {
	local once
	offers 'AUTH PLAIN'
	once=("${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:535 5.7.8 Bad' "${BYE[@]}")
	fake_start "${once[@]}" + "${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:235 in' \
		"${TAKE[@]}" "${BYE[@]}"
	tries 2 2 75 auth_retry_delay=1 --gap=4
	row 2 r@x.test delivered 250 2.0.0
	rm "$D/fake"
	fake_start "${once[@]}" + "${once[@]}" + "${once[@]}"
	tries 3 3 75 auth_retry_delay=0
	fake_well
}

@test "R-AU-04: what is no clear refusal is not remembered" {
	local once
	offers 'AUTH PLAIN'
	once=("${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:454 4.7.0 later' "${BYE[@]}")
	fake_start "${once[@]}" + "${once[@]}"
	tries 2 2 75
	fake_well
	# Our own "*" is none either.
	rm "$D/fake"
	offers 'AUTH LOGIN'
	once=("${OFFERS[@]}" 'A:AUTH LOGIN' 'S:334 ***' L 'A:\*'
		'S:535 5.7.8 cancelled' "${BYE[@]}")
	fake_start "${once[@]}" + "${once[@]}"
	tries 2 2 75
	fake_well
}

@test "R-AU-04: a refused login holds until the secret file is written to" {
	local VIA=master
	offers 'AUTH PLAIN'
	fake_start "${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:535 no' "${BYE[@]}" + \
		"${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:535 no' "${BYE[@]}" + \
		"${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:235 in' "${TAKE[@]}" "${BYE[@]}"
	secret_file pw wrong
	nh_conf <<<"[relay r]
	type = static
	host = 127.0.0.1:$port
	idle_timeout = 0
	credentials.username = alice
	credentials.password_file = $D/pw"
	nh_start
	for _ in 1 2; do
		run -75 nh submit --relay=r --from=s@x.test r@x.test <M
	done
	[[ $output == *'535 no ('*' seconds ago)'* ]]
	heard 1 '^AUTH'
	# The same again is worth a try too: who wrote it wants one.
	secret_file pw wrong
	for _ in 1 2; do
		run -75 nh submit --relay=r --from=s@x.test r@x.test <M
	done
	heard 2 '^AUTH'
	secret_file pw "$PASSWORD"
	nh submit --relay=r --from=s@x.test r@x.test <M
	nh_stop
	fake_well
	heard 1 "^AUTH PLAIN $PLAIN\$"
}

@test "R-AU-04: the host that refused the login is passed over" {
	offers 'AUTH PLAIN'
	fake_start "${OFFERS[@]}" 'S:535 5.7.8 no' "${BYE[@]}"
	local first=$port
	fake_start "${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:235 in' "${TAKE[@]}" \
		"${TAKE[@]}" "${BYE[@]}"
	VIA=agent give 0 host="127.0.0.1:$first, 127.0.0.1:$port" \
		"${CREDENTIALS[@]}" --count=2 --parallel=1 -- s@x.test r@x.test
	[[ $(cut -f 8 "$D/rows" | uniq) == "$port" ]]
	heard 2 '^--- connection'
	fake_well
}

@test "R-AU-04: many at once: when the time is over, one login tries for all" {
	local n
	offers 'AUTH PLAIN'
	fake_start --each "${OFFERS[@]}" 'S:535 5.7.8 no' "${BYE[@]}"
	nh_conf <<<"[relay r]
	type = static
	host = 127.0.0.1:$port
	auth_retry_delay = 4
	credentials.username = alice
	credentials.password = wrong"
	nh_start
	run -75 nh submit --relay=r --from=s@x.test --count=40 --parallel=40 \
		--output=tsv r@x.test <M
	[[ $(wc -l <<<"$output") -eq 40 ]]
	n=$(grep -ac '^AUTH' "$D/fake")
	[[ $n -ge 1 && $n -le 5 ]]
	sleep 5
	run -75 nh submit --relay=r --from=s@x.test --count=40 --parallel=40 \
		--output=tsv r@x.test <M
	[[ $(wc -l <<<"$output") -eq 40 ]]
	heard $((n + 1)) '^AUTH'
}

@test "R-AU-04: a wrong password for Dovecot" {
	dovecot_auth_start plain cram-md5 scram-sha-256
	postfix_tls_start may "${SASL[@]}" 'default_transport = discard'
	PASSWORD=wrong
	for mechanism in PLAIN CRAM-MD5 SCRAM-SHA-256; do
		account agent 75 auth_mechanisms=$mechanism
		row 1 r@x.test transient 454 4.7.0 \
			'SASL authentication with * failed: 535 *'
	done
	postfix_logged 0 'status=sent'
}

@test "R-AU-04: 421, the end, silence, nonsense instead of an answer" {
	offers 'AUTH PLAIN'
	fake_start "${OFFERS[@]}" 'S:421 4.3.2 busy' X
	account agent 75
	row 1 r@x.test transient 421 4.3.2 busy
	fake_start "${OFFERS[@]}" X
	account agent 75
	row 1 r@x.test transient 421 4.4.2 'lost connection with * while *AUTH*'
	fake_start "${OFFERS[@]}" C
	account agent 75 command_timeout=1
	row 1 r@x.test transient 421 4.4.2 'conversation with * timed out while *AUTH*'
	fake_start "${OFFERS[@]}" 'S:hello' C
	account agent 75
	row 1 r@x.test transient 451 4.5.0 'malformed reply *'
	fake_start "${OFFERS[@]}" 'S:354 go' C
	account agent 75
	row 1 r@x.test transient 451 4.5.0 'unexpected reply *: 354 go*'
	heard 0 MAIL
}

@test "R-AU-05: mechanisms that are not known are skipped" {
	local line
	for line in 'AUTH GSSAPI NTLM PLAIN' 'AUTH=GSSAPI PLAIN' 'auth gssapi plain'; do
		rm -f "$D/fake"
		offers "$line"
		fake_start "${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:235 in' \
			"${TAKE[@]}" "${BYE[@]}"
		account agent 0
		fake_well
	done
	offers 'AUTH PLAIN'
	fake_start "${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:235 in' "${TAKE[@]}" \
		"${BYE[@]}"
	account agent 0 auth_mechanisms='NOSUCH, PLAIN' || {
		# Or refused at start.
		grep auth_mechanisms log.agent
	}
}

# unusable PATTERN OFFER
unusable()
{
	offers "$2"
	# The last L is that for AUTH; QUIT comes instead.
	fake_start "${OFFERS[@]}" 'A:QUIT' 'S:221 bye'
	account agent 75
	row 1 r@x.test transient 454 4.7.0 "$1"
	fake_well
	heard 0 'AUTH|MAIL'
	rm "$D/fake"
}

@test "R-AU-05: none that is usable, or no AUTH: transient" {
	unusable 'SASL authentication not offered by host 127.0.0.1?127.0.0.1]:*' \
		8BITMIME
	unusable 'SASL authentication with * not possible: no usable SASL mechanism offered (offered: GSSAPI NTLM)' \
		'AUTH GSSAPI NTLM'
	unusable '*no usable SASL mechanism offered*' 'AUTH EXTERNAL'
	unusable '*SASL*' AUTH
}

@test "R-AU-05: a challenge that is not base64, too many, too long: cancelled" {
	offers 'AUTH LOGIN'
	fake_start "${OFFERS[@]}" 'A:AUTH LOGIN' 'S:334 !!!' L 'A:\*' \
		'S:501 5.7.0 cancelled' "${BYE[@]}"
	account agent 75
	row 1 r@x.test transient 454 4.7.0 '*failed: *base64*'
	fake_well
	offers 'AUTH PLAIN'
	fake_start "${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:334 VXNlcm5hbWU6' L 'A:\*' \
		'S:501 5.7.0 cancelled' "${BYE[@]}"
	account agent 75
	row 1 r@x.test transient 454 4.7.0
	fake_well
	offers 'AUTH CRAM-MD5'
	fake_start "${OFFERS[@]}" 'A:AUTH CRAM-MD5' \
		"S:334 $(head -c 30000 /dev/zero | base64 -w 0)" C
	account agent 75
	row 1 r@x.test transient '*' '*' || [[ $(cut -f 2 rows) == transient ]]
	heard 0 MAIL
	# And a server that asks for ever.
	offers 'AUTH LOGIN'
	fake_start "${OFFERS[@]}" 'A:AUTH LOGIN' 'S:334 ' L 'S:334 ' L 'S:334 ' \
		L 'A:\*' 'S:501 5.7.0 cancelled' "${BYE[@]}"
	account agent 75
	row 1 r@x.test transient 454 4.7.0
	fake_well
}

# ---- connections ----

@test "R-AU-03: two accounts at one host do not share connections" {
	dovecot_auth_start plain
	postfix_tls_start may "${SASL[@]}" 'default_transport = discard'
	printf '%s' böb >pw2
	chmod 600 pw2
	nh_conf <<<"[relay a]
	type = static
	host = 127.0.0.1:$port
	credentials.username = alice
	credentials.password = $PASSWORD
	[relay b]
	type = static
	host = 127.0.0.1:$port
	credentials.username = bob
	credentials.password = böb"
	nh_start
	for _ in 1 2; do
		nh submit --relay=a --from=s@x.test r@x.test <M
		nh submit --relay=b --from=s@x.test r@x.test <M
	done
	nh_stop
	postfix_logged 2 'sasl_username=alice'
	postfix_logged 2 'sasl_username=bob'
	postfix_logged 2 'disconnect .* auth=1 mail=2'
}

@test "R-AU-01: MAIL has AUTH=<> after AUTH alone" {
	offers 'AUTH PLAIN'
	fake_start "${OFFERS[@]}" 'A:AUTH PLAIN *' 'S:235 in' "${TAKE[@]}" \
		"${BYE[@]}"
	account agent 0
	fake_well
	heard 0 'MAIL.*alice'
	rm fake
	offers 'AUTH PLAIN'
	fake_start "${OFFERS[@]}" 'A:MAIL*' 'S:250 m' L 'S:250 r' L 'S:354 go' D \
		'S:250 ok' "${BYE[@]}"
	VIA=agent give 0 host="127.0.0.1:$port" -- s@x.test r@x.test
	fake_well
	heard 0 'AUTH'
}
