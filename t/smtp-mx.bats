#!/usr/bin/env bats
# smtp-mx: which hosts a message goes to, by DNS and by options.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/dns
load lib/certs
load lib/mx

setup()
{
	nh_setup
	[[ $(id -u) -eq 0 ]] || skip "smtp-sink needs root"
	mx_setup
	dns_test_zones
}

teardown()
{
	nh_teardown
	[[ -z ${CERTS-} ]] || certs_remove
}

# ---- which hosts, in which order ----

port_25()
{
	MX_PORT=25
	mxsink 2
	mxsink 3
	start_nsd
	for VIA in agent master; do
		rm -f "$D"/m.*
		give 0 resolver="$RESOLVER" -- s@x.test u@two.test
		row 1 u@two.test delivered 250 2.0.0
		[[ $(cut -f 6,7 "$D/rows") == "mxa.test"$'\t'"127.0.0.2" ]]
		got 2 1
		got 3 0
	done
}

@test "R-MX-01: the best host, at port 25" {
	unshare -n true 2>/dev/null || skip "needs unshare"
	in_net port_25
}

next_host()
{
	to 0 u@two.test
	row 1 u@two.test delivered 250 2.0.0
	got 3 1
}

@test "R-MX-02: the next host in the same attempt" {
	mx_dns
	mxsink 3
	both next_host
}

by_ttl()
{
	: >dns.log
	to 0 u@two.test -- --count=3
	rows 3
	[[ $(dns_asked MX two.test) -eq 1 && $(dns_asked A mxa.test) -eq 1 ]]
	to 0 u@short.test -- --count=2 --gap=1500ms
	[[ $(dns_asked MX short.test) -eq 2 ]]
	to 0 u@zero.test -- --count=2
	[[ $(dns_asked MX zero.test) -eq 2 ]]
}

@test "R-MX-03: MX records are kept for their TTL" {
	mx_dns
	mxsink 2
	both by_ttl
}

one_connection()
{
	: >commands.2
	to 0 u@two.test -- --count=2
	said 2 1 '^[0-9]+ EHLO'
	said 2 2 MAIL
}

@test "R-MX-04: the second message goes over the same connection" {
	mx_dns
	mxours 2
	both one_connection
}

# A limit of one, so that the second domain waits for the first one's.
two_names()
{
	: >commands.2
	to 0 u@two.test v@vain.test -- concurrent_connections=1 "${@:2}"
	said 2 "$1" '^[0-9]+ EHLO'
	said 2 2 MAIL
	[[ $(cut -f 6 rows | sort | tr '\n' ' ') == "mx.vain.test mxa.test " ]]
}

@test "R-MX-04: names of one host share a connection, unless a certificate is verified" {
	dns_zone vain.test <<-EOC
		@	MX 10 mx
		mx	A 127.0.0.2
	EOC
	mx_dns
	certs_make
	(cd "$CERTS" && cert_of ca both DNS:mxa.test,DNS:mx.vain.test)
	mxours 2 -T -C "$CERTS/both.pem"
	both two_names 2 tls_mode=may
	both two_names 2 tls_mode=require
	both two_names 1 tls_mode=none
	both two_names 4 tls_mode=verify tls.ca_certs="$CERTS/ca.crt"
}

forced()
{
	: >dns.log
	to 0 u@two.test -- force_mx.two.test=127.0.0.4
	got 4 1
	to 0 u@TWO.Test -- "force_mx.two.test=127.0.0.4:$port"
	got 4 1
	[[ $(cut -f 7,8 rows) == "127.0.0.4"$'\t'"$port" ]]
	to 0 u@a.two.test v@nx.test -- force_mx..two.test=127.0.0.5 \
		"force_mx.*=mxd.test,[127.0.0.4]:$MX_PORT"
	got 5 1
	got 4 2
	[[ $(dns_asked MX two.test) -eq 0 && $(dns_asked MX nx.test) -eq 0 ]]
}

@test "R-MX-05: force_mx for a domain, with a port, for .domain and for *" {
	mx_dns
	mxsink 4
	mxsink 5
	fake_start --listen=127.0.0.4 --each "${HELLO[@]}" "${TAKE[@]}" \
		"${BYE[@]}"
	both forced
}

implicit()
{
	to 0 u@aonly.test
	got 5 1
	to 0 u@six.test
	got 6 1
}

@test "R-MX-06: no MX record: the domain itself, by A and by AAAA" {
	mx_dns
	mxsink 5
	mxsink 6
	both implicit
}

no_records()
{
	to 69 u@nx.test u@txt.test
	row 1 u@nx.test permanent 550 5.1.2 'No usable DNS records found: nx.test'
	row 2 u@txt.test permanent 550 5.1.2 \
		'No usable DNS records found: txt.test'
}

@test "R-MX-07: nothing usable in DNS" {
	mx_dns
	both no_records
}

dns_fails()
{
	to 75 u@x.bad
	row 1 u@x.bad transient 451 4.4.3 'x.bad: DNS lookup failed: *'
	give 75 resolver=127.0.0.1:9 dns_timeout=1 -- s@x.test u@two.test
	row 1 u@two.test transient 451 4.4.3 'two.test: DNS lookup failed: *'
}

@test "R-MX-08: DNS fails for now" {
	mx_dns
	both dns_fails
}

null_mx()
{
	to 69 u@null.test
	row 1 u@null.test permanent 556 5.1.10 \
		'Domain null.test does not accept mail (null MX)'
	[[ $(cut -f 7 rows) == '' ]]
}

@test "R-MX-09: a null MX" {
	mx_dns
	both null_mx
}

shuffled()
{
	local n

	to 0 u@equal.test -- --count=120 --parallel=8 idle_timeout=0 \
		max_messages_per_connection=1
	rows 120
	for n in 2 3 4; do
		[[ $(cut -f 7 rows | grep -c "127.0.0.$n") -ge 12 ]]
	done
}

@test "R-MX-10: equal preferences in any order" {
	mx_dns
	mxours 2
	mxours 3
	mxours 4
	both shuffled
}

no_address()
{
	to 69 u@dead.test
	row 1 u@dead.test permanent 550 5.4.4 \
		'No usable mail exchanger for dead.test: *'
	to 0 u@deadok.test
	got 2 1
}

@test "R-MX-11: a target without address" {
	mx_dns
	mxsink 2
	both no_address
}

# walks [FLAG...]: the first host behaves like this.
walks()
{
	mxsink 2 "$@"
	both next_host
	mx_end "$SINK"
}

@test "R-MX-12: on to the next host after 5yz greeting, 421, drop, time-out" {
	mx_dns
	mxsink 3
	walks -f CONNECT
	walks -r CONNECT
	walks -Q EHLO
	walks -q EHLO
	walks -q CONNECT
	mxfake 2 --full
	MX+=(connect_timeout=1)
	both next_host
	took 1000 9000
}

no_walk()
{
	to 69 u@two.test
	row 1 u@two.test permanent 500 5.3.0
	got 3 0
}

@test "R-MX-13: no other host after a definite answer" {
	mx_dns
	mxsink 3
	for verb in MAIL RCPT DATA .; do
		mxsink 2 -f "$verb"
		both no_walk
		mx_end "$SINK"
	done
}

to_self()
{
	to 69 u@self.test -- ehlo_as=me.test
	row 1 u@self.test permanent 554 5.4.6 \
		'mail for self.test loops back to myself'
	to 69 u@self.test -- own_names=me.test
	row 1 u@self.test permanent 554 5.4.6
	# Those preferred to us are tried, those behind us are not.
	to 75 u@two.test -- own_names=MXB.test.
	row 1 u@two.test transient 451 4.4.1 '*127.0.0.2*'
	got 3 0
}

@test "R-MX-14: we are the best host, or one of them" {
	mx_dns
	mxsink 3
	both to_self
}

self_by_address()
{
	to 69 u@self.test -- own_addresses=127.0.0.8
	row 1 u@self.test permanent 554 5.4.6 \
		'mail for self.test loops back to myself*'
	to 69 u@aonly.test -- own_addresses=127.0.0.1,127.0.0.5
	row 1 u@aonly.test permanent 554 5.4.6
	got 3 0
	got 5 0
	to 75 u@two.test -- own_addresses=127.0.0.3
	row 1 u@two.test transient 451 4.4.1 '*127.0.0.2*'
	got 3 0
}

@test "R-MX-14: by own_addresses: no host behind us is tried" {
	mx_dns
	mxsink 3
	mxsink 5
	both self_by_address
}

bad_recipient()
{
	to 69 badrcpt u@two.test
	row 1 badrcpt permanent 553 5.1.3
	row 2 u@two.test delivered 250 2.0.0
	got 2 1
}

@test "R-MX-15: a recipient without domain: that one alone" {
	mx_dns
	mxsink 2
	both bad_recipient
}

two_domains()
{
	to 0 u@two.test u@aonly.test v@two.test
	got 2 1
	got 5 1
	got_line 2 '^X-Rcpt-Args: <v@two.test>'
	got_line 5 '^X-Rcpt-Args: <u@aonly.test>'
	to 75 u@two.test u@nx.test u@six.test u@aonly.test
	row 1 u@two.test delivered 250 2.0.0
	row 2 u@nx.test permanent 550 5.1.2
	row 3 u@six.test transient 451 4.4.1
	row 4 u@aonly.test delivered 250 2.0.0
}

@test "R-MX-16: several domains in one envelope, some of which fail" {
	mx_dns
	mxsink 2
	mxsink 5
	both two_domains
}

literals()
{
	to 69 'u@[127.0.0.5]' 'u@[IPv6:::1]' 'u@[x]' u@ip.test
	row 1 'u@[127.0.0.5]' delivered 250 2.0.0
	row 2 'u@[IPv6:::1]' delivered 250 2.0.0
	row 3 'u@[x]' permanent 553 5.1.3
	row 4 u@ip.test permanent 550 5.4.4 \
		'*its MX record is an address, not a host name'
	got 5 1
	got 6 1
	got_line 5 'X-Rcpt-Args: <u@\[127.0.0.5\]>'
	to 0 u@ip.test -- mx_is_address=yes
	got 9 1
	to 69 'u@[127.0.0.5]' -- address_literals=no
	row 1 'u@[127.0.0.5]' permanent 550 5.1.2
	got 5 1
}

@test "R-MX-17: address literals; an MX record that is an address" {
	mx_dns
	mxsink 5
	mxsink 6
	mxsink 9
	both literals
}

names()
{
	to 0 u@cname.test
	got_line 2 'X-Rcpt-Args: <u@cname.test>'
	to 0 U@TWO.Test
	got_line 2 'X-Rcpt-Args: <U@TWO.Test>'
	to 0 u@two.test.
	row 1 u@two.test. delivered 250 2.0.0
	got_line 2 'X-Rcpt-Args: <u@two.test>'
	to 0 u@bücher.test
	got_line 2 'X-Rcpt-Args: <u@xn--bcher-kva.test>'
	got 2 4
	to 69 "u@$(printf 'x%.0s' {1..64}).test" u@a..test
	row 1 '*' permanent 550 5.1.2 || row 1 "$(cut -f 1 rows | head -n 1)" \
		permanent 553 5.1.3
}

@test "R-MX-18: aliases, case, a trailing dot, IDN; names that cannot exist" {
	mx_dns
	mxsink 2
	both names
}

many_records()
{
	: >dns.log
	to 0 u@many.test
	got 2 1
	[[ $(dns_asked MX many.test tcp) -eq 1 ]]
}

@test "R-MX-19: an answer too large for UDP" {
	mx_dns
	mxsink 2
	both many_records
}

dual()
{
	to 0 u@dual.test
	got "$1" 1
}

@test "R-MX-19: both families, one of which refuses" {
	mx_dns
	mxsink 7
	both dual 7
	mx_end "$SINK"
	mxsink 6
	both dual 6
}

many_dead()
{
	to 75 u@dead60.test -- "$@"
	row 1 u@dead60.test transient 451 4.4.1 "*[(]$tried hosts or addresses tried)"
}

@test "R-MX-19: 60 dead hosts: address_limit, attempt_timeout" {
	{
		for i in {1..60}; do
			printf '@ MX %d m%d\nm%d A 127.0.1.%d\n' "$i" "$i" "$i" "$i"
		done
	} | dns_zone dead60.test
	mx_dns
	tried=20 both many_dead
	tried=7 both many_dead address_limit=7
	tried=60 both many_dead address_limit=100
}

slow_dead()
{
	to 75 u@full.test -- connect_timeout=1 attempt_timeout=1500ms
	row 1 u@full.test transient 451 4.4.1 '*[(]2 hosts or addresses tried)'
	took 2000 12000
}

@test "R-MX-19: hosts that hang: attempt_timeout" {
	dns_zone full.test <<-EOC
	@	MX 1 a
	@	MX 2 b
	@	MX 3 c
	a	A 127.0.0.2
	b	A 127.0.0.3
	c	A 127.0.0.4
	EOC
	mx_dns
	for n in 2 3 4; do
		mxfake "$n" --full
	done
	both slow_dead
}

@test "R-MX-19: session_limit: hosts that answer, and take no mail" {
	{
		for i in {2..5} {7..10}; do
			printf '@ MX %d m%d\nm%d A 127.0.0.%d\n' "$i" "$i" "$i" "$i"
		done
	} | dns_zone busy.test
	mx_dns
	for n in {2..5} {7..10}; do
		mxfake "$n" --each 'S:421 4.3.2 busy' C
	done
	busy()
	{
		to 75 u@busy.test -- "${@:2}"
		row 1 u@busy.test transient 421 4.3.2 \
			"busy [(]$1 hosts or addresses tried)"
	}
	both busy 5
	both busy 2 session_limit=2
}

# ---- the common options ----

as_static()
{
	to 0 u@two.test -- ehlo_as=me.example
	got_line 2 'X-Helo-Args: me.example'
	to 78 u@two.test -- 'ehlo_as={x}'
}

@test "R-MX-20: ehlo_as" {
	mx_dns
	mxsink 2
	both as_static
}

times_out()
{
	to 75 u@aonly.test -- "${@:3}"
	row 1 u@aonly.test transient "$1" "$2"
	took 1000 12000
}

@test "R-MX-20: connect_timeout, command_timeout, data_timeout" {
	mx_dns
	mxfake 5 --full
	both times_out 451 4.4.1 connect_timeout=1
	mx_end "$FAKE"
	mxsink 5 -p -W MAIL:4
	both times_out 421 4.4.2 command_timeout=1
	mx_end "$SINK"
	mxsink 5 -W .:4
	both times_out 421 4.4.2 data_timeout=1
}

bounded()
{
	mxours 2 -d 100
	to 0 u@two.test -- idle_timeout=5 concurrent_connections=2 --count=10 \
		--parallel=10
	rows 10
	mx_end "$SINK"
	grep -qE '"peak": *2,' sink.2 || { cat sink.2; return 1; }
}

@test "R-MX-20: idle_timeout, concurrent_connections" {
	mx_dns
	both bounded
}
