# Helpers of the tests that run agents as services of a Postfix of their own;
# loaded after nexthop.bash and smtp.bash.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154

# A whole Postfix in $D: main.cf below $D/pf, the queue in $Q, smtpd on $inport,
# its log in $PFLOG. PF_SERVICES: lines for master.cf. Mail for a.test, b.test
# ... goes by default_transport; bounces to *@sender.test are kept by the
# transport "keep", one file a message, in $D/kept.
PF_SERVICES=()

pf_layout()
{
	local d

	[[ $(id -u) -eq 0 ]] || skip "needs root"
	PF=$D/pf Q=$D/q PFLOG=$D/log.postfix
	mkdir -p "$PF" "$Q" "$D/data" "$D/kept"
	chown postfix "$D/data"
	chmod 777 "$D/kept"
	for d in active bounce corrupt defer deferred flush hold incoming \
	    private saved trace; do
		install -d -o postfix -m 700 "$Q/$d"
	done
	install -d -m 755 "$Q/pid"
	install -d -o postfix -g postdrop -m 710 "$Q/public"
	install -d -o postfix -g postdrop -m 730 "$Q/maildrop"
	cp /etc/postfix/dynamicmaps.cf /etc/postfix/postfix-files "$PF"
	cp -r /etc/postfix/dynamicmaps.cf.d "$PF"
	# The command of a service, relative to daemon_directory.
	AGENTS=$(realpath --relative-to=/usr/lib/postfix/sbin \
		"$NH_BUILD/libexec/nexthop")
}

# pf_conf [MAIN.CF-LINE...]: writes the configuration.
pf_conf()
{
	{
		cat <<-EOC
		compatibility_level = 3.6
		queue_directory = $Q
		data_directory = $D/data
		command_directory = /usr/sbin
		daemon_directory = /usr/lib/postfix/sbin
		maillog_file = $PFLOG
		maillog_file_prefixes = $D
		import_environment = MAIL_CONFIG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME ASAN_OPTIONS UBSAN_OPTIONS
		myhostname = mx.example.com
		myorigin = sender.test
		mydestination =
		inet_interfaces = 127.0.0.1
		inet_protocols = ipv4
		local_recipient_maps =
		alias_maps =
		alias_database =
		mynetworks = 127.0.0.0/8
		smtpd_relay_restrictions = permit_mynetworks, reject
		smtpd_recipient_limit = 5000
		smtpd_client_connection_count_limit = 0
		message_size_limit = 0
		mailbox_size_limit = 0
		in_flow_delay = 0
		smtp_dns_support_level = disabled
		transport_maps = inline:{sender.test=keep:}
		EOC
		[[ $# -eq 0 ]] || printf '%s\n' "$@"
	} >"$PF/main.cf"
	{
		cat <<-EOC
		127.0.0.1:$inport inet n - n - - smtpd
		pickup unix n - n 60 1 pickup
		cleanup unix n - n - 0 cleanup
		qmgr unix n - n 300 1 qmgr
		rewrite unix - - n - - trivial-rewrite
		bounce unix - - n - 0 bounce
		defer unix - - n - 0 bounce
		trace unix - - n - 0 bounce
		verify unix - - n - 1 verify
		flush unix n - n 1000? 0 flush
		proxymap unix - - n - - proxymap
		proxywrite unix - - n - 1 proxymap
		smtp unix - - n - - smtp
		error unix - - n - - error
		retry unix - - n - - error
		discard unix - - n - - discard
		local unix - n n - - local
		anvil unix - - n - 1 anvil
		tlsmgr unix - - n - 1 tlsmgr
		showq unix n - n - - showq
		postlog unix-dgram n - n - 1 postlogd
		keep unix - n n - - pipe flags=FR user=nobody argv=$D/keep
		EOC
		[[ ${#PF_SERVICES[@]} -eq 0 ]] ||
			printf '%s\n' "${PF_SERVICES[@]}"
	} >"$PF/master.cf"
	# A report has its name once it is whole.
	printf '#!/bin/sh\ncd %s/kept && cat >.$$ && mv .$$ $$\n' "$D" >"$D/keep"
	chmod 755 "$D/keep"
}

# agent_line NAME PROGRAM [OPTION...]: a line of master.cf for one of ours.
agent_line()
{
	local name=$1 program=$2

	shift 2
	[[ $# -eq 0 ]] || printf -v opts ' -o %s' "$@"
	echo "$name unix - - n - 1 $AGENTS/$program${*:+$opts}"
}

# pf_start [MAIN.CF-LINE...]
pf_start()
{
	inport=$(nh_free_port)
	pf_conf "$@"
	pf_up
}

pf_up()
{
	postfix -c "$PF" start >"$D/err.postfix" 2>&1 3>&- ||
		{ cat "$D/err.postfix" "$PFLOG"; return 1; }
	PFMASTER=$(tr -d ' ' <"$Q/pid/master.pid")
	nh_until 20 nh_listens "$inport"
}

# Processes of the instance: the master's group.
pf_left()
{
	[[ -n ${PFMASTER:-} ]] && pgrep -g "$PFMASTER"
}

pf_none_left()
{
	! pf_left
}

pf_down()
{
	postfix -c "$PF" stop >/dev/null 2>&1 3>&- || :
}

pf_teardown()
{
	local bad=0 pid

	if [[ -n ${PFMASTER:-} ]]; then
		pf_down
		if ! nh_until 15 pf_none_left; then
			for pid in $(pf_left); do
				echo "left behind: $pid $(tr '\0' ' ' \
					</proc/"$pid"/cmdline)"
				kill -9 "$pid" || :
			done
			bad=1
		fi
	fi
	[[ -z ${MOUNTED:-} ]] || umount "$MOUNTED" || bad=1
	nh_teardown || bad=1
	return "$bad"
}

# pf_agent NAME: the workers of a service, which do the work; pf_front: the
# master's own children.
pf_agent()
{
	local pid

	for pid in $(pgrep -g "$PFMASTER" -f -- "-n $1 "); do
		[[ $(ps -o ppid= -p "$pid" | tr -d ' ') == "$PFMASTER" ]] ||
			echo "$pid"
	done
}

pf_front()
{
	pgrep -P "$PFMASTER" -f -- "-n $1 "
}

# pf_send [--sender=A] [--mail=OPTIONS] [--rcpt=OPTIONS] RCPT... <MESSAGE
pf_send()
{
	python3 "$NH_ROOT/t/lib/inject.py" "$inport" "$@"
}

# pf_bulk N [FLAG...]: N small messages by smtp-source.
pf_bulk()
{
	smtp-source -s 10 -m "$1" -f a@sender.test -t "${2:-b@b.test}" \
		-l "${3:-1000}" -d "127.0.0.1:$inport" 2>>"$D/err.source"
}

# pf_logged N PATTERN: so many lines of the log, which may come late.
pf_logged()
{
	nh_until "${WAIT:-20}" pf_logs "$@" || {
		echo "$(grep -cE -- "$2" "$PFLOG") times, not $1: $2"
		tail -n 60 "$PFLOG"
		return 1
	}
}

pf_logs()
{
	[[ $(grep -cE -- "$2" "$PFLOG") -eq $1 ]]
}

# At least so many.
pf_logs_least()
{
	[[ $(grep -cE -- "$2" "$PFLOG") -ge $1 ]]
}

# pf_queue: how many messages there are; pf_files QUEUE: their files.
pf_files()
{
	find "$Q/$1" -type f
}

pf_queue()
{
	find "$Q"/{incoming,active,deferred,maildrop,hold,corrupt} -type f |
		wc -l
}

pf_queue_is()
{
	[[ $(pf_queue) -eq $1 ]]
}

pf_empty()
{
	nh_until "${WAIT:-20}" pf_queue_is 0 || {
		find "$Q" -type f
		tail -n 60 "$PFLOG"
		return 1
	}
}

# No complaint of ours or of Postfix about us; PATTERNS are expected. That a
# parameter is set twice, and that clocks differ, is none.
pf_calm()
{
	local p args=()

	for p; do
		args+=(-e "$p")
	done
	if grep -E ' (warning|error|fatal|panic): ' "$PFLOG" |
	    grep -vE -e 'overriding earlier entry' \
	    -e 'file system clock|file time stamps' "${args[@]}"; then
		return 1
	fi
}

# host_start [FLAG...]: a server that does what addresses say (mailhost.py);
# $port, messages in $D/got, commands in $D/got.log. HOST is its pid.
host_start()
{
	rm -f "$D/host.port"
	nh_spawn python3 "$NH_ROOT/t/lib/mailhost.py" --port-file="$D/host.port" \
		"$@" "${port:-0}" "$D/got" 2>>"$D/err.host"
	HOST=$NH_PID
	nh_until 10 test -s "$D/host.port"
	port=$(<"$D/host.port")
}

# The same for LMTP on a UNIX socket.
store_start()
{
	nh_spawn python3 "$NH_ROOT/t/lib/mailhost.py" --lmtp "$@" \
		"unix:$D/lmtp" "$D/got" 2>>"$D/err.host"
	HOST=$NH_PID
	nh_until 10 test -S "$D/lmtp"
}

host_stop()
{
	kill "$HOST"
	wait "$HOST" || :
}

# took_mail N [PATTERN]: so many messages taken, by our host, for such addresses.
took_mail()
{
	local n
	n=$(grep -cE -- "^taken .*${2:-}" "$D/got.log" || :)
	[[ $n -eq $1 ]] || { echo "$n messages, not $1"; cat "$D/got.log"
		tail -n 40 "$PFLOG"; return 1; }
}

# pf_kept: the bounces and reports that went to senders.
pf_kept()
{
	cat "$D"/kept/* 2>/dev/null
}

kept_is()
{
	[[ $(find "$D/kept" -type f ! -name '.*' | wc -l) -eq $1 ]]
}

pf_kept_is()
{
	nh_until 20 kept_is "$1" || {
		echo "not $1 reports"; ls "$D/kept"; tail -n 40 "$PFLOG"
		return 1
	}
}

# marks QUEUE: the recipients in the one file of a queue, each with its mark, R
# or D, before the local part.
marks()
{
	python3 - "$(pf_files "$1" | head -n 1)" <<-'EOP'
	import re, sys
	data = open(sys.argv[1], 'rb').read()
	found = re.findall(rb'([RD])[\x01-\x7f]([a-z0-9]+)@b\.test', data, re.S)
	print(*[(m + a).decode() for m, a in sorted(found, key=lambda f: f[1])])
	EOP
}

# pf_relay_start [MAIN.CF-LINE...]: smtp-static to our host, as "out", with many
# connections at once.
pf_relay_start()
{
	[[ -n ${HOST:-} ]] || host_start "${FLAGS[@]}"
	PF_SERVICES+=("$(agent_line out smtp-static "host=127.0.0.1:$port" \
		ehlo_as=client.test concurrent_connections=5000 \
		"${OPTIONS[@]}")")
	pf_start 'default_transport = out:' \
		'default_destination_concurrency_limit = 5000' \
		'initial_destination_concurrency = 5000' \
		'out_destination_recipient_limit = 50' "$@"
}

log_lines()
{
	grep -cE -- "$1" "$D/got.log" || :
}

# At least N messages wait for the host's answer.
late_are()
{
	[[ $(log_lines '^late$') -ge $1 ]]
}
