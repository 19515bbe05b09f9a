# Helpers of the end to end tests (bats):
#
#	load lib/nexthop
#	setup() { nh_setup; }
#	teardown() { nh_teardown; }
#
# A test lives in the folder $D with a short path, because that of a socket
# must be. Whatever is started here is ended by nh_teardown(), by its pid; a
# process that is left then, or a sanitizer's report, fails the test.
# shellcheck shell=bash disable=SC2034,SC2119,SC2120

bats_require_minimum_version 1.5.0

: "${NH_ROOT:=$(cd "$BATS_TEST_DIRNAME/.." && pwd)}"
: "${NH_BUILD:=$NH_ROOT/build/release}"
NH_BUILD=$(realpath "$NH_BUILD")

nh_setup()
{
	D=$(mktemp -d /tmp/nh.XXXXXX)
	chmod 755 "$D"
	cd "$D" || return
	NH_PIDS=()
	MASTER=''
	CONF=$D/c.conf LOG=$D/log SOCKET=$D/s.sock CONTROL=$D/c.sock
	printf 'From: s@x.test\r\nMessage-Id: <m1@x.test>\r\n\r\ntest\r\n' >"$D/M"
}

# Processes of this test: their stderr is a file of its folder. One command for
# all of them: this runs in every teardown.
nh_left()
{
	find /proc/[0-9]*/fd/2 -maxdepth 0 -lname "$D/*" 2>/dev/null |
		cut -d / -f 3
}

nh_none_left()
{
	[[ -z $(nh_left) ]]
}

nh_teardown()
{
	local pid bad=0 kept

	if [[ -n $MASTER ]]; then
		kill "$MASTER" 2>/dev/null && wait "$MASTER" 2>/dev/null
		kept=$?
		[[ $kept -ne 143 ]] || kept=0
	fi
	for pid in "${NH_PIDS[@]}"; do
		kill "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
	if ! nh_until 8 nh_none_left; then
		for pid in $(nh_left); do
			echo "left behind: $pid $(tr '\0' ' ' </proc/"$pid"/cmdline)"
			kill -9 "$pid" 2>/dev/null || :
		done
		bad=1
	fi
	if grep -aE 'ERROR: [A-Za-z]+Sanitizer|runtime error:' -r "$D" \
	    --include='*log*' --include='err*'; then
		bad=1
	fi
	# What an agent calls without being let: its list is too short.
	if [[ -z ${CAGE_REFUSES-} ]] && grep -aE \
	    'sandbox: (system call .* refused|forbidden system call)' -r "$D" \
	    --include='*log*' --include='err*'; then
		bad=1
	fi
	# What a failed test leaves to read.
	if [[ -z ${BATS_TEST_COMPLETED:-} || $bad -ne 0 ]]; then
		for kept in "$D"/log*; do
			[[ ! -s $kept ]] || { echo "--- $kept"; tail -n 40 "$kept"; }
		done
	fi
	cd / && rm -rf "$D"
	return "$bad"
}

# nh_until SECONDS COMMAND...: repeats a command until it succeeds. On a machine
# so busy that it had not ten tries a second it gets more time.
nh_until()
{
	local end=$((SECONDS + $1)) tries=$((10 * $1))

	shift
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[[ $SECONDS -le $end || $tries -gt 0 ]] || return 1
		sleep 0.03
	done
}

# nh_spawn COMMAND...: in the background; $NH_PID, ended with the test.
nh_spawn()
{
	"$@" 3>&- &
	NH_PID=$!
	NH_PIDS+=("$NH_PID")
}

# ---- the master ----

# nh_conf [MASTER-LINE...] <RELAYS: writes $CONF.
nh_conf()
{
	{
		printf '[master]\nsocket = %s\ncontrol = %s\n' "$SOCKET" "$CONTROL"
		[[ $# -eq 0 ]] || printf '%s\n' "$@"
		cat
	} >"$CONF"
}

nh()
{
	"$NH_BUILD/bin/nexthop" -c "$CONF" "$@"
}

# nh_launch [ARG...]: starts the master, waits for nothing.
nh_launch()
{
	"$NH_BUILD/sbin/nexthop-master" -c "$CONF" --foreground "$@" \
		>>"$LOG" 2>&1 </dev/null 3>&- &
	MASTER=$!
}

nh_is_up()
{
	kill -0 "$MASTER" 2>/dev/null || return 0
	nh status
}

nh_start()
{
	nh_launch "$@"
	nh_until 25 nh_is_up
	nh status >/dev/null 2>&1 || { cat "$LOG"; return 1; }
}

# nh_stop [SIGNAL]: its exit status.
nh_stop()
{
	local pid=$MASTER status=0

	[[ -n $pid ]] || return 0
	kill "-${1:-TERM}" "$pid" 2>/dev/null || :
	wait "$pid" 2>/dev/null || status=$?
	MASTER=''
	return "$status"
}

# nh_agent RELAY: the pids of its agents, nothing while none is ready.
nh_agent()
{
	nh status --output=tsv |
		awk -F'\t' -v r="$1" '$1 == r { gsub(",", " ", $4); print $4 }'
}

# nh_field RELAY NAME: one column of the status.
nh_field()
{
	nh status --output=tsv | awk -F'\t' -v r="$1" -v f="$2" '
	    NR == 1 { for (i = 1; i <= NF; i++) if ($i == f) c = i }
	    NR > 1 && $1 == r { print $c }'
}

nh_field_is()
{
	[[ $(nh_field "$1" "$2") == "$3" ]]
}

nh_logged()
{
	grep -qE -- "$1" "$LOG"
}

# ---- one delivery, through the master or by the agent alone ----

nh_program()
{
	case $1 in
	mx)	echo smtp-mx ;;
	static)	echo smtp-static ;;
	maildrop|dovecot) echo pipe ;;
	*)	echo "$1" ;;
	esac
}

# try TYPE key=value... [--option...] -- SENDER RCPT... <MSG
# Prints RCPT, class, code, enhanced code and text; the exit status is that of
# the command. VIA=agent or VIA=master (default) chooses the way.
try()
{
	local status=0

	try_all "$@" >"$D/try.out" || status=$?
	cut -f 1-5 "$D/try.out"
	return "$status"
}

# The same with all columns.
try_all()
{
	local type=$1 keys=() options=() sender
	shift

	while [[ $# -gt 0 && $1 != -- ]]; do
		case $1 in
		--*)	options+=("$1") ;;
		*)	keys+=("$1") ;;
		esac
		shift
	done
	shift
	sender=$1
	shift
	if [[ ${VIA:-master} == agent ]]; then
		try_agent "$@"
	else
		try_master "$@"
	fi
}

try_agent()
{
	local key args=()

	[[ $type != maildrop && $type != dovecot ]] || args+=(-o "preset=$type")
	for key in "${keys[@]}"; do
		args+=(-o "$key")
	done
	"$NH_BUILD/libexec/nexthop/$(nh_program "$type")" "${args[@]}" \
		"${options[@]}" --output=tsv --from="$sender" -- "$@" \
		2>>"$D/log.agent"
}

# The lines of a value that has some go on indented.
try_master()
{
	local key status=0 was=("$CONF" "$SOCKET" "$CONTROL" "$LOG" "$MASTER")

	CONF=$D/try.conf SOCKET=$D/try.s CONTROL=$D/try.c LOG=$D/log.try
	{
		printf '[relay try]\ntype = %s\n' "$type"
		for key in "${keys[@]}"; do
			printf '%s = %s\n' "${key%%=*}" "${key#*=}"
		done
	} | nh_conf
	if nh_start >&2; then
		nh submit --relay=try "${options[@]}" --output=tsv \
			--from="$sender" -- "$@" || status=$?
		nh_stop || :
	else
		nh_stop || status=$?
		cat "$LOG" >&2
	fi
	CONF=${was[0]} SOCKET=${was[1]} CONTROL=${was[2]} LOG=${was[3]}
	MASTER=${was[4]}
	return "$status"
}

# ---- peers ----

# fake_start [--option...] STEP...: a scripted server; $port, log in $D/fake.
fake_start()
{
	local options=()

	while [[ ${1-} == --* ]]; do
		options+=("$1")
		shift
	done
	rm -f "$D/fake.port"
	nh_spawn "$NH_BUILD/t/tools/fake" --log="$D/fake" \
		--port-file="$D/fake.port" "${options[@]}" 0 "$@" 2>>"$D/err.fake"
	FAKE=$NH_PID
	nh_until 5 test -s "$D/fake.port"
	port=$(<"$D/fake.port")
}

# sink_start FLAG...: a server that takes mail; $port, report in $D/sink.json.
sink_start()
{
	rm -f "$D/sink.port"
	nh_spawn "$NH_BUILD/t/tools/sink" -q -l 127.0.0.1:0 -P "$D/sink.port" \
		"$@" >"$D/sink.json" 2>>"$D/err.sink"
	SINK=$NH_PID
	nh_until 5 test -s "$D/sink.port"
	port=$(<"$D/sink.port")
}

# A TCP port that is free at this moment; below those that the kernel gives to
# whoever connects meanwhile.
nh_free_port()
{
	python3 -c 'import random, socket
with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
    end = int(f.read().split()[0])
while True:
    port = random.randrange(10000, end) if end > 12000 else 0
    try:
        s = socket.socket()
        s.bind(("127.0.0.1", port))
        print(s.getsockname()[1])
        break
    except OSError:
        pass'
}

nh_listens()
{
	(exec 4<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# smtp_sink_start FLAG...: Postfix's smtp-sink; $port, dumps in $D/m.*.
smtp_sink_start()
{
	port=$(nh_free_port)
	chmod 1777 "$D"
	nh_spawn smtp-sink -u nobody -d "$D/m." "$@" "127.0.0.1:$port" 64 \
		2>>"$D/err.smtp-sink"
	SINK=$NH_PID
	nh_until 5 nh_listens "$port"
}
