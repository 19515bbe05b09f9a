# A Dovecot of the test's own; loaded after nexthop.bash.
# shellcheck shell=bash disable=SC2034,SC2154

# dovecot_start [DOVECOT.CONF-LINE...]: delivers by LMTP to Maildirs of
# alice and bob @example.com below $D/home; $port and $D/lmtp. Alice may have
# 20 KB, bob much more. Its log is $D/log.dovecot.
dovecot_start()
{
	[[ $(id -u) -eq 0 ]] || skip "needs root"
	port=$(nh_free_port)
	mkdir -p "$D/home" "$D/dovecot.run"
	chown nobody "$D/home"
	cat >"$D/users" <<-EOC
	alice@example.com:::::$D/home/alice::
	bob@example.com:::::$D/home/bob::userdb_quota_rule=*:storage=1G
	EOC
	cat >"$D/dovecot.conf" <<-EOC
	base_dir = $D/dovecot.run
	state_dir = $D/dovecot.run
	log_path = $D/log.dovecot
	protocols = lmtp
	ssl = no
	first_valid_uid = 1
	mail_location = maildir:~/Maildir
	mail_plugins = quota
	passdb {
	  driver = passwd-file
	  args = $D/users
	}
	userdb {
	  driver = passwd-file
	  args = $D/users
	  override_fields = uid=nobody gid=nogroup
	}
	plugin {
	  quota = count:q
	  quota_vsizes = yes
	  quota_rule = *:storage=20K
	  quota_exceeded_message = 5.2.2 mailbox is over quota
	}
	service lmtp {
	  unix_listener $D/lmtp {
	    mode = 0666
	  }
	  inet_listener lmtp {
	    address = 127.0.0.1
	    port = $port
	  }
	}
	$(printf '%s\n' "$@")
	EOC
	dovecot_again
}

# Once more, with the configuration that is there; $DOVECOT is its pid.
dovecot_again()
{
	local PATH=$PATH:/usr/sbin

	nh_spawn dovecot -F -c "$D/dovecot.conf" 2>>"$D/err.dovecot"
	DOVECOT=$NH_PID
	nh_until 5 nh_listens "$port" ||
		{ cat "$D/err.dovecot" "$D/log.dovecot"; return 1; }
}

# mails USER: the messages it has.
mails()
{
	find "$D/home/$1" -path '*/new/*' -type f 2>/dev/null
}

# mails_are USER N
mails_are()
{
	[[ $(mails "$1" | wc -l) -eq $2 ]] || {
		echo "$1 has not $2:"
		mails "$1"
		return 1
	}
}

# sessions_are N: so many dialogues with the LMTP server have ended.
sessions_are()
{
	[[ $(grep -c 'Disconnect from .*: Logged out' "$D/log.dovecot") -eq $1 ]]
}
