# Helpers of the tests that run programs; loaded after nexthop.bash and
# smtp.bash.
# shellcheck shell=bash disable=SC2034,SC2154

# programs_setup: a folder in which programs, whoever they run as, may write.
programs_setup()
{
	nh_setup
	chmod 1777 "$D"
}

# program NAME <BODY: a shell script in $D.
program()
{
	{
		printf '#!/bin/sh\n'
		cat
	} >"$D/$1"
	chmod 755 "$D/$1"
}

# recorder NAME [STATUS]: a program that keeps its arguments, one a line, in
# $D/argv, and the message in $D/got.
recorder()
{
	program "$1" <<-EOC
	printf '%s\n' "\$@" >$D/argv
	chmod 666 $D/argv
	cat >$D/got
	chmod 666 $D/got
	exit ${2-0}
	EOC
}

# holds FILE LINE...: these lines and no others.
holds()
{
	local file=$1

	shift
	printf '%s\n' "$@" | diff - "$file" || {
		echo "$file is not as wanted"
		return 1
	}
}

# peak PID: the most memory it had, KiB.
peak()
{
	awk '/^VmHWM:/ { print $2 }' "/proc/$1/status"
}

# small KIB: less than 32 MiB; instrumented programs need more.
small()
{
	local max=32768

	! is_instrumented || max=262144
	[[ -n $1 && $1 -lt $max ]] || {
		echo "$1 KiB"
		return 1
	}
}

# from FILE COMMAND...: its stdin, in the background; a program takes the place
# of the shell, so that signals reach it.
from()
{
	[[ $(type -t "$2") != file ]] || exec "${@:2}" <"$1"
	"${@:2}" <"$1"
}

# ends STATUS key=value... -- CLASS CODE ENHANCED [TEXT]: one recipient.
ends()
{
	local status=$1 keys=()

	shift
	while [[ $1 != -- ]]; do
		keys+=("$1")
		shift
	done
	shift
	give "$status" "${keys[@]}" -- s@x.test r@x.test
	rows 1
	row 1 r@x.test "$@"
}

# ends_at_start key=value...: refused; $output tells why.
ends_at_start()
{
	run -78 try_all pipe "$@" -- s@x.test r@x.test <M
	[[ $VIA == master ]] || output=$(<"$D/log.agent")
}
