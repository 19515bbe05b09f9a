# Name servers of the test's own; loaded after nexthop.bash.
#
#	dns_zone two.test <<<'@ MX 10 mxa.test.'
#	dns_sign two.test
#	start_nsd			# answers for the zones
#	start_unbound			# validates, asks nsd
#	dns_count			# counts, and lies to order
#	try mx resolver="$RESOLVER" ...
#	[[ $(dns_asked MX two.test) -eq 1 ]]
#
# Each server started stands in front of the one before; $DNS_PORT is the port
# of the last one on 127.0.0.1, $RESOLVER that with its address. The ports of
# each are $NSD_PORT, $UNBOUND_PORT and $COUNT_PORT.
# shellcheck shell=bash disable=SC2034,SC2154

# A port that is free at this moment for UDP and TCP.
dns_free_port()
{
	python3 -c 'import socket
for i in range(100):
	t, u = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
	t.bind(("127.0.0.1", 0))
	try:
		u.bind(t.getsockname())
	except OSError:
		continue
	print(t.getsockname()[1])
	break'
}

# dns_front PORT: this server is the one to ask.
dns_front()
{
	DNS_PORT=$1
	RESOLVER=127.0.0.1:$1
}

# dns_zone NAME <RECORDS: a zone; its SOA, with a minimum of 60 s, and NS are
# made. Names without a last dot are below it, the TTL is 300.
dns_zone()
{
	mkdir -p "$D/zones"
	{
		printf '%sORIGIN %s.\n%sTTL 300\n' '$' "$1" '$'
		echo '@ SOA ns hostmaster 1 3600 900 86400 60'
		echo '@ NS ns'
		echo 'ns A 127.0.0.1'
		cat
	} >"$D/zones/$1"
	dns_add_zone "$1"
}

# dns_bad_zone NAME: a zone whose file is missing: SERVFAIL.
dns_bad_zone()
{
	mkdir -p "$D/zones"
	rm -f "$D/zones/$1"
	dns_add_zone "$1"
}

# A file, as a zone may be made in a subshell.
dns_add_zone()
{
	grep -qxF "$1" "$D/zones.list" 2>/dev/null || echo "$1" >>"$D/zones.list"
}

# dns_sign ZONE [good|wrong|expired|stripped]: signs it, and has unbound trust
# its key. wrong: by another key; expired: signatures of the past; stripped:
# without them. A zone that is not signed is insecure.
dns_sign()
{
	local zone=$1 how=${2:-good} key times=()

	mkdir -p "$D/keys"
	pushd "$D/keys" >/dev/null || return
	key=$(ldns-keygen -k -a ECDSAP256SHA256 -r /dev/urandom "$zone") ||
		return
	cp "$key.key" "$zone.anchor"
	[[ $how != wrong ]] || key=$(ldns-keygen -k -a ECDSAP256SHA256 \
		-r /dev/urandom "$zone") || return
	[[ $how != expired ]] || times=(-i 20200101 -e 20200201)
	ldns-signzone "${times[@]}" -o "$zone" -f "$D/zones/$zone.signed" \
		"$D/zones/$zone" "$key" || return
	popd >/dev/null || return
	if [[ $how == stripped ]]; then
		grep -v RRSIG "$D/zones/$zone.signed" >"$D/zones/$zone"
		rm "$D/zones/$zone.signed"
	else
		mv "$D/zones/$zone.signed" "$D/zones/$zone"
	fi
}

# nsd_conf [SERVER-LINE...]: writes $D/nsd.conf for the zones there are.
nsd_conf()
{
	local zone

	NSD_PORT=$(dns_free_port)
	{
		cat <<-EOC
		server:
		  ip-address: 127.0.0.1@$NSD_PORT
		  server-count: 1
		  username: ""
		  chroot: ""
		  database: ""
		  zonesdir: "$D/zones"
		  pidfile: ""
		  xfrdfile: ""
		  xfrdir: "$D"
		  zonelistfile: "$D/nsd.list"
		  ipv4-edns-size: 512
		  rrl-ratelimit: 0
		  rrl-whitelist-ratelimit: 0
		EOC
		printf '  %s\n' "$@"
		printf 'remote-control:\n  control-enable: no\n'
		while read -r zone; do
			printf 'zone:\n  name: "%s"\n  zonefile: "%s"\n' \
				"$zone" "$zone"
		done <"$D/zones.list"
	} >"$D/nsd.conf"
}

# start_nsd [SERVER-LINE...]: answers for the zones there are; more than 512
# octets only by TCP.
start_nsd()
{
	local PATH=$PATH:/usr/sbin

	nsd_conf "$@"
	nh_spawn nsd -d -c "$D/nsd.conf" >>"$D/log.nsd" 2>&1
	NSD=$NH_PID
	nh_until 10 nh_listens "$NSD_PORT" ||
		{ cat "$D/log.nsd"; return 1; }
	dns_front "$NSD_PORT"
}

# unbound_conf [SERVER-LINE...]: writes $D/unbound.conf.
unbound_conf()
{
	local zone

	UNBOUND_PORT=$(dns_free_port)
	{
		cat <<-EOC
		server:
		  interface: 127.0.0.1@$UNBOUND_PORT
		  username: ""
		  chroot: ""
		  directory: "$D"
		  pidfile: ""
		  use-syslog: no
		  do-daemonize: no
		  do-ip6: no
		  do-not-query-localhost: no
		  num-threads: 1
		  module-config: "validator iterator"
		  val-log-level: 2
		  aggressive-nsec: no
		  local-zone: "." refuse
		EOC
		for zone in "$D"/keys/*.anchor; do
			[[ ! -e $zone ]] ||
				printf '  trust-anchor-file: "%s"\n' "$zone"
		done
		while read -r zone; do
			printf '  local-zone: "%s." transparent\n' "$zone"
		done <"$D/zones.list"
		printf '  %s\n' "$@"
		printf 'remote-control:\n  control-enable: no\n'
		while read -r zone; do
			printf 'stub-zone:\n  name: "%s."\n  stub-addr: %s\n' \
				"$zone" "127.0.0.1@$NSD_PORT"
		done <"$D/zones.list"
	} >"$D/unbound.conf"
}

# start_unbound [SERVER-LINE...]: looks up in the zones of nsd, which it needs,
# validates those that were signed; other names are refused.
start_unbound()
{
	local PATH=$PATH:/usr/sbin

	unbound_conf "$@"
	nh_spawn unbound -d -c "$D/unbound.conf" >>"$D/log.unbound" 2>&1
	UNBOUND=$NH_PID
	nh_until 10 nh_listens "$UNBOUND_PORT" ||
		{ cat "$D/log.unbound"; return 1; }
	dns_front "$UNBOUND_PORT"
}

# dns_count [--delay=MS] [--servfail=TYPE:NAME] [--drop=TYPE:NAME]
# [--no-ad]...: stands in front of $DNS_PORT, notes each question in $D/dns.log
# as "udp MX two.test", and lies as told; TYPE or NAME may be "*".
dns_count()
{
	COUNT_PORT=$(dns_free_port)
	: >"$D/dns.log"
	nh_spawn python3 "$BATS_TEST_DIRNAME/lib/dns_count.py" "$@" \
		"$COUNT_PORT" "$DNS_PORT" "$D/dns.log" >>"$D/err.dns_count" 2>&1
	COUNT=$NH_PID
	nh_until 10 nh_listens "$COUNT_PORT" ||
		{ cat "$D/err.dns_count"; return 1; }
	dns_front "$COUNT_PORT"
}

# dns_asked TYPE NAME [udp|tcp]: how often, since dns_count.
dns_asked()
{
	grep -ciE "^${3:-(udp|tcp)} $1 ${2//./\\.}\$" "$D/dns.log" || :
}

# dns_ask NAME TYPE...: what our resolver says.
dns_ask()
{
	"$NH_BUILD/t/tools/dns" -o "resolver=$RESOLVER" "$@" 2>>"$D/log.dns"
}

# dns_test_zones: the zones most tests use. Mail hosts have no mail server: the
# test starts them on 127.0.0.2 (mxa), .3 (mxb), .4 (mxc), .5, .7 and .8.
dns_test_zones()
{
	local i

	dns_bad_zone bad
	{
		cat <<-EOC
		two	MX 10 mxa
		two	MX 20 mxb
		equal	MX 10 mxa
		equal	MX 10 mxb
		equal	MX 10 mxc
		aonly	A 127.0.0.5
		six	AAAA ::1
		null	MX 0 .
		dead	MX 10 nowhere
		deadok	MX 10 nowhere
		deadok	MX 20 mxa
		ip	MX 10 127.0.0.9.
		cname	CNAME two
		txt	TXT "no mail here"
		short	1 MX 10 mxa
		zero	0 MX 10 mxa
		self	MX 10 me
		self	MX 20 mxb
		xn--bcher-kva	MX 10 mxa
		dual	MX 10 mxd
		mxa	A 127.0.0.2
		mxb	A 127.0.0.3
		mxc	A 127.0.0.4
		me	A 127.0.0.8
		mxd	A 127.0.0.7
		mxd	AAAA ::1
		many	MX 1 mxa
		EOC
		for i in {1..59}; do
			echo "many MX $((i + 1)) nowhere$i"
		done
	} | dns_zone test
}
