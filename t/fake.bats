#!/usr/bin/env bats
# t/tools/fake, the scripted server of the other tests: the steps do what
# t/tools/README.md says, and the log tells what came.

bats_require_minimum_version 1.5.0

setup()
{
	cd "$BATS_TEST_TMPDIR" || exit
	pids=()
}

teardown()
{
	local pid

	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
}

# start ARG...: a fake in the background; $pid and $port say where.
start()
{
	rm -f port
	"$NH_BUILD/t/tools/fake" --log=log --port-file=port "$@" 2>err 3>&- &
	pid=$!
	pids+=("$pid")
	for _ in $(seq 200); do
		[[ -e port ]] && break
		sleep 0.02
	done
	port=$(<port)
}

# The fake has come to its end, and with this status.
ends_with()
{
	local status=0

	wait "$pid" || status=$?
	[[ $status -eq $1 ]] || { echo "status $status"; cat err; return 1; }
}

# Sends its argument (escapes are meant), prints all that comes back.
send()
{
	printf '%b' "$1" | timeout 10 nc -N 127.0.0.1 "$port"
}

# python STATEMENTS: connect() gives a connection to the fake.
python()
{
	python3 - "$port" "$1" <<-'END'
	import socket, ssl, sys, time
	def connect(seconds=10):
	    return socket.create_connection(("127.0.0.1", int(sys.argv[1])),
	        seconds)
	exec(sys.argv[2])
	END
}

@test "a dialogue is played and logged" {
	start 0 'S:220 hi' L 'A:ehlo *' 'S:250 ok' L D 'S:250 taken' L 'S:221 bye'
	run send 'EHLO me\r\nDATA\r\nx\r\n..\r\n.y\r\n.\r\nQUIT\r\n'
	[ "$output" = $'220 hi\r\n250 ok\r\n250 taken\r\n221 bye\r' ]
	ends_with 0
	printf -- '--- connection 1\nEHLO me\r\nDATA\r\n' >want
	printf 'x\r\n..\r\n.y\r\n.\r\nQUIT\r\n' >>want
	cmp log want
}

@test "A: another line than wanted is a failure, told and logged" {
	start 0 L 'A:MAIL FROM:<*>' 'S:250 on we go'
	run send 'RCPT TO:<a@x.test>\r\n'
	[ "$output" = $'250 on we go\r' ]
	ends_with 3
	grep -x 'MISMATCH step 2: wanted MAIL FROM:<\*>, got RCPT TO:<a@x.test>' log
	grep MISMATCH err
}

@test "E: input that came too early is a failure" {
	start 0 'S:220 hi' L E 'S:250 ok'
	send 'EHLO me\r\nMAIL FROM:<>\r\n' >/dev/null
	ends_with 3
	grep -Fx 'EARLY step 3: 14 octets: MAIL FROM:<>\r\n' log
	grep EARLY err
}

@test "E: a patient client passes, also over TLS" {
	start 0 L E 'S:250 ok' L T E 'S:220 tls' L C
	python '
s = connect()
s.sendall(b"EHLO me\r\n")
s.recv(99)
s.sendall(b"STARTTLS\r\n")
t = ssl._create_unverified_context().wrap_socket(s)
assert t.recv(99) == b"220 tls\r\n"
t.sendall(b"EHLO again\r\n")
t.close()'
	ends_with 0
	tr -d '\r' <log >plain
	grep -x 'EHLO again' plain
	grep -x -- '--- tls TLSv1.3 sni=' plain
}

@test "E: also over TLS, early input is a failure" {
	start 0 T L E 'S:250 ok'
	python '
s = connect()
t = ssl._create_unverified_context().wrap_socket(s)
t.sendall(b"EHLO me\r\nMAIL FROM:<>\r\n")
t.recv(99)
t.close()'
	ends_with 3
}

@test "T: the client's name for us is logged, and that it gave up" {
	start 0 T + T
	python '
s = connect()
try:
    ssl.create_default_context().wrap_socket(s, server_hostname="mx.test")
    raise SystemExit("trusted a certificate that signed itself")
except ssl.SSLError:
    s.close()
s = connect()
c = ssl._create_unverified_context()
c.wrap_socket(s, server_hostname="mx.test").close()'
	ends_with 0
	grep -E '^--- tls failed: .*(certificate|ca|alert)' log
	grep -x -- '--- tls TLSv1.3 sni=mx.test' log
}

@test "T: with --cert and --key the client can trust us" {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout key.pem -out cert.pem -days 2 -subj /CN=mx.test \
		-addext subjectAltName=DNS:mx.test 2>/dev/null
	start --cert=cert.pem --key=key.pem 0 T 'S:220 hi'
	python '
s = connect()
c = ssl.create_default_context(cafile="cert.pem")
t = c.wrap_socket(s, server_hostname="mx.test")
assert t.recv(99) == b"220 hi\r\n"
t.close()'
	ends_with 0
}

@test "W, N: raw octets, and a line many times" {
	start 0 'W:a\r\n\0\xff\\' + 'N:20000:250-x'
	send '' >raw
	printf 'a\r\n\0\xff\\' | cmp raw -
	[ "$(send '' | grep -c '^250-x.$')" -eq 20000 ]
	ends_with 0
}

@test "G, B, M: so many lines, so many octets, a reply to each line" {
	start 0 G:2 'A:two' S:lines B:3 S:octets 'M:2:250 ok' S:done
	run send 'one\r\ntwo\r\nabcd\r\ne\r\n'
	[ "$output" = $'lines\r\noctets\r\n250 ok\r\n250 ok\r\ndone\r' ]
	ends_with 0
}

@test "H: a request with a length, and one in chunks" {
	local chunks='3\r\nabc\r\n1a;x\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nT: x\r\n'

	start 0 H S:one L A:next + H S:two L A:next
	send 'POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\na\r\n\r\nnext\r\n'
	send "PUT / HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n$chunks\r\nnext\r\n"
	ends_with 0
}

@test "Z, X, R, +: wait, close, reset, next connection" {
	start 0 Z:0.4 'S:220 one' X + 'S:220 two' L R + 'S:220 three'
	python '
s = connect()
start = time.monotonic()
assert s.recv(99) == b"220 one\r\n" and s.recv(99) == b""
assert 0.3 < time.monotonic() - start < 5
s = connect()
assert s.recv(99) == b"220 two\r\n"
s.sendall(b"QUIT\r\n")
try:
    s.recv(99)
    raise SystemExit("closed, not reset")
except ConnectionResetError:
    pass
s = connect()
assert s.recv(99) == b"220 three\r\n"
s.close()'
	ends_with 0
	[ "$(grep -c '^--- connection [123]$' log)" -eq 3 ]
}

@test "a client that leaves early is logged; the next one is served" {
	start 0 'S:220 hi' L 'S:250 ok' L 'S:not reached' + 'S:220 again' C
	send 'half a line' >/dev/null
	run send ''
	[ "$output" = $'220 again\r' ]
	ends_with 0
	printf -- '--- connection 1\nhalf a line\n--- eof\n--- connection 2\n' |
		cmp log -
}

@test "--each: many connections at once, until ended" {
	start --each 0 'S:220 hi' L 'A:EHLO *' Z:0.5 'S:250 ok'
	python '
start = time.monotonic()
c = [connect() for i in range(20)]
for i, s in enumerate(c):
    s.sendall(b"EHLO %d\r\n" % i)
for s in c:
    assert s.makefile("rb").read(16) == b"220 hi\r\n250 ok\r\n"
assert time.monotonic() - start < 5
for s in c:
    s.close()'
	[ "$(grep -c '^--- connection ' log)" -eq 20 ]
	[ "$(grep -c '^EHLO ' log)" -eq 20 ]
	send 'NOOP\r\n' >/dev/null
	kill "$pid"
	ends_with 3	# the NOOP
}

@test "--full: a connect hangs" {
	start --full 0
	run python '
connect(1.5)'
	[[ $output == *[Tt]imeout* || $output == *"timed out"* ]]
}

@test "--rcvbuf, P: a client cannot send on to one who does not read" {
	start --rcvbuf=4096 0 P:1 C
	python '
s = connect(0.5)
n = 0
try:
    while n < 50000000:
        n += s.send(b"x" * 65536)
except OSError:
    pass
assert n < 5000000, n'
}

@test "--unix and --listen: a socket file, IPv6" {
	start --unix=sock 'S:220 unix'
	run timeout 10 nc -U -N sock </dev/null
	[ "$output" = $'220 unix\r' ]
	ends_with 0
	[ ! -e sock ]
	start --listen=::1 0 'S:220 six'
	run timeout 10 nc -N ::1 "$port" </dev/null
	[ "$output" = $'220 six\r' ]
}

@test "--linger: one that was forgotten ends by itself" {
	start --linger=0.3 0 S:hi L
	ends_with 4
	grep -x -- '--- idle' log
	start --linger=0.3 --each 0 S:hi L
	ends_with 0
}

@test "bad usage has status 64" {
	run -64 "$NH_BUILD/t/tools/fake"
	run -64 "$NH_BUILD/t/tools/fake" --nothing 0 L
	run -64 "$NH_BUILD/t/tools/fake" 70000 L
	run -64 "$NH_BUILD/t/tools/fake" 0 Q
	run -64 "$NH_BUILD/t/tools/fake" 0 L:1
	run -64 "$NH_BUILD/t/tools/fake" 0 G:x
	run -64 "$NH_BUILD/t/tools/fake" 0 'W:\q'
	run -64 "$NH_BUILD/t/tools/fake" --each 0 L + L
}
