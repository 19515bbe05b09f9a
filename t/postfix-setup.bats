#!/usr/bin/env bats
# nexthop postfix-setup and postfix-check, with a Postfix of their own; and the
# plain way in, pipe(8) running an agent.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/postfix

setup()
{
	nh_setup
	pf_layout
	inport=$(nh_free_port)
}

teardown()
{
	pf_teardown
}

setup_service()
{
	"$NH_BUILD/bin/nexthop" postfix-setup --config-dir="$PF" "$@"
}

check_services()
{
	"$NH_BUILD/bin/nexthop" postfix-check --config-dir="$PF" "$@"
}

# ---- setup ----

@test "postfix-setup prints lines and changes nothing" {
	pf_conf
	cp -r "$PF" "$D/before"
	run -0 setup_service --concurrency=300 web lmtp -o host=unix:/x -o 'ehlo_as=a b'
	[[ ${lines[1]} == "web unix - - n - 1 $AGENTS/lmtp -o concurrent_connections=300 -o host=unix:/x -o { ehlo_as=a b }" ]]
	[[ $output == *'web_destination_concurrency_limit = 300'* ]]
	[[ $output == *'web_initial_destination_concurrency = 300'* ]]
	[[ $output == *'web_destination_recipient_limit = 50'* ]]
	run -0 setup_service web static -o concurrent_connections=7
	[[ ${lines[1]} == *'/smtp-static -o concurrent_connections=7' ]]
	diff -r "$PF" "$D/before"
}

@test "postfix-setup --apply makes a service that delivers, --undo takes it back" {
	pf_conf 'default_transport = hole:'
	postconf -c "$PF" -M >"$D/master.before"
	postconf -c "$PF" -n >"$D/main.before"
	run -0 setup_service --apply hole blackhole -o 'delay = 1ms'
	run -0 setup_service --apply hole blackhole -o 'delay = 2ms'
	grep -F 'hole_destination_concurrency_limit = 100' "$PF/main.cf"
	pf_up
	pf_send b@b.test <"$D/M"
	pf_logged 1 'postfix/blackhole.*status=sent'
	pf_empty
	pf_calm 'symlink'
	# The tree under test need not belong to root.
	run check_services hole
	[[ $output == '1 service, no fault' || $output == *'others than root'* ]]
	run -0 setup_service --undo hole
	[[ $(postconf -c "$PF" -M) == "$(<"$D/master.before")" ]]
	[[ $(postconf -c "$PF" -n) == "$(<"$D/main.before")" ]]
	run ! grep hole_ "$PF/main.cf"
	run -0 setup_service --undo hole
}

@test "postfix-setup leaves another's service alone, and says what is wrong" {
	pf_conf
	run -78 setup_service --apply smtp blackhole
	[[ $output == *'a service smtp that is not nexthop'* ]]
	run -78 setup_service --undo smtp
	[[ $(postconf -c "$PF" -M smtp/unix) == *smtp ]]
	run -64 setup_service x nothing
	[[ $output == *'no type of relay'* ]]
	run -64 setup_service 'a b' blackhole
	run -64 setup_service x blackhole -o novalue
	run -64 setup_service --apply --undo x blackhole
	run -64 setup_service x
}

# ---- check ----

# wrong LINE PATTERN: a service with this line has such a fault.
wrong()
{
	echo "$1" >>"$PF/master.cf"
	run -78 check_services "${1%% *}"
	[[ $output == *$2* ]] || { echo "$output"; return 1; }
}

@test "postfix-check names the usual mistakes" {
	pf_conf 'f_destination_recipient_limit = 1'
	run -78 check_services
	[[ $output == *'no service is an agent of nexthop'* ]]
	wrong "a unix - - n - 1 $NH_BUILD/libexec/nexthop/blackhole" 'absolute path'
	wrong 'b unix - - n - 1 ../../nexthop/blackhole' 'does not exist'
	wrong "c unix - - n - - $AGENTS/blackhole" 'maxproc is -'
	wrong "d unix - - y - 1 $AGENTS/blackhole" 'resolv.conf is missing'
	wrong "e unix n - n - 1 $AGENTS/blackhole" 'private is n'
	wrong "f unix - - n - 1 $AGENTS/blackhole" 'recipient_limit is 1'
	mkdir "$D/nexthop"
	cp "$NH_BUILD/libexec/nexthop/blackhole" "$D/nexthop"
	chmod 777 "$D/nexthop/blackhole"
	wrong "g unix - - n - 1 $(realpath --relative-to=/usr/lib/postfix/sbin "$D")/nexthop/blackhole" 'others than root can write'
	chmod 644 "$D/nexthop/blackhole"
	run -78 check_services g
	[[ $output == *'cannot be executed'* ]]
	chmod 755 "$D/nexthop/blackhole"
	run -0 check_services g
	[[ $output == '1 service, no fault' ]]
	run -78 check_services nobody
	sed -i '$d' "$PF/master.cf"
	wrong "h unix - - n - 1 $(realpath --relative-to=/usr/lib/postfix/sbin "$D")/nexthop/blackhole -o { delay = never } -o windw=3" 'h: master.cf: delay: "never"'
	wrong "i unix - - n - 1 $(realpath --relative-to=/usr/lib/postfix/sbin "$D")/nexthop/blackhole -o windw=3" 'windw: unknown option'
}

@test "postfix-check warns of what is legal but dangerous, and succeeds" {
	pf_conf
	mkdir "$D/nexthop"
	cp "$NH_BUILD/libexec/nexthop/smtp-static" "$D/nexthop"
	echo "w unix - - n - 1 $(realpath --relative-to=/usr/lib/postfix/sbin "$D")/nexthop/smtp-static -o data_timeout=1s -o credentials.username=u -o credentials.password=p" >>"$PF/master.cf"
	run -0 check_services w
	[[ ${#lines[@]} -eq 3 && ${lines[2]} == '1 service, no fault' ]]
	[[ ${lines[0]} == 'w: warning: data_timeout: '* ]]
	[[ ${lines[1]} == 'w: warning: credentials.username: '*'the next hop'* ]]
}

# ---- pipe(8) ----

# piped OPTION...: smtp-static run by pipe(8), as "out".
piped()
{
	host_start
	PF_SERVICES=("out unix - n n - 5 pipe flags=q user=nobody null_sender= argv=$NH_BUILD/libexec/nexthop/smtp-static -o host=127.0.0.1:$port -o ehlo_as=client.test --from=\${sender} -- \${recipient}")
	pf_start 'default_transport = out:' 'out_destination_recipient_limit = 1' \
		'minimal_backoff_time = 1000s'
}

@test "pipe(8) runs an agent: exit status and text become the DSN" {
	piped
	pf_send ok@b.test defer@b.test bounce@b.test <"$D/M"
	pf_logged 1 'postfix/pipe.*to=<ok@b.test>, relay=out, .*dsn=2.0.0, status=sent'
	pf_logged 1 'to=<defer@b.test>.*dsn=4.2.1, status=deferred \(.*mailbox is busy'
	pf_logged 1 'to=<bounce@b.test>.*dsn=5.1.1, status=bounced \(.*no such user'
	pf_kept_is 1
	pf_kept | grep -F 'Status: 5.1.1'
	nh_until 10 pf_queue_is 1
	took_mail 1 ok
}

@test "pipe(8) runs nexthop submit: the master's relay delivers" {
	host_start
	nh_conf 'socket_mode = 0666' <<-EOC
	[relay out]
	type = static
	host = 127.0.0.1:$port
	ehlo_as = client.test
	EOC
	nh_start
	PF_SERVICES=("out unix - n n - 5 pipe flags=q user=nobody null_sender= argv=$NH_BUILD/bin/nexthop submit --socket=$SOCKET --relay=out --from=\${sender} -- \${recipient}")
	pf_start 'default_transport = out:' 'out_destination_recipient_limit = 1' \
		'minimal_backoff_time = 1000s'
	pf_send ok@b.test bounce@b.test <"$D/M"
	pf_logged 1 'postfix/pipe.*to=<ok@b.test>, relay=out, .*dsn=2.0.0, status=sent'
	pf_logged 1 'to=<bounce@b.test>.*dsn=5.1.1, status=bounced \(.*no such user'
	pf_kept_is 1
	pf_empty
	nh_stop
	pf_send ok@b.test <"$D/M"
	pf_logged 1 'to=<ok@b.test>.*status=deferred'
	pf_queue_is 1
}
