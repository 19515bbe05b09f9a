#!/usr/bin/env bats
# `nexthop submit` and the rest of the command line: arguments, outputs, exit
# statuses, messages of all kinds.

load lib/nexthop

setup()
{
	nh_setup
	ROGUE=$NH_ROOT/t/lib/rogue_agent.py
}

teardown()
{
	nh_teardown
}

# relays: one per class, and one that tells what it got as the message
relays()
{
	nh_conf <<-EOC
	[relay good]
	type = blackhole
	[relay later]
	type = custom
	exec = $ROGUE
	answer = transient
	[relay never]
	type = custom
	exec = $ROGUE
	answer = permanent
	[relay body]
	type = custom
	exec = $ROGUE
	mode = body
	[relay slow]
	type = custom
	exec = $ROGUE
	delay = 0.5
	EOC
	nh_start
}

@test "exit status: 0, 75, 69" {
	relays
	nh submit --relay=good a@x.test <M
	run -75 nh submit --relay=later a@x.test <M
	run -69 nh submit --relay=never a@x.test <M
}

@test "text: the enhanced code first" {
	relays
	run -69 nh submit --relay=never --from=s@x.test a@x.test b@x.test <M
	[[ ${lines[0]} == '5.7.1 <a@x.test> permanent: 550 not here' ]]
	[[ ${lines[1]} == '5.7.1 <b@x.test> permanent: 550 not here' ]]
}

@test "tsv: recipient, class, code, enhanced code, text, ..., message" {
	relays
	run -75 nh submit --relay=later --output=tsv --count=2 \
		a@x.test b@x.test <M
	[[ ${#lines[@]} -eq 4 ]]
	[[ ${lines[0]} == a@x.test$'\t'transient$'\t'451$'\t'4.3.0$'\t''not now'$'\t'* ]]
	[[ ${lines[0]} == *$'\t'1 && ${lines[3]} == b@x.test*$'\t'2 ]]
}

@test "json: an object a line" {
	relays
	run -0 nh submit --relay=good --output=json a@x.test b@x.test <M
	[[ ${#lines[@]} -eq 2 ]]
	python3 -c 'import json, sys
for line in sys.stdin:
    o = json.loads(line)
    assert o["class"] == "delivered" and o["code"] == 250, o' <<<"$output"
}

@test "an address that no envelope can hold is a row" {
	relays
	run -69 nh submit --relay=good --output=tsv $'a\nb@x.test' c@x.test <M
	[[ ${lines[0]} == 'a\nb@x.test'$'\t'permanent$'\t'553$'\t'5.1.3* ]]
	[[ ${lines[1]} == c@x.test$'\t'delivered* ]]
}

@test "messages: inline, by descriptor, from pipe and file, empty" {
	relays
	for size in 0 1 32768 32769 200000 3000000; do
		head -c "$size" /dev/urandom >msg
		sum=$(sha256sum <msg | cut -d' ' -f 1)
		how=fd
		[[ $size -gt 32768 ]] || how=inline
		run -0 nh submit --relay=body --output=tsv a@x.test <msg
		[[ $output == *"$how $size $sum"* ]]
		run -0 bash -c "cat msg | '$NH_BUILD/bin/nexthop' -c '$CONF' \
			submit --relay=body --output=tsv a@x.test"
		[[ $output == *"$how $size $sum"* ]]
	done
}

@test "a file is read from where its descriptor stands" {
	relays
	printf 'skip me\nSubject: x\n\nhello\n' >msg
	sum=$(tail -n +2 msg | sha256sum | cut -d' ' -f 1)
	run -0 bash -c "{ read -r _; '$NH_BUILD/bin/nexthop' -c '$CONF' \
		submit --relay=body --output=tsv a@x.test; } <msg"
	[[ $output == *"inline 18 $sum"* ]]
}

@test "R-PM-07 50 MB by descriptor, the same one many times, small memory" {
	relays
	head -c 50000000 /dev/zero | tr '\0' 'x' >msg
	nh submit --relay=good --count=20 --parallel=20 a@x.test <msg
	rss=$(awk '/VmHWM/ { print $2 }' "/proc/$MASTER/status")
	[[ $rss -lt 32768 || $NH_BUILD == *asan* ]]
	# Nothing stays open.
	[[ -z $(find "/proc/$MASTER/fd" -lname '*msg*') ]]
}

@test "count, parallel and gap" {
	relays
	SECONDS=0
	start=$(date +%s%N)
	nh submit --relay=slow --count=4 --parallel=2 a@x.test <M
	took=$((($(date +%s%N) - start) / 1000000))
	[[ $took -ge 1000 && $took -lt 5000 ]]
	start=$(date +%s%N)
	nh submit --relay=good --count=3 --gap=0.4 a@x.test <M
	took=$((($(date +%s%N) - start) / 1000000))
	[[ $took -ge 800 && $took -lt 5000 ]]
}

@test "more messages than the window, and than may have recipients open" {
	relays
	nh submit --relay=good --output=tsv --count=20000 --parallel=20000 \
		a@x.test <M >out
	[[ $(wc -l <out) -eq 20000 ]]
	nh submit --relay=good --output=tsv --count=300 --parallel=300 \
		$(seq -f 'r%.0f@x.test' 1000) <M | cut -f 2 | sort | uniq -c >out
	[[ $(<out) == *'300000 delivered' ]]
}

@test "the relay may be left out where there is only one" {
	relays
	run -64 nh submit a@x.test <M
	[[ $output == *'--relay=NAME is needed'* ]]
	nh_stop
	nh_conf <<-EOC
	[relay only]
	type = blackhole
	EOC
	nh_start
	nh submit a@x.test <M
	run -75 nh submit --relay=other a@x.test <M
	[[ $output == *'no relay named other'* ]]
	# Without a configuration that can be read, the master knows.
	"$NH_BUILD/bin/nexthop" -c "$D/none" submit --socket="$SOCKET" \
		a@x.test <M
}

@test "the examples in contrib: client and agent" {
	relays
	client=$NH_ROOT/contrib/client-template/submit.py
	run -0 "$client" --socket="$SOCKET" --relay=good a@x.test b@x.test <M
	[[ ${#lines[@]} -eq 2 && ${lines[1]} == b@x.test$'\t'delivered$'\t'250* ]]
	run -69 "$client" --socket="$SOCKET" --relay=never a@x.test <M
	run -0 "$client" --fd --socket="$SOCKET" --relay=body a@x.test <M
	[[ $output == *"fd $(wc -c <M) $(sha256sum <M | cut -d' ' -f 1)"* ]]
	run -75 "$client" --socket="$D/none" a@x.test <M
	[[ $output == *'No such file'* ]]
}

@test "try: the same result by the agent alone and through the master" {
	# shellcheck disable=SC2034 # for try
	for VIA in agent master; do
		run -0 try blackhole -- s@x.test a@x.test b@x.test <M
		[[ ${#lines[@]} -eq 2 ]]
		[[ ${lines[0]} == a@x.test$'\t'delivered$'\t'250$'\t'2.0.0$'\t''Message Delivered; '* ]]
		run -78 --separate-stderr try blackhole delay=soon -- \
			s@x.test a@x.test <M
	done
}

@test "usage: unknown command, option, no recipient" {
	relays
	run -64 nh
	run -64 nh frobnicate
	[[ $output == *'unknown command frobnicate'* && ${#lines[@]} -eq 1 ]]
	run -64 nh --frobnicate
	[[ $output == *'unknown option --frobnicate'* && ${#lines[@]} -eq 1 ]]
	run -64 nh submit --relay=good <M
	[[ $output == *'no recipient'* && ${#lines[@]} -eq 1 ]]
	run -64 nh submit --frobnicate a@x.test <M
	[[ $output == *'unknown option --frobnicate'* && ${#lines[@]} -eq 1 ]]
	run -64 nh submit --count=0 a@x.test <M
	run -64 nh check now
	run -64 nh reload --now
	run -64 "$NH_BUILD/sbin/nexthop-master" --frobnicate
	run -0 nh --help
	[[ $output == *submit*check*config*status*reload*drain*stop* ]]
	for command in submit check status stop; do
		run -0 nh "$command" --help
		[[ $output == *submit*check*config*status*reload*drain*stop* ]]
	done
	run -74 bash -c '"$0" --help >/dev/full' "$NH_BUILD/bin/nexthop"
	[[ $output == *"writing to stdout: No space left on device"* ]]
	run -0 nh --version
	[[ $output == nexthop\ [0-9]* ]]
	run -0 "$NH_BUILD/sbin/nexthop-master" --version
	run -0 "$NH_BUILD/sbin/nexthop-master" --help
}

@test "no master: status, reload, drain and stop say so with 69" {
	nh_conf <<-EOC
	[relay only]
	type = blackhole
	EOC
	for command in status reload drain stop; do
		run -69 nh "$command"
		[[ $output == *"no nexthop-master answers at $CONTROL"* ]]
	done
}
