# Peers that are not installed but unpacked below build/peers, because they
# would drive out Postfix or start services: Exim, OpenSMTPD, Cyrus. Each has
# a mount namespace of its own, where the folders and users that are built
# into it exist. Loaded after nexthop.bash, and certs.bash where TLS is used.
# shellcheck shell=bash disable=SC2034,SC2154

PEER_UID=64101		# of the first of peer_users()

# peer_needs PACKAGE: $PEER is where it was unpacked.
peer_needs()
{
	PEER=$NH_ROOT/build/peers/$1
	[[ $(id -u) -eq 0 ]] || skip "needs root"
	[[ -d $PEER ]] || skip "no $1 in build/peers; make deps-test gets it"
	unshare -m true 2>/dev/null || skip "needs unshare -m"
}

# peer_users NAME...: that the peer knows beside those of the system.
peer_users()
{
	local name id=$PEER_UID

	cp /etc/passwd "$D/passwd"
	cp /etc/group "$D/group"
	for name; do
		echo "$name:x:$id:$id::/nonexistent:/bin/false" >>"$D/passwd"
		echo "$name:x:$id:" >>"$D/group"
		id=$((id + 1))
	done
}

# peer_spawn COMMAND...: in the background, its own files where they belong;
# its /run, /var/lib and /var/spool are folders of the test. $port listens.
peer_spawn()
{
	mkdir -p "$D"/peer/{run,lib,spool}
	nh_spawn peer_exec "$@" 2>>"$D/log.peer"
	nh_until 10 nh_listens "$port" || { cat "$D/log.peer"; return 1; }
}

# In a process group of its own: some end their group.
peer_exec()
{
	# shellcheck disable=SC2016 # for the inner shell to expand
	exec setsid unshare -m bash -euc '
	cd "$1"
	mount --bind passwd /etc/passwd
	mount --bind group /etc/group
	mount --bind peer/run /run
	mount --bind peer/lib /var/lib
	mount --bind peer/spool /var/spool
	[[ ! -d $2/usr/libexec ]] || mount --bind "$2/usr/libexec" /usr/libexec
	exec "${@:3}"' - "$D" "$PEER" "$@"
}

# peer_logged N PATTERN FILE: so many of its lines, which may come late.
peer_logged()
{
	nh_until 5 peer_logs "$@" || {
		echo "not $1 times in $3: $2"
		cat "$3"
		return 1
	}
}

peer_logs()
{
	[[ $(grep -cE -- "$2" "$3") -eq $1 ]]
}

# messages: $D/M with all that servers add where it is missing, and some that
# they like to change, as $D/C.*; all lines end with CRLF, but in C.lf.
messages()
{
	printf '%s\r\n' 'From: s@x.test' 'Date: Sun, 1 Mar 2026 10:00:00 +0000' \
		'Message-Id: <m1@x.test>' >"$D/C.empty"
	echo $'\r' >>"$D/C.empty"
	cp "$D/C.empty" "$D/M"
	{ cat "$D/M"; printf '.\r\n..\r\n.x\r\nFrom here\r\n.\r\n'; } >"$D/C.dots"
	{ cat "$D/M"; printf 'gr\303\274n \201\r\n\r\n\r\n'; } >"$D/C.8bit"
	{
		cat "$D/M"
		seq 1 7 30000 | sed 's/.*/.\r\n..\r\n.&\r/'
	} >"$D/C.large"
	tr -d '\r' <"$D/C.dots" >"$D/C.lf"
}

# ---- Exim ----

# exim_start [OPTION-LINE...]: takes mail for alice, bob and büro of
# example.com as $D/mail/NAME, to which nothing is added, with CRLF at the ends
# of lines; "full" has no room. alice's password is "sesame, open", in TLS
# only. $port; the logs are $D/exim/mainlog and rejectlog.
exim_start()
{
	peer_needs exim4-daemon-light
	peer_users Debian-exim
	port=$(nh_free_port)
	mkdir -p "$D/mail" "$D/exim"
	chown $PEER_UID "$D/mail" "$D/exim"
	{
		exim_options
		printf '%s\n' "$@"
		exim_rules
	} >"$D/exim.conf"
	peer_spawn "$PEER/usr/sbin/exim4" -C "$D/exim.conf" -bdf \
		-oX "127.0.0.1.$port"
}

exim_options()
{
	cat <<-EOC
	primary_hostname = mx.example.com
	spool_directory = $D/exim
	log_file_path = $D/exim/%slog
	log_selector = +pipelining +received_recipients +smtp_connection
	local_interfaces = 127.0.0.1
	deliver_drop_privilege = true
	domainlist local_domains = example.com
	acl_smtp_rcpt = rcpt
	acl_smtp_data = data
	host_lookup =
	rfc1413_query_timeout = 0s
	keep_environment =
	received_header_text =
	tls_certificate = $CERTS/good.pem
	EOC
}

exim_rules()
{
	cat <<-EOC
	begin acl
	rcpt:
	  accept  authenticated = *
	          domains = ! +local_domains
	  defer   local_parts = full
	          message = 452 4.2.2 no room for \$local_part
	  deny    ! domains = +local_domains
	          message = 5.7.1 no relaying
	  require verify = recipient
	  accept
	data:
	  deny    condition = \${if def:h_X-Bad:}
	          message = 554 5.7.1 we do not like this
	  accept

	begin routers
	elsewhere:
	  driver = accept
	  domains = ! +local_domains
	  transport = nowhere
	here:
	  driver = accept
	  local_parts = alice : bob : full : büro
	  transport = file
	  cannot_route_message = no such mailbox

	begin transports
	nowhere:
	  driver = appendfile
	  file = /dev/null
	file:
	  driver = appendfile
	  file = $D/mail/\$local_part_data
	  use_crlf
	  message_prefix =
	  message_suffix =
	  check_string =
	  use_lockfile = false
	  lock_fcntl_timeout = 10s
	  escape_string =

	begin authenticators
	plain:
	  driver = plaintext
	  public_name = PLAIN
	  server_prompts = :
	  server_condition = \${if and{{eq{\$auth2}{alice}}{eq{\$auth3}{sesame, open}}}}
	  server_set_id = \$auth2
	  server_advertise_condition = \${if def:tls_in_cipher}
	login:
	  driver = plaintext
	  public_name = LOGIN
	  server_prompts = Username:: : Password::
	  server_condition = \${if and{{eq{\$auth1}{alice}}{eq{\$auth2}{sesame, open}}}}
	  server_set_id = \$auth1
	  server_advertise_condition = \${if def:tls_in_cipher}
	cram:
	  driver = cram_md5
	  public_name = CRAM-MD5
	  server_secret = \${if eq{\$auth1}{alice}{sesame, open}fail}
	  server_set_id = \$auth1
	  server_advertise_condition = \${if def:tls_in_cipher}
	EOC
}

# exim_logged N PATTERN
exim_logged()
{
	peer_logged "$@" "$D/exim/mainlog"
}

# ---- OpenSMTPD ----

# opensmtpd_start [LINE...]: takes mail for alice and bob of example.com into a
# Maildir below $D/mail/NAME. $port, its log is $D/log.peer. It offers STARTTLS,
# but as Debian 12 has it, built for another OpenSSL, each handshake fails.
opensmtpd_start()
{
	peer_needs opensmtpd
	peer_users vmail opensmtpd opensmtpq
	port=$(nh_free_port)
	mkdir -p "$D"/mail/{alice,bob}/Maildir/{new,cur,tmp}
	chown -R $PEER_UID "$D/mail"
	mkdir -p "$D/peer/lib/opensmtpd/empty" "$D/peer/spool/smtpd"
	chmod 711 "$D/peer/spool/smtpd"
	install -m 600 "$CERTS/good.key" "$D/smtpd.key"
	printf '%s\n' "alice	$PEER_UID:$PEER_UID:$D/mail/alice" \
		"bob	$PEER_UID:$PEER_UID:$D/mail/bob" >"$D/users"
	cat >"$D/smtpd.conf" <<-EOC
	$(printf '%s\n' "$@")
	pki mail.test cert "$CERTS/good.crt"
	pki mail.test key "$D/smtpd.key"
	table users file:$D/users
	listen on 127.0.0.1 port $port hostname mx.example.com tls pki mail.test
	action store maildir "~/Maildir" userbase <users>
	match from any for domain example.com action store
	EOC
	chmod 600 "$D/smtpd.conf"
	peer_spawn "$PEER/usr/sbin/smtpd" -d -f "$D/smtpd.conf"
}

# ---- Cyrus ----

# cyrus_start [IMAPD.CONF-LINE...]: takes mail for alice and bob, who get
# mailboxes with their first message, of 20 KB or $quota_kb; by LMTP at $port
# and $D/cyrus/lmtp/socket. Several processes ($children) may see a quota late.
cyrus_start()
{
	local bin

	peer_needs cyrus-common
	peer_users cyrus
	port=$(nh_free_port)
	bin=$PEER/usr/lib/cyrus/bin
	mkdir -p "$D"/cyrus/{conf,mail,lock,proc,sieve,lmtp}
	cat >"$D/imapd.conf" <<-EOC
	configdirectory: $D/cyrus/conf
	partition-default: $D/cyrus/mail
	sievedir: $D/cyrus/sieve
	proc_path: $D/cyrus/proc
	mboxname_lockpath: $D/cyrus/lock
	lmtpsocket: $D/cyrus/lmtp/socket
	admins: cyrus
	servername: mx.example.com
	virtdomains: off
	duplicatesuppression: no
	autocreate_post: yes
	autocreate_users: alice bob
	autocreate_quota: ${quota_kb:-20}
	$(printf '%s\n' "$@")
	EOC
	cat >"$D/cyrus.conf" <<-EOC
	SERVICES {
	  tcp cmd="$bin/lmtpd -a -C $D/imapd.conf" listen="127.0.0.1:$port" prefork=0 maxchild=${children:-10}
	  unix cmd="$bin/lmtpd -C $D/imapd.conf" listen="$D/cyrus/lmtp/socket" prefork=0
	}
	EOC
	chown -R $PEER_UID "$D/cyrus"
	peer_spawn env LD_LIBRARY_PATH="$(echo "$PEER"/usr/lib/*-linux-gnu)" \
		"$bin/master" -C "$D/imapd.conf" -M "$D/cyrus.conf" \
		-p "$D/cyrus/pid"
}
