#!/usr/bin/env bats
# pipe: how programs are run: time, user, surroundings, many of them, and what
# is left when agent or master end.
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
	# Of the groups of a user only the first.
	VIA=master give 0 args="$D/look" user=daemon group=mail -- s@x.test g@x.test
	[[ $(sed -n 2,3p got.g@x.test | paste -sd,) == "mail,$(getent group mail | cut -d: -f3)" ]]
	VIA=agent give 0 args="$D/look" user=daemon group=mail -- s@x.test h@x.test
	[[ $(sed -n 2,3p got.h@x.test | paste -sd,) == "mail,$(getent group mail | cut -d: -f3)" ]]
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

@test "R-PI-15: signals are as a program expects them" {
	program signals <<-'EOC'
	kill -PIPE $$
	exit 1
	EOC
	(
		trap '' HUP INT PIPE
		VIA=agent ends 75 args="$D/signals" -- transient 450 4.3.0 \
			"$D/signals ended by signal 13*"
	)
	program masks <<-'EOC'
	# 32 and 33 are the C library's: nobody else can set them.
	while read -r name set; do
		case $name in
		SigBlk:)	echo -n "$name$set" ;;
		SigIgn:)	printf '%s%016x' "$name" \
				$((0x$set & ~0x180000000)) ;;
		esac
	done </proc/self/status
	exit 1
	EOC
	VIA=agent ends 75 args="$D/masks" -- transient 450 4.0.0 \
		SigBlk:0000000000000000SigIgn:0000000000000000
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

@test "a deadline ends waiting and running" {
	VIA=agent give 75 args='sleep 9' max_processes=1 --deadline=1 --count=2 \
		--parallel=2 -- s@x.test r@x.test
	took 1000 8000
	[[ $(grep -c '	transient	450	4.4.2	Delivery timed out' rows) -eq 1 ]]
	[[ $(grep -c '	transient	451	4.4.7	' rows) -eq 1 ]]
}

@test "a long list of recipients does not hold up others" {
	nh_conf <<-EOC
	[relay r]
	type = pipe
	args = sleep 0.2
	max_processes = 1
	EOC
	nh_start
	# They take 30 seconds.
	mapfile -t many < <(printf '%s@x.test\n' {1..150})
	nh_spawn from M nh submit --relay=r "${many[@]}" >/dev/null
	nh_until 30 nh_field_is r open 1
	start=$(nh_ms)
	nh submit --relay=r one@x.test <M
	[[ $(($(nh_ms) - start)) -lt 15000 ]]
	nh_field_is r open 1
	kill -9 "$MASTER"
	wait "$MASTER" || MASTER=''
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
