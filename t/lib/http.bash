# Helpers of the tests that deliver over HTTP; loaded after nexthop.bash and
# smtp.bash.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154

TYPE=http

# ---- nginx, with a folder and ports of its own ----

# nginx_start [SERVER-LINE...]: $port keeps connections for 5 s, $port_close
# closes them, $port_h2 speaks HTTP/2 without TLS; with $CERTS also $port_tls.
# /keep stores bodies in $D/bodies. A line per request in $D/requests.
nginx_start()
{
	port=$(nh_free_port)
	port_close=$(nh_free_port)
	port_h2=$(nh_free_port)
	port_tls=$(nh_free_port)
	mkdir -p "$D/bodies" "$D/nginx"
	chmod 777 "$D/bodies" "$D/nginx"
	{
		nginx_main
		nginx_server "$port" 5s "$@"
		nginx_server "$port_close" 0 "$@"
		nginx_server "$port_h2 http2" 5s "$@"
		[[ -z ${CERTS-} ]] || nginx_server "$port_tls ssl http2" 5s \
			"ssl_certificate ${cert:-$CERTS/good.pem};" \
			"ssl_certificate_key ${cert:-$CERTS/good.pem};" \
			"ssl_client_certificate $CERTS/ca.crt;" \
			'ssl_verify_client optional;' \
			"${protocols:-ssl_protocols TLSv1.2 TLSv1.3;}" "$@"
		echo '}'
	} >"$D/nginx.conf"
	nh_spawn nginx -e "$D/err.nginx" -p "$D" -c "$D/nginx.conf" \
		2>>"$D/err.start"
	NGINX=$NH_PID
	nh_until 5 nh_listens "$port"
}

nginx_main()
{
	cat <<-EOC
	daemon off;
	master_process off;
	worker_rlimit_nofile 8192;
	pid $D/nginx.pid;
	error_log $D/err.nginx;
	events { worker_connections 4096; }
	http {
	log_format t '\$request_method \$request_uri \$content_type '
	    '\$http_x_ehlo \$http_x_envelope_sender \$connection '
	    '\$connection_requests \$server_protocol \$content_length '
	    '\$http_idempotency_key \$ssl_client_s_dn';
	access_log $D/requests t;
	client_max_body_size 400m;
	client_body_temp_path $D/nginx/body;
	proxy_temp_path $D/nginx/proxy;
	fastcgi_temp_path $D/nginx/fastcgi;
	uwsgi_temp_path $D/nginx/uwsgi;
	scgi_temp_path $D/nginx/scgi;
	keepalive_requests 1000000;
	EOC
}

# nginx_server LISTEN KEEP-ALIVE [LINE...]
nginx_server()
{
	local n

	printf 'server {\nlisten 127.0.0.1:%s;\nkeepalive_timeout %s;\n' "$1" \
		"$2"
	[[ $# -lt 3 ]] || printf '%s\n' "${@:3}"
	cat <<-'EOC'
	location /ok {
	    add_header X-Smtp-Reply '250; message="2.6.0 ok"' always;
	    return 204;
	}
	location /perm {
	    add_header X-Smtp-Reply '550; message="5.1.1 nope"; command="RCPT"' always;
	    return 500;
	}
	location /temp {
	    add_header X-Smtp-Reply '450; message="4.2.0 try"' always;
	    return 503;
	}
	location /s301 { return 301 /ok; }
	location /s307 { return 307 /ok; }
	location /s308 { return 308 http://127.0.0.2:9/ok; }
	location /loop { return 307 /loop; }
	EOC
	for n in 200 400 401 403 404 405 408 410 413 415 425 429 500 501 503; do
		printf 'location /s%s { return %s; }\n' "$n" "$n"
	done
	cat <<-EOC
	location /app {
	    proxy_pass http://127.0.0.1:$port/ok;
	}
	location /keep {
	    client_body_in_file_only on;
	    client_body_temp_path $D/bodies;
	    proxy_request_buffering on;
	    proxy_pass http://127.0.0.1:$port/ok;
	}
	}
	EOC
}

# requests N PATTERN: so many lines of nginx's log, which may come late.
requests()
{
	nh_until 5 requests_are "$@" || {
		echo "not $1 requests: $2"
		cat "$D/requests"
		return 1
	}
}

requests_are()
{
	[[ $(grep -cE -- "$2" "$D/requests") -eq $1 ]]
}

# ---- the scripted server ----

# respond STATUS-LINE [HEADER...]: the steps of one exchange, in $exchange.
respond()
{
	local text="HTTP/1.1 $1\\r\\n" line

	shift
	for line; do
		text+="${line//\\/\\\\}\\r\\n"
	done
	exchange=(H "W:${text}Content-Length: 0\\r\\n\\r\\n")
}

# answers STATUS-LINE [HEADER...]: a server that gives one such response.
answers()
{
	respond "$@"
	fake_start "${exchange[@]}"
}

# hook_json key=value... -- SENDER RCPT...: by hand to $port, $D/rows as JSON.
hook_json()
{
	local args=()

	while [[ $1 != -- ]]; do
		args+=(-o "$1")
		shift
	done
	"$NH_BUILD/libexec/nexthop/http" -o url="http://127.0.0.1:$port/hook" \
		"${args[@]}" --output=json --from="$2" "${@:3}" <"$D/M" \
		>"$D/rows" 2>>"$D/log.agent"
}

# hook [key=value...] -- SENDER RCPT...: a delivery to $port, status first.
hook()
{
	give "$1" url="http://127.0.0.1:$port/hook" "${@:2}"
}
