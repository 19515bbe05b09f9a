"""Gives a message to an SMTP server: PORT [--sender=A] [--mail=X] [--rcpt=X]
RCPT... <MESSAGE.  The message goes as it is, dots stuffed, LF made CRLF where
no CR stands before it."""
import re
import smtplib
import sys

port, sender, mail, rcpt, to = int(sys.argv[1]), 'a@sender.test', [], [], []
for arg in sys.argv[2:]:
    if arg.startswith('--sender='):
        sender = arg[9:]
    elif arg.startswith('--mail='):
        mail = arg[7:].split()
    elif arg.startswith('--rcpt='):
        rcpt = arg[7:].split()
    else:
        to.append(arg)
body = re.sub(rb'(?<!\r)\n', b'\r\n', sys.stdin.buffer.read())
s = smtplib.SMTP('127.0.0.1', port, timeout=60)
s.ehlo('client.test')


def want(answer, code):
    if answer[0] != code:
        sys.exit('%d %s' % (answer[0], answer[1].decode('latin-1')))


utf8 = 'SMTPUTF8' in mail
s.command_encoding = 'utf-8'
want(s.docmd('MAIL', 'FROM:<%s>%s' % (sender, ''.join(' ' + m for m in mail))), 250)
for one in to:
    want(s.docmd('RCPT', 'TO:<%s>%s' % (one, ''.join(' ' + r for r in rcpt))), 250)
want(s.docmd('DATA'), 354)
if body and not body.endswith(b'\r\n'):
    body += b'\r\n'
s.send(re.sub(rb'(?m)^\.', b'..', body) + b'.\r\n')
want(s.getreply(), 250)
s.quit()
