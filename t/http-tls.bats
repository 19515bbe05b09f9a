#!/usr/bin/env bats
# http: TLS by nginx, client certificates, credentials, signatures.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/certs
load lib/http

setup_file()
{
	certs_make
}

teardown_file()
{
	certs_remove
}

setup()
{
	nh_setup
}

teardown()
{
	nh_teardown
}

# ---- TLS ----

secured()
{
	rm -f "$D/requests"
	nginx_start
	give 0 url="http://127.0.0.1:$port_tls/ok" tls.ca_certs="$CERTS/ca.crt" -- s@x.test a@x.test
	row 1 a@x.test delivered 250 2.6.0 ok
	requests 1 ' HTTP/2\.0 '
	kill "$NGINX"
}

@test "R-HT-12: a tls option makes http: TLS" {
	both secured
}

@test "R-HT-12: https: without tls options is verified, by the system's certificates" {
	VIA=agent
	nginx_start
	give 75 url="https://127.0.0.1:$port_tls/ok" -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.7.5 'Server certificate not verified: *'
	SSL_CERT_FILE=$CERTS/ca.crt give 0 url="https://127.0.0.1:$port_tls/ok" -- s@x.test a@x.test
	requests 1 '^POST /ok'
}

@test "R-HT-12: http: without tls options is clear text" {
	VIA=agent
	nginx_start
	give 0 url="http://127.0.0.1:$port/ok" -- s@x.test a@x.test
	give 0 url="http://127.0.0.1:$port/ok" tls=no -- s@x.test a@x.test
	give 75 url="http://127.0.0.1:$port/ok" tls=yes tls.ca_certs="$CERTS/ca.crt" -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.7.5 'TLS handshake with 127.0.0.1:* failed: *'
}

refuses()
{
	give 75 url="https://127.0.0.1:$port_tls/ok" "$@" -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.7.5 'Server certificate not verified: *'
}

takes()
{
	give 0 url="https://127.0.0.1:$port_tls/ok" "$@" -- s@x.test a@x.test
}

@test "R-HT-13: a certificate of another CA" {
	VIA=agent
	nginx_start
	refuses tls.ca_certs="$CERTS/other.crt"
	requests 0 POST
	takes tls.ca_certs="$CERTS/other.crt" tls.cert_reqs=CERT_NONE
	takes tls_mode=require
}

@test "R-HT-13: through the master" {
	nginx_start
	refuses tls.ca_certs="$CERTS/other.crt"
}

@test "R-HT-13: a certificate for another host, one that is out of date" {
	VIA=agent
	cert=$CERTS/wrong.pem nginx_start
	refuses tls.ca_certs="$CERTS/ca.crt"
	takes tls.ca_certs="$CERTS/ca.crt" tls.match=other.test
	kill "$NGINX"
	cert=$CERTS/expired.pem nginx_start
	refuses tls.ca_certs="$CERTS/ca.crt"
}

@test "R-HT-13: fingerprints" {
	VIA=agent
	cert=$CERTS/self.pem nginx_start
	takes tls.fingerprints="$(cert_digest "$CERTS/self.pem")"
	takes tls.fingerprints="$(cert_key_digest "$CERTS/self.pem")"
	refuses tls.fingerprints="$(cert_digest "$CERTS/good.pem")"
}

@test "a session that is resumed is as good as it was, with its facts in the answer" {
	nginx_start
	port=$port_tls
	run hook_json tls.ca_certs="$CERTS/ca.crt" url="https://127.0.0.1:$port/ok" -- s@x.test a@x.test
	[[ $status -eq 0 ]]
	grep -q '"tls":"TLSv1.3 [A-Z0-9_]* verified=127.0.0.1"' "$D/rows"
	"$NH_BUILD/libexec/nexthop/http" -o url="https://127.0.0.1:$port/ok" \
		-o tls.ca_certs="$CERTS/ca.crt" -o http2=no --count=3 --gap=0.3 \
		--output=json --from=s@x.test a@x.test <"$D/M" >"$D/rows"
	[[ $(grep -c 'verified=127.0.0.1 resumed"' "$D/rows") -eq 2 ]]
	requests 3 ' HTTP/1\.1 '
}

@test "versions and ciphers" {
	VIA=agent
	protocols='ssl_protocols TLSv1.2;' nginx_start
	takes tls.ca_certs="$CERTS/ca.crt" tls.ssl_version=PROTOCOL_TLSv1_2
	give 75 url="https://127.0.0.1:$port_tls/ok" tls.ca_certs="$CERTS/ca.crt" \
		tls.ssl_version=PROTOCOL_TLSv1_3 -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.7.5 'TLS handshake with *'
	give 75 url="https://127.0.0.1:$port_tls/ok" tls.ca_certs="$CERTS/ca.crt" \
		tls.ciphers=AES128-SHA -- s@x.test a@x.test
	give 78 url=https://127.0.0.1/ tls.ciphers=nonsense -- s@x.test a@x.test
}

@test "a client certificate" {
	VIA=agent
	nginx_start
	takes tls.ca_certs="$CERTS/ca.crt" tls.certfile="$CERTS/client.crt" \
		tls.keyfile="$CERTS/client.key"
	requests 1 ' CN=nexthop client$'
	give 78 url=https://127.0.0.1/ tls.certfile="$CERTS/client.crt" -- s@x.test a@x.test
}

@test "HTTP/2 over TLS: many requests on one connection; http2 = no" {
	VIA=agent
	nginx_start
	give 0 url="https://127.0.0.1:$port_tls/app" tls.ca_certs="$CERTS/ca.crt" \
		concurrent_connections=2 --count=300 --parallel=100 -- s@x.test a@x.test
	rows 300
	[[ $(cut -f 2 "$D/rows" | sort -u) == delivered ]]
	requests 300 '/app .* HTTP/2\.0 '
	[[ $(grep HTTP/2 "$D/requests" | cut -d ' ' -f 6 | sort -u | wc -l) -le 8 ]]
	takes tls.ca_certs="$CERTS/ca.crt" http2=no
	requests 1 ' HTTP/1\.1 '
}

@test "a large message over HTTP/2 and TLS" {
	VIA=agent
	nginx_start
	head -c 20000000 /dev/urandom >"$D/big"
	MSG=$D/big give 0 url="https://127.0.0.1:$port_tls/keep" tls.ca_certs="$CERTS/ca.crt" -- s@x.test a@x.test
	cmp "$D/big" "$D"/bodies/*
}

@test "the server closes TLS in the handshake" {
	VIA=agent
	fake_start X
	give 75 url="https://127.0.0.1:$port/" -- s@x.test a@x.test
	row 1 a@x.test transient 451 4.7.5 'TLS handshake with *'
}

# ---- credentials ----

secret()
{
	printf '%s\n' "$2" >"$D/$1"
	chmod 600 "$D/$1"
}

@test "a bearer token from a file, read again when it changes" {
	VIA=agent
	respond '204 No Content'
	fake_start "${exchange[@]}" X + "${exchange[@]}" X
	secret token first
	hook 0 token_file="$D/token" --trace -- s@x.test a@x.test
	heard 1 '^Authorization: Bearer first$'
	grep -q 'C: Authorization: \*\*\*\*' "$D/log.agent"
	run grep first "$D/log.agent"
	[[ $status -ne 0 ]]
	secret token second
	hook 0 token_file="$D/token" -- s@x.test a@x.test
	heard 1 '^Authorization: Bearer second$'
	chmod 644 "$D/token"
	hook 78 token_file="$D/token" -- s@x.test a@x.test || hook 70 token_file="$D/token" -- s@x.test a@x.test
	grep -q 'others have access' "$D/log.agent"
}

@test "a token that changes while the relay runs" {
	VIA=agent
	respond '204 No Content'
	fake_start "${exchange[@]}" X + "${exchange[@]}" X
	secret token first
	(sleep 0.7; echo second >"$D/token") &
	hook 0 token_file="$D/token" --count=2 --gap=1.5 -- s@x.test a@x.test
	heard 1 '^Authorization: Bearer first$'
	heard 1 '^Authorization: Bearer second$'
}

@test "Basic credentials, by value and from a file" {
	VIA=agent
	respond '204 No Content'
	fake_start "${exchange[@]}" X + "${exchange[@]}" X
	secret password 'sesame, open'
	hook 0 credentials.username=al credentials.password='sesame, open' -- s@x.test a@x.test
	hook 0 credentials.username=al credentials.password_file="$D/password" -- s@x.test a@x.test
	heard 2 "^Authorization: Basic $(printf 'al:sesame, open' | base64)\$"
}

@test "secrets do not go in clear text to other hosts unasked" {
	VIA=agent
	secret token t
	give 78 url=http://192.0.2.1/ token_file="$D/token" -- s@x.test a@x.test
	grep -q 'would be sent in clear text' "$D/log.agent"
	give 75 url=http://192.0.2.1/ token_file="$D/token" timeout=0.1 \
		credentials.allow_cleartext=yes -- s@x.test a@x.test
	give 78 url=http://127.0.0.1/ token_file="$D/token" credentials.username=a \
		credentials.password=b -- s@x.test a@x.test
	give 78 url=http://127.0.0.1/ credentials.username=a -- s@x.test a@x.test
	give 78 url=http://127.0.0.1/ credentials.password=a -- s@x.test a@x.test
}

# ---- signatures ----

# The recipe of http(8), as it stands there.
recipe()
{
	sed -n '/^import hashlib/,/^\.Ed/p' "$NH_ROOT/agents/http.8" | grep -v '^\.Ed'
}

signed()
{
	local stamp
	secret hmac "$(printf 'a secret %.0s' {1..12})"
	for MSG in "$D/M" "$D/big"; do
		for format in rfc822 json; do
			rm -f "$D/fake"
			answers '204 No Content'
			hook 0 hmac_secret_file="$D/hmac" format=$format timeout=60 -- s@x.test a@x.test
			fake_well
			{
				recipe
				cat <<-'EOP'
				import sys
				raw = open(sys.argv[1], "rb").read()
				head, body = raw.split(b"\r\n\r\n", 1)
				headers = dict(l.split(": ", 1) for l in head.decode().split("\r\n")[1:] if ": " in l)
				n = int(headers["Content-Length"])
				secret = open(sys.argv[2], "rb").read().rstrip(b"\n")
				assert verify(secret, headers, body[:n])
				assert not verify(secret, headers, body[:n] + b"x")
				assert not verify(secret + b"x", headers, body[:n])
				EOP
			} | sed 's/^\t*\(import sys\)/\1/' >"$D/verify.py"
			sed -i 1,1d "$D/fake"
			python3 "$D/verify.py" "$D/fake" "$D/hmac"
		done
	done
}

@test "requests are signed; the recipe of the manual verifies them" {
	VIA=agent
	head -c 4000000 /dev/zero | tr '\0' 'y' >"$D/big"
	signed
}

@test "the shell's recipe gives the same" {
	VIA=agent
	local stamp
	secret hmac sesame
	answers '204 No Content'
	hook 0 hmac_secret_file="$D/hmac" -- s@x.test a@x.test
	stamp=$(sed -n 's/^X-Nexthop-Timestamp: \([0-9]*\).*/\1/p' "$D/fake")
	heard 1 "^X-Nexthop-Signature: sha256=$({ printf '%s.' "$stamp"; cat "$D/M"; } |
		openssl dgst -sha256 -hmac sesame | sed 's/.*= //')\$"
}
