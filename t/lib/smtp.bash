# Helpers of the tests that deliver over SMTP; loaded after nexthop.bash.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154

TYPE=static

# What the scripted server says up to EHLO, without and with PIPELINING, and
# the rest of a transaction that goes well (without PIPELINING).
HELLO=('S:220 x' L 'A:EHLO *' 'S:250 x')
PIPED=('S:220 x' L 'A:EHLO *' 'W:250-x\r\n250 PIPELINING\r\n')
TAKE=(L 'A:MAIL*' 'S:250 m' L 'A:RCPT*' 'S:250 r' L 'A:DATA' 'S:354 go' D
	'S:250 taken')
BYE=(L 'A:QUIT' 'S:221 bye')

# both COMMAND...: by hand and through the master, with fresh logs of peers.
both()
{
	local VIA

	for VIA in agent master; do
		echo "via $VIA"
		rm -f "$D/fake" "$D"/m.* "$D/commands"
		"$@"
	done
}

# give STATUS key=value... [--option...] -- SENDER RCPT...
# Delivers $MSG (or the plain message) by the agent of $TYPE; all columns of the
# answers in $D/rows, the milliseconds it took in $took.
give()
{
	local want=$1 status=0 start name=(ehlo_as=client.test)

	shift
	[[ " $*" != *' ehlo_as='* ]] || name=()
	[[ $TYPE != @(pipe|maildrop|dovecot) ]] || name=()
	start=$(nh_ms)
	try_all "$TYPE" "${name[@]}" "$@" <"${MSG:-$D/M}" >"$D/rows" ||
		status=$?
	took=$(($(nh_ms) - start))
	[[ $status -eq $want ]] || {
		echo "exit status $status, not $want"
		cat "$D/rows"
		return 1
	}
}

nh_ms()
{
	local us=${EPOCHREALTIME/[.,]/}

	echo "${us%???}"
}

# took MIN MAX: the last delivery lasted that long, in milliseconds. What runs
# on a busy machine may take longer, up to four times MAX, never shorter.
took()
{
	local most=$2

	[[ $took -le $most ]] || ! machine_is_busy || most=$((4 * most))
	[[ $took -ge $1 && $took -le $most ]] || {
		echo "it took $took ms, not $1 to $most"
		return 1
	}
}

# In a fifth of the last ten seconds somebody waited for a processor.
machine_is_busy()
{
	local share

	read -r _ share _ </proc/pressure/cpu || return
	share=${share#avg10=}
	[[ ${share%.*} -ge 20 ]]
} 2>/dev/null

# row N RCPT CLASS CODE ENHANCED TEXT: the Nth answer; TEXT is a pattern.
row()
{
	local got=()
	mapfile -d $'\t' -t got < <(sed -n "$1p" "$D/rows" | tr -d '\n')

	# shellcheck disable=SC2053 # a pattern is meant
	[[ ${got[0]} == "$2" && ${got[1]} == "$3" && ${got[2]} == "$4" &&
	    ${got[3]} == "$5" && ${got[4]} == ${6-*} ]] || {
		echo "answer $1 is not: ${*:2}"
		cat "$D/rows"
		return 1
	}
}

# rows N: so many answers there are.
rows()
{
	local n
	n=$(wc -l <"$D/rows")
	[[ $n -eq $1 ]] || { echo "$n answers"; cat "$D/rows"; return 1; }
}

# fake_well: the scripted server came to its end and found nothing amiss.
fake_well()
{
	local status=0

	wait "$FAKE" || status=$?
	[[ $status -eq 0 ]] || {
		echo "fake: exit status $status"
		cat "$D/fake"
		return 1
	}
}

# heard N PATTERN: the scripted server read so many such lines (grep -E).
heard()
{
	local n
	n=$(tr -d '\r' <"$D/fake" | grep -acE -- "$2" || :)
	[[ $n -eq $1 ]] || {
		echo "$n times, not $1: $2"
		cat "$D/fake"
		return 1
	}
}

# sink_end: ends our sink; its report is in $D/sink.json.
sink_end()
{
	kill "$SINK"
	wait "$SINK" || :
}

# counted NAME VALUE: a number in the report of our sink.
counted()
{
	local n
	n=$(grep -oE "\"$1\": *[0-9]+" "$D/sink.json" | grep -oE '[0-9]+$')
	[[ $n -eq $2 ]] || { echo "$1 is $n, not $2"; cat "$D/sink.json"
		return 1; }
}

# bytes TEXT: steps that send it octet by octet; \r\n at the end.
bytes()
{
	local i

	steps=()
	for ((i = 0; i < ${#1}; i++)); do
		steps+=("W:${1:i:1}" Z:0.002)
	done
	steps+=('W:\r' Z:0.002 'W:\n')
}

# Instrumented programs are slower and larger.
is_instrumented()
{
	grep -q fsanitize "$NH_BUILD/flags"
}

# ---- Postfix's own server, with a folder and a port of its own ----

# postfix_start [MAIN.CF-LINE...]: takes mail for example.com and throws it
# away; $port, its log is $D/log.postfix.
postfix_start()
{
	[[ $(id -u) -eq 0 ]] || skip "needs root"
	port=$(nh_free_port)
	mkdir -p "$D/postfix" "$D/postfix.q" "$D/postfix.data"
	chown postfix "$D/postfix.data"
	cat >"$D/postfix/main.cf" <<-EOC
	compatibility_level = 3.6
	queue_directory = $D/postfix.q
	data_directory = $D/postfix.data
	command_directory = /usr/sbin
	daemon_directory = /usr/lib/postfix/sbin
	maillog_file = $D/log.postfix
	maillog_file_prefixes = $D
	myhostname = mx.example.com
	mydestination = example.com
	inet_interfaces = 127.0.0.1
	inet_protocols = ipv4
	local_transport = discard
	local_recipient_maps =
	alias_maps =
	alias_database =
	smtpd_relay_restrictions = permit_auth_destination, reject
	smtpd_recipient_limit = 3
	message_size_limit = 20000
	mailbox_size_limit = 20000
	smtpd_tls_security_level = none
	$(printf '%s\n' "$@")
	EOC
	cat >"$D/postfix/master.cf" <<-EOC
	127.0.0.1:$port inet n - n - - smtpd
	cleanup unix n - n - 0 cleanup
	qmgr unix n - n 300 1 qmgr
	rewrite unix - - n - - trivial-rewrite
	bounce unix - - n - 0 bounce
	defer unix - - n - 0 bounce
	discard unix - - n - - discard
	anvil unix - - n - 1 anvil
	tlsmgr unix - - n - 1 tlsmgr
	postlog unix-dgram n - n - 1 postlogd
	EOC
	postfix -c "$D/postfix" start >"$D/err.postfix" 2>&1 3>&- ||
		{ cat "$D/err.postfix"; return 1; }
	nh_until 5 nh_listens "$port"
}

postfix_stop()
{
	postfix -c "$D/postfix" stop >/dev/null 2>&1 3>&- || :
}

# How Postfix's server does TLS: $CERTS/good.pem, or $cert. Its log tells
# which TLS was agreed on.
postfix_tls()
{
	printf '%s\n' "smtpd_tls_cert_file = ${cert:-$CERTS/good.pem}" \
		"smtpd_tls_key_file = ${cert:-$CERTS/good.pem}" \
		'smtpd_tls_loglevel = 1' 'smtpd_tls_received_header = yes'
}

# postfix_tls_start HOW [MAIN.CF-LINE...]: STARTTLS (may, enforced), TLS from
# the first byte (wrapper), may with a look at the client's certificate (ask).
postfix_tls_start()
{
	local lines=()

	case $1 in
	may)	lines=('smtpd_tls_security_level = may') ;;
	enforced) lines=('smtpd_tls_security_level = encrypt') ;;
	wrapper) lines=('smtpd_tls_security_level = encrypt'
			'smtpd_tls_wrappermode = yes') ;;
	ask)	lines=('smtpd_tls_security_level = may'
			'smtpd_tls_ask_ccert = yes'
			"smtpd_tls_CAfile = $CERTS/ca.crt"
			"header_checks = regexp:$D/received")
		# shellcheck disable=SC2016 # Postfix's own
		echo '/Client CN ("[^"]*"),[[:space:]]*Issuer ("[^"]*")/' \
			'WARN seen $1 by $2' >"$D/received" ;;
	esac
	mapfile -t -O "${#lines[@]}" lines < <(postfix_tls)
	postfix_start "${lines[@]}" "${@:2}"
}

# postfix_logged N PATTERN: so many lines of its log, which may come late.
postfix_logged()
{
	nh_until 5 postfix_logs "$@" || {
		echo "not $1 times in Postfix's log: $2"
		cat "$D/log.postfix"
		return 1
	}
}

postfix_logs()
{
	[[ $(grep -cE -- "$2" "$D/log.postfix") -eq $1 ]]
}

# ---- Dovecot, for SASL alone ----

# dovecot_auth_start [MECHANISM...]: alice has the password "sesame, open", bob
# "b\xc3\xb6b". $SASL: the lines that have Postfix ask it.
dovecot_auth_start()
{
	[[ $(id -u) -eq 0 ]] || skip "needs root"
	mkdir -p "$D/dovecot"
	cat >"$D/dovecot/users" <<-EOC
	alice:{PLAIN}sesame, open::::::
	bob:{PLAIN}böb::::::
	EOC
	cat >"$D/dovecot/conf" <<-EOC
	protocols =
	listen = 127.0.0.1
	base_dir = $D/dovecot/run
	state_dir = $D/dovecot/state
	log_path = $D/log.dovecot
	ssl = no
	disable_plaintext_auth = no
	auth_mechanisms = ${*:-plain}
	auth_failure_delay = 0
	default_internal_user = dovecot
	default_login_user = nobody
	passdb {
	  driver = passwd-file
	  args = $D/dovecot/users
	}
	userdb {
	  driver = static
	  args = uid=nobody gid=nogroup home=/nonexistent
	}
	service auth {
	  unix_listener $D/dovecot/sasl {
	    mode = 0666
	  }
	}
	service anvil {
	  unix_listener anvil-auth-penalty {
	    mode = 0
	  }
	}
	service stats {
	  unix_listener stats-writer {
	    mode = 0666
	  }
	}
	EOC
	nh_spawn dovecot -F -c "$D/dovecot/conf" 2>>"$D/err.dovecot"
	DOVECOT=$NH_PID
	nh_until 10 test -S "$D/dovecot/sasl"
	SASL=('smtpd_sasl_auth_enable = yes' 'smtpd_sasl_type = dovecot'
		"smtpd_sasl_path = $D/dovecot/sasl"
		'smtpd_sasl_security_options = noanonymous'
		'smtpd_relay_restrictions = permit_sasl_authenticated, reject')
}
