# Certificates for tests, made anew for each file of tests:
#
#	load lib/certs
#	setup_file() { certs_make; }
#	teardown_file() { certs_remove; }
#
# Afterwards there is in $CERTS, with key and certificate in one file:
#
#	good.pem	of our CA, for IP:127.0.0.1, IP:::1 and DNS:mail.test
#	chain.pem	the same, signed by an intermediate one that it holds
#	wrong.pem	of our CA, for DNS:other.test
#	expired.pem	of our CA, for the names of good.pem, out of date
#	self.pem	signed by itself, for the names of good.pem
#	client.pem	of our CA, for clients; also in client.crt, client.key
#	ca.crt		our CA
#	other.crt	a CA that has signed nothing of this
# shellcheck shell=bash

# Agents started by the master run as somebody else, so all of it is readable.
certs_make()
{
	export CERTS
	local names=IP:127.0.0.1,IP:::1,DNS:mail.test

	CERTS=$(mktemp -d /tmp/nhc.XXXXXX)
	chmod 755 "$CERTS"
	pushd "$CERTS" >/dev/null || return
	cert_authority ca 'nexthop test CA'
	cert_authority other 'another CA'
	cert_of ca good "$names"
	cert_of ca wrong DNS:other.test
	cert_of ca expired "$names" -1
	cert_of ca client email:s@x.test '' clientAuth
	cert_of ca middle '' '' '' CA:true
	cert_of middle leaf "$names"
	cat leaf.pem middle.crt >chain.pem
	cert_request self "$names"
	openssl x509 -req -in self.csr -signkey self.key -days 30 \
		-extfile self.ext -out self.crt 2>/dev/null
	cat self.key self.crt >self.pem
	chmod 644 -- *
	popd >/dev/null || return
}

certs_remove()
{
	rm -rf "${CERTS:?}"
}

# cert_authority FILE NAME
cert_authority()
{
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$1.key" -out "$1.crt" -days 30 -subj "/CN=$2" \
		-addext basicConstraints=critical,CA:true 2>/dev/null
}

# cert_request FILE NAMES [USAGE [CONSTRAINTS]]
cert_request()
{
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$1.key" -out "$1.csr" -subj "/CN=nexthop $1" \
		2>/dev/null
	{
		echo "basicConstraints = ${4:-CA:false}"
		[[ -z $2 ]] || echo "subjectAltName = $2"
		[[ -n ${4-} ]] || echo "extendedKeyUsage = ${3:-serverAuth}"
	} >"$1.ext"
}

# cert_of CA FILE NAMES [DAYS [USAGE [CONSTRAINTS]]]: signed by the CA.
cert_of()
{
	cert_request "$2" "$3" "${@:5}"
	openssl x509 -req -in "$2.csr" -CA "$1.crt" -CAkey "$1.key" \
		-CAcreateserial -days "${4:-30}" -extfile "$2.ext" \
		-out "$2.crt" 2>/dev/null
	cat "$2.key" "$2.crt" >"$2.pem"
}

# cert_digest FILE: the SHA-256 of a certificate.
cert_digest()
{
	openssl x509 -in "$1" -outform DER | sha256sum | cut -d ' ' -f 1
}

# cert_key_digest FILE: the SHA-256 of its public key.
cert_key_digest()
{
	openssl x509 -in "$1" -noout -pubkey |
		openssl pkey -pubin -outform DER | sha256sum | cut -d ' ' -f 1
}
