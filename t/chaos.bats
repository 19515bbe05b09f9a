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
	chaos native 14 7
	grep -E '^answers: delivered [1-9][0-9]{2}' out
}

@test "the same beside Postfix: what it accepted comes, once" {
	command -v postfix >/dev/null || skip "no postfix"
	chaos postfix 9 7
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

@test "the books of Postfix: each copy but one needs a doubt of its own" {
	python3 - "$NH_ROOT/t/chaos" "$NH_ROOT/t/bench" <<-'EOP'
	import sys
	sys.dont_write_bytecode = True
	sys.path[:0] = sys.argv[1:]
	from ledger import excess, read_copies
	from maillog import Log, Upsets

	with open("j", "w") as f:
	    f.write("m 9 2 00 7.1 a@x,b@x\n"
	            "heard 7.1\n"
	            "m 9 1 00 7.2 a@x\n"
	            "m 9 1 00 7.3 b@x\n"
	            "heard 7.9\n"
	            "m 9 1 00 7.4 b@")
	c = read_copies("j")
	assert [x.is_heard for x in c["m", "a@x"]] == [True, False]
	assert [x.is_heard for x in c["m", "b@x"]] == [True, False]
	a = c["m", "a@x"]
	assert excess([], 0, 0) <= 0 and excess(a[1:], 0, 0) <= 0
	assert excess(a, 0, 0) == 1
	assert excess(a, 1, 0) == 0         # it said so
	assert excess(a, 0, 5) == 1         # it had the reply: no excuse
	assert excess(a[::-1], 0, 1) == 0
	assert excess([a[1]] * 3, 0, 1) == 1

	def log(*lines):
	    it = Log("none", "smtp-static", Upsets())
	    for line in lines:
	        it.take("Nov 22 07:28:39 h postfix/" + line)
	    return it

	ROUND = "qmgr[1]: Q1: from=<s@x>, size=1, nrcpt=2 (queue active)"
	def outcome(rcpt, what):
	    return "smtp-static[2]: Q1: to=<%s>, relay=h, status=%s" % (rcpt, what)
	def died(name):
	    return ("master[3]: warning: process /l/%s pid 2 killed by signal 9" %
	            name)
	LATER = outcome("a@x", "deferred (no)")
	it = log(ROUND, LATER, ROUND)
	assert it.missing() == ["Q1: 1 of 2 outcomes"], it.missing()
	assert it.unheard("Q1", "b@x") == 0
	it = log(ROUND, LATER, died("smtp-static"), ROUND)
	assert not it.missing()
	assert it.unheard("Q1", "b@x") == 1 and it.unheard("Q1", "a@x") == 0
	it = log(ROUND, LATER, died("qmgr"), ROUND)
	assert not it.missing() and it.unheard("Q1", "b@x") == 0
	it = log(ROUND, outcome("a@x", "deferred (message may have been "
	                        "delivered)"))
	assert it.told == {("Q1", "a@x"): 1} and not it.missing()
	SENT = outcome("a@x", "sent (250 ok)")
	assert log(ROUND, SENT, ROUND, SENT).sent_twice()
	assert not log(ROUND, "smtp-static[2]: error: Q1: marking the recipient at "
	               "offset 7: no", SENT, ROUND, SENT).sent_twice()
	assert log(ROUND, outcome("a@x", "bounced (no)")).other
	EOP
}
