#!/usr/bin/env bats
# pipe: programs of all kinds, what they are given, and what is made of their
# end; by hand and through the master.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/programs

setup()
{
	TYPE=pipe
	NAP=7$RANDOM.$$		# seconds that no other test sleeps
	programs_setup
}

teardown()
{
	nh_teardown
}

# ends STATUS key=value... -- CLASS CODE ENHANCED [TEXT]: one recipient.
ends()
{
	local status=$1 keys=()

	shift
	while [[ $1 != -- ]]; do
		keys+=("$1")
		shift
	done
	shift
	give "$status" "${keys[@]}" -- s@x.test r@x.test
	rows 1
	row 1 r@x.test "$@"
}

# ---- what it is given ----

on_stdin()
{
	rm -f got
	give 0 args="$D/keep" "$@" -- s@x.test r@x.test
	row 1 r@x.test delivered 250 2.0.0
}

stdin_is()
{
	on_stdin "${@:2}"
	cmp "$1" got
}

@test "R-PI-01: the message on stdin, LF or CRLF" {
	recorder keep
	tr -d '\r' <M >LF
	both stdin_is LF
	both stdin_is M crlf=yes
	MSG=$D/LF both stdin_is LF
	MSG=$D/LF both stdin_is M crlf=yes
}

@test "R-PI-01: other bytes stay, the last line gets its end" {
	recorder keep
	printf 'A: b\r\n\r\na\rb\r\r\nc \000\377\n\n.\n..x\nlast' >in
	printf 'A: b\n\na\rb\r\nc \000\377\n\n.\n..x\nlast\n' >LF
	MSG=$D/in both stdin_is LF
	: >empty
	MSG=$D/empty both stdin_is empty
	printf 'a\r' >in
	printf 'a\n' >LF
	MSG=$D/in both stdin_is LF
}

@test "R-PI-01: line ends across pieces, of a message of 3 MB" {
	recorder keep
	python3 -c '
import random, sys
random.seed(5)
out = sys.stdout.buffer
for n in range(60000):
    out.write(b"x" * random.randrange(100) + random.choice(
        [b"\n", b"\r\n", b"\r", b"\r\r\n", b"."]))
out.write(b"\r\n")' >in
	python3 -c '
import sys
sys.stdout.buffer.write(open("in", "rb").read().replace(b"\r\n", b"\n"))' >LF
	MSG=$D/in both stdin_is LF
	# Without a CR: from file to pipe.
	tr -d '\r' <in >LF
	MSG=$D/LF both stdin_is LF
}

macros()
{
	give 0 args="$D/keep {sender} {recipient} {message_id} {client_ip} {client_host}
		{client_ehlo} {client_protocol} {client_auth}" "$@" -- s@x.test r@x.test
}

@test "R-PI-02: the eight macros; missing ones are empty arguments" {
	recorder keep
	both macros
	holds argv s@x.test r@x.test '<m1@x.test>' '' '' '' '' ''
	both macros --client-ip=192.0.2.1 --client-host=c.test \
		--client-helo=helo.test --client-proto=ESMTP --client-auth=bob
	holds argv s@x.test r@x.test '<m1@x.test>' 192.0.2.1 c.test helo.test \
		ESMTP bob
}

more_macros()
{
	give 0 args="$D/keep {user} {domain} {extension} {mailbox} {size}
		{original_recipient} {nexthop} a{user}b{{{user}}}" "$@"
}

@test "R-PI-02: Postfix's macros" {
	recorder keep
	both more_macros -- s@x.test bob+list@X.test
	holds argv bob X.test list bob+list "$(wc -c <M)" bob+list@X.test '' \
		'abobb{bob}'
	both more_macros --nexthop=There.test --orcpt='rfc822;Old+2Bx@y.test' \
		flags=hu -- s@x.test Bob+List@X.test
	holds argv bob x.test list bob+list "$(wc -c <M)" old+x@y.test there.test \
		'abobb{bob}'
	both more_macros recipient_delimiter= -- s@x.test bob+list
	holds argv bob+list '' '' bob+list "$(wc -c <M)" bob+list '' \
		'abob+listb{bob+list}'
	# The name of the message, which the submitter gives.
	VIA=master give 0 args="$D/keep {queue_id}" --id=q17 -- s@x.test r@x.test
	holds argv q17
}

quoted()
{
	give 0 args="$D/keep {sender} {recipient} {user}" "$@" \
		-- '"s t"@x.test' 'a b@x.test'
}

@test "R-PI-02: quotes only where flags ask for them; null senders" {
	recorder keep
	both quoted
	holds argv 's t@x.test' 'a b@x.test' 'a b'
	both quoted flags=q
	holds argv '"s t"@x.test' '"a b"@x.test' 'a b'
	VIA=agent give 0 args="$D/keep -f {sender} x" -- '' r@x.test
	holds argv -f '' x
	VIA=agent give 0 args="$D/keep -f {sender} x" null_sender=MAILER-DAEMON \
		-- '' r@x.test
	holds argv -f MAILER-DAEMON x
}

no_shell()
{
	give 0 args="$D/keep {recipient}" -- s@x.test "a b;touch $D/pwn@x.test"
	holds argv "a b;touch $D/pwn@x.test"
	[[ ! -e $D/pwn && ! -e $D/pwn@x.test ]]
	# shellcheck disable=SC2016 # nobody expands it
	give 0 args="$D/keep '{recipient} x' \"y  z\" \\*" -- s@x.test '$(id)@x.test'
	holds argv "\$(id)@x.test x" 'y  z' '*'
}

@test "R-PI-03: no shell, one argument stays one" {
	recorder keep
	both no_shell
}

@test "R-PI-14: unknown macros are refused at start, doubled braces are braces" {
	recorder keep
	VIA=agent ends_at_start args="$D/keep {nosuch}"
	[[ $output == *'no macro {nosuch}'* ]]
	VIA=master ends_at_start args="$D/keep {nosuch}"
	[[ $output == *'no macro {nosuch}'* ]]
	for bad in 'a{' 'a}' '{' '{recipient' 'x}y' '{{}' '{recipient}}'; do
		VIA=agent ends_at_start args="$D/keep $bad"
	done
	VIA=agent ends_at_start args="$D/keep" environment.X='{nosuch}'
	both give 0 args="$D/keep {{x}}" -- s@x.test r@x.test
	holds argv '{x}'
}

ends_at_start()
{
	run -78 try_all pipe "$@" -- s@x.test r@x.test <M
	[[ $VIA == master ]] || output=$(<"$D/log.agent")
}

@test "R-CF-05: args is required, and belongs to no preset" {
	VIA=agent ends_at_start timeout=3
	[[ $output == *'args: required'* ]]
	VIA=master ends_at_start timeout=3
	[[ $output == *'args: required'* ]]
	VIA=agent ends_at_start args="''"
	[[ $output == *'empty word'* ]]
	VIA=agent ends_at_start args='"x'
	[[ $output == *'quote'* ]]
	VIA=agent ends_at_start args=cat preset=maildrop
	VIA=agent ends_at_start args=cat path=/bin/cat
	VIA=agent ends_at_start args=cat flags=Z
	VIA=agent ends_at_start args=cat umask=999
	VIA=agent ends_at_start args=cat directory=tmp
	VIA=agent ends_at_start args=cat environment.1X=y
	VIA=agent ends_at_start args=cat flags=D per_recipient=no
	VIA=agent ends_at_start args='{user}' per_recipient=no
	VIA=agent ends_at_start args=cat environment.U='{user}' per_recipient=no
}

# ---- recipients ----

three()
{
	give 75 args="$D/some {recipient}" timeout=1.5 -- s@x.test \
		a@x.test slow@x.test c@x.test
	rows 3
	row 1 a@x.test delivered 250 2.0.0
	row 2 slow@x.test transient 450 4.4.2 'Delivery timed out*'
	row 3 c@x.test delivered 250 2.0.0
}

@test "R-PI-04: a run, a time and an answer for each recipient" {
	program some <<-'EOC'
	case $1 in slow*) sleep 30 ;; esac
	EOC
	both three
	# One after the other: the time is that of a run, not of the envelope.
	program some <<-'EOC'
	case $1 in slow*) sleep 30 ;; *) sleep 0.6 ;; esac
	EOC
	VIA=agent give 75 max_processes=1 args="$D/some {recipient}" timeout=1.5 \
		-- s@x.test a@x.test slow@x.test c@x.test d@x.test
	[[ $(cut -f 2 rows | paste -sd,) == delivered,transient,delivered,delivered ]]
}

twice()
{
	rm -f runs
	give 0 args="$D/count" -- s@x.test r@x.test q@x.test r@x.test
	rows 3
	[[ $(cut -f 2 rows | sort -u) == delivered ]]
	[[ $(wc -l <runs) -eq 2 ]]
}

@test "R-CF-10: equal recipients have one run, and each its answer" {
	program count <<-EOC
	echo x >>$D/runs
	chmod 666 $D/runs
	EOC
	both twice
}

shared()
{
	give 69 args="$D/keep -f {sender} -- {recipient} u={user} end" \
		per_recipient=no -- s@x.test a@x.test b@x.test a@x.test c@x.test
	rows 4
	[[ $(cut -f 2-5 rows | sort -u) == $'permanent\t550\t5.1.1\tuser unknown' ]]
	holds argv -f s@x.test -- a@x.test b@x.test c@x.test u=a u=b u=c end
}

@test "per_recipient = no: one run, its words for each recipient, one outcome" {
	recorder keep 67
	both shared
	VIA=agent give 69 args="$D/keep {recipient}" per_recipient=no \
		-- s@x.test a@x.test 'a@@' b@x.test
	holds argv a@x.test b@x.test
	program env <<-EOC
	env >$D/got
	EOC
	VIA=agent give 0 args="$D/env" per_recipient=no -- s@x.test a@x.test
	run ! grep RECIPIENT got
}

# ---- its end ----

outcomes()
{
	ends 0 args=true -- delivered 250 2.0.0
	ends 75 args="sh -c 'echo soft;exit 1'" -- transient 450 4.0.0 soft
	ends 75 args=false -- transient 450 4.0.0 'Delivery failed'
	ends 0 args="sh -c 'echo 5.1.1 no'" -- delivered 250 2.0.0
}

@test "R-PI-05: exit status 0 and others" {
	both outcomes
}

@test "R-PI-06: output that begins with an enhanced status code" {
	program say <<-'EOC'
	printf '%b' "$1"
	exit "${2-1}"
	EOC
	VIA=agent
	ends 69 args="$D/say '5.1.1 no such user'" -- permanent 550 5.1.1 'no such user'
	ends 75 args="$D/say '4.2.2 quota'" -- transient 450 4.2.2 quota
	ends 69 args="$D/say '5.2.2 full\nmore\n'" -- permanent 552 5.2.2 'full\\nmore'
	# Before the status, which is a user's.
	ends 75 args="$D/say '4.1.1 later' 67" -- transient 450 4.1.1 later
	ends 69 args="$D/say 5.7.1" -- permanent 550 5.7.1 ''
	# Not at the start, not of a failure, not alone.
	ends 75 args="$D/say '550 5.1.1 x'" -- transient 450 4.0.0 '550 5.1.1 x'
	ends 75 args="$D/say '2.0.0 x'" -- transient 450 4.0.0 '*x'
	ends 75 args="$D/say '5.1.1x'" -- transient 450 4.0.0 5.1.1x
	ends 75 args="$D/say '5.1.1234 x'" -- transient 450 4.0.0 '5.1.1234 x'
	both ends 69 args="$D/say '5.1.1 no such user'" -- permanent 550 5.1.1 'no such user'
}

@test "R-PI-07: stdout before stderr" {
	VIA=agent
	ends 75 args="sh -c 'echo soft;echo 5.0.0 hard >&2;exit 1'" -- transient 450 4.0.0 soft
	ends 69 args="sh -c 'echo;echo 5.0.0 hard >&2;exit 1'" -- permanent 550 5.0.0 hard
	ends 69 args="sh -c 'echo 5.0.0 hard >&2;exit 1'" -- permanent 550 5.0.0 hard
}

sysexits()
{
	ends 69 args="sh -c 'exit 67'" -- permanent 550 5.1.1 'user unknown'
	ends 75 args="sh -c 'exit 75'" -- transient 450 4.3.0 'temporary failure'
	ends 69 args="sh -c 'echo no;exit 77'" -- permanent 550 5.7.0 no
	ends 75 args="sh -c 'kill -9 \$\$'" -- transient 450 4.3.0 'sh ended by signal 9 (Killed)*'
}

@test "R-PI-08: statuses of sysexits(3) and signals" {
	local status dsn
	both sysexits
	VIA=agent
	while read -r status dsn; do
		give 69 args="sh -c 'exit $status'" -- s@x.test r@x.test
		grep -q "permanent	55.	$dsn	" rows
	done <<-EOC
	64 5.3.0
	65 5.6.0
	66 5.3.0
	68 5.1.2
	69 5.3.0
	70 5.3.0
	72 5.3.0
	73 5.2.0
	74 5.3.0
	76 5.5.0
	78 5.3.5
	EOC
	ends 75 args="sh -c 'exit 71'" -- transient 450 4.3.0
	ends 75 args="sh -c 'exit 255'" -- transient 450 4.0.0
}

@test "strict_source: the status counts for nothing" {
	VIA=agent
	ends 75 strict_source=yes args="sh -c 'exit 67'" -- transient 450 4.0.0 'Delivery failed'
	ends 75 strict_source=yes args="sh -c 'echo x;exit 77'" -- transient 450 4.0.0 x
	ends 69 strict_source=yes args="sh -c 'echo 5.2.2 x;exit 75'" -- permanent 550 5.2.2 x
	ends 75 strict_source=yes args="sh -c 'echo 5.1.1 >&2;printf 5.1.1;exit 1'" -- transient 450 4.0.0
}

patterns()
{
	program say <<-'EOC'
	[ "$1" != err ] || exec >&2
	printf 'log\nERR 5.1.1 gone\n'
	exit 1
	EOC
	ends 69 error_pattern='^ERR ([0-9.]+ .*)$' args="$D/say out" -- permanent 550 5.1.1 gone
	ends 69 error_pattern='^ERR ([0-9.]+ .*)$' args="$D/say err" -- permanent 550 5.1.1 gone
}

@test "R-PI-09: error_pattern on stdout or stderr" {
	both patterns
	VIA=agent
	program say <<-'EOC'
	printf 'a 552 5.2.2 full b\nuser=9 code=451 esc=4.7.1 why=slow\n'
	exit ${1-1}
	EOC
	ends 69 error_pattern='a (.*) b' args="$D/say" -- permanent 552 5.2.2 full
	ends 75 error_pattern='code=(?<code>...) esc=(?P<esc>\S+) why=(?<message>.*)' \
		args="$D/say 67" -- transient 451 4.7.1 slow
	# Nothing that says of which class: the status does.
	ends 69 error_pattern='why=.*' args="$D/say 67" -- permanent 550 5.1.1 'why=slow'
	ends 75 error_pattern='why=.*' args="$D/say 1" -- transient 450 4.0.0 'why=slow'
	# A code and an enhanced one of another class.
	ends 69 error_pattern='(?s)(?<code>552).*esc=(?<esc>\S+)' \
		args="$D/say" -- permanent 552 5.0.0 'a 552 *why=slow'
	# Not on success.
	ends 0 error_pattern='552 .*' args="$D/say 0" -- delivered 250 2.0.0
}

@test "R-PI-10: a pattern that does not match, and one that does not compile" {
	VIA=agent
	ends 75 error_pattern=nothing args="sh -c 'echo soft;exit 1'" -- transient 450 4.0.0 soft
	ends 69 error_pattern=nothing args="sh -c 'echo 5.1.1 x;exit 1'" -- permanent 550 5.1.1 x
	ends_at_start args=true error_pattern='('
	[[ $output == *'error_pattern: '*'does not compile'* ]]
	VIA=master ends_at_start args=true error_pattern='('
	[[ $output == *'error_pattern: '*'does not compile'* ]]
	# One that would take for ever.
	ends 75 error_pattern='^(a+)+$' args="sh -c 'head -c 4000 /dev/zero|tr \\\\0 a;echo b;exit 1'" \
		-- transient 450 4.0.0
	grep -q 'too much work' log.agent
}

# ---- time ----

processes_of()
{
	pgrep -f "$1" >/dev/null
}

too_long()
{
	ends 75 args="sh -c 'sleep $NAP & sleep $NAP'" timeout=1 -- transient 450 4.4.2 'Delivery timed out*'
	took 1000 5000
	run ! processes_of "^sleep $NAP"
}

@test "R-PI-11: timeout ends the whole process group" {
	both too_long
}

@test "R-PI-11: one that does not heed SIGTERM gets SIGKILL" {
	program deaf <<-EOC
	trap '' TERM
	while :; do sleep $NAP; done
	EOC
	VIA=agent ends 75 args="$D/deaf" timeout=0.5 kill_timeout=0.5 \
		-- transient 450 4.4.2 'Delivery timed out*'
	took 1000 6000
	run ! processes_of "^sleep $NAP"
	# The program heeds it, one of its group does not.
	program half <<-EOC
	(trap '' TERM; sleep $NAP) &
	sleep $NAP
	EOC
	VIA=agent ends 75 args="$D/half" timeout=0.5 kill_timeout=20 \
		-- transient 450 4.4.2
	nh_until 3 not_there "^sleep $NAP"
}

not_alive()
{
	! kill -0 "$1"
}

not_there()
{
	run ! processes_of "$1"
}

@test "what a program leaves in the background goes on, and is not waited for" {
	program leave <<-EOC
	(sleep 2; echo late >$D/late) &
	exit 0
	EOC
	VIA=agent ends 0 args="$D/leave" -- delivered 250 2.0.0
	took 0 1900
	nh_until 5 test -s late
}

@test "R-PI-12: a program that cannot be run" {
	both ends 75 args=/nonexistent -- transient 451 4.3.5 'cannot run /nonexistent: No such file*'
	VIA=agent
	ends 75 args=no-such-program -- transient 451 4.3.5 'cannot run no-such-program: No such file*'
	ends 75 args="$D/M" -- transient 451 4.3.5 "cannot run $D/M: Permission denied"
	ends 75 args=true directory="$D/none" -- transient 451 4.3.5 '*chdir: No such file*'
	ends 75 args="/bin/{user}" -- transient 451 4.3.5 'cannot run /bin/r: *'
	try_all pipe args='/bin/{user}' -- s@x.test ../bin/true@x.test <M >rows || :
	row 1 ../bin/true@x.test transient 451 4.3.5 '*slash*'
}

unread()
{
	MSG=$D/BIG ends 0 args=true -- delivered 250 2.0.0
	MSG=$D/BIG ends 0 args="sh -c 'exec <&-;sleep 0.3'" -- delivered 250 2.0.0
	MSG=$D/BIG ends 0 args="head -c 70000" crlf=yes -- delivered 250 2.0.0
}

@test "R-PI-13: a program that does not read" {
	{ cat M; head -c 3000000 /dev/zero | tr '\0' x | fold -w 70; echo; } >BIG
	both unread
}

@test "R-PI-13: endless and binary output" {
	VIA=agent
	ends 75 args=yes timeout=1 -- transient 450 4.4.2
	ends 75 args="sh -c 'printf \"\\\\377\\\\033\\\\000z\";exit 1'" -- transient 450 4.0.0 '\\xFF\\x1B?z'
	VIA=master ends 75 args=yes timeout=1 -- transient 450 4.4.2
	# Of a lot the first 4 KiB count, and no more than a reply may have.
	program lot <<-'EOC'
	yes 0123456789 | head -c 300000
	yes 0123456789 | head -c 300000 >&2
	exit 1
	EOC
	ends 75 args="$D/lot" -- transient 450 4.0.0
	[[ $(wc -c <rows) -lt 5000 ]]
}

# ---- as whom, and in what surroundings ----

@test "R-PI-15: user, environment, descriptors, directory" {
	[[ $(id -u) -eq 0 ]] || skip "needs root"
	program look <<-EOC
	exec >$D/got.\$RECIPIENT
	id -un
	id -gn
	id -G
	pwd
	umask
	ls /proc/self/fd
	env | sort
	EOC
	looked()
	{
		rm -f got.*
		give 0 args="$D/look" user=daemon directory=/tmp umask=027 \
			environment.FOO='a {user}' "$@" -- s@x.test r@x.test
		[[ $(sed -n 1,2p got.r@x.test | paste -sd,) == daemon,daemon ]]
		[[ $(sed -n 3p got.r@x.test) == "$(id -g daemon)" ]]
		[[ $(sed -n 4,5p got.r@x.test | paste -sd,) == /tmp,0027 ]]
		# 3 is that of ls itself.
		[[ $(sed -n 6,9p got.r@x.test | paste -sd,) == 0,1,2,3 ]]
		[[ $(sed -n '10,$s/=.*//p' got.r@x.test | paste -sd,) == \
			FOO,HOME,*LOGNAME,PATH,PWD,RECIPIENT,SENDER,SHELL*,USER ]]
		grep -qx 'FOO=a r' got.r@x.test
		grep -qx 'HOME=/usr/sbin' got.r@x.test
		grep -qx 'USER=daemon' got.r@x.test
		grep -qx 'SENDER=s@x.test' got.r@x.test
		grep -qx 'RECIPIENT=r@x.test' got.r@x.test
	}
	SECRET=x both looked
	# Without a user: nobody.
	VIA=agent give 0 args="$D/look" -- s@x.test n@x.test
	[[ $(head -n 1 got.n@x.test) == nobody ]]
}

@test "R-PI-15: root is refused" {
	[[ $(id -u) -eq 0 ]] || skip "needs root"
	VIA=agent ends_at_start args=true user=root
	[[ $output == *root* ]]
	VIA=master ends_at_start args=true user=root
	[[ $output == *'never run by root'* ]]
	VIA=agent ends_at_start args=true user=no-such-user
	[[ $output == *'not known'* ]]
}

@test "R-PI-15: no new privileges, unless they are asked for" {
	[[ $(id -u) -eq 0 ]] || skip "needs root"
	cp /usr/bin/id "$D/id"
	chmod 4755 "$D/id"
	rise()
	{
		ends 75 args="sh -c '$D/id -u;exit 1'" "${@:2}" -- transient 450 4.0.0 "$1"
	}
	"$D/id" -u >/dev/null
	[[ $(setpriv --reuid=daemon --clear-groups "$D/id" -u) == 0 ]] ||
		skip "set-user-ID does not work in $D"
	both rise "$(id -u nobody)"
	both rise 0 no_new_privs=no
}

@test "R-PI-15: limits" {
	VIA=agent
	ends 75 args="sh -c 'ulimit -n;ulimit -c;exit 1'" open_files_limit=17 \
		-- transient 450 4.0.0 '17\\n0'
	ends 75 args="sh -c 'ulimit -t;ulimit -v;ulimit -f;exit 1'" cpu_limit=3 \
		memory_limit=64M file_size_limit=1M -- transient 450 4.0.0 '3\\n65536\\n*'
	ends 75 args="sh -c 'while :;do :;done'" cpu_limit=1 timeout=30 \
		-- transient 450 4.3.0 'sh ended by signal *'
}

@test "programs get signals as they should be" {
	program sig <<-'EOC'
	grep -E '^Sig(Blk|Ign|Cgt)' /proc/$$/status | grep -v 00000000$
	kill -PIPE $$
	exit 1
	EOC
	(trap '' HUP INT; VIA=agent; ends 75 args="$D/sig" -- transient 450 4.3.0 'sig ended by signal 13*' ||
		ends 75 args="$D/sig" -- transient 450 4.3.0 '*ended by signal 13*')
}

# ---- many ----

@test "max_processes: never more at once, and the next ones wait" {
	program busy <<-EOC
	echo in >>$D/trail
	sleep 0.3
	echo out >>$D/trail
	EOC
	: >trail
	chmod 666 trail
	VIA=agent give 0 args="$D/busy" max_processes=3 --count=6 --parallel=6 \
		-- s@x.test a@x.test b@x.test
	rows 12
	[[ $(cut -f 2 rows | sort -u) == delivered ]]
	awk '/in/ { n++ } /out/ { n-- } n > most { most = n } END { exit most != 3 }' trail
}

@test "queue_timeout: who waits too long" {
	VIA=agent give 75 args='sleep 4' max_processes=1 queue_timeout=0.5 \
		--count=3 --parallel=3 -- s@x.test r@x.test
	rows 3
	[[ $(grep -c '	transient	451	4.4.5	too many concurrent runs of sleep' rows) -eq 2 ]]
	[[ $(grep -c '	delivered	' rows) -eq 1 ]]
}

@test "a long list of recipients does not hold up others" {
	nh_conf <<-EOC
	[relay r]
	type = pipe
	args = sleep 0.2
	max_processes = 1
	EOC
	nh_start
	mapfile -t many < <(printf '%s@x.test\n' {1..40})
	nh_spawn from M nh submit --relay=r "${many[@]}" >/dev/null
	nh_until 5 nh_field_is r deliveries 1 || :
	sleep 0.5
	start=$(nh_ms)
	nh submit --relay=r one@x.test <M
	[[ $(($(nh_ms) - start)) -lt 4000 ]]
	wait "$NH_PID"
}

@test "R-PM-07: 50 MB in flat memory" {
	python3 -c '
import sys
for n in range(50):
    sys.stdout.buffer.write((b"x" * 75 + b"\n") * 13158)' >LF
	sed 's/$/\r/' LF >CRLF
	nh_conf <<-EOC
	[relay r]
	type = pipe
	args = sh -c "cksum >$D/sum.{user}"
	EOC
	nh_start
	for MSG in LF CRLF; do
		nh submit --output=tsv --relay=r "$MSG"@x.test <"$MSG" >rows
		row 1 "$MSG"@x.test delivered 250 2.0.0
		[[ $(<"sum.$MSG") == "$(cksum <LF)" ]]
	done
	small "$(peak "$(nh_agent r)")"
	small "$(peak "$MASTER")"
}

@test "1,000 deliveries wait in flat memory" {
	nh_conf <<-EOC
	[relay r]
	type = pipe
	args = sh -c "while [ ! -e $D/go ];do sleep 0.1;done;echo >>$D/runs"
	max_processes = 10
	EOC
	nh_start
	: >runs
	chmod 666 runs
	nh submit --relay=r warm@x.test <M 2>/dev/null >&2 &
	first=$!
	sleep 0.3
	before=$(peak "$(nh_agent r)")
	nh_spawn from M nh submit --relay=r --output=tsv --count=1000 --parallel=1000 r@x.test >rows
	sleep 2
	touch go
	wait "$NH_PID" "$first"
	rows 1000
	[[ $(cut -f 2 rows | sort -u) == delivered ]]
	[[ $(wc -l <runs) -eq 1001 ]]
	after=$(peak "$(nh_agent r)")
	echo "$before KiB, then $after KiB"
	is_instrumented || [[ $((after - before)) -lt 8192 ]]
}

@test "a message that shrinks while it is read is not taken for a whole one" {
	program slow <<-EOC
	head -c 1000 >/dev/null
	touch $D/read
	sleep 1
	cat >/dev/null
	touch $D/whole
	EOC
	head -c 3000000 /dev/zero | tr '\0' x | fold -w 70 >BIG
	echo >>BIG
	nh_spawn from BIG "$NH_BUILD/libexec/nexthop/pipe" --args="$D/slow" --output=tsv r@x.test >rows
	nh_until 5 test -e read
	truncate -s 100000 BIG
	wait "$NH_PID" || :
	row 1 r@x.test transient 451 4.3.0 'message ends after *'
	[[ ! -e whole ]]
}

# ---- flags ----

flagged()
{
	on_stdin "$@"
	sed 's/^From \(.*\)  [A-Z][a-z][a-z] [A-Z][a-z][a-z] [ 0-9][0-9] [0-9:]\{8\} [0-9]\{4\}$/From \1 DATE/' got >seen
}

@test "flags that change the message" {
	recorder keep
	printf 'A: b\n\nFrom me\n From\n>From x\n.\n..x\nFromage\nFrom \nFro' >in
	MSG=$D/in
	both flagged flags='FRDO>.B'
	holds seen 'From s@x.test DATE' 'Return-Path: <s@x.test>' \
		'X-Original-To: r@x.test' 'Delivered-To: r@x.test' 'A: b' '' \
		'>From me' ' From' '>From x' '..' '...x' Fromage '>From ' Fro ''
	VIA=agent flagged flags='>.B' crlf=yes
	[[ $(grep -c $'\r$' seen) -eq $(wc -l <seen) ]]
	tr -d '\r' <seen >plain
	holds plain 'A: b' '' '>From me' ' From' '>From x' '..' '...x' Fromage \
		'>From ' Fro ''
	VIA=agent
	give 0 args="$D/keep" flags=FR -- '' r@x.test
	[[ $(head -n 1 got) == 'From MAILER-DAEMON  '* ]]
	[[ $(sed -n 2p got) == 'Return-Path: <>' ]]
	give 0 args="$D/keep {recipient}" flags=D -- '' 'a b@X.test'
	[[ $(head -n 1 got) == 'Delivered-To: "a b"@X.test' ]]
	holds argv 'a b@X.test'
}

@test "flags: Delivered-To ends a loop" {
	recorder keep
	printf 'Subject: x\nDelivered-To:\n R@X.test \nDelivered-to: "o p"@x.test\n\nDelivered-To: q@x.test\n' >in
	MSG=$D/in VIA=agent give 69 args="$D/keep" flags=D -- s@x.test r@x.test \
		q@x.test 'o p@x.test'
	row 1 r@x.test permanent 554 5.4.6 'mail forwarding loop for r@x.test'
	row 2 q@x.test delivered 250 2.0.0
	row 3 'o p@x.test' permanent 554 5.4.6 '*'
	MSG=$D/in VIA=agent give 0 args="$D/keep" flags=RO -- s@x.test r@x.test
}

# ---- ends of agent and master ----

pipe_master()
{
	nh_conf <<-EOC
	[relay r]
	type = pipe
	args = $D/stay
	EOC
	program stay <<-EOC
	echo \$\$ >$D/pid
	exec sleep $NAP
	EOC
	nh_start
	nh_spawn from M nh submit --output=tsv --relay=r r@x.test >rows
	nh_until 5 test -s pid
}

@test "R-PM-02: the agent is killed: the program with it, and the doubt is told" {
	pipe_master
	kill -9 "$(nh_agent r)"
	wait "$NH_PID" || :
	row 1 r@x.test transient 451 4.3.0 '*may have been delivered'
	nh_until 3 not_there "^sleep $NAP"
}

@test "R-PM-03: the master is killed: neither agent nor program is left" {
	pipe_master
	agent=$(nh_agent r)
	nh_stop KILL || :
	wait "$NH_PID" || :
	row 1 r@x.test transient 451 4.3.0 '*may have been delivered'
	nh_until 6 not_there "^sleep $NAP"
	nh_until 6 not_alive "$agent"
}

@test "by hand: two signals end agent and program" {
	program stay <<-EOC
	sleep $NAP &
	sleep $NAP
	EOC
	# The background would ignore SIGINT.
	nh_spawn from M "$NH_BUILD/libexec/nexthop/pipe" --args="$D/stay" --output=tsv r@x.test >rows 2>log
	nh_until 5 processes_of "^sleep $NAP"
	kill "$NH_PID"
	sleep 0.3
	kill "$NH_PID"
	wait "$NH_PID" || status=$?
	[[ $status -eq 75 ]]
	nh_until 3 not_there "^sleep $NAP"
}

@test "a cancelled delivery: who has no run yet is answered, a run goes on" {
	nh_spawn from M "$NH_BUILD/libexec/nexthop/pipe" --args="sleep 1" --output=tsv \
		--max-processes=1 a@x.test b@x.test >rows
	sleep 0.4
	kill "$NH_PID"
	wait "$NH_PID" || :
	row 1 a@x.test delivered 250 2.0.0
	row 2 b@x.test transient 451 4.3.0 'delivery cancelled'
}

@test "nexthop config tells the options as they are in force" {
	nh_conf <<-EOC
	[relay p]
	type = pipe
	args = /bin/cat -- "a b" {recipient}
	[relay m]
	type = maildrop
	EOC
	nh config >out
	grep -q '^args = /bin/cat -- "a b" {recipient}$' out
	[[ $(grep '^no_new_privs' out | paste -sd,) == 'no_new_privs = yes,no_new_privs = no' ]]
	cp out again.conf
	nh -c again.conf config >twice
	cmp out twice
}

@test "the sample's options of pipe are those of the agent" {
	grep -q '^#error_pattern' "$NH_BUILD/etc/nexthop.conf"
	grep -q '^#max_processes = 20' "$NH_BUILD/etc/nexthop.conf"
}
