"""log_server.py SOCKET FILE: takes datagrams at SOCKET and appends a line for
each to FILE: entries of the journal's native protocol as JSON objects, others
as they came."""
import array
import json
import os
import socket
import struct
import sys


def entry(data):
    fields, at = {}, 0
    while at < len(data):
        end = data.index(b"\n", at)
        if b"=" in data[at:end]:
            key, value = data[at:end].split(b"=", 1)
            at = end + 1
        else:
            key = data[at:end]
            size, = struct.unpack_from("<Q", data, end + 1)
            value = data[end + 9:end + 9 + size]
            at = end + 9 + size + 1
        fields[key.decode()] = value.decode("utf-8", "surrogateescape")
    return json.dumps(fields)


def main():
    path, out = sys.argv[1], sys.argv[2]
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(path)
    os.chmod(path, 0o666)
    while True:
        fds = array.array("i")
        data, control, _, _ = server.recvmsg(1 << 20, 64)
        for _, _, passed in control:
            fds.frombytes(passed)
            with os.fdopen(fds[0], "rb") as memory:
                memory.seek(0)
                data = memory.read()
        with open(out, "a", encoding="utf-8") as log:
            if data.startswith(b"<"):
                print(data.decode("utf-8", "replace"), file=log)
            else:
                print(entry(data), file=log)


main()
