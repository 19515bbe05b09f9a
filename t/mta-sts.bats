#!/usr/bin/env bats
# smtp-mx under MTA-STS (RFC 8461): policy hosts by nginx, our sink with TLS as
# the mail hosts.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/dns
load lib/certs
load lib/sts
load lib/mx

setup_file()
{
	certs_make
	pushd "$CERTS" >/dev/null || return
	cert_of ca mx 'DNS:mx2.test,DNS:mx3.test'
	cert_of ca mxold 'DNS:mx2.test' -1
	cert_of other stranger 'DNS:mx2.test'
	chmod 644 -- *
	popd >/dev/null || return
}

teardown_file()
{
	certs_remove
}

setup()
{
	nh_setup
	mx_setup
}

teardown()
{
	nh_teardown
}

# sts_begin [SIGN]: the zone of all policies; mail for DOMAIN goes to mx2, then
# mx3.
sts_begin()
{
	local domain

	{
		sts_records
		while read -r domain; do
			printf '%s. MX 10 mx2\n%s. MX 20 mx3\n' "$domain" \
				"$domain"
		done <"$D/sts.list"
		printf 'mx2 A 127.0.0.2\nmx3 A 127.0.0.3\n'
		cat
	} | dns_zone test
	[[ -z ${1-} ]] || dns_sign test
	start_nsd
	[[ -z ${1-} ]] || start_unbound
	dns_count
	sts_start
	mx_options "${STS_OPTIONS[@]:1}" "tls.ca_certs=$CERTS/ca.crt" \
		tls_mode=may
}

tls_host()
{
	mxours "$1" -T -C "$CERTS/${2:-mx}.pem"
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

@test "R-TL-13: MTA-STS: enforce, the host is in the policy: verified" {
	sts_policy good.test enforce mx2.test
	sts_policy wild.test enforce '*.test'
	sts_begin </dev/null
	tls_host 2
	both is_delivered good.test
	both is_delivered wild.test
	said 2 4 STARTTLS
	said 2 4 MAIL
}

@test "R-TL-13: MTA-STS: enforce, no host is in the policy: transient" {
	sts_policy other.test enforce mail.elsewhere.test '*.mx2.test'
	sts_begin </dev/null
	tls_host 2
	tls_host 3
	both is_put_off other.test 4.7.5 \
		'MX host mx?.test is not in the MTA-STS policy of other.test*'
	said 2 0 .
	said 3 0 .
	both is_delivered other.test mta_sts=no
	both is_delivered other.test tls_policy.other.test=may
}

@test "MTA-STS: enforce, the second host is in the policy" {
	sts_policy second.test enforce mx3.test
	sts_begin </dev/null
	tls_host 2
	tls_host 3
	both is_delivered second.test
	said 2 0 .
	said 3 2 MAIL
}

@test "MTA-STS: enforce, a wrong certificate: transient, never in clear" {
	local cert

	sts_policy good.test enforce mx2.test
	sts_begin </dev/null
	for cert in good mxold stranger self; do
		tls_host 2 "$cert"
		both is_put_off good.test 4.7.5 \
			'Server certificate not verified: *'
		said 2 0 MAIL
		mx_end "$SINK"
		rm commands.2
	done
	mxours 2
	both is_put_off good.test 4.7.4 'TLS is required, but was not offered *'
	said 2 0 MAIL
}

@test "MTA-STS: testing: delivered whatever is wrong; none: as without" {
	sts_policy probe.test testing mx2.test
	sts_policy probe2.test testing mail.elsewhere.test
	sts_policy void.test none
	sts_begin </dev/null
	tls_host 2 self
	both is_delivered probe.test
	both is_delivered probe2.test
	both is_delivered void.test
	mx_end "$SINK"
	mxours 2
	both is_delivered probe.test
}

@test "MTA-STS: the policy host is down: as without; a kept policy holds" {
	sts_policy good.test enforce mx2.test
	sts_begin </dev/null
	mkdir cache
	chmod 1777 cache
	tls_host 2
	is_delivered good.test mta_sts_cache="$D/cache"
	sts_stop
	mx_end "$SINK"
	tls_host 2 self
	both is_put_off good.test 4.7.5 '*not verified: *' \
		mta_sts_cache="$D/cache"
	both is_delivered good.test
}

@test "MTA-STS: a policy on disk holds after a restart, the record gone too" {
	sts_policy good.test enforce mx3.test
	sts_begin </dev/null
	mkdir cache
	chmod 1777 cache
	tls_host 2
	tls_host 3
	relay_start mta_sts_cache="$D/cache"
	submit u@good.test
	nh_stop
	sts_stop
	dns_count --servfail=TXT:_mta-sts.good.test
	MX+=(resolver="$RESOLVER")
	MX=("${MX[@]:1}")
	relay_start mta_sts_cache="$D/cache"
	submit u@good.test
	said 2 0 MAIL
	said 3 2 MAIL
}

@test "MTA-STS: DANE comes first" {
	sts_policy good.test enforce mail.elsewhere.test
	sts_policy bad.test enforce mx2.test
	sts_begin sign <<-EOC
	bad.test. MX 5 mx4
	mx4 A 127.0.0.4
	_$MX_PORT._tcp.mx2 TLSA 3 1 1 $(cert_key_digest "$CERTS/self.crt")
	_$MX_PORT._tcp.mx4 TLSA 3 1 1 $(cert_key_digest "$CERTS/wrong.crt")
	EOC
	# By its record, though no CA has signed it and no policy names it.
	tls_host 2 self
	both is_delivered good.test
	both is_put_off good.test 4.7.5 '*' dane=no
	mx_end "$SINK"
	tls_host 4 mx
	both is_put_off bad.test 4.7.5 'Server certificate not verified: *'
	said 4 0 MAIL
}

@test "MTA-STS: REQUIRETLS: a policy to enforce vouches for the host" {
	sts_policy good.test enforce mx2.test
	sts_policy probe.test testing mx2.test
	sts_begin </dev/null
	mxfake 2 --cert="$CERTS/mx.pem" --key="$CERTS/mx.pem" --each \
		'S:220 x' L 'A:EHLO *' 'W:250-x\r\n250 STARTTLS\r\n' L \
		'A:STARTTLS' 'S:220 go' T L 'A:EHLO *' \
		'W:250-x\r\n250 REQUIRETLS\r\n' L 'A:MAIL*REQUIRETLS*' \
		'S:250 m' L 'S:250 r' L 'S:354 go' D 'S:250 taken' L 'S:221 bye'
	for VIA in agent master; do
		to 0 u@good.test -- --requiretls
		to 69 u@probe.test -- --requiretls
		row 1 u@probe.test permanent 550 5.7.30
	done
}

@test "MTA-STS: hosts of the operator are not bound by it" {
	sts_policy good.test enforce mail.elsewhere.test
	sts_begin </dev/null
	mxours 2
	both is_delivered good.test force_mx.good.test=127.0.0.2
	both is_delivered good.test fallback_hosts=127.0.0.2
}

@test "MTA-STS: a message that waives TLS" {
	sts_policy good.test enforce mx2.test
	sts_begin </dev/null
	tls_host 2 self
	printf 'From: s@x.test\r\nTLS-Required: No\r\n\r\ntest\r\n' >waived
	MSG=waived both is_delivered good.test
}

# ---- counted in the words of RFC 8460 ----

@test "MTA-STS: outcomes of sessions are counted, those in testing too" {
	sts_policy good.test enforce mx2.test
	sts_policy probe.test testing mx2.test
	sts_policy probe2.test testing mail.elsewhere.test
	sts_policy other.test enforce mail.elsewhere.test
	sts_file lost.test <<<'no policy'
	sts_begin </dev/null
	tls_host 2
	relay_start idle_timeout=0
	submit u@good.test
	submit u@probe.test
	run -75 submit u@other.test
	submit u@probe2.test
	submit u@lost.test
	mx_end "$SINK"
	tls_host 2 good
	run -75 submit u@good.test
	submit u@probe.test
	mx_end "$SINK"
	tls_host 2 mxold
	run -75 submit u@good.test
	submit u@probe.test
	mx_end "$SINK"
	tls_host 2 stranger
	run -75 submit u@good.test
	submit u@probe.test
	mx_end "$SINK"
	mxours 2
	submit u@probe.test
	run -75 submit u@good.test
	counts tls_sts_success 2
	# Hosts that are not in the policy: mx3 of good.test, too, each time.
	counts tls_sts_validation_failure 7
	counts tls_sts_sts_policy_invalid 1
	counts tls_no_policy_found_success 1
	counts tls_sts_certificate_host_mismatch 2
	counts tls_sts_certificate_expired 2
	counts tls_sts_certificate_not_trusted 2
	counts tls_sts_starttls_not_supported 2
}
