#!/usr/bin/env bats
# maildrop and dovecot: the real programs, and what they are called with.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/dovecot
load lib/programs

setup()
{
	programs_setup
	PATH=$PATH:/usr/sbin
}

teardown()
{
	nh_teardown
}

# ---- maildrop ----

# maildrop takes its users from the system. Here games and news have homes of
# the test's, in a mount namespace with a passwd of its own; what the tests run
# are the programs inside that.
maildrop_setup()
{
	TYPE=maildrop
	[[ $(id -u) -eq 0 ]] || skip "needs root"
	unshare -m true 2>/dev/null || skip "no mount namespaces here"
	local user name
	for user in games news; do
		mkdir -m 700 "home.$user"
		echo "to \"$D/home.$user/Mailbox\"" >"home.$user/.mailfilter"
		chmod 600 "home.$user/.mailfilter"
		chown -R "$user:" "home.$user"
	done
	sed "s,^\(games\|news\):\(.*\):[^:]*:[^:]*\$,\1:\2:$D/home.\1:/bin/sh," \
		/etc/passwd >passwd
	chmod 644 passwd
	nh_spawn unshare -m bash -c "mount --bind $D/passwd /etc/passwd &&
		touch $D/mounted && exec sleep 600"
	nh_until 5 test -e mounted
	for name in bin/nexthop sbin/nexthop-master libexec/nexthop/pipe; do
		mkdir -p "build/${name%/*}"
		printf '#!/bin/sh\nexec nsenter --mount=/proc/%d/ns/mnt --wd=%s %s "$@"\n' \
			"$NH_PID" "$D" "$NH_BUILD/$name" >"build/$name"
		chmod 755 "build/$name"
	done
	cp "$NH_BUILD/flags" build/
	NH_BUILD=$D/build
}

# One that delivers for all users, as an operator installs it for that.
maildrop_for_all()
{
	cp /usr/bin/maildrop "$D/maildrop"
	chown root:mail "$D/maildrop"
	chmod 6755 "$D/maildrop"
}

# mailbox USER N: so many messages it has.
mailbox()
{
	local n
	n=$(grep -c '^From s@x.test' "home.$1/Mailbox" || :)
	[[ $n -eq $2 ]] || { echo "$1 has $n"; return 1; }
}

to_games()
{
	rm -f home.*/Mailbox
	give 0 user=games "$@" -- s@x.test games
	row 1 games delivered 250 2.0.0
	mailbox games 1
	tr -d '\r' <M | diff - <(sed 1d home.games/Mailbox | sed '$d')
}

@test "R-MD-01: maildrop delivers; from PATH, by path, and not at all" {
	maildrop_setup
	both to_games
	both to_games path=/usr/bin/maildrop
	both give 75 user=games path=/nonexistent -- s@x.test games
	row 1 games transient 451 4.3.5 'cannot run /nonexistent: *'
}

recorded()
{
	give 0 path="$D/keep" "$@"
}

@test "R-MD-02: what maildrop is called with" {
	TYPE=maildrop
	recorder keep
	both recorded -- s@x.test bob@x.test
	holds argv -f s@x.test -d bob@x.test
	both recorded extra_args='-A "X: y z" {domain}' user_template='{user}' \
		-- s@x.test bob+list@x.test
	holds argv -f s@x.test -d bob -A 'X: y z' x.test
	VIA=agent recorded -- '' bob@x.test
	holds argv -f '' -d bob@x.test
}

@test "R-MD-03: maildrop's exit statuses and texts" {
	maildrop_setup
	chmod 1700 home.games
	both give 75 user=games -- s@x.test games
	row 1 games transient 450 4.3.0
	chmod 700 home.games
	printf 'EXITCODE=67\necho "no such box"\nexit\n' >home.games/.mailfilter
	both give 69 user=games -- s@x.test games
	row 1 games permanent 550 5.1.1 'no such box'
	printf 'EXITCODE=77\necho "5.7.9 go away"\nexit\n' >home.games/.mailfilter
	both give 69 user=games -- s@x.test games
	row 1 games permanent 550 5.7.9 'go away'
	printf 'EXITCODE=9\nexit\n' >home.games/.mailfilter
	both give 69 user=games -- s@x.test games
	row 1 games permanent 550 5.0.0
	printf 'to "./nope/none/x"\n' >home.games/.mailfilter
	both give 75 user=games -- s@x.test games
	row 1 games transient 450 4.3.0 'Unable to create a dot-lock at *'
}

two_users()
{
	rm -f home.*/Mailbox
	give 69 user=daemon path="$D/maildrop" "$@" -- s@x.test games \
		nobody-here news
	row 1 games delivered 250 2.0.0
	row 2 nobody-here permanent 550 5.1.1 'Invalid user specified.'
	row 3 news delivered 250 2.0.0
	mailbox games 1
	mailbox news 1
	[[ $(stat -c %U home.games/Mailbox home.news/Mailbox | paste -sd,) == games,news ]]
}

@test "R-MD-04: every recipient's mailbox; unknown users" {
	maildrop_setup
	maildrop_for_all
	both two_users
	# Without rights to gain it is nobody's to deliver.
	both give 75 user=daemon path="$D/maildrop" no_new_privs=yes -- s@x.test games
	row 1 games transient 450 4.3.0 'Cannot set my user or group id.'
}

@test "R-MD-05: no CR in the mailbox" {
	maildrop_setup
	both to_games
	run ! grep -q $'\r' home.games/Mailbox
}

@test "R-MD-06: maildrop takes too long" {
	maildrop_setup
	printf 'xfilter "sleep 60"\nto Mailbox\n' >home.games/.mailfilter
	both give 75 user=games timeout=1.5 -- s@x.test games
	row 1 games transient 450 4.4.2 'Delivery timed out*'
	took 1500 9000
}

# ---- dovecot-lda ----

lda_setup()
{
	TYPE=dovecot
	touch log.lda
	chmod 666 log.lda
	dovecot_start 'protocol lda {
	  postmaster_address = postmaster@example.com
	}' "protocol lda {
	  log_path = $D/log.lda
	}" 'service auth {
	  unix_listener auth-userdb {
	    mode = 0666
	  }
	}' 'service stats {
	  unix_listener stats-writer {
	    mode = 0666
	  }
	}'
	program lda <<-EOC
	exec /usr/lib/dovecot/dovecot-lda -c $D/dovecot.conf "\$@"
	EOC
	chmod 755 dovecot.run
	# Longer than alice may have.
	{
		cat "$D/M"
		head -c 30000 /dev/zero | tr '\0' 'x' | fold -w 70
		echo
	} >"$D/BIG"
}

to_alice()
{
	rm -rf "${D:?}"/home/*
	give 0 path="$D/lda" user=nobody -- s@x.test alice@example.com
	row 1 alice@example.com delivered 250 2.0.0
	mails_are alice 1
	tr -d '\r' <M | diff - "$(mails alice)"
}

@test "R-MD-07: dovecot-lda delivers; where it is not in PATH" {
	lda_setup
	both to_alice
	PATH=/usr/bin:/bin both give 75 -- s@x.test alice@example.com
	row 1 alice@example.com transient 451 4.3.5 'cannot run dovecot-lda: No such file or directory'
}

@test "R-MD-08: what dovecot-lda is called with, once for each recipient" {
	TYPE=dovecot
	program keep <<-EOC
	echo "\$*" >>$D/argv
	EOC
	for VIA in agent master; do
		: >argv
		chmod 666 argv
		give 0 path="$D/keep" max_processes=1 -- s@x.test \
			alice@example.com bob@example.com
		holds argv '-f s@x.test -d alice@example.com -e' \
			'-f s@x.test -d bob@example.com -e'
	done
	VIA=agent
	: >argv
	give 0 path="$D/keep" exit_on_reject=no extra_args='-m x' --orcpt='rfc822;al@x.test' \
		-- '' alice@example.com
	holds argv '-f  -d alice@example.com -a al@x.test -m x'
}

unknown_user()
{
	give 69 path="$D/lda" user=nobody "$@" -- s@x.test nobody@example.com \
		bob@example.com
	row 1 nobody@example.com permanent 550 5.1.1 '*'
	row 2 bob@example.com delivered 250 2.0.0
}

@test "R-MD-09: dovecot-lda's exit statuses" {
	lda_setup
	both unknown_user
	both give 75 path="$D/lda" user=nobody extra_args=-z -- s@x.test bob@example.com
	row 1 bob@example.com transient 450 4.3.5 '*'
	kill "$DOVECOT"
	wait "$DOVECOT" || :
	both give 75 path="$D/lda" user=nobody -- s@x.test bob@example.com
	row 1 bob@example.com transient 450 4.3.0 '*'
}

over_quota()
{
	MSG=$D/BIG give 69 path="$D/lda" user=nobody -- s@x.test alice@example.com
	row 1 alice@example.com permanent 552 5.2.2 '*mailbox is over quota'
	mails_are alice 0
}

@test "R-MD-10: dovecot over quota" {
	lda_setup
	both over_quota
	# And where it logs to stderr.
	sed -i "s,log_path = $D/log.lda,log_path = /dev/stderr," dovecot.conf
	both over_quota
}
