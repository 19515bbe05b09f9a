# Policy hosts of MTA-STS; loaded after nexthop.bash, certs.bash and dns.bash.
#
#	certs_make
#	sts_policy good.test enforce mx.good.test	# what its host serves
#	sts_host slow.test 'limit_rate 10;'		# one that is special
#	sts_records | dns_zone test			# TXT and A of all
#	start_nsd
#	sts_start
#	policy sts:good.test				# or an agent with
#	try mx "${STS_OPTIONS[@]}" ...
#
# The hosts are one nginx on 127.0.0.1:$STS_PORT with certificates of our CA.
# shellcheck shell=bash disable=SC2034,SC2154

# sts_policy DOMAIN MODE MX...: the policy is for a day.
sts_policy()
{
	{
		printf 'version: STSv1\r\nmode: %s\r\nmax_age: 86400\r\n' "$2"
		[[ $# -lt 3 ]] || printf 'mx: %s\r\n' "${@:3}"
	} | sts_file "$1"
}

# sts_file DOMAIN <BYTES: the policy file as it is.
sts_file()
{
	local folder=$D/www/mta-sts.$1/.well-known

	mkdir -p "$folder"
	cat >"$folder/mta-sts.txt"
	chmod -R a+rX "$D/www"
	sts_add "$1"
}

# A file, as a policy may come out of a pipe.
sts_add()
{
	grep -qxF "$1" "$D/sts.list" 2>/dev/null || echo "$1" >>"$D/sts.list"
}

# sts_host DOMAIN LINE...: lines for nginx that are for this host alone.
sts_host()
{
	sts_add "$1"
	mkdir -p "$D/sts.hosts"
	printf '%s\n' "${@:2}" >"$D/sts.hosts/$1"
}

# sts_record DOMAIN ID: its TXT record, as a line of a zone file.
sts_record()
{
	printf '_mta-sts.%s. TXT "v=STSv1; id=%s;"\n' "$1" "$2"
}

# sts_records [ID]: what a zone must hold for all policies there are.
sts_records()
{
	local domain

	while read -r domain; do
		sts_record "$domain" "${1:-1}"
		printf 'mta-sts.%s. A 127.0.0.1\n' "$domain"
	done <"$D/sts.list"
}

# sts_start: the web server; it may be started again after sts_stop.
sts_start()
{
	local domain names=''

	: "${STS_PORT:=$(nh_free_port)}"
	while read -r domain; do
		names+=,DNS:mta-sts.$domain
	done <"$D/sts.list"
	if [[ ! -e $D/sts.pem ]]; then
		pushd "$CERTS" >/dev/null || return
		cert_of ca sts "${names#,}"
		popd >/dev/null || return
		cp "$CERTS/sts.pem" "$D/sts.pem"
	fi
	sts_nginx_conf >"$D/sts.conf"
	# shellcheck disable=SC2094 # both only add to it
	nh_spawn nginx -e "$D/err.sts" -p "$D" -c "$D/sts.conf" \
		2>>"$D/err.sts"
	STS_NGINX=$NH_PID
	nh_until 10 nh_listens "$STS_PORT" || { cat "$D/err.sts"; return 1; }
	STS_OPTIONS=(resolver="$RESOLVER" mta_sts_port="$STS_PORT"
		mta_sts_ca_certs="$CERTS/ca.crt")
}

sts_stop()
{
	kill "$STS_NGINX"
	wait "$STS_NGINX" 2>/dev/null || :
}

sts_nginx_conf()
{
	local host

	mkdir -p "$D/nginx"
	cat <<-EOC
	daemon off;
	master_process off;
	pid $D/sts.pid;
	error_log $D/err.sts;
	events { }
	http {
	access_log $D/sts.requests;
	client_body_temp_path $D/nginx/body;
	proxy_temp_path $D/nginx/proxy;
	fastcgi_temp_path $D/nginx/fastcgi;
	uwsgi_temp_path $D/nginx/uwsgi;
	scgi_temp_path $D/nginx/scgi;
	types { }
	default_type text/plain;
	ssl_certificate $D/sts.pem;
	ssl_certificate_key $D/sts.pem;
	root $D/www/\$host;
	server { listen 127.0.0.1:$STS_PORT ssl default_server; }
	EOC
	for host in "$D"/sts.hosts/*; do
		[[ ! -e $host ]] || printf 'server {\nlisten %s;\n%s;\n%s\n}\n' \
			"127.0.0.1:$STS_PORT ssl" \
			"server_name mta-sts.${host##*/}" "$(<"$host")"
	done
	echo '}'
}

# policy [-o option=value]... sts:DOMAIN | dane:HOST...: what is found out.
policy()
{
	local option options=()

	for option in "${STS_OPTIONS[@]-resolver=$RESOLVER}"; do
		options+=(-o "$option")
	done
	"$NH_BUILD/t/tools/policy" "${options[@]}" "$@" 2>>"$D/log.policy"
}

# How often a policy was asked for.
sts_requests()
{
	wc -l <"$D/sts.requests"
}
