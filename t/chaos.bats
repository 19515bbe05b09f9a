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
