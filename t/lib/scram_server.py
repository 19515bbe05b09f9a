#!/usr/bin/env python3
"""A mail server that knows SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, and no more.

usage: scram_server.py PORT-FILE CERT.pem [option...]

Its own arithmetic, so that a client is not checked against itself. One user,
alice, with the password "sesame, open". STARTTLS comes first. What it found is
a line per connection on stdout: mechanism, GS2 header, the verdict.

    --tls=1.2|1.3   only that version
    --no-plus       SCRAM-SHA-256 alone is offered
    --rounds=N      of PBKDF2
    --lie           235 with a server signature that is wrong
    --early         235 without a server signature
"""
import base64
import hashlib
import hmac
import os
import socket
import ssl
import sys

USER, PASSWORD, SALT = "alice", b"sesame, open", b"0123456789abcdef"
flags = {f.split("=")[0]: f.partition("=")[2] for f in sys.argv[3:]}
port_file, cert = sys.argv[1:3]
keylog = port_file + ".keys"


def digest(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def sha(data):
    return hashlib.sha256(data).digest()


def b64(data):
    return base64.b64encode(data).decode()


def expand_label(secret, label, context, n, how):
    """HKDF-Expand-Label, RFC 8446 section 7.1."""
    label = b"tls13 " + label
    info = (n.to_bytes(2, "big") + bytes([len(label)]) + label +
            bytes([len(context)]) + context)
    out = block = b""
    i = 1
    while len(out) < n:
        block = hmac.new(secret, block + info + bytes([i]), how).digest()
        out += block
        i += 1
    return out[:n]


def exporter(cipher):
    """RFC 9266, from the secret in the key log (RFC 8446 section 7.5)."""
    how = hashlib.sha384 if cipher.endswith("SHA384") else hashlib.sha256
    with open(keylog) as f:
        lines = [s.split() for s in f if s.startswith("EXPORTER_SECRET")]
    secret = bytes.fromhex(lines[-1][2])
    empty = how(b"").digest()
    secret = expand_label(secret, b"EXPORTER-Channel-Binding", empty,
                          how().digest_size, how)
    return expand_label(secret, b"exporter", empty, 32, how)


def end_point():
    """RFC 5929 section 4: our certificate is signed with SHA-256."""
    with open(cert) as f:
        pem = f.read()
    pem = pem[pem.index("-----BEGIN CERTIFICATE"):]
    return sha(ssl.PEM_cert_to_DER_cert(pem))


class Cancelled(Exception):
    """The client said "*"."""


class Peer:
    def __init__(self, sock):
        self.sock = sock
        self.file = sock.makefile("rb")

    def say(self, text):
        self.sock.sendall(text.encode() + b"\r\n")

    def line(self):
        line = self.file.readline()
        if not line:
            raise EOFError
        return line.decode().rstrip("\r\n")

    def ask(self, challenge):
        self.say("334 " + b64(challenge))
        line = self.line()
        if line == "*":
            raise Cancelled
        return base64.b64decode(line, validate=True)


def fields(text):
    return dict((f[0], f[2:]) for f in text.split(","))


def scram(peer, name, first, binding):
    """What is wrong, or nothing."""
    gs2_flag, authzid, bare = first.decode().split(",", 2)
    gs2 = gs2_flag + "," + authzid + ","
    client = fields(bare)
    rounds = int(flags.get("--rounds", 4096))
    nonce = client["r"] + b64(os.urandom(12))
    challenge = "r=%s,s=%s,i=%d" % (nonce, b64(SALT), rounds)
    last = peer.ask(challenge.encode()).decode()
    without, _, proof = last.rpartition(",p=")
    got = fields(without)

    salted = hashlib.pbkdf2_hmac("sha256", PASSWORD, SALT, rounds)
    auth = ",".join((bare, challenge, without)).encode()
    client_key = digest(salted, b"Client Key")
    signature = digest(sha(client_key), auth)
    key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature))
    server = digest(digest(salted, b"Server Key"), auth)

    print(name, gs2, end=" ")
    is_plus = name.endswith("-PLUS")
    wanted = gs2.encode() + (binding[1] if is_plus else b"")
    if client["n"] != USER or sha(key) != sha(client_key):
        return "wrong password"
    if got["r"] != nonce:
        return "wrong nonce"
    if base64.b64decode(got["c"]) != wanted:
        return "wrong binding"
    if gs2_flag != ("p=" + binding[0] if is_plus else
                    "y" if "--no-plus" in flags else gs2_flag):
        return "wrong flag"
    if gs2_flag == "y" and "--no-plus" not in flags:
        return "downgraded"
    if "--early" in flags:
        return ""
    if "--lie" in flags:
        server = sha(server)
    if peer.ask(b"v=" + b64(server).encode()) != b"":
        return "no empty response"
    return ""


def authenticate(peer, words):
    binding = ("tls-server-end-point", end_point())
    if peer.sock.version() == "TLSv1.3":
        binding = ("tls-exporter", exporter(peer.sock.cipher()[0]))
    if len(words) == 3:
        first = base64.b64decode(words[2], validate=True)
    else:
        first = peer.ask(b"")
    try:
        why = scram(peer, words[1].upper(), first, binding)
    except Cancelled:
        peer.say("501 5.7.0 as you like")
        print("cancelled", flush=True)
        return
    peer.say("535 5.7.8 " + why if why else "235 2.7.0 welcome")
    print(why or "well", flush=True)


def serve(peer, context):
    peer.say("220 scram.test")
    while True:
        words = peer.line().split(" ")
        verb = words[0].upper()
        if verb == "EHLO" and not isinstance(peer.sock, ssl.SSLSocket):
            peer.say("250-scram.test\r\n250 STARTTLS")
        elif verb == "EHLO":
            plus = "" if "--no-plus" in flags else " SCRAM-SHA-256-PLUS"
            peer.say("250-scram.test\r\n250 AUTH SCRAM-SHA-256" + plus)
        elif verb == "STARTTLS":
            peer.say("220 go")
            peer = Peer(context.wrap_socket(peer.sock, server_side=True))
        elif verb == "AUTH":
            authenticate(peer, words)
        elif verb == "DATA":
            peer.say("354 go")
            while peer.line() != ".":
                pass
            peer.say("250 taken")
        elif verb == "QUIT":
            peer.say("221 bye")
            return
        else:
            peer.say("250 ok")


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert)
    context.keylog_filename = keylog
    if "--tls" in flags:
        version = ssl.TLSVersion["TLSv" + flags["--tls"].replace(".", "_")]
        context.minimum_version = context.maximum_version = version
    listener = socket.create_server(("127.0.0.1", 0))
    with open(port_file + ".new", "w") as f:
        f.write(str(listener.getsockname()[1]))
    os.rename(port_file + ".new", port_file)
    while True:
        sock, _ = listener.accept()
        try:
            serve(Peer(sock), context)
        except (EOFError, OSError, ValueError, KeyError) as e:
            print("broken:", repr(e), flush=True)
        sock.close()


main()
