#!/usr/bin/env python3
"""Stands in front of a name server: notes each question, lies to order.

dns_count.py [--delay=MS] [--servfail=TYPE:NAME]... [--drop=TYPE:NAME]...
    [--no-ad] PORT SERVER-PORT LOG
"""
import argparse
import asyncio
import struct

TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 15: "MX", 16: "TXT",
         28: "AAAA", 43: "DS", 48: "DNSKEY", 52: "TLSA"}


def question(packet):
    """(type, name) of a packet, in lower case."""
    labels, at = [], 12
    while packet[at] != 0:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1"))
        at += 1 + packet[at]
    number = struct.unpack(">H", packet[at + 1:at + 3])[0]
    return TYPES.get(number, str(number)), ".".join(labels).lower() or "."


def fits(rules, kind, name):
    return any(t in ("*", kind) and n.lower() in ("*", name)
               for t, n in (rule.split(":", 1) for rule in rules))


class Lies:
    def __init__(self, args):
        self.args = args
        self.log = open(args.log, "a", buffering=1)

    def hear(self, way, packet):
        """An answer of our own, b'' for none at all, or None."""
        kind, name = question(packet)
        self.log.write(f"{way} {kind} {name}\n")
        if fits(self.args.drop, kind, name):
            return b""
        if fits(self.args.servfail, kind, name):
            head = packet[:2] + b"\x81\x82" + struct.pack(">4H", 1, 0, 0, 0)
            end = packet.index(b"\0", 12) + 5
            return head + packet[12:end]
        return None

    def say(self, packet):
        if self.args.no_ad and len(packet) > 3:
            packet = packet[:3] + bytes([packet[3] & 0xdf]) + packet[4:]
        return packet


class Ask(asyncio.DatagramProtocol):
    """One question to the server; its answer goes to `done`."""

    def __init__(self, packet, done):
        self.packet, self.done = packet, done

    def connection_made(self, transport):
        self.transport = transport
        transport.sendto(self.packet)

    def datagram_received(self, data, _):
        self.done(data)
        self.transport.close()

    def error_received(self, _):
        self.transport.close()


class Front(asyncio.DatagramProtocol):
    def __init__(self, lies):
        self.lies = lies
        self.tasks = set()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        task = asyncio.ensure_future(self.answer(data, peer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def answer(self, data, peer):
        own = self.lies.hear("udp", data)
        if self.lies.args.delay:
            await asyncio.sleep(self.lies.args.delay / 1000)
        if own is not None:
            if own:
                self.transport.sendto(own, peer)
            return
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Ask(data, lambda reply: self.transport.sendto(
                self.lies.say(reply), peer)),
            remote_addr=("127.0.0.1", self.lies.args.server))


async def read_message(reader):
    size = struct.unpack(">H", await reader.readexactly(2))[0]
    return await reader.readexactly(size)


async def stream(lies, reader, writer):
    try:
        while True:
            packet = await read_message(reader)
            reply = lies.hear("tcp", packet)
            if reply is None:
                inner, outer = await asyncio.open_connection(
                    "127.0.0.1", lies.args.server)
                outer.write(struct.pack(">H", len(packet)) + packet)
                reply = lies.say(await read_message(inner))
                outer.close()
            if reply:
                writer.write(struct.pack(">H", len(reply)) + reply)
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=int, default=0)
    parser.add_argument("--servfail", action="append", default=[])
    parser.add_argument("--drop", action="append", default=[])
    parser.add_argument("--no-ad", action="store_true")
    parser.add_argument("port", type=int)
    parser.add_argument("server", type=int)
    parser.add_argument("log")
    lies = Lies(parser.parse_args())
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(
        lambda: Front(lies), local_addr=("127.0.0.1", lies.args.port))
    server = await asyncio.start_server(
        lambda r, w: stream(lies, r, w), "127.0.0.1", lies.args.port)
    await server.serve_forever()


asyncio.run(main())
