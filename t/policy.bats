#!/usr/bin/env bats
# What MTA-STS says about a domain and DANE about a host, with nginx as policy
# host and nsd and unbound for the DNS.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/certs
load lib/dns
load lib/sts

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
}

teardown()
{
	nh_teardown
}

# says PATTERN QUESTION...: the last line of the answers fits (glob).
says()
{
	local pattern=$1 line
	shift
	policy "$@" >"$D/said"
	line=$(tail -n 1 "$D/said")
	# shellcheck disable=SC2053 # a pattern
	[[ $line == $pattern ]] || { printf 'not %s:\n' "$pattern"
		cat "$D/said" "$D/log.policy"; return 1; }
}

# sts_up [ZONE-LINE...]: DNS and policy hosts for what there is.
sts_up()
{
	{
		sts_records
		[[ $# -eq 0 ]] || printf '%s\n' "$@"
	} | dns_zone test
	start_nsd
	dns_count
	sts_start
}

# sts_change ID: all records anew; the server is started again.
sts_change()
{
	kill "$NSD"
	wait "$NSD" 2>/dev/null || :
	{
		sts_records "$1"
	} | dns_zone test
	start_nsd
	STS_OPTIONS[0]=resolver=$RESOLVER
}

@test "MTA-STS: enforce, testing, none; a domain without, a bad record" {
	sts_policy good.test enforce mx.good.test '*.good.test'
	sts_policy try.test testing mx.try.test
	sts_policy off.test none
	sts_up '_mta-sts.bad TXT "v=STSv1; id=;"' \
		'_mta-sts.two TXT "v=STSv1; id=1;"' \
		'_mta-sts.two TXT "v=STSv1; id=2;"'
	says 'good.test found enforce mx=mx.good.test,\*.good.test: policy id 1 enforce, fetched' \
		sts:good.test
	says 'try.test found testing mx=mx.try.test: *' sts:try.test
	says 'off.test none: policy id 1 none, fetched' sts:off.test
	says 'none.test none: no TXT record' sts:none.test
	says 'bad.test none: TXT record is no use: *' sts:bad.test
	says 'two.test none: TXT record is no use: several records' sts:two.test
	[[ $(sts_requests) -eq 3 ]]
}

@test "MTA-STS: asked once, then kept; the record by its TTL" {
	sts_policy good.test enforce mx.good.test
	sts_up
	says 'good.test found enforce mx=mx.good.test kept: policy id 1 enforce, kept' \
		sts:good.test sts:good.test sts:good.test
	[[ $(sts_requests) -eq 1 ]]
	[[ $(dns_asked TXT _mta-sts.good.test) -eq 1 ]]
}

@test "MTA-STS: a policy outlives a restart, its host and its record" {
	sts_policy good.test enforce mx.good.test
	sts_up
	mkdir "$D/kept"
	STS_OPTIONS+=(mta_sts_cache="$D/kept")
	says '*: policy id 1 enforce, fetched' sts:good.test
	[[ -s $D/kept/good.test ]]
	says '*: policy id 1 enforce, kept' sts:good.test
	sts_stop
	says 'good.test found enforce * kept: policy id 1 enforce, kept' \
		sts:good.test
	sts_change 2
	says 'good.test found enforce * kept sts-policy-fetch-error: policy id 1 enforce, kept; https://mta-sts.good.test: *' \
		sts:good.test
	dns_count --servfail=TXT:_mta-sts.good.test
	STS_OPTIONS[0]=resolver=$RESOLVER
	says 'good.test found enforce * kept: policy id 1 enforce, kept; TXT look-up failed: *' \
		sts:good.test
}

@test "MTA-STS: the host is down, without a kept policy: as if there were none" {
	sts_policy good.test enforce mx.good.test
	sts_up
	sts_stop
	says 'good.test unavailable sts-policy-fetch-error: https://mta-sts.good.test: *' \
		sts:good.test
	says 'good.test unavailable *' sts:good.test sts:good.test
}

@test "MTA-STS: a new id brings the new policy" {
	sts_policy good.test enforce mx.good.test
	sts_up
	mkdir "$D/kept"
	STS_OPTIONS+=(mta_sts_cache="$D/kept")
	says '* mx=mx.good.test: policy id 1 enforce, fetched' sts:good.test
	sts_policy good.test enforce new.good.test
	says '* mx=mx.good.test kept: policy id 1 enforce, kept' sts:good.test
	sts_change 2
	says '* mx=new.good.test: policy id 2 enforce, fetched' sts:good.test
}

@test "MTA-STS: what no policy host may do" {
	local untrusted=$D/untrusted.pem
	# shellcheck disable=SC2016 # the dollar is nginx's
	sts_host moved.test 'location / { return 301 https://mta-sts.good.test$request_uri; }'
	sts_host gone.test 'location / { return 404; }'
	sts_host error.test 'location / { return 503; }'
	sts_host html.test 'default_type text/html;'
	sts_host params.test 'default_type "text/plain; charset=utf-8";'
	sts_host slow.test 'limit_rate 20;'
	sts_host wrong.test "ssl_certificate $CERTS/wrong.pem;" \
		"ssl_certificate_key $CERTS/wrong.pem;"
	sts_host expired.test "ssl_certificate $D/expired.pem;" \
		"ssl_certificate_key $D/expired.pem;"
	sts_host self.test "ssl_certificate $untrusted;" \
		"ssl_certificate_key $untrusted;"
	sts_policy good.test enforce mx.good.test
	sts_policy html.test enforce mx.html.test
	sts_policy params.test enforce mx.params.test
	sts_policy slow.test enforce mx.slow.test
	sts_policy wrong.test enforce mx.wrong.test
	sts_policy expired.test enforce mx.expired.test
	sts_policy self.test enforce mx.self.test
	head -c 70000 /dev/zero | tr '\0' '\n' | sts_file large.test
	echo '<html>' | sts_file page.test
	pushd "$CERTS"
	cert_of ca stsold DNS:mta-sts.expired.test -1
	cert_of other stsother DNS:mta-sts.self.test
	popd
	cp "$CERTS/stsold.pem" "$D/expired.pem"
	cp "$CERTS/stsother.pem" "$untrusted"
	sts_up
	says 'moved.test unavailable sts-policy-fetch-error: *HTTP 301*' \
		sts:moved.test
	says 'gone.test unavailable sts-policy-fetch-error: *HTTP 404' \
		sts:gone.test
	says 'error.test unavailable sts-policy-fetch-error: *HTTP 503' \
		sts:error.test
	says 'html.test unavailable sts-policy-fetch-error: *text/html, not text/plain' \
		sts:html.test
	says 'params.test found enforce *' sts:params.test
	says 'large.test unavailable sts-policy-fetch-error: *more than 65536 bytes' \
		sts:large.test
	says 'page.test unavailable sts-policy-invalid: *line 1: *' \
		sts:page.test
	says 'wrong.test unavailable sts-webpki-invalid: *' sts:wrong.test
	says 'expired.test unavailable sts-webpki-invalid: *expired*' \
		sts:expired.test
	says 'self.test unavailable sts-webpki-invalid: *' sts:self.test
	says 'slow.test unavailable sts-policy-fetch-error: *' \
		-o mta_sts_timeout=1 sts:slow.test
}

@test "MTA-STS: a policy host without an address, or whose addresses fail" {
	sts_policy good.test enforce mx.good.test
	sts_up '_mta-sts.bare TXT "v=STSv1; id=1;"'
	says 'bare.test unavailable sts-policy-fetch-error: https://mta-sts.bare.test: no address' \
		sts:bare.test
	dns_count --servfail=A:mta-sts.good.test \
		--servfail=AAAA:mta-sts.good.test
	STS_OPTIONS[0]=resolver=$RESOLVER
	says 'good.test unavailable sts-policy-fetch-error: *server failure' \
		sts:good.test
}

@test "MTA-STS: an answer without an end, and headers without an end" {
	sts_policy good.test enforce mx.good.test
	sts_up
	fake_start --each --cert="$D/sts.pem" --key="$D/sts.pem" T \
		L L L L L 'W:HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n' \
		'N:3000:version: STSv1 and so on and on'
	STS_OPTIONS[1]=mta_sts_port=$port
	says 'good.test unavailable sts-policy-fetch-error: *more than 65536 bytes' \
		sts:good.test
	fake_start --each --cert="$D/sts.pem" --key="$D/sts.pem" T \
		L L L L L 'W:HTTP/1.1 200 OK\r\n' \
		'N:3000:X-More: and so on and so on'
	STS_OPTIONS[1]=mta_sts_port=$port
	says 'good.test unavailable sts-policy-fetch-error: *more than 32768 bytes of headers' \
		sts:good.test
}

@test "MTA-STS: options that cannot be used are refused at start" {
	run -78 "$NH_BUILD/t/tools/policy" -o resolver=127.0.0.1:9 \
		-o mta_sts_cache=/nonexistent sts:x.test
	[[ $output == *'mta_sts_cache: /nonexistent: No such file'* ]]
}

@test "R-TL-13: DANE by zones that are signed, or not, or wrong" {
	local zone
	local tlsa=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff

	for zone in good none wrong expired; do
		dns_zone "$zone.test" <<-EOC
		mx	A 127.0.0.2
		_25._tcp.mx TLSA 3 1 1 $tlsa
		_2525._tcp.mx TLSA 2 0 1 $tlsa
		bare	A 127.0.0.2
		pkix	A 127.0.0.2
		_25._tcp.pkix TLSA 1 1 1 $tlsa
		alias	CNAME mx
		out	CNAME mx.none.test.
		_25._tcp.out TLSA 3 1 1 $tlsa
		lost	A 127.0.0.2
		EOC
		[[ $zone == none ]] || dns_sign "$zone.test" "$zone"
	done
	start_nsd
	start_unbound
	says 'mx.good.test usable base=mx.good.test \[3 1 1 0011*: 1 TLSA record at _25._tcp.mx.good.test' \
		dane:mx.good.test
	says 'mx.good.test usable base=* \[2 0 1 *' dane:mx.good.test:2525
	says 'bare.good.test none: no TLSA records at *' dane:bare.good.test
	says 'pkix.good.test unusable base=pkix.good.test: the TLSA record at *' \
		dane:pkix.good.test
	says 'alias.good.test usable base=mx.good.test *' dane:alias.good.test
	says 'out.good.test usable base=out.good.test *' dane:out.good.test
	says 'mx.none.test none: addresses of mx.none.test are not signed' \
		dane:mx.none.test
	says 'mx.wrong.test failed: address look-up of * failed: *' \
		dane:mx.wrong.test
	says 'mx.expired.test failed: *' dane:mx.expired.test
	dns_count --servfail=TLSA:_25._tcp.lost.good.test
	says 'lost.good.test failed: TLSA look-up of _25._tcp.lost.good.test failed: *' \
		dane:lost.good.test
	dns_count --no-ad
	says 'mx.good.test none: addresses of mx.good.test are not signed' \
		dane:mx.good.test
}

@test "RFC 7672 3.2.2: a domain that is an alias, by the name it leads to" {
	pushd "$CERTS"
	cert_of ca real DNS:real.good.test
	cert_of ca shop DNS:shop.good.test
	cert_of ca neither DNS:neither.good.test
	popd
	local name
	for name in real shop neither; do
		cat "$CERTS/$name.pem" "$CERTS/ca.crt" >"$D/$name.pem"
		sink_start -T -C "$D/$name.pem"
		rm -f "$D/zones.list"
		dns_zone good.test <<-EOC
		shop	CNAME real
		real	MX 10 mx
		mx	A 127.0.0.1
		_$port._tcp.mx TLSA 2 0 1 $(cert_digest "$CERTS/ca.crt")
		EOC
		dns_sign good.test
		start_nsd
		start_unbound
		VIA=agent try_all mx resolver="$RESOLVER" port="$port" -- \
			s@x.test r@shop.good.test <"$D/M" >"$D/row.$name" || :
	done
	grep -q delivered "$D/row.real"
	grep -q delivered "$D/row.shop"
	grep -q 'not for mx.good.test' "$D/row.neither"
}

@test "RFC 8460: a policy that cannot be had is counted, and the mail goes" {
	sink_start -T -C "$CERTS/good.pem"
	local sink=$port
	sts_host gone.test 'location / { return 404; }'
	sts_up 'gone MX 10 mx' 'mx A 127.0.0.1'
	nh_conf <<-EOC
	[relay out]
	type = mx
	port = $sink
	resolver = $RESOLVER
	mta_sts_port = $STS_PORT
	mta_sts_ca_certs = $CERTS/ca.crt
	EOC
	nh_start
	nh submit --relay=out --from=s@x.test r@gone.test <"$D/M"
	nh_until 5 counted
}

counted()
{
	nh status --output=json | grep -q '"tls_sts_sts_policy_fetch_error": *1'
}
