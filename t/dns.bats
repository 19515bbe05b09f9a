#!/usr/bin/env bats
# The resolver against real name servers: nsd, and unbound that validates.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/dns

setup()
{
	nh_setup
}

teardown()
{
	nh_teardown
}

# says PATTERN NAME TYPE...: the last line the resolver prints fits (glob).
says()
{
	local pattern=$1 line
	shift
	dns_ask "$@" >"$D/said"
	line=$(tail -n 1 "$D/said")
	# shellcheck disable=SC2053 # a pattern
	[[ $line == $pattern ]] || { printf 'not %s:\n' "$pattern"
		cat "$D/said"; return 1; }
}

@test "records, null MX, no data, no such name, an alias, a zone that fails" {
	dns_test_zones
	start_nsd
	says '*MX ok insecure ttl=300 server=*: 10 mxa.test, 20 mxb.test' \
		two.test MX
	says '*A ok insecure*: 127.0.0.5' aonly.test A
	says '*AAAA ok*: ::1' six.test AAAA
	says '*TXT ok*: "no mail here"' txt.test TXT
	says '*MX ok*: 0 .' null.test MX
	says 'aonly.test MX nodata insecure ttl=60 *' aonly.test MX
	says 'nx.test MX noname insecure ttl=60 *' nx.test MX
	says 'cname.test MX ok * alias=two.test *: 10 mxa.test, *' \
		CNAME.Test. MX
	says 'x.bad MX failed *: server failure' x.bad MX
	says 'elsewhere.example MX failed *: refused' elsewhere.example MX
	says 'a..test MX badname *: a label is empty' a..test MX
}

@test "R-MX-19: an answer of 60 records comes by TCP" {
	dns_test_zones
	start_nsd
	dns_count
	says 'many.test MX ok *: 1 mxa.test, *' many.test MX
	[[ $(grep -o nowhere "$D/said" | wc -l) -eq 59 ]]
	[[ $(dns_asked MX many.test udp) -eq 1 ]]
	[[ $(dns_asked MX many.test tcp) -eq 1 ]]
}

@test "R-MX-03: kept by TTL; one of 0 is not kept; no such name is kept" {
	dns_test_zones
	start_nsd
	dns_count
	dns_ask two.test MX TWO.test MX two.test. MX
	[[ $(dns_asked MX two.test) -eq 1 ]]
	dns_ask -p 1500ms short.test MX short.test MX
	[[ $(dns_asked MX short.test) -eq 2 ]]
	dns_ask zero.test MX zero.test MX
	[[ $(dns_asked MX zero.test) -eq 2 ]]
	dns_ask nx.test MX nx.test MX
	[[ $(dns_asked MX nx.test) -eq 1 ]]
	dns_ask -p 1500ms -o dns_ttl_min=1m short.test MX short.test MX
	[[ $(dns_asked MX short.test) -eq 3 ]]
	dns_ask -p 1500ms -o dns_ttl_max=1s two.test MX two.test MX
	[[ $(dns_asked MX two.test) -eq 3 ]]
	dns_ask -o dns_cache_size=0 two.test MX two.test MX
	[[ $(dns_asked MX two.test) -eq 5 ]]
	dns_ask -o dns_negative_ttl_max=0 nx.test MX nx.test MX
	[[ $(dns_asked MX nx.test) -eq 3 ]]
}

@test "signatures: good, none, wrong, expired, stripped" {
	local zone

	for zone in good none wrong expired stripped; do
		dns_zone "$zone.test" <<-EOC
		@	MX 10 mx
		mx	A 127.0.0.2
		_25._tcp.mx TLSA 3 1 1 aa
		alias	CNAME mx
		EOC
		[[ $zone == none ]] || dns_sign "$zone.test" "$zone"
	done
	dns_zone mixed.test <<-EOC
	to-good	CNAME mx.good.test.
	to-none	CNAME mx.none.test.
	EOC
	dns_sign mixed.test
	start_nsd
	start_unbound
	says 'good.test MX ok secure *: 10 mx.good.test' good.test MX
	says '*A ok secure *: 127.0.0.2' mx.good.test A
	says '*TLSA ok secure *: 3 1 1 aa' _25._tcp.mx.good.test TLSA
	says '*nodata secure *' mx.good.test AAAA
	says '*noname secure *' nx.good.test A
	says '*ok secure * alias=mx.good.test *' alias.good.test A
	says '*ok secure * alias=mx.good.test *' to-good.mixed.test A
	says '*ok insecure * alias=mx.none.test *' to-none.mixed.test A
	says 'none.test MX ok insecure *: 10 mx.none.test' none.test MX
	says 'wrong.test MX failed *: server failure' wrong.test MX
	says 'expired.test MX failed *: server failure' expired.test MX
	says 'stripped.test MX failed *: server failure' stripped.test MX
	says '*failed *: server failure' _25._tcp.mx.expired.test TLSA
}

@test "secure only from a server that is trusted, and that says so" {
	dns_zone good.test <<<'@ A 127.0.0.2'
	dns_sign good.test
	start_nsd
	says '*ok insecure *' good.test A	# it does not validate
	start_unbound
	says '*ok secure *' good.test A
	dns_count --no-ad
	says '*ok insecure *' good.test A
}

# in_a_network <SCRIPT: in a network of its own, where port 53 is free and
# others' addresses are ours: unbound on 127.0.0.1, 192.0.2.53, 2001:db8::53,
# nsd on 192.0.2.53:5300. What the script prints is in the file said.
in_a_network()
{
	[[ $(id -u) -eq 0 ]] || skip "needs root"
	unshare -n true 2>/dev/null || skip "needs unshare"
	nsd_conf 'ip-address: 192.0.2.53@5300'
	unbound_conf 'interface: 127.0.0.1@53' 'interface: 192.0.2.53@53' \
		'interface: 2001:db8::53@53' 'do-ip6: yes' \
		'access-control: 192.0.2.0/24 allow' \
		'access-control: 2001:db8::/32 allow'
	{
		cat <<-EOC
		set -e
		PATH=\$PATH:/usr/sbin
		ask() { "$NH_BUILD/t/tools/dns" "\$@" 2>>"$D/log.dns"; }
		conf() { printf '%s\n' "\$@" >new && mv new resolv.conf; }
		ip link set lo up
		ip addr add 192.0.2.53/32 dev lo
		ip -6 addr add 2001:db8::53/128 dev lo nodad
		nsd -d -c nsd.conf >>log.nsd 2>&1 & nsd=\$!
		unbound -d -c unbound.conf >>log.unbound 2>&1 & unbound=\$!
		trap 'kill \$nsd \$unbound; wait' EXIT
		up() { exec 4<>"/dev/tcp/127.0.0.1/\$1"; }
		for port in $NSD_PORT 53; do
			for i in {1..200}; do
				(up \$port) 2>/dev/null && break
				sleep 0.05
			done
		done
		EOC
		cat
	} >all
	unshare -n bash all >said 2>>log.all
}

# said LINE PATTERN
said()
{
	# shellcheck disable=SC2053 # a pattern
	[[ $(sed -n "$1p" said) == $2 ]] || { echo "line $1 is not $2"
		cat said; return 1; }
}

@test "resolver_trusted, trust-ad; resolv.conf is read again; IPv6" {
	dns_zone good.test <<-EOC
	@	A 127.0.0.2
	@	MX 10 mx
	EOC
	dns_sign good.test
	in_a_network <<-'EOC'
	ask -o resolver=192.0.2.53 good.test A
	ask -o resolver=192.0.2.53 -o resolver_trusted=yes good.test A
	ask -o resolver='[2001:db8::53]:53' good.test A
	conf 'nameserver 2001:db8::53' 'options use-vc'
	ask -o resolv_conf=resolv.conf good.test A
	conf 'options trust-ad' 'nameserver 192.0.2.53'
	ask -o resolv_conf=resolv.conf good.test A
	ask -o resolv_conf=resolv.conf -p 4s good.test A good.test MX &
	sleep 1.5
	conf 'nameserver 127.0.0.1' 'nameserver 192.0.2.53'
	wait $!
	EOC
	said 1 'good.test A ok insecure * server=192.0.2.53:53: 127.0.0.2'
	said 2 '* ok secure * server=192.0.2.53:53: *'
	said 3 '* ok insecure * server=\[2001:db8::53\]:53: *'
	said 4 '* ok insecure * server=\[2001:db8::53\]:53: *'
	said 5 '* ok secure * server=192.0.2.53:53: *'
	said 6 '* A ok secure * server=192.0.2.53:53: *'
	said 7 '* MX ok secure * server=127.0.0.1:53: *'
}

@test "forged records: a trusted server's SERVFAIL is not asked around" {
	dns_zone wrong.test <<<'@ A 127.0.0.66'
	dns_sign wrong.test wrong
	in_a_network <<-'EOC'
	ask -o resolver=192.0.2.53:5300 wrong.test A
	ask -o resolver=127.0.0.1:53 -o resolver=192.0.2.53:5300 wrong.test A
	ask -o resolver=192.0.2.53:53 -o resolver=192.0.2.53:5300 wrong.test A
	EOC
	said 1 '* ok insecure *: 127.0.0.66'
	said 2 '* failed insecure * server=127.0.0.1:53: server failure'
	said 3 '* ok insecure * server=192.0.2.53:5300: 127.0.0.66'
}

@test "a server that fails or is silent: the next one answers" {
	local good

	dns_test_zones
	start_nsd
	good=$RESOLVER
	dns_count --servfail='MX:two.test' --drop='A:*'
	# After $RESOLVER, which is the one in front.
	says "*ok * server=$good: *" -o "resolver=$good" two.test MX
	says "*ok * server=$good: *" -o "resolver=$good" aonly.test A
	RESOLVER=127.0.0.1:9
	says '*failed *: Connection refused' aonly.test A
	RESOLVER=127.0.0.1:$COUNT_PORT
	says "*failed *: timed out" -t 1 aonly.test A
}

@test "resolv.conf is read again when it changes; hosts_file comes first" {
	dns_test_zones
	start_nsd
	# No port can be said there: nobody answers on 53.
	printf 'nameserver 127.0.0.77\n' >resolv.conf
	RESOLVER='' says 'two.test MX failed *' -t 2 \
		-o "resolv_conf=$D/resolv.conf" two.test MX
	run -78 "$NH_BUILD/t/tools/dns" -o "resolv_conf=$D/none" two.test MX
	[[ $output == *"resolv_conf: $D/none: No such file or directory"* ]]
	run -64 "$NH_BUILD/t/tools/dns" -o resolver=ns.test two.test MX
	[[ $output == *'is not an address of a name server'* ]]
	printf '192.0.2.7 aonly.test new.test\n' >hosts
	says '*A ok insecure ttl=0: 192.0.2.7' -o "hosts_file=$D/hosts" \
		aonly.test A
	says '*AAAA nodata *' -o "hosts_file=$D/hosts" new.test AAAA
	says '*MX ok *' -o "hosts_file=$D/hosts" two.test MX
}
