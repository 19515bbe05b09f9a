#!/usr/bin/env bats
# smtp-static with TLS: STARTTLS and TLS from the first byte, whom it trusts,
# when it goes on in clear and when never; Postfix's server, our sink and the
# scripted server as the other side.
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

setup()
{
	nh_setup
	CA=tls.ca_certs=$CERTS/ca.crt
}

teardown()
{
	[[ ! -e $D/postfix/main.cf ]] || postfix_stop
	nh_teardown
}

# What the scripted server says up to its answer to STARTTLS; and with TLS up
# to the EHLO inside.
OFFER=('S:220 x' L 'A:EHLO *' 'W:250-x\r\n250 STARTTLS\r\n' L 'A:STARTTLS')
SECURE=("${OFFER[@]}" 'S:220 go' T L 'A:EHLO *' 'S:250 x')
# One who offers TLS and gets mail in clear.
CLEAR=('S:220 x' L 'A:EHLO *' 'W:250-x\r\n250 STARTTLS\r\n' "${TAKE[@]}"
	"${BYE[@]}")
# Instead of a handshake.
GARBAGE=(B:5 'S:this is not TLS' C)

# tls_sink_start CERT [FLAG...]: our sink with STARTTLS.
tls_sink_start()
{
	rm -f "$D/commands"
	sink_start -T -C "$CERTS/$1.pem" -a "$D/commands" "${@:2}"
}

# said N PATTERN: our sink got so many such commands (grep -E).
said()
{
	local n
	n=$(grep -cE -- "$2" "$D/commands" 2>/dev/null || :)
	[[ ${n:-0} -eq $1 ]] || { echo "$n times, not $1: $2"
		cat "$D/commands"; return 1; }
}

# facts key=value... [--option...]: a delivery by hand, its answers as JSON.
facts()
{
	local args=()

	while [[ $# -gt 0 ]]; do
		[[ $1 == --* ]] || args+=(-o)
		args+=("$1")
		shift
	done
	"$NH_BUILD/libexec/nexthop/smtp-static" -o ehlo_as=client.test \
		"${args[@]}" --output=json --from=s@x.test r@x.test \
		<"${MSG:-$D/M}" >"$D/json" 2>>"$D/log.agent"
}

# fact PATTERN [LINE]: what the answer says of TLS.
fact()
{
	local text
	text=$(sed -n "${2:-1}s/.*\"tls\":\"\([^\"]*\)\".*/\1/p" "$D/json")
	# shellcheck disable=SC2053 # a pattern is meant
	[[ $text == $1 ]] || { cat "$D/json"; return 1; }
}

# refused_option KEY=VALUE PATTERN [KEY=VALUE...]: by hand and by the check.
refused_option()
{
	VIA=agent give 78 host=127.0.0.1:9 "$1" "${@:3}" -- s@x.test r@x.test
	grep -qE -- "$2" "$D/log.agent" || { cat "$D/log.agent"; return 1; }
	{
		printf '[relay a]\ntype = static\nhost = 127.0.0.1\n'
		printf '%s\n' "$1" "${@:3}"
	} | nh_conf
	run -78 nh check
	# shellcheck disable=SC2154
	[[ $output =~ $2 ]] || { echo "$output"; return 1; }
	rm "$D/log.agent"
}

# ---- TLS is used ----

enabled()
{
	give 0 host=127.0.0.1 port="$port" "$CA" -- s@example.com a@example.com
	row 1 a@example.com delivered 250 2.0.0
	postfix_logged "$1" 'TLS connection established from .*TLSv1.3'
	postfix_logged "$1" 'disconnect .* ehlo=2 starttls=1 mail=1'
}

@test "TLSA records are for smtp-mx: other agents refuse tls_mode = dane at start" {
	local mode

	for mode in dane dane-only; do
		run -78 "$NH_BUILD/libexec/nexthop/smtp-static" -o host=127.0.0.1:9 -o tls_mode=$mode \
			--from=s@x.test r@x.test </dev/null
		[[ $output == *'need smtp-mx'* ]]
	done
}

@test "R-TL-01: tls.ca_certs enables and verifies, with Postfix" {
	postfix_tls_start may
	VIA=agent enabled 1
	VIA=master enabled 2
	facts host=127.0.0.1 port="$port" "$CA" || true
	fact 'TLSv1.3 TLS_* verified=127.0.0.1'
}

@test "R-TL-01: the answers tell it, through the master too; in clear they do not" {
	tls_sink_start good
	facts host="127.0.0.1:$port" "$CA"
	fact 'TLSv1.3 TLS_* verified=127.0.0.1'
	facts host="127.0.0.1:$port" tls_mode=none
	fact ''
	run -1 grep TLSv "$D/json"
	nh_conf <<<"[relay r]
	type = static
	host = 127.0.0.1:$port
	ehlo_as = client.test
	$CA"
	nh_start
	nh submit --relay=r --output=json --from=s@x.test r@x.test <M >json
	fact 'TLSv1.3 TLS_* verified=127.0.0.1'
}

default_mode()
{
	tls_sink_start self
	give 0 host="127.0.0.1:$port" -- s@x.test r@x.test
	said 1 STARTTLS
	said 2 EHLO
	give 0 host="127.0.0.1:$port" tls_mode=none -- s@x.test r@x.test
	give 0 host="127.0.0.1:$port" tls=no -- s@x.test r@x.test
	said 1 STARTTLS
	give 0 host="127.0.0.1:$port" tls_mode=may -- s@x.test r@x.test
	give 0 host="127.0.0.1:$port" tls_mode=require -- s@x.test r@x.test
	give 0 host="127.0.0.1:$port" tls_mode=encrypt -- s@x.test r@x.test
	said 4 STARTTLS
	said 6 MAIL
}

@test "R-TL-02: none: no TLS; by default: TLS whoever the server is" {
	both default_mode
}

# ---- whom it trusts ----

# untrusted CERT PATTERN key=value...: not delivered, and nothing in clear.
untrusted()
{
	tls_sink_start "$1"
	give 75 host="127.0.0.1:$port" "${@:3}" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.7.5 "Server certificate not verified: $2"
	sink_end
	counted connections 1
	said 1 EHLO
	said 0 MAIL
}

trusted()
{
	tls_sink_start "$1"
	give 0 host="127.0.0.1:$port" "${@:2}" -- s@x.test r@x.test
	said 1 STARTTLS
	said 1 MAIL
}

@test "R-TL-03: another CA, another name, out of date, signed by itself: transient, nothing in clear" {
	both untrusted good '*' tls.ca_certs="$CERTS/other.crt"
	both untrusted good '*' tls_mode=verify
	both untrusted good '*' tls=yes
	both untrusted wrong '*' "$CA"
	both untrusted expired '*expired*' "$CA"
	both untrusted self '*self*signed*' "$CA"
	both untrusted client '*' "$CA"
	both untrusted good '*' "$CA" tls.match=other.test
}

@test "R-TL-03: the right CA, an intermediate certificate, CERT_NONE, tls.match" {
	both trusted good "$CA"
	both trusted good "$CA" tls_mode=verify
	both trusted chain "$CA" tls_mode=secure
	both trusted wrong "$CA" tls.cert_reqs=CERT_NONE
	both trusted expired "$CA" tls.cert_reqs=0
	both trusted self "$CA" tls.cert_reqs=CERT_OPTIONAL
	both trusted wrong "$CA" tls.match=mail.test,other.test
	both trusted wrong "$CA" tls.match=.test
}

@test "R-TL-03: a server that shows no intermediate certificate" {
	cp "$CERTS/leaf.pem" leaf.pem
	sink_start -T -C "$D/leaf.pem"
	give 75 host="127.0.0.1:$port" "$CA" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.7.5 '*not verified*issuer*'
}

@test "R-TL-03: fingerprints of the certificate or its key" {
	local cert key

	cert=$(cert_digest "$CERTS/self.pem")
	key=$(cert_key_digest "$CERTS/self.pem")
	both trusted self tls_mode=fingerprint tls.fingerprints="$cert"
	both trusted self tls_mode=fingerprint \
		tls.fingerprints="$(cert_digest "$CERTS/good.pem"), ${key^^}"
	both untrusted good '*' tls.fingerprints="$cert" "$CA"
}

@test "R-TL-03: CERT_OPTIONAL reports" {
	tls_sink_start good
	facts host="127.0.0.1:$port" "$CA" tls.cert_reqs=CERT_OPTIONAL
	fact '* verified=127.0.0.1'
	facts host="127.0.0.1:$port" "$CA" tls.cert_reqs=CERT_OPTIONAL \
		tls.match=other.test
	fact '* verified=no'
	facts host="127.0.0.1:$port" tls_mode=require
	fact '* verified=no'
}

@test "R-TL-03: the next host where one is not trusted" {
	tls_sink_start wrong
	local first=$port
	sink_start -T -C "$CERTS/good.pem"
	for VIA in agent master; do
		give 0 host="127.0.0.1:$first, 127.0.0.1:$port" "$CA" -- \
			s@x.test r@x.test
		[[ $(cut -f 8 "$D/rows") == "$port" ]]
	done
	said 2 STARTTLS
	said 0 MAIL
}

client_cert()
{
	give 0 host=127.0.0.1 port="$port" "$CA" "${@:2}" -- \
		s@example.com a@example.com
	postfix_logged "$1" 'Trusted TLS connection established'
	postfix_logged "$1" ': seen "nexthop client" by "nexthop test CA"'
}

@test "R-TL-04: certfile and keyfile: Postfix knows the client" {
	postfix_tls_start ask
	VIA=agent client_cert 1 tls.certfile="$CERTS/client.crt" \
		tls.keyfile="$CERTS/client.key"
	VIA=agent client_cert 2 tls.certfile="$CERTS/client.pem"
	VIA=master client_cert 3 tls.certfile="$CERTS/client.pem"
	VIA=agent give 0 host=127.0.0.1 port="$port" "$CA" -- \
		s@example.com a@example.com
	postfix_logged 1 'Anonymous TLS connection established'
}

@test "R-TL-05: ssl_version, ciphers, ciphersuites" {
	tls_sink_start good
	facts host="127.0.0.1:$port" "$CA" tls.ssl_version=PROTOCOL_TLSv1_2 \
		tls.ciphers=ECDHE-ECDSA-AES128-GCM-SHA256
	fact 'TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256 verified=*'
	facts host="127.0.0.1:$port" "$CA" tls.ssl_version=TLSv1.3 \
		tls.ciphersuites=TLS_CHACHA20_POLY1305_SHA256
	fact 'TLSv1.3 TLS_CHACHA20_POLY1305_SHA256 verified=*'
	facts host="127.0.0.1:$port" "$CA" tls.suppress_ragged_eofs=true \
		tls.server_side=false tls.do_handshake_on_connect=true
	facts host="127.0.0.1:$port" "$CA" tls.ktls=yes
}

@test "R-TL-05: no version or cipher in common: transient 4.7.5" {
	postfix_tls_start may 'smtpd_tls_protocols = <=TLSv1.2'
	VIA=agent give 75 host="127.0.0.1:$port" tls_mode=require \
		tls.ssl_version=TLSv1.3 -- s@example.com a@example.com
	row 1 a@example.com transient 451 4.7.5 'TLS handshake with * failed: *'
	VIA=agent give 75 host="127.0.0.1:$port" tls_mode=require \
		tls.ssl_version=PROTOCOL_TLSv1_2 \
		tls.ciphers=ECDHE-RSA-AES128-GCM-SHA256 -- \
		s@example.com a@example.com
	row 1 a@example.com transient 451 4.7.5 'TLS handshake with * failed: *'
	postfix_logged 0 'mail='
}

@test "R-TL-05: what cannot be is refused at start" {
	refused_option tls.ssl_version=PROTOCOL_SSLv3 'tls.ssl_version'
	refused_option tls.ssl_version=PROTOCOL_TLSv1_1 'tls.ssl_version'
	refused_option tls.server_side=true 'tls.server_side'
	refused_option tls.ciphers=NOSUCH 'NOSUCH|cipher'
	refused_option tls.ciphersuites=NOSUCH 'NOSUCH|cipher'
	refused_option tls_mode=bogus 'tls_mode'
	refused_option tls.cert_reqs=CERT_REQUIRED 'tls.cert_reqs' tls_mode=may
	refused_option tls_mode=fingerprint 'tls.fingerprints'
	refused_option tls.fingerprints=abc 'tls.fingerprints'
	refused_option tls.match='a b' 'tls.match'
}

@test "R-TL-04: a private key that everybody can read: said once" {
	local mode
	for mode in 600 640 644; do
		install -m "$mode" "$CERTS/client.pem" "$D/key.pem"
		rm -f "$D/log.agent"
		VIA=agent give 75 host=127.0.0.1:9 tls.certfile="$D/key.pem" \
			-- s@x.test r@x.test
		[[ $(grep -c 'tls.certfile: .* everybody can read .*0644' \
			"$D/log.agent") -eq $((mode == 644)) ]]
	done
}

@test "R-TL-06: unknown keys, files that cannot be used: refused at start" {
	echo nothing >not.pem
	refused_option tls.cafile=x 'tls.cafile'
	refused_option tls.certfile=/nonexistent '/nonexistent'
	refused_option tls.ca_certs=/nonexistent '/nonexistent'
	refused_option tls.ca_certs="$D/not.pem" 'not.pem'
	refused_option tls.certfile="$D/not.pem" 'not.pem'
	refused_option tls.certfile="$CERTS/client.crt" 'tls' \
		tls.keyfile="$CERTS/good.key"
}

# ---- STARTTLS ----

again()
{
	fake_start --cert="$CERTS/good.pem" 'S:220 x' L 'A:EHLO client.test' \
		'W:250-x\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 10\r\n250-CHUNKING\r\n250 STARTTLS\r\n' \
		L 'A:STARTTLS' E 'S:220 go' T L 'A:EHLO client.test' E 'S:250 x' \
		L 'A:MAIL FROM:<s@x.test>' E 'S:250 m' L E 'S:250 r' \
		L 'A:DATA' E 'S:354 go' D 'S:250 taken' "${BYE[@]}"
	give 0 host="127.0.0.1:$port" "$@" -- s@x.test r@x.test
	fake_well
	heard 2 EHLO
	heard 1 '^--- tls TLSv1.3'
}

@test "R-TL-07: EHLO again inside, what was offered before is forgotten" {
	both again
	both again "$CA"
}

@test "R-TL-07: STARTTLS offered inside TLS again is not taken" {
	fake_start "${OFFER[@]}" 'S:220 go' T L 'A:EHLO *' \
		'W:250-x\r\n250 STARTTLS\r\n' "${TAKE[@]}" "${BYE[@]}"
	VIA=agent give 0 host="127.0.0.1:$port" tls_mode=require -- \
		s@x.test r@x.test
	fake_well
}

@test "R-TL-07: pipelined and in chunks inside TLS" {
	tls_sink_start good
	{
		cat M
		yes "$(printf 'x%.0s' {1..98})"$'\r' | head -n 50000
	} >BIG
	facts host="127.0.0.1:$port" "$CA" --count=2
	MSG=BIG facts host="127.0.0.1:$port" "$CA"
	MSG=BIG facts host="127.0.0.1:$port" "$CA" chunking=no
	MSG=BIG facts host="127.0.0.1:$port" "$CA" tls.ktls=yes
	sink_end
	counted messages 5
	counted body_bytes $((2 * 6 + 3 * ($(wc -c <BIG) - $(wc -c <M) + 6)))
}

@test "R-TL-07: replies in single octets, a server that reads slowly" {
	bytes '250 m'
	local all=("${steps[@]}")
	bytes '250 r'
	all+=("${steps[@]}")
	bytes '354 go'
	all+=("${steps[@]}")
	fake_start --rcvbuf=4096 "${OFFER[@]}" 'S:220 go' T L 'A:EHLO *' \
		'W:250-x\r\n250 PIPELINING\r\n' G:3 "${all[@]}" P:0.5 D \
		'S:250 2.6.0 ok' "${BYE[@]}"
	head -c 300000 /dev/zero | tr '\0' x | fold -w 76 >BIG
	MSG=BIG VIA=agent give 0 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test delivered 250 2.6.0 ok
	fake_well
}

@test "R-TL-07: a server that refuses the message, or reads no more, in the middle of it" {
	local start=("${SECURE[@]}" L 'S:250 m' L 'S:250 r' L 'S:354 go')
	head -c 8000000 /dev/zero | tr '\0' x | fold -w 76 >BIG
	fake_start "${start[@]}" B:10000 'S:552 5.3.4 big' Z:0.3 X
	MSG=BIG VIA=agent give 69 host="127.0.0.1:$port" -- s@x.test r@x.test
	row 1 r@x.test permanent 552 5.3.4 big
	fake_start --rcvbuf=4096 "${start[@]}" B:10000 Z:3
	MSG=BIG VIA=agent give 75 host="127.0.0.1:$port" data_timeout=1 -- \
		s@x.test r@x.test
	row 1 r@x.test transient 421 4.4.2 '*timed out while sending message body'
	took 950 2900
}

# no_tls CODE ENHANCED PATTERN MODE STEP...
no_tls()
{
	fake_start "${@:5}"
	give 75 host="127.0.0.1:$port" tls_mode="$4" command_timeout="${timeout:-5}" -- \
		s@x.test r@x.test
	row 1 r@x.test transient "$1" "$2" "$3"
	fake_well
	heard 1 '^--- connection'
	heard 0 MAIL
}

@test "R-TL-08: required, and not offered" {
	local mode
	for mode in require verify; do
		smtp_sink_start
		both give 75 host="127.0.0.1:$port" tls_mode=$mode -- \
			s@x.test r@x.test
		row 1 r@x.test transient 451 4.7.4 \
			'TLS is required, but was not offered by host *'
		[[ -z $(find . -name 'm.*') ]]
	done
	both no_tls 451 4.7.4 '*was not offered by*' require \
		'S:220 x' L 'S:502 what' L 'A:HELO *' 'S:250 x' "${BYE[@]}"
}

@test "R-TL-08: required, and refused, for ever too" {
	local mode
	for mode in require verify; do
		both no_tls 451 4.7.4 'TLS is required, but host * refused to start TLS: *454*busy*' \
			$mode "${OFFER[@]}" 'S:454 4.7.0 busy' "${BYE[@]}"
		both no_tls 451 4.7.4 '*refused to start TLS: *502*' \
			$mode "${OFFER[@]}" 'S:502 5.5.1 what' "${BYE[@]}"
	done
	both no_tls 451 4.7.4 '*refused to start TLS: 354 go' require \
		"${OFFER[@]}" 'S:354 go' "${BYE[@]}"
}

@test "R-TL-08: required, and the handshake fails" {
	local mode how="TLS handshake with * failed: *"
	for mode in require verify; do
		both no_tls 451 4.7.5 "$how" $mode "${OFFER[@]}" 'S:220 go' \
			"${GARBAGE[@]}"
		both no_tls 451 4.7.5 "$how" $mode "${OFFER[@]}" 'S:220 go' \
			B:5 'W:\x15\x03\x03\x00\x02\x02\x28' C
		both no_tls 451 4.7.5 "$how" $mode "${OFFER[@]}" 'S:220 go' B:5 X
	done
	both no_tls 451 4.7.5 "$how" wrapper 'S:220 x' C
}

@test "R-TL-08: required, and the handshake stalls: in time" {
	local how='TLS handshake with * failed: Connection timed out' timeout=1
	both no_tls 451 4.7.5 "$how" require "${OFFER[@]}" 'S:220 go' C
	took 950 3000
	both no_tls 451 4.7.5 "$how" wrapper C
	took 950 3000
}

@test "R-TL-08: required, and the handshake comes in drops: in time all the same" {
	local drops=() i
	for i in {1..12}; do
		drops+=('W:\x01' Z:0.5)
	done
	fake_start "${OFFER[@]}" 'S:220 go' B:5 'W:\x16\x03\x03\x3f\x00' \
		"${drops[@]}" C
	VIA=agent give 75 host="127.0.0.1:$port" tls_mode=require \
		command_timeout=1 -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.7.5 'TLS handshake with * failed: *'
	took 950 3000
}

# in_clear STEP...: after those, in clear over a new connection; and no more
# attempts afterwards.
in_clear()
{
	fake_start "${OFFER[@]}" "$@" + "${CLEAR[@]}" + "${CLEAR[@]}" + \
		"${CLEAR[@]}"
	give 0 host="127.0.0.1:$port" command_timeout="${timeout:-5}" \
		max_messages_per_connection=1 --count=3 --gap="${gap:-0.5}" -- s@x.test r@x.test
	rows 3
	[[ $(cut -f 2,3,4 "$D/rows" | uniq) == $'delivered\t250\t2.0.0' ]]
	fake_well
	heard 4 '^--- connection'
	heard 1 STARTTLS
	heard 3 '^MAIL'
}

@test "R-TL-09: opportunistic, the handshake fails: in clear, and that is remembered" {
	both in_clear 'S:220 go' "${GARBAGE[@]}"
	took 1000 3500
	VIA=agent
	rm fake
	in_clear 'S:220 go' B:5 'W:\x15\x03\x03\x00\x02\x02\x28' C
	rm fake
	in_clear 'S:220 go' B:5 X
	rm fake
	in_clear 'S:220 go' B:5 R
}

@test "R-TL-09: opportunistic, the handshake stalls: in clear, in time" {
	# The next message when the first is through, else it asks for TLS too.
	local gap=1.5 timeout=1
	both in_clear 'S:220 go' C
	took 3000 5000
}

@test "R-TL-09: opportunistic, a certificate that is good for nothing" {
	both trusted expired
	both trusted wrong
}

refused_may()
{
	fake_start "${OFFER[@]}" "$1" "${TAKE[@]}" "${BYE[@]}"
	give 0 host="127.0.0.1:$port" -- s@x.test r@x.test
	fake_well
	heard 1 '^--- connection'
}

@test "R-TL-09: opportunistic, STARTTLS refused: on in clear" {
	both refused_may 'S:454 4.7.0 busy'
	both refused_may 'S:502 5.5.1 what'
}

@test "R-TL-09: a host with broken TLS is remembered for opportunistic TLS alone" {
	fake_start "${OFFER[@]}" 'S:220 go' "${GARBAGE[@]}" + "${CLEAR[@]}" + \
		"${OFFER[@]}" 'S:220 go' "${GARBAGE[@]}"
	nh_conf <<<"[relay may]
	type = static
	host = 127.0.0.1:$port
	idle_timeout = 0
	[relay must]
	type = static
	host = 127.0.0.1:$port
	idle_timeout = 0
	tls_mode = require"
	nh_start
	nh submit --relay=may --from=s@x.test r@x.test <M
	run -75 nh submit --relay=must --from=s@x.test r@x.test <M
	[[ $output == *'4.7.5'*'TLS handshake with '* ]]
	fake_well
}

injected()
{
	fake_start "${OFFER[@]}" "$1" C
	give 75 host="127.0.0.1:$port" tls_mode="$2" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.7.0 '*'
	fake_well
	heard 1 '^--- connection'
	heard 1 EHLO
	heard 0 MAIL
}

@test "R-TL-10: more behind the answer to STARTTLS: dropped" {
	local mode
	for mode in may require verify; do
		both injected 'W:220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n' $mode
	done
	both injected 'W:220 go\r\n2' may
}

@test "R-TL-10: a command of ours is never before the end of the handshake" {
	# T fails if anything but a ClientHello comes.
	fake_start 'S:220 x' L 'W:250-x\r\n250-PIPELINING\r\n250 STARTTLS\r\n' \
		L 'A:STARTTLS' E 'S:220 go' T L 'A:EHLO *' 'S:250 x' \
		"${TAKE[@]}" "${BYE[@]}"
	VIA=agent give 0 host="127.0.0.1:$port" -- s@x.test r@x.test
	fake_well
}

# ---- TLS from the first byte ----

wrapped()
{
	give 0 host="127.0.0.1:$port" tls_mode=wrapper -- \
		s@example.com a@example.com
	give 0 host="127.0.0.1:$port" tls_mode=wrapper "$CA" -- \
		s@example.com a@example.com
	give 75 host="127.0.0.1:$port" tls_mode=wrapper \
		tls.ca_certs="$CERTS/other.crt" -- s@example.com a@example.com
	row 1 a@example.com transient 451 4.7.5 'Server certificate not verified: *'
}

@test "R-TL-11: wrapper mode, with Postfix" {
	postfix_tls_start wrapper
	both wrapped
	postfix_logged 4 'disconnect .* ehlo=1 mail=1'
	postfix_logged 0 'starttls='
}

insists()
{
	give 0 host="127.0.0.1:$port" -- s@example.com a@example.com
	give 0 host="127.0.0.1:$port" "$CA" -- s@example.com a@example.com
	give 69 host="127.0.0.1:$port" tls_mode=none -- \
		s@example.com a@example.com
	row 1 a@example.com permanent 530 5.7.0 'Must issue a STARTTLS command first'
}

@test "R-TL-11: a server that insists on TLS, Postfix" {
	postfix_tls_start enforced
	both insists
}

@test "R-TL-11: wrapper mode: EHLO once, and no STARTTLS inside" {
	fake_start T 'S:220 x' L 'A:EHLO *' 'W:250-x\r\n250 STARTTLS\r\n' \
		"${TAKE[@]}" "${BYE[@]}"
	VIA=agent give 0 host="127.0.0.1:$port" tls_mode=wrapper -- \
		s@x.test r@x.test
	fake_well
}

@test "UNIX sockets know no TLS" {
	sink_start -T -l "unix:$D/u.sock" -a "$D/commands"
	chmod 777 "$D/u.sock"
	for VIA in agent master; do
		give 0 "host=unix:$D/u.sock" tls_mode=verify -- s@x.test r@x.test
	done
	said 0 STARTTLS
	said 2 MAIL
}

# ---- connections and sessions ----

@test "R-TL-12: connections of other policies are not shared" {
	tls_sink_start good
	nh_conf <<<"[relay a]
	type = static
	host = 127.0.0.1:$port
	[relay b]
	type = static
	host = 127.0.0.1:$port
	$CA"
	nh_start
	for _ in 1 2; do
		nh submit --relay=a --from=s@x.test r@x.test <M
		nh submit --relay=b --from=s@x.test r@x.test <M
	done
	said 2 STARTTLS
	said 4 MAIL
	nh_stop
	sink_end
	counted connections 2
}

@test "R-TL-12: nor with an envelope that asks for more (REQUIRETLS)" {
	tls_sink_start self
	nh_conf <<<"[relay r]
	type = static
	host = 127.0.0.1:$port"
	nh_start
	nh submit --relay=r --from=s@x.test r@x.test <M
	run -75 nh submit --relay=r --requiretls --from=s@x.test r@x.test <M
	[[ $output == *4.7.5*'not verified'* ]]
	nh submit --relay=r --from=s@x.test r@x.test <M
	nh_stop
	sink_end
	counted connections 2
	counted resumed 0
	said 2 MAIL
}

# ---- RFC 8689 ----

# The sink's certificate may be anyone's: only REQUIRETLS asks whose it is.
promising()
{
	PROMISE=("${OFFER[@]}" 'S:220 go' T L 'A:EHLO *' "W:$1")
}

requiretls()
{
	rm -f "$D/fake"
	fake_start --cert="$CERTS/good.pem" --key="$CERTS/good.pem" "${@:2}"
	VIA=agent give "$1" host="127.0.0.1:$port" "$CA" --requiretls -- \
		s@x.test r@x.test
	fake_well
}

@test "REQUIRETLS: told to a server that offers it inside TLS" {
	promising '250-x\r\n250 REQUIRETLS\r\n'
	requiretls 0 "${PROMISE[@]}" L 'A:MAIL FROM:<s@x.test> REQUIRETLS' \
		'S:250 m' "${TAKE[@]:3}" "${BYE[@]}"
	row 1 r@x.test delivered 250 2.0.0
}

@test "REQUIRETLS: not offered, or only before TLS: 5.7.30" {
	promising '250 x\r\n'
	requiretls 69 "${PROMISE[@]}" "${BYE[@]}"
	row 1 r@x.test permanent 550 5.7.30 'REQUIRETLS is required, *'
	OFFER=('S:220 x' L 'A:EHLO *'
		'W:250-x\r\n250-REQUIRETLS\r\n250 STARTTLS\r\n' L 'A:STARTTLS')
	promising '250 x\r\n'
	requiretls 69 "${PROMISE[@]}" "${BYE[@]}"
	row 1 r@x.test permanent 550 5.7.30 'REQUIRETLS is required, *'
	requiretls 75 'S:220 x' L 'A:EHLO *' 'W:250-x\r\n250 REQUIRETLS\r\n' \
		"${BYE[@]}"
	row 1 r@x.test transient 451 4.7.4 '*'
	heard 0 MAIL
}

@test "REQUIRETLS: the next host may offer it" {
	promising '250 x\r\n'
	fake_start --cert="$CERTS/good.pem" --key="$CERTS/good.pem" \
		"${PROMISE[@]}" "${BYE[@]}"
	local first=$port
	promising '250-x\r\n250 REQUIRETLS\r\n'
	fake_start --cert="$CERTS/good.pem" --key="$CERTS/good.pem" \
		"${PROMISE[@]}" "${TAKE[@]}" "${BYE[@]}"
	VIA=agent give 0 host="127.0.0.1:$first, 127.0.0.1:$port" "$CA" \
		--requiretls -- s@x.test r@x.test
	[[ $(cut -f 8 "$D/rows") == "$port" ]]
	heard 1 '^MAIL'
}

@test "REQUIRETLS: a kept connection that does not offer it" {
	tls_sink_start good
	nh_conf <<<"[relay r]
	type = static
	host = 127.0.0.1:$port
	$CA"
	nh_start
	nh submit --relay=r --from=s@x.test r@x.test <M
	run -69 nh submit --relay=r --requiretls --from=s@x.test r@x.test <M
	[[ $output == *5.7.30* ]]
	nh_stop
	sink_end
	counted connections 1
	said 1 MAIL
}

@test "REQUIRETLS: a UNIX socket has no TLS" {
	fake_start --unix="$D/u" "${PIPED[@]}" "${BYE[@]}"
	VIA=agent give 69 host="unix:$D/u" --requiretls -- s@x.test r@x.test
	row 1 r@x.test permanent 550 5.7.30 '*'
}

# waiver FIELD: a message with it.
waiver()
{
	MSG=$D/M.waiver
	printf '%s\r\n' "$1" | cat - "$D/M" >"$MSG"
}

@test "TLS-Required: No: the operator's tls_mode holds, unless he says honour" {
	local mode
	tls_sink_start self
	waiver 'TLS-Required: No'
	for mode in '' tls_required_header=ignore tls_required_header=auto; do
		run -75 facts host="127.0.0.1:$port" "$CA" ${mode:+"$mode"}
	done
	said 0 MAIL
	facts host="127.0.0.1:$port" "$CA" tls_required_header=honour
	fact '*verified=no*'
	facts host="127.0.0.1:$port" tls_mode=require tls_required_header=honour
	fact '*verified=no*'
	said 2 MAIL
	# REQUIRETLS stands above the field.
	run -75 facts host="127.0.0.1:$port" "$CA" tls_required_header=honour \
		--requiretls
	# Elsewhere, or with another value, it is no such field.
	waiver 'TLS-Required: Maybe'
	run -75 facts host="127.0.0.1:$port" "$CA" tls_required_header=honour
	MSG=$D/M.body
	{ cat M; printf 'TLS-Required: No\r\n'; } >"$MSG"
	run -75 facts host="127.0.0.1:$port" "$CA" tls_required_header=honour
	said 2 MAIL
}

@test "TLS-Required: No: in clear where there is no TLS, verified in wrapper mode no more" {
	waiver 'TLS-Required: No'
	sink_start
	VIA=agent give 75 host="127.0.0.1:$port" "$CA" -- s@x.test r@x.test
	row 1 r@x.test transient 451 4.7.4 '*'
	VIA=agent give 0 host="127.0.0.1:$port" "$CA" \
		tls_required_header=honour -- s@x.test r@x.test
	VIA=master give 0 host="127.0.0.1:$port" "$CA" \
		tls_required_header=honour -- s@x.test r@x.test
	fake_start "${OFFER[@]}" 'S:220 go' "${GARBAGE[@]}" + "${CLEAR[@]}"
	VIA=agent give 0 host="127.0.0.1:$port" "$CA" \
		tls_required_header=honour -- s@x.test r@x.test
	fake_well
	sink_start -W -C "$CERTS/self.pem"
	VIA=agent give 75 host="127.0.0.1:$port" "$CA" tls_mode=wrapper -- \
		s@x.test r@x.test
	facts host="127.0.0.1:$port" "$CA" tls_mode=wrapper \
		tls_required_header=honour
	fact '*verified=no*'
	rm "$D/fake"
	fake_start B:5 'S:this is not TLS' C
	VIA=agent give 75 host="127.0.0.1:$port" "$CA" tls_mode=wrapper \
		tls_required_header=honour -- s@x.test r@x.test
	heard 1 '^--- connection'
}

reused()
{
	tls_sink_start good
	give 0 host="127.0.0.1:$port" "$CA" --count=3 -- s@x.test r@x.test
	said 1 STARTTLS
	said 2 EHLO
	said 3 MAIL
}

@test "R-TL-12: a connection with TLS is used again" {
	both reused
}

@test "R-TL-12: sessions are resumed, also those of TLS 1.2" {
	local version
	for version in TLSv1.3 PROTOCOL_TLSv1_2; do
		tls_sink_start good
		facts host="127.0.0.1:$port" "$CA" idle_timeout=0 \
			tls.ssl_version="$version" --count=3 --gap=0.2
		fact '* verified=127.0.0.1' 1
		fact '* verified=127.0.0.1 resumed' 2
		fact '* verified=127.0.0.1 resumed' 3
		sink_end
		counted connections 3
		counted resumed 2
	done
	tls_sink_start good
	facts host="127.0.0.1:$port" "$CA" idle_timeout=0 tls.session_cache=0 \
		--count=2 --gap=0.2
	sink_end
	counted resumed 0
}

@test "names: SNI for a name, none for an address; the certificate is for the name" {
	unshare -mn true 2>/dev/null || skip "needs unshare"
	fake_start "${SECURE[@]}" "${TAKE[@]}" "${BYE[@]}" X + \
		"${SECURE[@]}" "${TAKE[@]}" "${BYE[@]}"
	facts host="localhost:$port"
	facts host="127.0.0.1:$port"
	fake_well
	heard 1 '^--- tls TLSv1.3 sni=localhost$'
	heard 1 '^--- tls TLSv1.3 sni=$'

	nh_spawn unshare -mn sh -c 'ip link set lo up && : >up; exec sleep 60' \
		2>>"$D/err.ns"
	local ns=$NH_PID
	nh_until 5 test -e "$D/up"
	echo '127.0.0.1 mail.test bad.test' >hosts
	nsenter -t "$ns" -m -n mount --bind "$D/hosts" /etc/hosts
	rm -f fake.port fake
	nh_spawn nsenter -t "$ns" -m -n "$NH_BUILD/t/tools/fake" \
		--log="$D/fake" --cert="$CERTS/good.pem" \
		--port-file="$D/fake.port" 0 "${SECURE[@]}" "${TAKE[@]}" \
		"${BYE[@]}" X + "${OFFER[@]}" 'S:220 go' T C 2>>"$D/err.fake"
	FAKE=$NH_PID
	nh_until 5 test -s fake.port
	port=$(<fake.port)
	named()
	{
		nsenter -t "$ns" -m -n "$NH_BUILD/libexec/nexthop/smtp-static" \
			-o "host=$1:$port" -o "$CA" --output=json \
			--from=s@x.test r@x.test <M >json 2>>log.agent
	}
	named mail.test
	fact '* verified=mail.test'
	run -75 named bad.test
	grep -q 'not verified: .*bad.test' json
	heard 1 '^--- tls TLSv1.3 sni=mail.test$'
}

# ragged key=value...: the server is no more, in the middle of a transaction.
ragged()
{
	local pid

	fake_start "${SECURE[@]}" L 'S:250 m' L Z:20
	VIA=agent give 75 host="127.0.0.1:$port" "$@" -- s@x.test r@x.test &
	pid=$!
	nh_until 5 heard 1 '^RCPT'
	kill -9 "$FAKE"
	wait "$pid"
	rm "$D/fake"
}

@test "R-TL-05: an end without close_notify: told apart if asked" {
	ragged
	row 1 r@x.test transient 421 4.4.2 'lost connection with *RCPT TO'
	ragged tls.suppress_ragged_eofs=no tls_mode=require
	row 1 r@x.test transient 421 4.4.2 'lost connection with *RCPT TO: *'
}

cut_off()
{
	fake_start 'S:220 x' L 'W:250-x\r\n250 STARTTLS\r\n' L 'A:STARTTLS' "$@" \
		+ "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	give 0 host=127.0.0.1 port="$port" -- s@x.test r@x.test
	row 1 r@x.test delivered 250 2.0.0 taken
	fake_well
}

@test "R-TL-09: a server that hangs up at STARTTLS gets the message in clear" {
	both cut_off X
	both cut_off 'S:421 4.3.2 no' X
}
