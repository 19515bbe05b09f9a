"""A milter on PORT that edits every message: inserts a header before all
others, changes the subject, adds a header, replaces the body by a longer one,
and adds the recipient added@b.test."""
import socketserver
import struct
import sys


class Milter(socketserver.StreamRequestHandler):
    def say(self, cmd, data=b''):
        self.wfile.write(struct.pack('>I', len(data) + 1) + cmd + data)

    def handle(self):
        while head := self.rfile.read(4):
            packet = self.rfile.read(struct.unpack('>I', head)[0])
            cmd = packet[:1]
            if cmd == b'O':
                self.say(b'O', struct.pack('>III', 6, 0x01 | 0x02 | 0x04 | 0x10, 0))
            elif cmd == b'Q':
                return
            elif cmd == b'E':
                self.say(b'i', struct.pack('>I', 0) + b'X-First\0one\0')
                self.say(b'm', struct.pack('>I', 1) + b'Subject\0changed\0')
                self.say(b'h', b'X-Last\0two\0')
                self.say(b'+', b'<added@b.test>\0')
                self.say(b'b', b'new body\r\n' * 2000)
                self.say(b'c')
            elif cmd not in (b'D', b'A', b'K'):
                self.say(b'c')


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


Server(('127.0.0.1', int(sys.argv[1])), Milter).serve_forever()
