# Mail exchangers for tests of smtp-mx; loaded after nexthop, smtp and dns.
#
#	mx_setup			# a port, TYPE
#	dns_test_zones && mx_dns	# nsd, counted; $MX: the options for both
#	mxsink 2			# takes mail at 127.0.0.2, on $MX_PORT
#	both give 0 "${MX[@]}" -- s@x.test u@two.test
#	got 2 1				# so many messages
#
# Every host listens on one port of its own address; that of port 25 is for
# in_net, which is a network of its own.
# shellcheck shell=bash disable=SC2034,SC2154

# A port that is free on all addresses used here.
mx_port()
{
	python3 -c 'import socket
hosts = ["127.0.0.%d" % i for i in range(1, 12)]
for i in range(100):
	used = []
	port = 0
	try:
		for host in ["::1"] + hosts:
			s = socket.socket(socket.AF_INET6 if ":" in host
			    else socket.AF_INET)
			used.append(s)
			s.bind((host, port))
			port = s.getsockname()[1]
	except OSError:
		continue
	print(port)
	break'
}

mx_setup()
{
	TYPE=mx
	MX_PORT=$(mx_port)
}

# mx_options [key=value...]: for the resolver that is in front now.
# shellcheck disable=SC2120
mx_options()
{
	MX=(resolver="$RESOLVER" port="$MX_PORT" "$@")
}

# mx_dns [LIE...]: the zones there are, counted.
# shellcheck disable=SC2119
mx_dns()
{
	start_nsd
	dns_count "$@"
	mx_options
}

# to STATUS RCPT... [-- key=value...]: a delivery with the options of the test.
to()
{
	local status=$1 rcpts=()

	shift
	while [[ $# -gt 0 && $1 != -- ]]; do
		rcpts+=("$1")
		shift
	done
	give "$status" "${MX[@]}" "${@:2}" -- s@x.test "${rcpts[@]}"
}

# mx_address N: of the host N; 6: its IPv6 one.
mx_address()
{
	[[ $1 == 6 ]] && echo ::1 || echo "127.0.0.$1"
}

# mxsink N [FLAG...]: smtp-sink at 127.0.0.N, for N=6 at ::1; its messages are
# $D/m.N.*, its pid is $SINK.
mxsink()
{
	local host=127.0.0.$1

	[[ $1 -ne 6 ]] || host='[::1]'
	chmod 1777 "$D"
	nh_spawn smtp-sink -u nobody -d "$D/m.$1." "${@:2}" \
		"inet:$host:$MX_PORT" 64 2>>"$D/err.smtp-sink.$1"
	SINK=$NH_PID
	nh_until 5 mx_is_bound "$1"
}

# Looked up, for some count connections.
mx_is_bound()
{
	ss -Hltn "sport = :$MX_PORT" | grep -qF "$(mx_address "$1")"
}

mx_end()
{
	kill "$1"
	wait "$1" || :
}

# mxours N [FLAG...]: our own sink there; its commands are in $D/commands.N,
# its report is $D/sink.N.
mxours()
{
	local host=127.0.0.$1

	[[ $1 -ne 6 ]] || host='[::1]'
	rm -f "$D/commands.$1"
	nh_spawn "$NH_BUILD/t/tools/sink" -q -l "$host:$MX_PORT" \
		-a "$D/commands.$1" "${@:2}" >"$D/sink.$1" 2>>"$D/err.sink.$1"
	SINK=$NH_PID
	nh_until 5 mx_is_bound "$1"
}

# said N COUNT PATTERN: our sink at N got so many such commands.
said()
{
	local n
	n=$(grep -cE -- "$3" "$D/commands.$1" 2>/dev/null || :)
	[[ ${n:-0} -eq $2 ]] || { echo "$n times, not $2 at $1: $3"
		cat "$D/commands.$1"; return 1; }
}

# mxfake N [--option...] [STEP...]: the scripted server there.
mxfake()
{
	local host=$1 options=()

	shift
	while [[ ${1-} == --* ]]; do
		options+=("$1")
		shift
	done
	nh_spawn "$NH_BUILD/t/tools/fake" --listen="$(mx_address "$host")" \
		--log="$D/fake" "${options[@]}" "$MX_PORT" "$@" 2>>"$D/err.fake"
	FAKE=$NH_PID
	nh_until 5 mx_is_bound "$host"
}

# got N COUNT: so many messages at the smtp-sink of host N.
got()
{
	local files
	files=$(find "$D" -maxdepth 1 -name "m.$1.*" | wc -l)
	[[ $files -eq $2 ]] || {
		echo "$files messages, not $2, at host $1"
		cat "$D/rows"
		return 1
	}
}

# At host N, a line of the smtp-sink's copy.
got_line()
{
	cat "$D/m.$1."* | tr -d '\r' | grep -qE -- "$2" ||
		{ cat "$D/m.$1."*; return 1; }
}

# in_net COMMAND: with all functions here, in a network where only lo is up;
# what it spawns is ended.
in_net()
{
	{
		declare -p D NH_BUILD NH_ROOT BATS_TEST_DIRNAME MX_PORT TYPE \
			SOCKET CONTROL CONF LOG
		declare -f
		echo 'set -e; ip link set lo up; NH_PIDS=() MASTER='
		# shellcheck disable=SC2016
		echo 'trap "kill \${NH_PIDS[@]}; wait" EXIT'
		echo "$1"
	} >"$D/in_net"
	unshare -n bash "$D/in_net"
}

# relay_start [LINE...]: a master with the relay r of $TYPE and $MX; it stops
# within two seconds.
relay_start()
{
	{
		printf '[relay r]\ntype = %s\n' "$TYPE"
		printf '%s\n' "${MX[@]}" "$@"
	} | nh_conf 'stop_timeout = 2'
	nh_start
}

# submit [--option...] RCPT...: by it; the answers are in $D/rows.
submit()
{
	nh submit --relay=r --output=tsv --from=s@x.test "$@" \
		<"${MSG:-$D/M}" >"$D/rows"
}

# submit_later RCPT...: in the background; $NH_PID.
submit_later()
{
	nh_spawn "$NH_BUILD/bin/nexthop" -c "$CONF" submit --relay=r \
		--output=tsv --from=s@x.test "$@" <"$D/M" >"$D/rows"
}

# counter NAME: of the relay's agents, 0 where it is not there.
counter()
{
	nh status --output=json | python3 -c 'import json, sys
def values(x):
    if isinstance(x, dict):
        for k, v in x.items():
            if k == sys.argv[1] and isinstance(v, int):
                yield v
            yield from values(v)
    elif isinstance(x, list):
        for v in x:
            yield from values(v)
print(sum(values(json.load(sys.stdin))))' "$1"
}

counter_is()
{
	[[ $(counter "$1") -eq $2 ]]
}

# counts NAME VALUE: within the second that statistics may take.
counts()
{
	nh_until 5 counter_is "$@" || {
		echo "$1 is $(counter "$1"), not $2"
		nh status --output=json
		return 1
	}
}
