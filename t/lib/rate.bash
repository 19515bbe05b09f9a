# Helpers of tests in which messages come at full rate while something is done
# to the master: senders that go on until rate_end(), and what the sink has.
# The sink is the first thing that is spawned.
# shellcheck shell=bash disable=SC2154

# rate_conf [MASTER-LINE...]: relay "out" to the sink, intake "in" at $D/l.
rate_conf()
{
	nh_conf "$@" <<-EOC
	[relay out]
	type = static
	host = 127.0.0.1
	port = $port
	concurrent_connections = 20
	[intake in]
	relay = out
	listen = unix:$D/l
	listen_mode = 0666
	EOC
}

# One that stays for long, and one that connects anew for each message; rows
# in out.3000 and out.1.
rate_submit()
{
	local n

	for n in 3000 1; do
		cat >again.$n <<-EOC
		while [ ! -e "$D/enough" ]; do
			"$NH_BUILD/bin/nexthop" submit --socket="$SOCKET" \
				--relay=out --output=tsv --from=s@x.test \
				--count=$n --parallel=20 a@x.test <"$D/M" ||
				echo bad
		done
		EOC
		nh_spawn sh again.$n >out.$n 2>err.$n
	done
}

# smtp-source to the intake; the messages of each run in out.source.
rate_source()
{
	cat >source.sh <<-EOC
	while [ ! -e "$D/enough" ]; do
		smtp-source -L -s 10 -m 300 -l 1000 -f s@x.test -t a@x.test \
			unix:$D/l || echo failed
		echo 300
	done
	EOC
	nh_spawn sh source.sh >out.source 2>err.source
}

# The senders come to their end; none of them had anything to say.
rate_end()
{
	touch enough
	wait "${NH_PIDS[@]:1}"
	cat err.[1-9]* err.source err.lmtp >said 2>/dev/null || :
	cat said
	[[ ! -s said ]]
}

# rate_all_delivered FILE...: rows of submit, or lines "delivered".
rate_all_delivered()
{
	awk -F'\t' '{ n[NF > 1 ? $2 : $1]++ }
		END { for (c in n) print c }' "$@" >classes
	cat classes
	[[ $(<classes) == delivered ]]
}

# rate_source_sent: how many it has, all of them taken, in $sent.
rate_source_sent()
{
	[[ $(sort -u out.source) == 300 ]]
	sent=$(($(wc -l <out.source) * 300))
	[[ $sent -ge 900 ]]
}

# rate_sink N: it has had so many messages; none of them twice, where they have
# a Message-Id each.
rate_sink()
{
	kill "$SINK"
	wait "$SINK" || :
	python3 - "$1" <<-'EOP'
	import json, sys
	report = json.loads(open('sink.json').read())
	assert report['messages'] == int(sys.argv[1]), report
	assert report['unique'] <= 1 or report['duplicates'] == 0, report
	EOP
}
