#!/usr/bin/env bats
# The agents that are no mail clients of one host, as services of a real
# Postfix: http, pipe and smtp-mx.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # tests are subshells; lib/

load lib/nexthop
load lib/smtp
load lib/http
load lib/dns
load lib/postfix

setup()
{
	nh_setup
	pf_layout
}

teardown()
{
	pf_teardown
}

@test "http: the URL is the transport's next hop, a refusal bounces" {
	answers '200 OK' 'X-Smtp-Reply: 250; message="2.6.0 filed"'
	PF_SERVICES=("$(agent_line hook http ehlo_as=client.test)")
	pf_start "default_transport = hook:http://127.0.0.1:$port/in"
	pf_send b@b.test <"$D/M"
	pf_logged 1 "postfix/http\[[0-9]+\]: .*to=<b@b.test>, relay=127.0.0.1\[127.0.0.1\]:$port, .*dsn=2.6.0, status=sent"
	pf_empty
	heard 1 '^POST /in HTTP/1.1'
	heard 1 "^X-Envelope-Recipient: $(printf b@b.test | base64)\$"
	pf_calm
}

@test "http: a webhook that says 5yz bounces, one that is down defers" {
	answers '500 No' 'X-Smtp-Reply: 550; message="5.1.1 nobody here"'
	PF_SERVICES=("$(agent_line hook http ehlo_as=client.test \
		"url=http://127.0.0.1:$port/in")"
	    "$(agent_line down http ehlo_as=client.test \
		"url=http://127.0.0.1:$(nh_free_port)/")"
	    "$(agent_line none http ehlo_as=client.test)")
	pf_start 'transport_maps = inline:{sender.test=keep:, b.test=hook:, c.test=down:, d.test=none:}'
	pf_send b@b.test <"$D/M"
	pf_send c@c.test <"$D/M"
	pf_logged 1 'to=<b@b.test>.*dsn=5.1.1, status=bounced .*nobody here'
	pf_logged 1 'to=<c@c.test>.*dsn=4.4.1, status=deferred'
	pf_kept_is 1
	pf_send d@d.test <"$D/M"
	pf_logged 1 'to=<d@d.test>.*status=deferred .*bad next hop d.test'
}

@test "pipe: a program gets the message, its exit status is the answer" {
	chmod 1777 "$D"
	mkdir -m 1777 "$D/in"
	printf '#!/bin/sh\ncase $2 in no@*) echo "5.1.1 no such user"; exit 67;; esac\ncat >%s/in/$2\n' \
		"$D" >"$D/take"
	chmod 755 "$D/take"
	PF_SERVICES=("prog unix - n n - 1 $AGENTS/pipe -o {args=$D/take {sender} {recipient}}")
	pf_start 'default_transport = prog:'
	pf_send ok@b.test no@b.test <"$D/M"
	pf_logged 1 "to=<ok@b.test>, .*dsn=2.0.0, status=sent"
	pf_logged 1 "to=<no@b.test>, .*dsn=5.1.1, status=bounced .*no such user"
	pf_empty
	grep -q '^test' "$D/in/ok@b.test"
	pf_kept_is 1
	pf_calm
}

@test "smtp-mx: MX records, several domains; no such domain bounces" {
	dns_test_zones
	dns_zone here.example <<<'@ MX 10 m
m A 127.0.0.1'
	start_nsd
	sink_start
	PF_SERVICES=("$(agent_line mx smtp-mx ehlo_as=client.test \
		"resolver=$RESOLVER" "port=$port" mta_sts=no)")
	pf_start 'default_transport = mx:'
	pf_send u@null.test u@nx.test <"$D/M"
	pf_logged 1 'to=<u@null.test>.*dsn=5.1.10, status=bounced'
	pf_logged 1 'to=<u@nx.test>.*dsn=5.1.2, status=bounced'
	pf_send u@here.example <"$D/M"
	pf_logged 1 "to=<u@here.example>, relay=m.here.example\[127.0.0.1\]:$port, .*status=sent"
	pf_empty
	pf_calm
}
