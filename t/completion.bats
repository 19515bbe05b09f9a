#!/usr/bin/env bats
# contrib/completion/nexthop, in bash itself.

load lib/nexthop

setup()
{
	nh_setup
	NEXTHOP=$NH_BUILD/bin/nexthop
	AGENT=$NH_BUILD/libexec/nexthop/smtp-static
	printf '[relay out]\ntype = blackhole\n[relay smart host]\n' >c.conf
	printf 'type = blackhole\n[relay smart "2"]\ntype = blackhole\n' >>c.conf
	# shellcheck source=contrib/completion/nexthop
	source "$NH_ROOT/contrib/completion/nexthop"
}

teardown()
{
	nh_teardown
}

# complete_line FUNCTION LINE: the words that a tab would offer.
complete_line()
{
	COMP_LINE=$2 COMP_POINT=${#2} COMPREPLY=()
	COMP_WORDBREAKS=${COMP_WORDBREAKS:-$' \t\n"\'><=;|&(:'}
	"$1" || :
	printf '%s\n' "${COMPREPLY[@]}"
}

offers()
{
	grep -qxF -- "$1" <<<"$output"
}

@test "every command of the help is offered, and nothing else" {
	run complete_line _nexthop "$NEXTHOP "
	"$NEXTHOP" --help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p' | sort >want
	[[ -s want && $(sort <<<"$output") == "$(<want)" ]]
	run complete_line _nexthop "$NEXTHOP rel"
	[[ $output == reload ]]
	run complete_line _nexthop "$NEXTHOP -"
	offers -c && offers --help && offers --version
}

@test "relays come from the configuration that is named, spaces and all" {
	run complete_line _nexthop "$NEXTHOP -c c.conf submit --relay="
	offers out && offers 'smart\ host' && offers 'smart\ \"2\"'
	run complete_line _nexthop "$NEXTHOP -c c.conf submit --relay=smart\\ h"
	[[ $output == 'smart\ host' ]]
	run complete_line _nexthop "$NEXTHOP -c c.conf explain --relay=o"
	[[ $output == out ]]
	run complete_line _nexthop "$NEXTHOP -c none.conf submit --relay="
	[[ -z $output ]]
}

@test "options of commands, and what they may be" {
	run complete_line _nexthop "$NEXTHOP submit --"
	for option in --relay= --socket= --from= --output= --trace --count= \
	    --notify= --deadline=; do
		offers "$option"
	done
	run ! grep -x -- --explain <<<"$output"
	run complete_line _nexthop "$NEXTHOP status --output="
	[[ $output == $'text\ntsv\njson' ]]
	run complete_line _nexthop "$NEXTHOP submit --ret=F"
	[[ $output == FULL ]]
	run complete_line _nexthop "$NEXTHOP reload --"
	offers --control=
	run complete_line _nexthop "$NEXTHOP -c c.conf reload o"
	[[ $output == out ]]
	run complete_line _nexthop "$NEXTHOP sandbox-test --output=j"
	[[ $output == json ]]
	run complete_line _nexthop "$NEXTHOP sandbox-test pi"
	[[ $output == pipe ]]
	run complete_line _nexthop "$NEXTHOP check --"
	[[ $output == --strict ]]
	run complete_line _nexthop "$NEXTHOP postfix-setup --"
	offers --apply && offers --undo && offers --config-dir=
	mkdir conf.d
	run complete_line _nexthop "$NEXTHOP postfix-setup --config-dir=conf"
	[[ $output == conf.d ]]
	run complete_line _nexthop "$NEXTHOP -c c."
	[[ $output == c.conf ]]
	run complete_line _nexthop_master "$NH_BUILD/sbin/nexthop-master --f"
	[[ $output == --foreground ]]
}

@test "options of agents, behind -o and with two dashes" {
	run complete_line _nexthop_agent "$AGENT -o tls_m"
	[[ $output == tls_mode= ]]
	run complete_line _nexthop_agent "$AGENT -o tls_mode=verif"
	[[ $output == verify ]]
	run complete_line _nexthop_agent "$AGENT -o tls.ca_certs=c."
	[[ $output == c.conf ]]
	run complete_line _nexthop_agent "$AGENT --connect_"
	[[ $output == --connect_timeout= ]]
	run complete_line _nexthop_agent "$AGENT --output=t"
	[[ $output == $'text\ntsv' ]]
	run complete_line _nexthop_agent "$NH_BUILD/libexec/nexthop/pipe -o env"
	[[ $output == environment. ]]
	run complete_line _nexthop_agent "$AGENT a@x.test b"
	[[ -z $output ]]
}

@test "a tab at a terminal completes a whole command" {
	python3 - "$NH_ROOT/contrib/completion/nexthop" "$NEXTHOP" <<-'END'
	import os, pty, select, sys, time
	pid, fd = pty.fork()
	if pid == 0:
	    os.environ.update(PS1='$ ', TERM='dumb', HISTFILE='')
	    os.execlp('bash', 'bash', '--norc', '--noprofile', '-i')

	def read_until(text, limit=20):
	    got, end = '', time.time() + limit
	    while text not in got and time.time() < end:
	        if select.select([fd], [], [], 0.2)[0]:
	            got += os.read(fd, 4096).decode()
	    assert text in got, (text, got)

	def say(text):
	    os.write(fd, text.encode())

	read_until('$ ')
	say('PATH=%s:$PATH; source %s; echo re"ady"\n'
	    % (os.path.dirname(sys.argv[2]), sys.argv[1]))
	read_until('ready')
	say('nexthop -c c.conf subm\t--rela\tsmart\\ ho\t--outp\tjs\t')
	read_until('submit --relay=smart\\ host --output=json ')
	say('\x15exit\n')
	os.waitpid(pid, 0)
	END
}
