#!/usr/bin/env bats
# custom: agents that a factory in a shared object makes, and both examples of
# contrib/agent-template as intermediate relays. More about FORWARD is in
# forward.bats, about programs that lie in master.bats.

# shellcheck disable=SC2030,SC2031 # each test has a shell of its own
# shellcheck disable=SC2154 # port is set by the helpers

load lib/nexthop

setup()
{
	nh_setup
	AGENT=$NH_ROOT/contrib/agent-template/agent.py
	CUSTOM=$NH_BUILD/libexec/nexthop/custom
}

teardown()
{
	nh_teardown
}

# build NAME [SED-SCRIPT]: the template as $D/NAME.so, changed.
build()
{
	sed -e "${2:-}" "$NH_ROOT/contrib/agent-template/intermediate.c" >"$1.c"
	"${CC:-cc}" -shared -fPIC -Wall -Wextra -Werror \
		-iquote "$NH_ROOT/common" -o "$1.so" "$1.c"
}

by_hand()
{
	"$CUSTOM" "$@" --output=tsv --from=s@x.test r@x.test <"$D/M" \
		2>>"$D/err.custom"
}

submit()
{
	nh submit --relay=front --output=tsv --from=s@x.test "$@" <"$D/M"
}

# front exec|so [LINE...] <RELAYS: the relay "front" that forwards to "out".
front()
{
	local how=$1

	shift
	nh_conf "${MASTER_LINES[@]}" <<-EOC
	[relay front]
	type = custom
	$(if [[ $how == so ]]; then
		echo "factory = $D/im.so:make"
	else
		echo "exec = $AGENT"
	fi)
	relay = out
	$(printf '%s\n' "$@")
	$(cat)
	EOC
}

# ---- factories ----

@test "R-CU-01 factory: all options as one argument, two agents by one of them" {
	build im
	run -0 by_hand -o factory=./im.so:make -o foo=bar -o some-name='a b'
	[[ $output == *$'\tdelivered\t250\t2.0.0\ttype=custom factory=./im.so:make foo=bar some-name=a b\t'* ]]
	# Without foo it is the other one, which cannot do its work alone.
	run -75 by_hand -o factory=./im.so:make -o relay=out
	[[ $output == *$'\ttransient\t451\t4.3.5\tcannot forward to relay out: that takes nexthop-master\t'* ]]
	front so 'foo = bar' 'tls.ca = x' 'processes = 2' 'timeout = 9' <<-EOC
	[relay other]
	type = custom
	factory = $D/im.so:make
	relay = bh
	[relay bh]
	type = blackhole
	EOC
	nh_start
	run -0 submit a@x.test
	[[ $output == *"type=custom factory=$D/im.so:make relay=out foo=bar tls.ca=x"$'\t'* ]]
	run -0 nh submit --relay=other --output=tsv a@x.test <M
	[[ $output == *'Message Delivered'* ]]
}

@test "R-CU-01 factory: the effective options are shown under their own names" {
	build im
	front so 'foo = bar' 'login_password = geheim' <<-EOC
	EOC
	run -0 nh config
	grep -qx 'foo = bar' <<<"$output"
	grep -qx "factory = $D/im.so:make" <<<"$output"
	grep -qx 'timeout = 1000s' <<<"$output"
	[[ $(grep -c 'foo' <<<"$output") -eq 1 ]]
}

@test "R-CU-02 factory: file, symbol and ABI are checked, and named" {
	build im
	build none 's/^FACTORY_ABI;//'
	build old 's/^FACTORY_ABI;/const struct factory_abi nexthop_factory_abi = { 99, 0, 0, 0, 0 };/'
	build grown 's/^FACTORY_ABI;/const struct factory_abi nexthop_factory_abi = { 1, 0, 0, 0, 0 };/'
	build nil 's/return &intermediate_ops/return options == NULL ? \&intermediate_ops : NULL/'
	echo text >text.so
	mkdir dir.so
	for row in 'gone.so:make|gone.so: No such file' \
	    'dir.so:make|is no file' 'text.so:make|text.so: ' \
	    'im.so:mak|im.so has no symbol mak' \
	    'none.so:make|FACTORY_ABI is missing' \
	    'old.so:make|is made for ABI version 99, this is 1' \
	    'grown.so:make|compiled with headers of another nexthop' \
	    'nil.so:make|nil.so:make made no agent'; do
		run -78 --separate-stderr "$CUSTOM" -o "factory=$D/${row%%|*}" \
			-o relay=x r@x.test <M
		[[ $stderr == 'custom: factory: '*"${row#*|}"* ]]
		nh_conf <<-EOC
		[relay front]
		type = custom
		# a comment
		factory = $D/${row%%|*}
		relay = x
		EOC
		run -78 nh check
		echo "$output"
		[[ $output == "$CONF:7: [relay front] factory: "*"${row#*|}"* ]]
		run -78 "$NH_BUILD/sbin/nexthop-master" -c "$CONF" --foreground
		[[ $output == *'[relay front] factory: '*"${row#*|}"* ]]
	done
}

@test "R-CU-02 factory: no FILE:SYMBOL, relative, beside exec, none" {
	for row in 'im.so:make|with a / in FILE' './im.so|FILE:SYMBOL' \
	    'pkg.mod.sym|FILE:SYMBOL' '|FILE:SYMBOL'; do
		run -78 --separate-stderr "$CUSTOM" -o "factory=${row%%|*}" \
			r@x.test <M
		[[ $stderr == *'factory: '*"${row#*|}"* ]]
	done
	run -78 --separate-stderr "$CUSTOM" -o foo=bar r@x.test <M
	[[ $stderr == *'factory: required, but not given'* ]]
	nh_conf <<-EOC
	[relay a]
	type = custom
	factory = im.so:make
	[relay b]
	type = custom
	exec = $AGENT
	factory = $D/im.so:make
	[relay c]
	type = custom
	exec = $AGENT
	timeout = never
	EOC
	run -78 nh check
	[[ $output == *':6: [relay a] factory: must be an absolute path'* ]]
	[[ $output == *':10: [relay b] factory: excludes exec'* ]]
	[[ $output == *':14: [relay c] timeout: "never" is not a time'* ]]
}

@test "R-CU-02 factory: what it refuses is told with the line of the option" {
	build im
	run -78 --separate-stderr "$CUSTOM" -o "factory=$D/im.so:make" \
		-o relay=x -o rejcet=1 r@x.test <M
	[[ $stderr == 'custom: rejcet: unknown option' ]]
	front so 'rejcet = 1' <<<''
	run -78 nh check
	[[ $output == "$CONF:8: [relay front] rejcet: unknown option" ]]
}

@test "R-CU-01 factory: compiled by pkg-config against an installed tree" {
	command -v pkg-config >/dev/null || skip 'no pkg-config'
	# What is built stays as it is: other tests run it.
	make -s -C "$NH_ROOT" install AS_BUILT=1 BUILD="$NH_BUILD" \
		PREFIX=/usr DESTDIR="$D/root" >/dev/null
	export PKG_CONFIG_PATH=$D/root/usr/share/pkgconfig
	flags=$(pkg-config --define-prefix --cflags nexthop-agent)
	[[ $flags == *"$D/root/usr/include/nexthop"* ]]
	# shellcheck disable=SC2086 # flags are words
	"${CC:-cc}" -shared -fPIC $flags -o im.so \
		"$NH_ROOT/contrib/agent-template/intermediate.c"
	run -0 by_hand -o factory=./im.so:make -o foo=bar
}

@test "R-CU-03 factory: one that crashes harms its own deliveries only" {
	build im 's/im->forwarded += d->env.nrcpt;/abort();/'
	front so <<-EOC
	[relay out]
	type = blackhole
	EOC
	nh_start
	run -75 submit a@x.test b@x.test
	[[ ${#lines[@]} -eq 2 ]]
	[[ ${lines[1]} == b@x.test$'\ttransient\t451\t4.3.0\tdelivery agent ended by signal 6 (Aborted)\t'* ]]
	nh submit --relay=out a@x.test <M
	nh_until 5 nh_field_is front state ready
	nh_stop
	# Already when it is loaded: that is a fault of the configuration.
	build im 's/^FACTORY_ABI;/&__attribute__((constructor)) static void boom(void) { abort(); }/'
	run -78 nh check
	[[ $output == *'[relay front] agent '*'/custom ended by signal 6 (Aborted)'* ]]
}

# ---- the intermediate relay ----

# Both examples: a look at the header, then on to another relay and its host.
intermediate()
{
	build im
	sink_start -M "$D/mail" -n 3
	for how in so exec; do
		front "$how" 'reject = x-spam-flag: yes' <<-EOC
		[relay out]
		type = static
		host = 127.0.0.1
		port = $port
		ehlo_as = out.test
		EOC
		nh_start
		run -0 submit --id="id-$how" a@x.test b@x.test
		[[ ${lines[0]} == a@x.test$'\tdelivered\t250\t'*$'\t127.0.0.1\t'"$port"* ]]
		[[ ${lines[1]} == b@x.test$'\tdelivered\t250\t'* ]]
		printf 'X-Spam-Flag: YES\n\nbody\n' >spam
		run -69 nh submit --relay=front --output=tsv a@x.test <spam
		[[ $output == *$'\tpermanent\t550\t5.7.1\tnot this message'* ]]
		nh_field_is front forwarded 2
		nh_field_is front permanent 1
		nh_field_is front delivered 0
		nh_field_is out delivered 2
		run -0 nh status --output=json
		[[ $output == *'"forwarded":2'* ]]
		nh_logged "id-$how: to=<a@x.test> .*status=(forwarded|sent)"
		nh_stop
	done
}

@test "intermediate relay: C and Python look at a message and hand it on" {
	mkdir mail
	chmod 777 mail
	intermediate
}

@test "intermediate relay: recipients to different relays, answers in place" {
	build im
	front so 'home_domain = home.test' 'home_relay = inbox' <<-EOC
	[relay out]
	type = blackhole
	[relay inbox]
	type = custom
	exec = $AGENT
	answer = permanent
	EOC
	nh_start
	run -75 nh submit --relay=gone a@x.test <M
	run -69 submit a@x.test b@home.test c@x.test d@HOME.test b@home.test
	[[ ${lines[0]} == a@x.test$'\tdelivered\t'* ]]
	[[ ${lines[1]} == b@home.test$'\tpermanent\t550\t5.7.1\tnot here'* ]]
	[[ ${lines[2]} == c@x.test$'\tdelivered\t'* ]]
	[[ ${lines[3]} == d@HOME.test$'\tpermanent\t'* ]]
	[[ ${lines[4]} == b@home.test$'\tpermanent\t'* ]]
	[[ ${#lines[@]} -eq 5 ]]
	nh_field_is front forwarded 5
	nh_field_is inbox permanent 3
}

# What the next hop sees of a message of SIZE bytes, the EHLO name included.
forwarded_whole()
{
	rm -f fake
	fake_start 'S:220 x' L 'A:EHLO *' 'S:250 x' L 'S:250 ok' L 'S:250 ok' \
		L 'S:354 go' D 'S:250 2.0.0 taken' L 'S:221 bye' X
	front "$1" "nexthop = 127.0.0.1:$port" 'ehlo = over.ride.test' <<-EOC
	[relay out]
	type = static
	host = 127.0.0.9
	ehlo_as = own.test
	EOC
	{
		printf 'Subject: long\r\n\r\n'
		yes "$(printf 'x%.0s' {1..60})" | head -n "$2" | sed 's/$/\r/'
	} >M
	nh_start
	run -0 submit a@x.test
	[[ $output == *'taken'* ]]
	nh_stop
	grep -q '^EHLO over.ride.test' fake
	sed -n '/^Subject: long/,/^\.\r$/p' fake | sed '$d' | cmp - M
}

@test "FORWARD: next hop and EHLO name; the message inline and by descriptor" {
	build im
	forwarded_whole so 10
	forwarded_whole exec 4000
	forwarded_whole so 40000
}
