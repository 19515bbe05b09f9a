#!/usr/bin/env bats
# smtp-mx under DANE (RFC 7672): signed zones, unbound that validates, and our
# sink with TLS as the mail hosts.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/dns
load lib/certs
load lib/mx

# The name servers are started once for all tests, in a folder of their own.
setup_file()
{
	[[ $(id -u) -eq 0 ]] || return 0
	certs_make
	nh_setup
	mx_setup
	dane_certs
	dane_zones
	start_nsd
	start_unbound
	export MX_PORT DNS_PORT RESOLVER DANE_D=$D
	export DANE_PIDS="${NH_PIDS[*]}"
}

teardown_file()
{
	[[ -n ${DANE_D-} ]] || return 0
	# shellcheck disable=SC2086 # a list
	kill $DANE_PIDS
	rm -rf "$DANE_D"
	certs_remove
}

setup()
{
	[[ $(id -u) -eq 0 ]] || skip "nsd's port and addresses need root"
	nh_setup
	TYPE=mx
	mx_options
}

teardown()
{
	nh_teardown
}

# Host certificates below our CA, which they bring along.
dane_certs()
{
	local name

	pushd "$CERTS" >/dev/null || return
	for name in mx4.sec.test ta.sec.test other.test; do
		cert_of ca "$name" "DNS:$name"
		cat ca.crt >>"$name.pem"
	done
	chmod 644 -- *
	popd >/dev/null || return
}

# tlsa HOST USAGE SELECTOR MATCHING DATA
tlsa()
{
	echo "_$MX_PORT._tcp.$1 TLSA $2 $3 $4 $5"
}

dane_zones()
{
	local right wrong ca

	right=$(cert_key_digest "$CERTS/good.crt")
	wrong=$(cert_key_digest "$CERTS/wrong.crt")
	ca=$(cert_digest "$CERTS/ca.crt")
	{
		cat <<-EOC
		ok	MX 10 mx2
		ok2	MX 10 mx2
		wrong	MX 10 mx3
		wrong2	MX 10 mx3
		wrong2	MX 20 mx2
		tahost	MX 10 mx4
		ta	MX 10 mx5
		unus	MX 10 mx7
		bog	MX 10 bogus
		bog2	MX 10 bogus
		bog2	MX 20 mx2
		insa	MX 10 mx.plain.test.
		alias	MX 10 al
		alias2	MX 10 al2
		none	MX 10 mx8
		nostart	MX 10 mx9
		self	MX 10 me
		al	CNAME mx2
		al2	CNAME mx.plain.test.
		mx2	A 127.0.0.2
		mx3	A 127.0.0.3
		mx4	A 127.0.0.4
		mx5	A 127.0.0.5
		mx7	A 127.0.0.7
		mx8	A 127.0.0.8
		mx9	A 127.0.0.9
		bogus	A 127.0.0.10
		implicit A 127.0.0.2
		EOC
		tlsa mx2 3 1 1 "$right"
		tlsa implicit 3 1 1 "$right"
		tlsa mx3 3 1 1 "$wrong"
		tlsa mx4 2 0 1 "$ca"
		tlsa mx5 2 1 1 "$(cert_key_digest "$CERTS/ca.crt")"
		tlsa mx7 0 0 1 "$ca"
		tlsa mx7 1 1 1 "$right"
		tlsa mx9 3 1 1 "$right"
		tlsa al2 3 1 1 "$right"
		tlsa bogus 3 1 1 "$right"
	} | dns_zone sec.test
	dns_sign sec.test
	# Other records below the same signatures.
	sed -i "/^_$MX_PORT._tcp.bogus.sec.test.*TLSA/s/$right/$wrong/" \
		"$D/zones/sec.test"
	{
		echo '@ MX 10 mx3.sec.test.'
		echo 'to2 MX 10 mx2.sec.test.'
		echo 'mx A 127.0.0.11'
		tlsa mx 3 1 1 "$wrong"
	} | dns_zone plain.test
}

# tls_host N [CERT]: a mail host with STARTTLS.
tls_host()
{
	mxours "$1" -T -C "$CERTS/${2:-good}.pem"
}

# verified DOMAIN PATTERN [key=value...]: delivered, and what TLS it was.
verified()
{
	local args=() option text

	for option in "${MX[@]}" "${@:3}"; do
		args+=(-o "$option")
	done
	"$NH_BUILD/libexec/nexthop/smtp-mx" "${args[@]}" --output=json \
		--from=s@x.test "u@$1" <M >json 2>>log.agent
	text=$(sed -n 's/.*"tls":"\([^"]*\)".*/\1/p' json)
	# shellcheck disable=SC2053 # a pattern is meant
	[[ $text == $2 ]] || { cat json; return 1; }
}

# is_delivered DOMAIN [key=value...]
is_delivered()
{
	to 0 "u@$1" -- "${@:2}"
	row 1 "u@$1" delivered 250 2.0.0
}

# is_put_off DOMAIN ENHANCED TEXT [key=value...]
is_put_off()
{
	to 75 "u@$1" -- "${@:4}"
	row 1 "u@$1" transient 451 "$2" "$3"
}

# ---- the rows of RFC 7672 §2.2 ----

@test "R-TL-13: DANE: 3 1 1 that matches: delivered, verified by it" {
	tls_host 2
	verified ok.sec.test '* verified=dane'
	both is_delivered ok.sec.test
	both is_delivered implicit.sec.test
	verified implicit.sec.test '* verified=dane'
}

@test "R-TL-13: DANE: 3 1 1 that does not match: transient, never in clear" {
	tls_host 3
	both is_put_off wrong.sec.test 4.7.5 'Server certificate not verified: *'
	said 3 0 MAIL
	said 3 2 STARTTLS
}

@test "DANE: the next host, whose record matches" {
	tls_host 3
	tls_host 2
	both is_delivered wrong2.sec.test
	said 3 0 MAIL
	said 2 2 MAIL
}

@test "DANE: usage 2, for the host's name and for the domain's" {
	tls_host 4 mx4.sec.test
	tls_host 5 ta.sec.test
	verified tahost.sec.test '* verified=dane-ta:mx4.sec.test'
	verified ta.sec.test '* verified=dane-ta:ta.sec.test'
	both is_delivered tahost.sec.test
}

@test "DANE: usage 2, for somebody else's name" {
	tls_host 4 other.test
	both is_put_off tahost.sec.test 4.7.5 'Server certificate not verified: *'
	said 4 0 MAIL
}

@test "DANE: records of usages 0 and 1 alone: TLS, whoever it is" {
	tls_host 7 self
	verified unus.sec.test '* verified=no'
	both is_delivered unus.sec.test
	mx_end "$SINK"
	mxours 7
	both is_put_off unus.sec.test 4.7.4 'TLS is required, but was not offered *'
	said 7 0 MAIL
}

@test "DANE: forged TLSA records: the host is not used, the next one is" {
	tls_host 10
	tls_host 2
	both is_put_off bog.sec.test 4.7.5 \
		'DANE for host bogus.sec.test: TLSA look-up *failed: *'
	both is_delivered bog2.sec.test
	said 10 0 .
}

@test "DANE: a TLSA look-up that fails: the host is not used" {
	tls_host 2
	dns_count --servfail="TLSA:_$MX_PORT._tcp.mx2.sec.test"
	mx_options
	both is_put_off ok.sec.test 4.7.5 'DANE for host mx2.sec.test: *'
	said 2 0 .
	both is_delivered ok.sec.test dane=no
}

@test "DANE: no AD bit, no DANE; addresses not signed, no DANE" {
	mxours 3
	tls_host 11 self
	both is_delivered insa.sec.test
	verified insa.sec.test '* verified=no'
	dns_count --no-ad
	mx_options
	both is_delivered wrong.sec.test
	said 3 2 MAIL
}

@test "DANE: an alias: records where it leads; at the alias, if only that is signed" {
	tls_host 2
	tls_host 11
	verified alias.sec.test '* verified=dane'
	verified alias2.sec.test '* verified=dane'
	both is_delivered alias.sec.test
	both is_delivered alias2.sec.test
}

@test "DANE: no TLSA records: TLS if there is any" {
	mxours 8
	both is_delivered none.sec.test
	mx_end "$SINK"
	tls_host 8 self
	verified none.sec.test '* verified=no'
}

@test "DANE: the MX records are not signed: no DANE" {
	tls_host 3
	both is_delivered plain.test
	verified plain.test '* verified=no'
}

@test "DANE: STARTTLS is not offered, or refused: transient, never in clear" {
	mxours 9
	both is_put_off nostart.sec.test 4.7.4 \
		'TLS is required, but was not offered *'
	said 9 0 MAIL
	mx_end "$SINK"
	mxfake 9 --each 'S:220 x' L 'A:EHLO *' 'W:250-x\r\n250 STARTTLS\r\n' L \
		'S:454 4.7.0 not now' C
	both is_put_off nostart.sec.test 4.7.4 '*refused to start TLS: *'
}

# ---- options ----

@test "DANE: dane = no; tls_policy of a domain, of .domain, of *" {
	tls_host 3
	both is_put_off wrong.sec.test 4.7.5 '*' tls_policy.sec.test=may
	both is_delivered wrong.sec.test dane=no
	both is_delivered wrong.sec.test tls_policy.WRONG.sec.test.=may
	both is_delivered wrong.sec.test tls_policy..sec.test=none \
		'tls_policy.*=dane'
	both is_put_off wrong.sec.test 4.7.5 '*' 'tls_policy.*=dane' dane=no
}

@test "DANE: dane-only needs records, and signed ones" {
	tls_host 8
	tls_host 3
	tls_host 2
	both is_put_off none.sec.test 4.7.5 'DANE is required, but host *' \
		tls_policy.none.sec.test=dane-only
	both is_put_off plain.test 4.7.5 'DANE is required, but host *' \
		tls_mode=dane-only
	both is_delivered ok.sec.test tls_mode=dane-only
	said 8 0 MAIL
	said 3 0 MAIL
}

@test "DANE: TLS-Required: No in the message" {
	tls_host 3
	printf 'From: s@x.test\r\nTLS-Required: No\r\n\r\ntest\r\n' >waived
	MSG=waived both is_delivered wrong.sec.test
	MSG=waived both is_put_off wrong.sec.test 4.7.5 '*' \
		tls_required_header=ignore
}

@test "DANE: REQUIRETLS: a host that is not vouched for" {
	tls_host 3
	tls_host 2
	for VIA in agent master; do
		to 69 u@plain.test -- --requiretls
		row 1 u@plain.test permanent 550 5.7.30 \
			'REQUIRETLS is required, but neither DNSSEC nor *'
	done
	said 3 0 .
}

# ---- shared hosts ----

@test "DANE: a connection kept from a weaker policy is not used; of equals it is" {
	tls_host 2
	relay_start
	submit u@to2.plain.test
	submit u@ok.sec.test
	said 2 2 STARTTLS
	submit u@ok2.sec.test
	submit u@ok.sec.test u@to2.plain.test
	said 2 2 STARTTLS
	said 2 5 MAIL
}

@test "DANE: a wrong policy of one domain does not stop another's mail" {
	tls_host 3
	relay_start concurrent_connections=1
	run -75 submit u@wrong.sec.test u@plain.test v@wrong.sec.test
	row 1 u@wrong.sec.test transient 451 4.7.5
	row 2 u@plain.test delivered 250 2.0.0
	row 3 v@wrong.sec.test transient 451 4.7.5
	said 3 1 MAIL
}

# ---- counted in the words of RFC 8460 ----

@test "DANE: outcomes of sessions and of look-ups are counted" {
	tls_host 2
	tls_host 3
	mxours 8
	mxours 9
	tls_host 11 self
	relay_start
	submit --count=3 u@ok.sec.test
	run -75 submit --count=2 u@wrong.sec.test
	run -75 submit u@nostart.sec.test
	run -75 submit u@bog.sec.test
	submit u@none.sec.test
	submit u@insa.sec.test
	counts tls_tlsa_success 1
	counts tls_tlsa_validation_failure 2
	counts tls_tlsa_starttls_not_supported 1
	counts tls_tlsa_dnssec_invalid 1
	counts tls_no_policy_found_starttls_not_supported 1
	counts tls_no_policy_found_success 1
}

@test "DANE: unusable records and dane-only without records are counted" {
	tls_host 7 self
	tls_host 8
	relay_start tls_policy.none.sec.test=dane-only
	submit u@unus.sec.test
	run -75 submit u@none.sec.test
	counts tls_tlsa_tlsa_invalid 1
	counts tls_tlsa_dane_required 1
	counts tls_no_policy_found_success 0
}
