#!/usr/bin/env bats
# Mail while everything is killed, stopped and starved (t/chaos/README.md): a
# short run, and that faults would be found.

load lib/nexthop

setup()
{
	[[ $(id -u) -eq 0 ]] || skip "needs root"
	nh_setup
	CHAOS=$NH_ROOT/t/chaos/run
}

teardown()
{
	nh_teardown
}

# chaos CELL SECONDS SEED
chaos()
{
	"$CHAOS" --cells="$1" --time="$2" --seed="$3" --verbose \
		--keep="$D/kept" >out 2>&1 || { cat out; return 1; }
	grep -x 'lost 0' out
	grep -x 'duplicated outside the in-doubt list 0' out
	grep -x 'answers missing 0' out
	grep -x 'damaged 0' out
}

@test "kill, stop, starve: nothing lost, nothing twice, each answer once" {
	chaos native 20 7
	grep -E '^answers: delivered [1-9][0-9]{2}' out
}

@test "the same beside Postfix: what it accepted comes, once" {
	command -v postfix >/dev/null || skip "no postfix"
	chaos postfix 12 7
	grep -E '^submitted: taken [1-9][0-9]' out
}

# web_start FLAG...: the web server of the run, journal in $D/j, port in $port.
web_start()
{
	nh_spawn python3 -B "$NH_ROOT/t/chaos/web.py" --port="$port" \
		--journal="$D/j" --keys "$@" 2>>"$D/err.web"
	WEB=$NH_PID
	nh_until 20 nh_listens "$port"
}

# give MESSAGE RCPT...: to the web server; prints classes of answers.
give()
{
	"$NH_BUILD/libexec/nexthop/http" -o url="http://127.0.0.1:$port/" \
		--output=tsv --from=s@x.test "${@:2}" <"$1" | cut -f2
}

@test "the web server: a key that comes again is no copy, kill -9 or not" {
	port=$(nh_free_port)
	touch "$D/j"
	printf 'Message-ID: <m1@x>\r\n\r\nhi\r\n' >m1
	printf 'Message-ID: <m2@x>\r\n\r\nhi\r\n' >m2
	web_start --fault=mute:100
	[[ $(give m1 a@x.test b@x.test) == $'transient\ntransient' ]]
	kill -9 "$WEB"; wait "$WEB" || true
	web_start
	[[ $(give m1 a@x.test b@x.test) == $'delivered\ndelivered' ]]
	[[ $(give m1 a@x.test) == delivered ]]
	kill -9 "$WEB"; wait "$WEB" || true
	web_start --fault=429:100
	[[ $(give m2 a@x.test) == transient ]]
	cut -d' ' -f1-3 "$D/j" >rows
	printf '%s\n' 'm1@x 4 2' 'm1@x 4 0' 'm1@x 4 1' | diff - rows
}

@test "a relay that says it delivered and did not is found" {
	run -1 "$CHAOS" --time=1 --seed=1 --events=reload --cells=native \
		--relays=liar
	grep -E '^lost [1-9]' <<<"$output"
	grep -E '^  lost: 1\.' <<<"$output"
}

@test "the same seed plans the same events" {
	"$CHAOS" --plan --time=300 --seed=5 >a
	"$CHAOS" --plan --time=300 --seed=5 >b
	"$CHAOS" --plan --time=300 --seed=6 >c
	cmp a b
	run -1 cmp a c
	[[ $(wc -l <a) -gt 100 ]]
}

@test "the books: copies that no answer allows, bodies that changed" {
	python3 - "$NH_ROOT/t/chaos" <<-'EOP'
	import sys
	sys.dont_write_bytecode = True
	sys.path.insert(0, sys.argv[1])
	from ledger import settle

	def journal(*rows):
	    with open("j", "w") as f:
	        f.writelines("%s 10 %d %s\n" % (n, k, d * 32) for n, k, d in rows)
	        f.write("cut 10 1")         # killed while it wrote: no reply
	    return ["j"]

	A, B = bytes([0xaa] * 8), bytes([0xbb] * 8)
	rows = {"sent": (1, 0, A), "lost": (1, 0, A), "twice": (1, 0, A),
	        "maybe": (0, 1, A), "maybe-not": (0, 1, A), "both": (1, 1, A),
	        "refused": (0, 0, A), "other": (1, 0, B)}
	t = settle(rows, journal(
	    ("sent", 1, "aa"), ("twice", 1, "aa"), ("twice", 1, "aa"),
	    ("maybe", 1, "aa"), ("both", 2, "aa"), ("refused", 1, "aa"),
	    ("other", 1, "aa"), ("nobody's", 1, "aa")))
	assert t.lost == ["lost"], t.lost
	assert t.outside == ["twice", "refused"], t.outside
	assert t.damaged == ["other"], t.damaged
	assert t.strange == ["nobody's"], t.strange
	assert (t.in_doubt, t.inside) == (3, 2)
	ok = {"sent": (1, 0, A), "maybe": (0, 1, A)}
	t = settle(ok, journal(("sent", 1, "aa")))
	assert not (t.lost or t.outside or t.damaged or t.strange)
	EOP
}
