"""log_server.py SOCKET FILE: takes datagrams at SOCKET and appends a line for
each to FILE: entries of the journal's native protocol as JSON objects, others
as they came. Where SOCKET ends with /stdout it is the journal's stream: each
line of it, behind the name that the stream began with and its facility."""
import array
import json
import os
import socket
import struct
import sys
import threading


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


def take_lines(connection, out):
    with connection, connection.makefile(
            encoding="utf-8", errors="surrogateescape") as lines:
        name, unit, level, *rest = [lines.readline()[:-1] for _ in range(7)]
        if unit != "" or rest != ["1", "0", "0", "0"]:
            raise ValueError("not the head of a stream")
        for line in lines:
            if not line.endswith("\n"):
                break           # cut: counted as lost
            with open(out, "a", encoding="utf-8") as log:
                print(name, int(level) >> 3, line[:-1], file=log)


def listen(path, out):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    os.chmod(path, 0o666)
    server.listen(64)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=take_lines, args=(connection, out),
                         daemon=True).start()


def main():
    path, out = sys.argv[1], sys.argv[2]
    if path.endswith("/stdout"):
        listen(path, out)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    os.umask(0)             # for all, as soon as it is there
    server.bind(path)
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
