#!/usr/bin/env bats
# --explain and --probe, by an agent and by nexthop explain: what a delivery
# would do, and nothing of it done.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/dns

setup()
{
	nh_setup
	printf 'From: s@x.test\n\ntest\n' >"$D/M"
}

teardown()
{
	nh_teardown
}

mx()
{
	"$NH_BUILD/libexec/nexthop/smtp-mx" -o ehlo_as=client.test \
		-o resolver="$RESOLVER" "$@"
}

said()
{
	grep -qF -- "$1" "$D/said" || { echo "not said: $1"
		cat "$D/said"; return 1; }
}

@test "explain names route, hosts in order, addresses, source and TLS" {
	dns_test_zones
	start_nsd
	mx -o source_addresses=127.0.0.11 --explain u@two.test u@null.test \
		u@dead.test nodomain >"$D/said"
	said 'route     2 MX records'
	said 'policy    MTA-STS: no TXT record'
	[[ $(grep -o 'mx[ab].test, preference [12]0' "$D/said" | xargs) == \
	    'mxa.test, preference 10 mxb.test, preference 20' ]]
	said 'address   127.0.0.2 port 25, from 127.0.0.11, EHLO client.test, TLS may'
	said 'answer    556 5.1.10 Domain null.test does not accept mail'
	said 'not used  550 5.4.4 No usable mail exchanger for dead.test'
	said 'answer    553 5.1.3'
}

@test "what is explained is what a delivery then does" {
	dns_test_zones
	start_nsd
	sink_start
	mx -o port="$port" -o 'force_mx.forced.test=127.0.0.1' \
		--explain u@forced.test >"$D/said"
	said 'route     force_mx'
	said 'host      127.0.0.1'
	mx -o port="$port" -o "force_mx.forced.test=127.0.0.1" --output=tsv \
		--from=s@x.test u@forced.test <"$D/M" >"$D/rows"
	[[ $(cut -f 2,7 "$D/rows") == $'delivered\t127.0.0.1' ]]
}

@test "a probe asks up to RCPT and sends nothing" {
	dns_test_zones
	start_nsd
	fake_start "${HELLO[@]}" L 'A:MAIL*' 'S:250 m' L 'A:RCPT*' 'S:250 r' \
		L 'A:RCPT*' 'S:550 5.1.1 unknown' L 'A:RSET' 'S:250 reset' \
		"${BYE[@]}"
	run -69 mx -o 'force_mx.*=127.0.0.1' -o port="$port" --probe \
		--output=tsv --from=s@x.test a@x.test b@x.test
	[[ $(cut -f 1,2 <<<"$output" | xargs) == \
	    'a@x.test delivered b@x.test permanent' ]]
	! grep -q DATA "$D/fake"
}

@test "nexthop explain uses a relay's options; submit refuses both words" {
	dns_test_zones
	start_nsd
	printf '[relay out]\ntype = mx\nehlo_as = client.test\nresolver = %s\ntls_policy..test = require\n[relay smart]\ntype = static\nhost = 127.0.0.1\ncredentials.username = u\ncredentials.password = secret\n[relay hole]\ntype = blackhole\n' \
		"$RESOLVER" | nh_conf
	nh explain --relay=out u@two.test >"$D/said"
	said 'TLS require'
	said "policy    the operator's, for this domain"
	run -78 nh explain --relay=nobody u@two.test
	run -64 nh explain u@two.test
	run -78 nh explain --relay=smart u@two.test
	[[ $output == *password_file* && $output != *secret* ]]
	run -64 nh explain --relay=hole u@two.test
	run -64 nh submit --probe --relay=out u@two.test </dev/null
	run -64 nh submit --explain --relay=out u@two.test </dev/null
}
