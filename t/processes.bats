#!/usr/bin/env bats
# A relay with several processes: one limit for all of them.
# shellcheck disable=SC2030,SC2031,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp

setup()
{
	nh_setup
	printf 'From: s@x.test\r\n\r\ntest\r\n' >"$D/m"
}

teardown()
{
	nh_teardown
}

# relay PROCESSES LIMIT: a master with a relay to our sink.
relay()
{
	nh_conf <<-CONF
	[relay many]
	type = static
	processes = $1
	host = 127.0.0.1
	port = $port
	ehlo_as = client.test
	concurrent_connections = $2
	CONF
	nh_start
}

submit()
{
	nh submit --relay=many --output=tsv --from=s@x.test "$@" r@x.test \
		<"$D/m" | cut -f 2 | sort | uniq -c
}

@test "processes: one limit of connections for all" {
	sink_start -d 5 -U
	relay 3 4
	run submit --count=600 --parallel=200
	[[ $output =~ ^\ *600\ delivered$ ]]
	[[ $(nh_agent many | wc -w) -eq 3 ]]
	nh_stop
	sink_end
	counted messages 600
	counted peak 4
}

@test "processes: more of them than the limit take turns, none starves" {
	sink_start -d 2 -U
	relay 3 1
	run submit --count=300 --parallel=150
	[[ $output =~ ^\ *300\ delivered$ ]]
	nh_stop
	sink_end
	counted messages 300
	counted peak 1
}

@test "processes: the places of one that is killed are free again" {
	local pids status=0

	fake_start --each 'S:220 x' L 'S:250 x' L 'Z:60'
	relay 2 2
	nh submit --relay=many --output=tsv --count=2 --parallel=2 \
		--from=s@x.test r@x.test <"$D/m" >"$D/rows" 3>&- &
	NH_PIDS+=($!)
	nh_until 5 heard 2 '^MAIL'
	read -ra pids <<<"$(nh_agent many)"
	kill -9 "${pids[@]}"
	wait "${NH_PIDS[-1]}" || status=$?
	[[ $status -eq 75 && $(grep -c 'ended by signal 9' "$D/rows") -eq 2 ]]
	kill "$FAKE"
	sink_start -U
	sed -i "s/^port = .*/port = $port/" "$CONF"
	nh reload
	run submit --count=20 --parallel=20
	[[ $output =~ ^\ *20\ delivered$ ]]
}
