#!/usr/bin/env bats
# Messages that no mail program would write, messages that cannot be read, and
# large ones: none crashes an agent, none is delivered in part, memory stays
# flat.

load lib/nexthop
load lib/smtp

setup()
{
	nh_setup
	AGENT=$NH_BUILD/libexec/nexthop/smtp-static
}

teardown()
{
	nh_teardown
}

wire()
{
	python3 "$NH_ROOT/t/lib/wire.py" "$@"
}

# python_message STATEMENTS: writes the message with out(bytes); $MSG.
python_message()
{
	MSG=$D/msg
	python3 -c 'import sys
out = sys.stdout.buffer.write
'"$1" >"$MSG"
}

# reaches [key=value...]: $MSG leaves as it must, in one transaction.
reaches()
{
	rm -f fake
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	give 0 host=127.0.0.1 port="$port" "$@" -- s@x.test r@x.test
	row 1 r@x.test delivered 250 2.0.0 taken
	fake_well
	cmp <(wire sent fake) <(wire want <"$MSG")
}

# by_hand [ARG...]: the agent itself, message from stdin as it is.
by_hand()
{
	"$AGENT" -o host=127.0.0.1 -o port="$port" --ehlo_as=client.test \
		--output=tsv --from=s@x.test "$@" r@x.test 2>>"$D/err.agent"
}

# from FILE COMMAND...: what nh_spawn starts has no stdin of its own.
from()
{
	local file=$1

	shift
	"$@" <"$file"
}

# peak PID: its largest resident memory so far, in KiB.
peak()
{
	awk '/^VmHWM/ { print $2 }' "/proc/$1/status"
}

# small KIB: below 32 MiB, where memory is that of the program alone.
small()
{
	echo "peak $1 KiB"
	is_instrumented || [[ $1 -gt 0 && $1 -lt 32768 ]]
}

# ---- odd, but delivered ----

@test "without header" {
	python_message 'out(b"just text\nand more\n")'
	both reaches
}

@test "without a final line end, and one byte alone" {
	python_message 'out(b"a: b\r\n\r\nno end")'
	both reaches
	python_message 'out(b"x")'
	both reaches
	python_message 'out(b"\r")'
	both reaches
}

@test "zero bytes" {
	MSG=$D/msg
	: >"$MSG"
	both reaches
	# /dev/null and an empty pipe are no regular files.
	for from in /dev/null <(:); do
		rm -f fake
		fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
		by_hand <"$from" >rows
		row 1 r@x.test delivered 250 2.0.0
		fake_well
		[[ $(wire sent fake) == $'.\r' ]]
	done
}

@test "NUL bytes are sent as they are" {
	python_message 'out(b"a: b\r\n\r\n\0x\0\0\r\n\0\r\n")'
	both reaches nul_bytes=send
	wire sent fake >sent
	[[ $(tr -dc '\0' <sent | wc -c) -eq 4 ]]
}

refused_nul()
{
	fake_start "${HELLO[@]}" "${BYE[@]}"
	give 69 host=127.0.0.1 port="$port" nul_bytes=refuse -- s@x.test \
		a@x.test b@x.test
	rows 2
	row 1 a@x.test permanent 554 5.6.0 'message contains NUL bytes'
	row 2 b@x.test permanent 554 5.6.0
	fake_well
	heard 0 '^MAIL'
}

@test "NUL bytes are refused on request" {
	python_message 'out(b"a: b\r\n\r\nx\0y\r\n")'
	both refused_nul
	# The last byte of a message that takes several reads.
	python_message 'out(b"a: b\r\n\r\n" + b"x\r\n" * 100000 + b"\0")'
	both refused_nul
	MSG=$D/M both reaches nul_bytes=refuse
}

@test "a line of 1 MiB" {
	python_message 'out(b"a: b\r\n\r\n" + b"x" * (1 << 20) + b"\r\n.\r\n")'
	both reaches
	# In the header, and as all there is.
	python_message 'out(b"a: " + b"." * (1 << 20))'
	both reaches
}

@test "bare CR, mixed ends, one MiB of each" {
	python_message 'out(b"a: b\r\rc\n\nd\r\n.\r.\n.\r\n\r\r\n\n\r")'
	both reaches
	for end in '\r' '\n' '\r\n' '\r\r\n' '\n\r'; do
		python_message "out(b'$end.' * (1 << 19))"
		reaches
	done
}

@test "every byte there is" {
	python_message 'out(bytes(range(256)) * 300 + bytes(range(255, -1, -1)))'
	both reaches eightbit=send
}

# ---- where it comes from ----

@test "from a pipe, slowly, small and large" {
	python_message 'out(b"a: b\r\n\r\n.x\r\n")'
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	{ head -c 3 "$MSG"; sleep 0.1; tail -c +4 "$MSG"; } | by_hand >rows
	fake_well
	cmp <(wire sent fake) <(wire want <"$MSG")
	# Beyond what is kept in memory, by one byte and by far.
	for size in 1048575 1048576 1048577 3000000; do
		python_message "out(b'.' * $size)"
		rm fake
		fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
		# shellcheck disable=SC2002 # a pipe is meant
		cat "$MSG" | by_hand >rows
		fake_well
		cmp <(wire sent fake) <(wire want <"$MSG")
	done
}

# offset COMMAND...: with a file of which the first line was read already.
offset()
{
	{
		read -r first
		[[ $first == 'not a part of it' ]]
		"$@" >rows
	} <msg
}

@test "from the middle of a file" {
	local filler

	# Small ones go inline to the master, large ones as a descriptor.
	for filler in 10 50000 300000; do
		python3 -c "print('a: b\n\n' + '.' * $filler)" >rest
		{ echo 'not a part of it'; cat rest; } >msg
		rm -f fake
		fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
		offset by_hand
		fake_well
		cmp <(wire sent fake) <(wire want <rest)

		rm -f fake
		fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
		nh_conf <<-EOC
		[relay r]
		type = static
		host = 127.0.0.1
		port = $port
		EOC
		nh_start
		offset nh submit --output=tsv --from=s@x.test r@x.test
		nh_stop
		fake_well
		cmp <(wire sent fake) <(wire want <rest)
	done
}

@test "from the end of a file, and from beyond it" {
	for at in 23 1000; do
		rm -f fake
		fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
		python3 - "$at" "$AGENT" -o host=127.0.0.1 -o port="$port" \
			r@x.test <<-'EOP'
		import os, subprocess, sys
		fd = os.open('M', os.O_RDONLY)
		os.lseek(fd, os.fstat(fd).st_size if sys.argv[1] == '23'
		    else int(sys.argv[1]), 0)
		sys.exit(subprocess.call(sys.argv[2:], stdin=fd))
		EOP
		fake_well
		[[ $(wire sent fake) == $'.\r' ]]
	done
}

@test "the same message many times, side by side" {
	sink_start
	python_message 'out(b"a: b\r\n\r\n" + b".x\r\n" * 20000)'
	by_hand --count=40 --parallel=40 <"$MSG" >rows
	rows 40
	[[ $(cut -f 2 rows | sort | uniq -c) == *'40 delivered' ]]
	sink_end
	counted messages 40
	counted body_bytes $((40 * 80000))
}

# ---- cannot be read ----

# unread REDIRECTION: the agent says so, nobody gets a message.
unread()
{
	local status=0

	timeout 10 sh -c "exec \"\$@\" $1" sh "$AGENT" -o host=127.0.0.1 \
		-o port="$port" --output=tsv r@x.test >rows 2>err || status=$?
	echo "$1: $status"
	cat rows err
	[[ $status -eq 74 || $status -eq 75 ]]
	grep -qE 'Is a directory|Bad file desc|Input/output|cannot read' rows err
	! grep -q delivered rows || return 1
}

@test "a file without a size that has bytes all the same" {
	fake_start "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	by_hand </proc/version >rows
	row 1 r@x.test delivered 250 2.0.0
	fake_well
	cmp <(wire sent fake) <(wire want </proc/version)
}

@test "an unreadable descriptor" {
	fake_start "${HELLO[@]}" "${BYE[@]}"
	unread '</'
	unread '<&-'
	unread '<&- >&- 2>&-' || [[ $(cat rows err) == '' ]]
	unread "0>$D/write-only"
	heard 0 '^DATA'
}

@test "an unreadable descriptor through the master" {
	fake_start --each "${HELLO[@]}" L 'S:250 m' L 'S:250 r' L 'S:250 r' \
		L 'A:DATA' 'S:354 go' D 'S:250 taken' "${BYE[@]}"
	nh_conf <<-EOC
	[relay r]
	type = static
	host = 127.0.0.1
	port = $port
	idle_timeout = 0
	EOC
	nh_start
	cat >client.py <<-EOP
	import importlib.util, os, socket, struct, sys
	sys.dont_write_bytecode = True
	spec = importlib.util.spec_from_file_location(
	    'submit', '$NH_ROOT/contrib/client-template/submit.py')
	s = importlib.util.module_from_spec(spec)
	spec.loader.exec_module(s)
	def send(what, fd, at, size):
	    c = s.Connection('$SOCKET')
	    c.greet()
	    data = s.frame(s.DELIVER, 1, (s.RELAY, b'r'), (s.SENDER, b's@x'),
	        (s.RCPT, b'a@x.test'), (s.RCPT, b'b@x.test'),
	        (s.BODY_RANGE, struct.pack('>QQ', at, size)), flags=s.HAS_FD)
	    socket.send_fds(c.sock, [data], [fd])
	    try:
	        print(what, *[a[1] for a in c.answers(1)])
	    except ConnectionError:
	        print(what, 'closed')
	with open('M', 'rb') as f:
	    size = os.fstat(f.fileno()).st_size
	    send('good', f.fileno(), 0, size)
	    send('part', f.fileno(), 3, size - 3)
	    send('long', f.fileno(), 0, size + 1)
	    send('huge', f.fileno(), 0, 1 << 40)
	    send('wrap', f.fileno(), (1 << 64) - 5, 10)
	    send('all', f.fileno(), (1 << 64) - 1, (1 << 64) - 1)
	    send('beyond', f.fileno(), size + 10, 10)
	send('folder', os.open('/', os.O_RDONLY), 0, 10)
	send('pipe', os.pipe()[0], 0, 10)
	send('socket', socket.socketpair()[0].fileno(), 0, 10)
	send('write-only', os.open('w', os.O_WRONLY | os.O_CREAT), 0, 10)
	send('path', os.open('M', os.O_PATH), 0, 10)
	EOP
	timeout 20 python3 client.py >got 2>err
	cat got err
	[[ $(sed -n 1p got) == 'good delivered delivered' ]]
	[[ $(sed -n 2p got) == 'part delivered delivered' ]]
	[[ $(wc -l <got) -eq 12 ]]
	# Never delivered; never two answers, never none but a closed connection.
	sed 1,2d got >bad
	! grep -vE '^[a-z-]+ (transient transient|closed)$' bad || return 1
	[[ $(grep -c 'transient transient' bad) -ge 5 ]]
	# Nothing of them was taken, and the agent is the same as before.
	[[ $(grep -ac '^DATA' fake) -eq 2 ]]
	nh_field_is r restarts 0
}

# cut_short KIB: the file becomes so short while it is being sent.
cut_short()
{
	local peer=(L 'A:MAIL*' 'S:250 m' L 'A:RCPT*' 'S:250 r' L 'A:DATA'
		'S:354 go')

	python3 -c 'import sys
sys.stdout.write("a: b\n\n" + ("x" * 99 + "\n") * 300000)' >msg
	rm -f fake
	fake_start "${HELLO[@]}" "${peer[@]}" B:1000 P:0.7 D
	if [[ $VIA == agent ]]; then
		nh_spawn from msg by_hand >rows
	else
		nh_conf <<-EOC
		[relay r]
		type = static
		host = 127.0.0.1
		port = $port
		EOC
		nh_start
		nh_spawn from msg nh submit --output=tsv --from=s@x.test \
			r@x.test >rows
	fi
	# It sends on until the buffers are full.
	nh_until 5 grep -aq xxx fake
	sleep 0.3
	truncate -s "$1" msg
	wait "$NH_PID" || status=$?
	cat rows
	[[ $status -eq 75 ]]
	rows 1
	row 1 r@x.test transient 451 4.3.0 'cannot read the message: it is shorter than said'
	# The end of the connection, and of no message.
	nh_until 5 grep -aq -- '--- eof' fake
	! grep -aq $'^\\.\r' fake || return 1
	if [[ $VIA == master ]]; then
		nh_field_is r restarts 0
		nh_stop
	fi
}

@test "a file that becomes shorter while it is sent: transient, nothing in part" {
	local status=0 VIA

	for VIA in agent master; do
		cut_short 12M
		cut_short 0
	done
}

@test "a file that becomes shorter before it is sent" {
	python3 -c 'print("a: b\n\n" + "x" * 200000)' >msg
	fake_start 'Z:0.5' "${HELLO[@]}" "${BYE[@]}"
	nh_spawn from msg by_hand >rows
	nh_until 5 grep -aq connection fake
	truncate -s 1000 msg
	wait "$NH_PID" || status=$?
	[[ $status -eq 75 ]]
	row 1 r@x.test transient 451 4.3.0 'cannot read the message*'
	fake_well
	heard 0 '^MAIL'
}

@test "a file that grows while it is sent: what was there at first" {
	python3 -c 'print("a: b\n\n" + "x" * 200000)' >msg
	cp msg was
	fake_start 'Z:0.5' "${HELLO[@]}" "${TAKE[@]}" "${BYE[@]}"
	nh_spawn from msg by_hand >rows
	nh_until 5 grep -aq connection fake
	echo more >>msg
	wait "$NH_PID"
	row 1 r@x.test delivered 250 2.0.0
	fake_well
	cmp <(wire sent fake) <(wire want <was)
}

# ---- large ----

@test "R-PM-07: 100 MB in flat memory, by hand, from a file and from a pipe" {
	python3 -c '
import sys
line = b"x" * 75 + b"\n"
for n in range(100):
    sys.stdout.buffer.write(line * 13158)' >msg
	[[ $(wc -c <msg) -gt 100000000 ]]
	for from in file pipe; do
		# The peer waits with its answer: then all has been sent.
		sink_start -D 700
		if [[ $from == file ]]; then
			nh_spawn from msg by_hand >rows
		else
			mkfifo fifo
			nh_spawn from fifo by_hand >rows
			cat msg >fifo
		fi
		most=0
		while kill -0 "$NH_PID" 2>/dev/null; do
			now=$(peak "$(pgrep -P "$NH_PID" smtp-static || echo "$NH_PID")" 2>/dev/null || :)
			[[ ${now:-0} -le $most ]] || most=$now
			sleep 0.1
		done
		wait "$NH_PID"
		row 1 r@x.test delivered 250 2.0.0
		small "$most"
		sink_end
		counted messages 1
		bytes=$(grep -oE '"bytes":[0-9]+' sink.json | cut -d: -f2)
		[[ $bytes -eq $((77 * 1315800)) ]]
	done
}

@test "R-PM-07: 100 MB in flat memory through the master" {
	python3 -c '
import sys
line = b"x" * 75 + b"\n"
for n in range(100):
    sys.stdout.buffer.write(line * 13158)' >msg
	sink_start
	nh_conf <<-EOC
	[relay r]
	type = static
	host = 127.0.0.1
	port = $port
	EOC
	nh_start
	nh submit --output=tsv r@x.test <msg >rows
	row 1 r@x.test delivered 250 2.0.0
	small "$(peak "$(nh_agent r)")"
	small "$(peak "$MASTER")"
	nh_stop
	sink_end
	counted messages 1
	bytes=$(grep -oE '"bytes":[0-9]+' sink.json | cut -d: -f2)
	[[ $bytes -eq $((77 * 1315800)) ]]
}

@test "R-PM-07: 50 MB into the blackhole" {
	head -c 50000000 /dev/zero >msg
	nh_conf <<-EOC
	[relay r]
	type = blackhole
	EOC
	nh_start
	nh submit --output=tsv r@x.test <msg >rows
	row 1 r@x.test delivered 250 2.0.0
	cat msg | nh submit --output=tsv r@x.test >rows
	row 1 r@x.test delivered 250 2.0.0
	small "$(peak "$(nh_agent r)")"
	small "$(peak "$MASTER")"
}
