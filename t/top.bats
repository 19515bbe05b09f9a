#!/usr/bin/env bats
# nexthop top: in a terminal of its own, and as text.

load lib/nexthop

setup()
{
	nh_setup
	nh_conf 'log_level = warning' <<-EOC
	[relay bh]
	type = blackhole
	[relay out]
	type = static
	host = 127.0.0.1:1
	EOC
}

teardown()
{
	nh_teardown
}

# terminal SIZE STEP...: of `nexthop top -i 0.2`
terminal()
{
	run env TERM=xterm python3 "$NH_ROOT/t/lib/terminal.py" "$@" -- \
		"$NH_BUILD/bin/nexthop" -c "$CONF" top -i 0.2
	echo "$output"
	[[ $status -eq 0 ]]
}

send()
{
	nh submit --relay="$1" --from=s@x.test --count="$2" r@x.test \
		<"$D/M" >/dev/null
}

@test "top on a terminal of 80x24: relays, rates, and the terminal as it was" {
	nh_start
	send out 3 || [[ $? -eq 75 ]]
	# Until the test ends it.
	nh_spawn "$NH_BUILD/bin/nexthop" -c "$CONF" submit --relay=bh \
		--from=s@x.test --count=100000 --gap=0.002 r@x.test \
		<"$D/M" >/dev/null 2>>"$D/err.submit"
	# Some hundred a second, with times.
	local busy='bh +ready +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[1-9][0-9]+ .*s'

	terminal 80x24 'wait:bh ' 'wait:q quit' \
		"match:$busy" print key:q end
	[[ ${lines[0]} == 'nexthop '*', running '*", pid $MASTER,"* ]]
	[[ $output =~ RELAY\ +STATE\ +OPEN\ +QUEUED ]]
	[[ $output =~ $busy ]]
	[[ $output =~ out\ +ready ]]
	[[ $output == *'scrolled 0'* ]]
	[[ $output == *'status 0'* ]]
	[[ $output == *'terminal restored'* ]]
}

@test "top: keys choose what is shown, and the window may change" {
	nh_start
	send out 3 || [[ $? -eq 75 ]]
	terminal 80x24 'wait:RELAY' key:d 'wait:DESTINATION' 'wait:127.0.0.1:1' \
		'key:e' 'wait:LAST ERROR' 'wait:Connection r' print \
		key:r 'wait:MEDIAN' 'wait:sort (waiting)' key:s \
		'wait:sort (failures)' key:s 'wait:sort (name)' \
		key:p wait:PAUSED 'key:\e[B' key:p gone:PAUSED \
		size:60x8 'wait:q quit' 'wait:bh' print \
		size:5x2 'wait:sent' print size:120x30 'wait:bounced 0/s' \
		'wait:k scroll' print key:q end
	[[ $output == *'scrolled 0'*'scrolled 0'*'scrolled 0'*'scrolled 0'* ]]
	[[ $output != *'scrolled 1'* ]]
	[[ $output == *'status 0'*'terminal restored'* ]]
}

@test "top: Ctrl-C, a signal and the master's death leave the terminal well" {
	nh_start
	terminal 80x24 'wait:RELAY' 'key:'$'\003' end
	[[ $output == *'status 0'*'terminal restored'* ]]
	terminal 80x24 'wait:RELAY' signal:TERM end
	[[ $output == *'status 143'*'terminal restored'* ]]
	terminal 80x24 'wait:RELAY' signal:SEGV end
	[[ $output == *'terminal restored'* ]]
	terminal 80x24 'wait:RELAY' "run:kill -9 $MASTER" \
		'wait:no nexthop-master answers' print key:q end
	wait "$MASTER" || :
	[[ $output == *RELAY* ]]
	[[ $output == *'status 0'*'terminal restored'* ]]
	# The next one is found again.
	nh_start
	terminal 80x24 'wait:RELAY' "run:kill -9 $MASTER" \
		'wait:no nexthop-master answers' \
		"run:rm -f $SOCKET $CONTROL; '$NH_BUILD/sbin/nexthop-master' -c '$CONF' --foreground >>'$LOG' 2>&1 3>&- & echo \$! >'$D/pid'" \
		'gone:no nexthop-master answers' print key:q end
	wait "$MASTER" 2>/dev/null || :
	MASTER=''
	kill "$(<"$D/pid")"
	[[ $output =~ bh\ +ready ]]
	[[ $output == *'terminal restored'* ]]
}

@test "top without a terminal: one picture with rates, or -n of them" {
	nh_start
	run -0 nh top -i 0.3
	[[ $output == *RELAY*bh*out* ]]
	[[ $output != *$'\033'* ]]
	[[ $(grep -c RELAY <<<"$output") -eq 1 ]]
	[[ $output != *'q quit'* ]]
	# One that is no good for pictures is none.
	run -0 env TERM=dumb python3 "$NH_ROOT/t/lib/terminal.py" 80x24 \
		'wait:bh ' print end -- "$NH_BUILD/bin/nexthop" -c "$CONF" \
		top -i 0.3
	[[ $output == *RELAY*'status 0'*'terminal restored'* ]]
	[[ $output != *'q quit'* ]]
	# Nobody reads on: it ends.
	nh top -n 10000 -i 0.1 2>err.top | head -1
	[[ ${PIPESTATUS[0]} -eq 74 && $(<err.top) == *'stdout: Broken pipe' ]]
	run -0 nh top -n 3 -i 0.2
	[[ $(grep -c RELAY <<<"$output") -eq 3 ]]
	send out 2 || [[ $? -eq 75 ]]
	run -64 nh top -i 0
	run -64 nh top -n x
	run -64 nh top nonsense
	run -69 nh top --control="$D/nothing"
	[[ $output == *'no nexthop-master answers'* ]]
}
