#!/usr/bin/env bats
# The sandbox: what agents cannot do, that they can do their work in it, and
# what becomes of it where the kernel lacks what it takes. All other tests run
# with it, too, and fail where it refuses a system call.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/dns
load lib/mx

setup()
{
	nh_setup
}

teardown()
{
	nh_teardown
}

LOCKED=(smtp-mx smtp-static lmtp http blackhole)

# ---- what is denied ----

# result PROGRAM ATTEMPT: what became of it.
result()
{
	awk -F'\t' -v p="$1" -v a="$2" '$1 == p && $2 == a { print $4 }' tsv
}

@test "nexthop sandbox-test: a table; all is denied that should be" {
	run "$NH_BUILD/bin/nexthop" sandbox-test
	echo "$output"
	[[ $status -eq 0 ]]
	[[ ${lines[0]} == *smtp-mx*smtp-static*blackhole* ]]
	[[ $output != *ALLOWED* && $output != *DENIED* ]]
	grep -qE '^read /etc/passwd +denied +denied ' <<<"$output"
}

@test "sandbox-test: files, programs, processes, sockets, one by one" {
	local program attempt

	"$NH_BUILD/bin/nexthop" sandbox-test --output=tsv >tsv
	for program in "${LOCKED[@]}"; do
		for attempt in 'read /etc/shadow' 'read /etc/passwd' 'list /' \
		    'make a file in its folder' 'run /bin/sh' \
		    'run a file in memory' 'become root' \
		    'listen on a TCP port' 'listen on TCP port 1001' \
		    'connect to an abstract socket' 'netlink socket' \
		    'packet socket' mount chroot io_uring bpf \
		    'gain rights by a program' 'signal a process by input' \
		    'raw IP socket' 'SCTP socket'; do
			[[ $(result "$program" "$attempt") == denied ]] ||
				{ echo "$program: $attempt"; return 1; }
		done
		[[ $(result "$program" 'write to a log socket') == allowed ]]
	done
	for program in smtp-mx smtp-static lmtp http; do
		[[ $(result "$program" 'connect by TCP') == allowed ]]
	done
	[[ $(result blackhole 'connect by TCP') == denied ]]
	if [[ $NH_BUILD != *asan* ]]; then
		for program in blackhole intake-lmtp metrics-http; do
			[[ $(result "$program" 'run a file it wrote') == denied ]]
		done
	fi
	[[ $(result lmtp 'connect to a UNIX socket') == allowed ]]
	[[ $(result smtp-static 'connect to a UNIX socket') == denied ]]
	for program in pipe custom; do
		[[ $(result "$program" 'run /bin/sh') == allowed ]]
		[[ $(result "$program" mount) == denied ]]
		[[ $(result "$program" 'gain rights by a program') == denied ]]
	done
}

@test "sandbox-test: JSON, programs by name, usage" {
	"$NH_BUILD/bin/nexthop" sandbox-test --output=json blackhole >json
	python3 -c '
import json, sys
rows = [json.loads(line) for line in open("json")]
assert len(rows) > 20, len(rows)
assert {r["program"] for r in rows} == {"blackhole"}
assert {r["result"] for r in rows} == {"denied", "allowed"}
assert [r for r in rows if r["attempt"] == "mount"][0]["expected"] == "denied"'
	run -64 "$NH_BUILD/bin/nexthop" sandbox-test nothing
	[[ $output == *'there is no program '*/nothing* ]]
	run -64 "$NH_BUILD/bin/nexthop" sandbox-test --form=tsv
}

@test "sandbox-test: what is not as it should be is in capitals, exit status 1" {
	mkdir -p bin libexec/nexthop
	cp "$NH_BUILD/bin/nexthop" bin/
	cat >libexec/nexthop/blackhole <<-'EOS'
	#!/bin/sh
	printf 'mount\tdenied\tallowed\t-\tallowed\n'
	printf 'bpf\tdenied\tdenied\tEPERM\tallowed\n'
	printf 'log\tallowed\tdenied\tEPERM\tallowed\n'
	printf 'reboot\tdenied\tdenied\tEPERM\tdenied\n'
	EOS
	chmod 755 libexec/nexthop/blackhole
	run -1 bin/nexthop sandbox-test
	grep -qE '^mount +ALLOWED' <<<"$output"
	grep -qE '^bpf +denied' <<<"$output"
	grep -qE '^log +DENIED' <<<"$output"
	grep -qE '^reboot +\(denied\)' <<<"$output"
	sed -i '/mount\|log/d' libexec/nexthop/blackhole
	run -0 bin/nexthop sandbox-test
	# One that cannot be tried is no success.
	echo 'exit 71' >>libexec/nexthop/blackhole
	run -1 bin/nexthop sandbox-test
}

# ---- the agents at work ----

# has_mode MODE PID...: no new privileges, and the mode of seccomp, of each.
has_mode()
{
	local mode=$1 pid

	shift
	for pid; do
		[[ $(awk '/^NoNewPrivs/ { print $2 }' "/proc/$pid/status") == 1 ]]
		[[ $(awk '/^Seccomp:/ { print $2 }' "/proc/$pid/status") == "$mode" ]]
	done
	[[ -n ${pid-} ]]
}

# is_caged RELAY MODE: has_mode, of its processes.
is_caged()
{
	# shellcheck disable=SC2046 # words
	has_mode "$2" $(nh_agent "$1")
}

@test "every agent is in its cage when the master has started it" {
	local name

	nh_conf <<-EOC
	[relay mx]
	type = mx
	resolver = 127.0.0.1:9
	[relay static]
	type = static
	host = 127.0.0.1
	processes = 2
	[relay lmtp]
	type = lmtp
	[relay http]
	type = http
	url = http://127.0.0.1:9/
	[relay bh]
	type = blackhole
	[relay pipe]
	type = pipe
	args = /bin/true
	[relay open]
	type = blackhole
	sandbox = no
	[intake in]
	listen = unix:$D/in.sock
	relay = bh
	EOC
	nh_start
	nh_until 30 nh_field_is in state ready
	for name in mx static lmtp http bh pipe; do
		is_caged "$name" 2 || { echo "$name"; return 1; }
	done
	is_caged open 0
	# shellcheck disable=SC2046 # words
	has_mode 2 $(pgrep -P "$MASTER" -x intake-lmtp)
	for name in bh pipe open; do
		nh submit --relay="$name" --from=s@x.test r@x.test <M
	done
}

@test "what a program is started with is in the cage, too; maildrop is in none" {
	cat >look <<-'EOS'
	#!/bin/sh
	cat >/dev/null
	grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status >"$1"
	EOS
	chmod 755 look
	chmod 777 .
	TYPE=pipe
	give 0 args="$D/look $D/a" -- s@x.test r@x.test
	[[ $(tr -d '\t\n' <a) == NoNewPrivs:1Seccomp:2 ]]
	give 0 args="$D/look $D/b" no_new_privs=no -- s@x.test r@x.test
	[[ $(tr -d '\t\n' <b) == NoNewPrivs:0Seccomp:0 ]]
	VIA=agent give 71 args=/bin/true no_new_privs=no sandbox=require -- \
		s@x.test r@x.test
	grep -q 'sandbox: required, but programs' log.agent
}

# secret FILE TEXT: one that the agent takes.
secret()
{
	(umask 077 && printf %s "$2" >"$1")
	[[ $UID -ne 0 ]] || chown nobody "$1"
}

# A password that is written anew by renaming, which a rule for the file alone
# would not outlast.
@test "a secret file is read again when another one takes its name" {
	mkdir etc
	secret etc/pw wrong
	asked=('S:220 x' L 'A:EHLO *' 'W:250-x\r\n250 AUTH CRAM-MD5\r\n' L
		'A:AUTH CRAM-MD5' 'S:334 PDE+' L)
	fake_start "${asked[@]}" 'S:535 no' "${BYE[@]}" + \
		"${asked[@]}" 'S:235 in' "${TAKE[@]}" "${BYE[@]}"
	nh_conf <<-EOC
	[relay r]
	type = static
	host = 127.0.0.1:$port
	idle_timeout = 0
	ehlo_as = x.test
	credentials.username = alice
	credentials.password_file = $D/etc/pw
	EOC
	nh_start
	run -75 nh submit --relay=r --from=s@x.test r@x.test <M
	secret etc/new right
	mv etc/new etc/pw
	nh submit --relay=r --from=s@x.test r@x.test <M
	nh_stop
	fake_well
	digest=$(printf '<1>' | openssl md5 -hmac right | sed 's/.* //')
	heard 1 "^$(printf 'alice %s' "$digest" | base64 -w0)\$"
}

@test "another hosts file where the agent cannot see it: a new process reads it" {
	mx_setup
	hosts=$(mktemp /tmp/nh-hosts.XXXXXX)
	chmod 644 "$hosts"
	sink_start
	echo '127.0.0.1 one.test' >"$hosts"
	nh_conf <<-EOC
	[relay mx]
	type = mx
	port = $port
	resolver = 127.0.0.1:9
	mta_sts = no
	hosts_file = $hosts
	ehlo_as = x.test
	EOC
	nh_start
	first=$(nh_agent mx)
	echo '127.0.0.1 two.test' >"$hosts.new"
	chmod 644 "$hosts.new"
	mv "$hosts.new" "$hosts"
	is_new() { local p; p=$(nh_agent mx); [[ -n $p && $p != "$first" ]]; }
	nh_until 40 is_new
	rm -f "$hosts"
	nh_logged "sandbox: $hosts is another file now"
	nh_logged 'exited with status 0; deliveries open: 0'
}

# ---- kernels that lack it ----

# lacking CALL... -- STATUS key=value...: a delivery to nowhere by the agent
# that the master starts where the kernel has no such call.
start_without()
{
	local calls=()

	while [[ $1 != -- ]]; do
		calls+=("$1")
		shift
	done
	shift
	{
		printf '[relay bh]\ntype = blackhole\n'
		printf '%s\n' "$@"
	} | nh_conf
	"$NH_ROOT/t/lib/without_calls.py" "${calls[@]}" -- \
		"$NH_BUILD/sbin/nexthop-master" -c "$CONF" --foreground \
		>>"$LOG" 2>&1 </dev/null 3>&- &
	MASTER=$!
	nh_until 30 nh_is_up
}

NO_SECCOMP=(seccomp prctl:22)

@test "a kernel without Landlock: a warning, and all the rest" {
	start_without landlock_create_ruleset --
	nh submit --relay=bh --from=s@x.test r@x.test <M
	nh_logged 'warning: sandbox: this kernel has no Landlock'
	run ! nh_logged 'no seccomp'
	is_caged bh 2
}

@test "a kernel without seccomp: a warning, and all the rest" {
	start_without "${NO_SECCOMP[@]}" --
	nh submit --relay=bh --from=s@x.test r@x.test <M
	nh_logged 'warning: sandbox: this kernel has no seccomp filters'
	run ! nh_logged 'no Landlock'
	is_caged bh 2		# the filter of without_calls.py
}

@test "by hand nobody is warned" {
	"$NH_ROOT/t/lib/without_calls.py" landlock_create_ruleset \
		"${NO_SECCOMP[@]}" -- "$NH_BUILD/libexec/nexthop/blackhole" \
		--from=s@x.test r@x.test <M >out 2>&1
	run ! grep sandbox out
}

@test "sandbox = require: the agent does not start without them" {
	local call

	for call in landlock_create_ruleset 'seccomp prctl:22'; do
		# shellcheck disable=SC2086 # words
		run -71 "$NH_ROOT/t/lib/without_calls.py" $call -- \
			"$NH_BUILD/libexec/nexthop/blackhole" \
			-o sandbox=require --from=s@x.test r@x.test <M
		[[ $output == *'sandbox: required, but this kernel has no '* ]]
	done
	start_without landlock_create_ruleset -- 'sandbox = require' || :
	nh_until 30 nh_logged 'sandbox: required, but this kernel has no Landlock'
}

@test "an unknown word for sandbox is a fault of the configuration" {
	printf '[relay bh]\ntype = blackhole\nsandbox = maybe\n' | nh_conf
	run -78 nh check
	[[ $output == *'sandbox'*maybe* ]]
}
