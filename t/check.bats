#!/usr/bin/env bats
# nexthop check: settings that are legal but dangerous.

# shellcheck disable=SC2016,SC2154 # a shell's words, and what bats sets
load lib/nexthop

setup()
{
	nh_setup
	# As agents of root's master can read it, and nobody else.
	echo secret >password
	chmod 400 password
	[[ $(id -u) -ne 0 ]] || chown nobody password
	login=("${static[@]}" 'credentials.username = u'
		"credentials.password_file = $D/password")
}

teardown()
{
	nh_teardown
}

# check LINE...: of a configuration with these lines; its lines in $output
# without path and "warning".
check()
{
	printf '%s\n' "$@" >c.conf
	chmod "${MODE:-640}" c.conf
	nh check >out 2>err && status=0 || status=$?
	output=$(sed -n "s,^$CONF:\(\([0-9]*\):\)\{0\,1\} warning: ,\2 ,p" err)
	[[ $status -eq 0 ]] || { cat out err; return 1; }
}

# warns LINE SECTION KEY [WORDS]: of that option, and of nothing else.
warns()
{
	echo "$output"
	[[ $output == "$1 [$2] $3: "*"${4:-}"* && $output != *$'\n'* ]]
}

silent()
{
	echo "$output"
	[[ -z $output ]]
}

hole=('[relay x]' 'type = blackhole')
static=('[relay x]' 'type = static' 'host = mail.example.net')
pipe=('[relay x]' 'type = pipe')

@test "the samples have nothing that is dangerous" {
	chmod 644 "$NH_BUILD/etc/nexthop.conf"
	run "$NH_BUILD/bin/nexthop" -c "$NH_BUILD/etc/nexthop.conf" check --strict
	[[ $status -eq 0 && $output != *warning:\ \[* ]]
	sed '/^user = nexthop/d' "$NH_ROOT/contrib/debian/nexthop.conf" >c.conf
	run nh check --strict
	[[ $status -eq 0 && $output != *warning:\ \[* ]]
}

@test "check succeeds with warnings and counts them; --strict fails with 78" {
	printf '%s\n' '[master]' 'log_level = debug' 'stop_timeout = 1s' \
		"${hole[@]}" >c.conf
	run --separate-stderr nh check
	[[ $status -eq 0 && $output == "$CONF: ok, 1 relay, 2 warnings" ]]
	[[ ${stderr_lines[0]} == "$CONF:2: warning: [master] log_level: "* ]]
	[[ ${stderr_lines[1]} == "$CONF:3: warning: [master] stop_timeout: "* ]]
	run --separate-stderr nh check --strict
	[[ $status -eq 78 && ${#stderr_lines[@]} -eq 2 ]]
	[[ $output == "$CONF: 1 relay, 2 warnings" ]]
	run nh check --stric
	[[ $status -eq 64 ]]
	run nh check --strict more
	[[ $status -eq 64 ]]
}

@test "a fault is told alone" {
	printf '%s\n' '[master]' 'log_level = debug' '[relay x]' \
		'type = static' >c.conf
	run nh check
	[[ $status -eq 78 && $output != *warning:\ \[* ]]
}

@test "sockets that everybody may use" {
	check '[master]' 'socket_mode = 0666' "${hole[@]}"
	warns 2 master socket_mode 'send as anybody'
	check '[master]' 'control_mode = 0602' "${hole[@]}"
	warns 2 master control_mode
	check '[master]' 'socket_mode = 0660' 'socket_group = mail' \
		'control_mode = 0660' "${hole[@]}"
	silent
}

@test "folders that are missing, and a log file that is none" {
	local i keys=(socket control pid_file)

	check '[master]' 'log = file' "log_file = $D/none/log" "${hole[@]}"
	warns 3 master log_file 'cannot start'
	[[ ! -e $D/none ]]
	mkfifo fifo
	check '[master]' 'log = file' "log_file = $D/fifo" "${hole[@]}"
	warns 3 master log_file 'is no file'
	for i in "${keys[@]}"; do
		check '[master]' "$i = $D/none/more/x" "${hole[@]}"
		warns 2 master "$i" 'cannot start'
	done
	# One level of a socket's is made.
	check '[master]' "socket = $D/none/x" "control = $D/none/y" \
		"pid_file = $D/pid" 'log = file' "log_file = $D/log.m" \
		"${hole[@]}"
	silent
}

@test "a log file that everybody may read, or write" {
	local log=('[master]' 'log = file' "log_file = $D/mail.log")

	check "${log[@]}" 'log_file_mode = 0644' "${hole[@]}"
	warns 4 master log_file_mode 'can read'
	check "${log[@]}" 'log_file_mode = 0602' "${hole[@]}"
	warns 4 master log_file_mode 'may change'
	check "${log[@]}" 'log_file_mode = 0640' "${hole[@]}"
	silent
	check '[master]' 'log_file_mode = 0644' "${hole[@]}"
	silent
}

@test "a password that everybody can read in the file" {
	local lines=("${static[@]}" 'tls_mode = verify'
		'credentials.username = u' 'credentials.password = p')

	MODE=644 check "${lines[@]}"
	warns 6 'relay x' credentials.password 'chmod o='
	MODE=640 check "${lines[@]}"
	silent
	MODE=644 check "${login[@]}" 'tls_mode = verify'
	silent
}

@test "a file, a program or a folder of agents that others can change" {
	MODE=646 check "${hole[@]}"
	warns '' master user 'everybody can write'
	cp "$NH_ROOT/contrib/agent-template/agent.py" a.py
	chmod 777 a.py
	check '[relay x]' 'type = custom' "exec = $D/a.py"
	warns 3 'relay x' exec "$D/a.py"
	chmod 755 a.py
	check '[relay x]' 'type = custom' "exec = $D/a.py"
	silent
	mkdir agents
	cp "$NH_BUILD/libexec/nexthop/blackhole" agents/
	chmod 777 agents
	check '[master]' "agents = $D/agents" "${hole[@]}"
	warns 2 master agents
}

@test "agents that are root, or nearly" {
	[[ $(id -u) -eq 0 ]] || skip "only root gives agents a user"
	check '[master]' 'user = root' "${hole[@]}"
	[[ $output == "2 [master] user: "* ]]
	check "${hole[@]}" 'user = root'
	warns 3 'relay x' user root
	check "${hole[@]}" 'user = nobody' 'group = shadow'
	[[ $output == "3 [relay x] user: "*shadow* ]]
	check "${hole[@]}" 'user = nobody'
	silent
}

@test "logins where the server is not verified" {
	check "${login[@]}"
	warns 4 'relay x' credentials.username 'mail.example.net'
	check "${login[@]}" 'tls_mode = require'
	warns 4 'relay x' credentials.username 'tls_mode = verify'
	check "${login[@]}" 'tls_mode = none'
	warns 6 'relay x' tls_mode
	check "${login[@]}" 'tls_mode = verify'
	silent
	check "${login[@]}" 'tls = yes'
	silent
	check "${login[@]/mail.example.net/127.0.0.1}"
	silent
	check "${login[@]/mail.example.net/[::1]:25, localhost}"
	silent
	check "${login[@]/mail.example.net/localhost, 192.0.2.1}"
	warns 4 'relay x' credentials.username 192.0.2.1
	check "${login[@]}" 'tls = yes' 'auth_failure = permanent'
	warns 7 'relay x' auth_failure
	check "${login[@]}" 'tls = yes' 'auth-retry-delay = 0'
	warns 7 'relay x' auth_retry_delay
}

@test "TLS that is weak" {
	check "${static[@]}" 'tls_mode = verify' 'tls.ciphers = HIGH:eNULL:RC4'
	[[ $output == "5 [relay x] tls.ciphers: eNULL "*$'\n'"5 [relay x] tls.ciphers: RC4 "* ]]
	check "${static[@]}" 'tls_mode = verify' 'tls.ciphers = HIGH:!aNULL:-RC4'
	silent
	check "${static[@]}" 'tls_mode = verify' \
		'tls.ciphers = DEFAULT@SECLEVEL=0'
	warns 5 'relay x' tls.ciphers
	check "${static[@]}" 'tls.cert_reqs = CERT_NONE'
	warns 4 'relay x' tls.cert_reqs 'tls_mode = require'
	check "${static[@]}" 'tls.cert_reqs = CERT_NONE' 'tls_mode = require'
	silent
	check '[relay x]' 'type = mx' 'tls_mode = none'
	warns 3 'relay x' tls_mode
	check '[relay x]' 'type = mx' 'resolver = 127.0.0.1, 192.0.2.1' \
		'resolver_trusted = yes'
	warns 4 'relay x' resolver_trusted 192.0.2.1
	check '[relay x]' 'type = mx' 'resolver = 127.0.0.1:53, [::1]:53' \
		'resolver_trusted = yes'
	silent
}

@test "waits and limits that do not fit" {
	check "${static[@]}" 'data_timeout = 59s'
	warns 4 'relay x' data_timeout 'ten minutes'
	check "${static[@]}" 'data_timeout = 60s' 'command_timeout = 10s'
	silent
	check "${static[@]}" 'command_timeout = 9s'
	warns 4 'relay x' command_timeout
	check "${hole[@]}" 'processes = 64'
	if [[ $(nproc --all) -ge 64 ]]; then silent
	else warns 3 'relay x' processes; fi
	ulimit -n 300
	check "${static[@]}" 'concurrent_connections = 300'
	warns 4 'relay x' concurrent_connections 300
	check "${static[@]}" 'concurrent_connections = 100'
	silent
}

@test "programs: macros for a shell, umask, rights" {
	check "${pipe[@]}" 'args = /bin/sh -c "cat >{user}"'
	warns 3 'relay x' args 'run commands'
	check "${pipe[@]}" 'args = env A=b bash -ec "cat >{user}"'
	warns 3 'relay x' args
	check "${pipe[@]}" 'args = sh -c '\''cat >"$1"'\'' sh {user}'
	silent
	check "${pipe[@]}" 'args = /bin/cat {user}' 'umask = 0'
	warns 4 'relay x' umask
	check "${pipe[@]}" 'args = /bin/cat' 'no_new_privs = no'
	warns 4 'relay x' no_new_privs
	check '[relay x]' 'type = maildrop' 'path = /bin/cat'
	silent
}

@test "web servers: passwords in clear text, anybody's certificate, any target" {
	local web=('[relay x]' 'type = http')
	local user=('credentials.username = u' 'credentials.password = p')

	check "${web[@]}" 'url = http://192.0.2.1/' "${user[@]}" \
		'credentials.allow_cleartext = yes'
	warns 6 'relay x' credentials.allow_cleartext
	check "${web[@]}" 'url = http://127.0.0.1/' "${user[@]}"
	silent
	check "${web[@]}" 'url = https://192.0.2.1/' 'tls_mode = require'
	warns 4 'relay x' tls_mode
	check "${web[@]}" 'url = https://192.0.2.1/'
	silent
	check "${web[@]}" 'url = https://192.0.2.1/' '[master]' \
		'socket_group = mail'
	warns 1 'relay x' target_allow
	check "${web[@]}" 'url = https://192.0.2.1/' 'target_allow = 192.0.2.1' \
		'[master]' 'socket_group = mail'
	silent
}

@test "doors that other machines reach, or everybody here" {
	local intake=("${static[@]}" '[intake in]' 'relay = x')

	check "${intake[@]}" 'listen = inet:192.0.2.1:24'
	warns 6 'intake in' listen 'inet:192.0.2.1:24 '
	check "${intake[@]}" 'listen = inet:0.0.0.0:24'
	warns 6 'intake in' listen
	check "${intake[@]}" 'listen = inet:[::]:24'
	warns 6 'intake in' listen
	check "${intake[@]}" "listen = unix:$D/l, inet:127.0.0.1:24, inet:[::1]:24"
	silent
	check "${intake[@]}" "listen = unix:$D/l, inet:127.0.0.1:24," \
		'   inet:[2001:db8::1]:24'
	warns 6 'intake in' listen 2001:db8::1
	check "${intake[@]}" "listen = unix:$D/l" 'listen_mode = 0666'
	warns 7 'intake in' listen_mode listen_group
	check "${intake[@]}" "listen = unix:$D/l" 'listen_mode = 0660'
	silent
	check "${intake[@]}" "listen = unix:$D/l" \
		'xclient_hosts = loopback, 0.0.0.0/0'
	warns 7 'intake in' xclient_hosts
	check "${intake[@]}" "listen = unix:$D/l" \
		'xclient_hosts = 10.0.0.0/8, loopback'
	silent
	check "${static[@]}" '[metrics]' 'listen = inet:0.0.0.0:9735'
	warns 5 metrics listen
	check "${static[@]}" '[metrics]' 'listen = inet:127.0.0.1:9735'
	silent
}

@test "an intake that feeds a relay which forgets" {
	check "${hole[@]}" '[intake in]' "listen = unix:$D/l" 'relay = x'
	warns 5 'intake in' relay
	check "${static[@]}" '[relay y]' 'type = blackhole' '[intake in]' \
		"listen = unix:$D/l" 'relay = x' 'relay.example.com = y'
	warns 9 'intake in' relay.example.com 'relay y'
	check "${static[@]}" '[relay y]' 'type = blackhole' '[intake in]' \
		"listen = unix:$D/l" 'relay = x'
	silent
}

@test "a cage that is open, and a log of everything" {
	check "${static[@]}" 'sandbox = no'
	warns 4 'relay x' sandbox
	check "${static[@]}" 'sandbox = log'
	warns 4 'relay x' sandbox 'search of a fault'
	check "${static[@]}" 'sandbox = require'
	silent
	check "${static[@]}" '[intake in]' 'relay = x' "listen = unix:$D/l" \
		'sandbox = no'
	warns 7 'intake in' sandbox
	check "${static[@]}" '[metrics]' 'listen = inet:127.0.0.1:9735' \
		'sandbox = no'
	warns 6 metrics sandbox
	check "${static[@]}" 'transcript = on'
	warns 4 'relay x' transcript
	check "${static[@]}" 'transcript = off'
	silent
}

@test "each agent tells by itself too, on its channel" {
	printf '%s\n' "${static[@]}" 'data_timeout = 1s' >c.conf
	python3 - "$NH_BUILD/libexec/nexthop/smtp-static" <<-'END'
	import os, socket, struct, sys
	ours, theirs = socket.socketpair()
	pid = os.fork()
	if pid == 0:
	    os.dup2(theirs.fileno(), 3)
	    os.set_inheritable(3, True)
	    os.environ['NEXTHOP_CHANNEL'] = '3'
	    os.execv(sys.argv[1], sys.argv[1:2])
	theirs.close()
	def attr(tag, data):
	    return struct.pack('!HI', tag, len(data)) + data
	body = b''.join([attr(5, b'x'), attr(6, b'host'), attr(7, b'h.test'),
	    attr(6, b'data_timeout'), attr(7, b'1s'), attr(8, b'')])
	ours.sendall(struct.pack('!IBBHQ', 16 + len(body), 1, 2, 0, 0) + body)
	got = b''
	while True:
	    some = ours.recv(65536)
	    if not some:
	        break
	    got += some
	warnings, at = [], 0
	while at < len(got):
	    length, version, kind = struct.unpack('!IBB', got[at:at + 6])
	    frame, i = got[at + 16:at + length], 0
	    at += length
	    while i < len(frame):
	        tag, n = struct.unpack('!HI', frame[i:i + 6])
	        if kind == 3 and tag == 13:
	            warnings.append(frame[i + 6:i + 6 + n].decode())
	        i += 6 + n
	os.waitpid(pid, 0)
	assert len(warnings) == 1 and warnings[0].startswith('data_timeout: '), warnings
	END
}
