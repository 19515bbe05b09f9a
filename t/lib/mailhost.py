"""An SMTP or LMTP server that does what the local part of an address says:

    defer*   450 4.2.1 at RCPT        bounce*  550 5.1.1 at RCPT
    late*    the message is taken after --late seconds
    hang*    no answer to the message, ever
    refuse*  554 5.6.0 to the message (LMTP: for this recipient)

PLACE is a port (0: any, told in --port-file) or unix:PATH.  Messages go to
FOLDER, one file each, CRLF as it came; FOLDER.log has a line for each command
and a "taken ADDRESS..." for each message, written before it is answered.  With
--down connections are greeted with 421."""
import argparse
import asyncio
import os
import resource
import signal

ap = argparse.ArgumentParser()
ap.add_argument('place')
ap.add_argument('folder')
ap.add_argument('--lmtp', action='store_true')
ap.add_argument('--port-file')
ap.add_argument('--offer', default='PIPELINING 8BITMIME SIZE=0 ENHANCEDSTATUSCODES SMTPUTF8')
ap.add_argument('--late', type=float, default=2)
ap.add_argument('--down', action='store_true')
a = ap.parse_args()
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
os.makedirs(a.folder, exist_ok=True)
log = open(a.folder + '.log', 'a', buffering=1)
count = 0


async def data(r, w, to):
    """The message; what is to be said of each recipient."""
    global count
    lines = []
    while (line := await r.readline()) != b'.\r\n':
        if not line.endswith(b'\n'):
            raise ConnectionError
        lines.append(line[1:] if line.startswith(b'.') else line)
    if any(t.startswith('late') for t in to):
        log.write('late\n')
        await asyncio.sleep(a.late)
    if any(t.startswith('hang') for t in to):
        log.write('hang\n')
        await asyncio.sleep(3600)
    good = [t for t in to if not t.startswith('refuse')]
    if good and (a.lmtp or len(good) == len(to)):
        count += 1
        with open('%s/%d' % (a.folder, count), 'wb') as f:
            f.writelines(lines)
        log.write('taken %s\n' % ' '.join(good))
    for t in to if a.lmtp else [''.join(to)[:6]]:
        w.write(b'554 5.6.0 no such content\r\n' if t.startswith('refuse') else
                b'250 2.0.0 taken as %d\r\n' % count)


async def session(r, w):
    to = []
    w.write(b'421 4.3.2 not now\r\n' if a.down else b'220 mailhost\r\n')
    while not a.down and (line := await r.readline()):
        text = line.decode('utf-8', 'replace').rstrip('\r\n')
        verb = text[:4].upper()
        log.write(text + '\n')
        if verb in ('EHLO', 'LHLO'):
            w.write(('250-mailhost\r\n' + ''.join('250-%s\r\n' % o.replace('=', ' ') for o in a.offer.split()) +
                     '250 HELP\r\n').encode())
        elif verb == 'MAIL':
            to = []
            w.write(b'250 2.1.0 sender\r\n')
        elif verb == 'RCPT':
            address = text[text.index('<') + 1:text.rindex('>')]
            if address.startswith('defer'):
                w.write(b'450 4.2.1 mailbox is busy\r\n')
            elif address.startswith('bounce'):
                w.write(b'550 5.1.1 no such user\r\n')
            else:
                to.append(address)
                w.write(b'250 2.1.5 recipient\r\n')
        elif verb == 'DATA':
            if not to:
                w.write(b'503 5.5.1 nobody\r\n')
                continue
            w.write(b'354 go on\r\n')
            await w.drain()
            await data(r, w, to)
        elif verb == 'QUIT':
            w.write(b'221 2.0.0 bye\r\n')
            break
        else:
            w.write(b'250 2.0.0 well\r\n')
        await w.drain()


async def serve(r, w):
    try:
        await session(r, w)
        await w.drain()
    except (ConnectionError, asyncio.CancelledError, asyncio.LimitOverrunError):
        pass
    finally:
        w.close()


async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    args = dict(limit=1 << 26, backlog=4096)
    if a.place.startswith('unix:'):
        was = os.umask(0)       # for all, as soon as it is there
        server = await asyncio.start_unix_server(serve, a.place[5:], **args)
        os.umask(was)
    else:
        server = await asyncio.start_server(serve, '127.0.0.1', int(a.place), **args)
        if a.port_file:
            with open(a.port_file + '.new', 'w') as f:
                f.write('%d\n' % server.sockets[0].getsockname()[1])
            os.rename(a.port_file + '.new', a.port_file)
    await stop.wait()
    os._exit(0)

asyncio.run(main())
