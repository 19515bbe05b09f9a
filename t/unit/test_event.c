/*
 * test_event.c - events in their three forms: what is written must parse back
 * into what was said, whatever bytes that held, and hold nothing else.
 */
#include "base/event.h"

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log_inner.h"
#include "base/str.h"
#include "test.h"

#define ROUNDS	200
#define JOURNAL	"/run/systemd/journal"

static char got[256 * 1024];
static int out, real_stderr;

static void
capture(void)
{
	out = memfd_create("log", 0);
	real_stderr = dup(STDERR_FILENO);
	dup2(out, STDERR_FILENO);
}

static const char *
written(void)
{
	off_t n;

	log_flush();
	n = lseek(out, 0, SEEK_CUR);
	if (n >= (off_t)sizeof(got) || pread(out, got, (size_t)n, 0) != n)
		n = 0;
	got[n] = '\0';
	if (ftruncate(out, 0) == -1)
		got[0] = '\0';
	lseek(out, 0, SEEK_SET);
	return got;
}

/* ---- values ---- */

static uint32_t seed = 1;

static uint32_t
pick(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* Pieces that are trouble somewhere. */
static char *
nasty(char *to, size_t size)
{
	static const char *const pieces[] = { "a", "b.test", " ", "\"", "\\",
		"\n", "\r\n", "\t", "\033[2J", "=", "<", ">", "to=<x>", "}",
		"\",\"level\":\"", "\xc3\xb6", "\xe2\x82\xac", "\xff", "\xc3",
		"\xc2\x85", "\x7f", "\x01", ")", "(", "\\x41", "\nPRIORITY=0\n",
		"status=sent", "\xf0\x9f\x93\xa7", "[", "/" };
	uint32_t n = pick(9);

	*to = '\0';
	while (n-- > 0)
		strlcat(to, pieces[pick(sizeof(pieces) / sizeof(pieces[0]))],
		    size);
	return to;
}

/* Takes the escapes out again; the length. */
static size_t
unescape(char *s)
{
	char *from = s, *to = s;
	unsigned byte;

	for (; *from != '\0'; from++) {
		if (*from != '\\') {
			*to++ = *from;
			continue;
		}
		switch (*++from) {
		case 't':
			*to++ = '\t';
			break;
		case 'n':
			*to++ = '\n';
			break;
		case 'r':
			*to++ = '\r';
			break;
		case 'x':
			if (sscanf(from + 1, "%2x", &byte) != 1)
				return 0;
			*to++ = (char)byte;
			from += 2;
			break;
		default:
			*to++ = *from;
			break;
		}
	}
	*to = '\0';
	return (size_t)(to - s);
}

static bool
is_clean(const char *line)
{
	return !str_has_control(line) && str_is_utf8(line, strlen(line));
}

/* ---- text ---- */

/* Cuts "key=value" off a line, the value without its quotes. */
static char *
next_field(char **line, char **value_r)
{
	char *key = *line + strspn(*line, " "), *p = strchr(key, '=');

	if (*key == '\0' || *key == '(' || p == NULL)
		return NULL;
	*p++ = '\0';
	*value_r = p;
	if (*p != '"') {
		p += strcspn(p, " ");
		*line = *p == '\0' ? p : p + 1;
		*p = '\0';
		return key;
	}
	for (*value_r = ++p; *p != '"' && *p != '\0'; p++)
		if (*p == '\\')
			p++;
	*line = *p == '\0' ? p : p + 1;
	*p = '\0';
	return key;
}

static void
say_session(const char *host, const char *end)
{
	struct event_session s = { .protocol = "smtp", .serial = 7,
	    .host = host, .address = "192.0.2.1", .port = 25,
	    .ehlo = "me.test", .messages = 3, .recipients = 4, .bytes = 12345,
	    .reused = 2, .duration_ms = 61007, .end = end };

	event_session(EVENT_SESSION, &s);
}

static void
test_text(void)
{
	static const char *const keys[] = { "session", "protocol", "host",
		"address", "port", "tls", "ehlo", "messages", "recipients",
		"bytes", "reused", "duration", "end" };
	char host[256], end[256], *line, *key, *value, *text;
	unsigned i, n, bad = 0;

	log_set(LOG_TO_STDERR, LOG_LEVEL_INFO);
	for (i = 0; i < ROUNDS; i++) {
		say_session(nasty(host, sizeof(host)),
		    nasty(end, sizeof(end)));
		written();
		text = got;
		line = strsep(&text, "\n");
		bad += *text != '\0' || !is_clean(line);
		line = strstr(line, "]: ") + 3;
		bad += strncmp(line, "session ", 8) != 0;
		line += 7;
		for (n = 0; (key = next_field(&line, &value)) != NULL; n++) {
			unescape(value);
			bad += n >= 13 || strcmp(key, keys[n]) != 0 ||
			    (n == 2 && strcmp(value, host) != 0) ||
			    (n == 12 && strcmp(value, end) != 0);
		}
		bad += n != 13;
	}
	is_int(bad, 0, "text: %d events parse back", ROUNDS);
	say_session("mx.test", "quit");
	ok(strstr(written(), "]: session session=7 protocol=smtp host=mx.test "
	    "address=192.0.2.1 port=25 tls=none ehlo=me.test messages=3 "
	    "recipients=4 bytes=12345 reused=2 duration=61.007 end=\"quit\"\n")
	    != NULL, "text: as the manual shows it");
}

static void
say_final(const char *id, const char *to, const char *host, const char *reply)
{
	static const uint32_t times[] = { 1, 20, 300 };
	static const uint8_t dsn[] = { 5, 1, 110 };
	struct event_line e;

	if (!event_begin(&e, EVENT_BOUNCED, id))
		return;
	event_address(&e, "to", to);
	event_peer(&e, host, "192.0.2.1", *host == '\0' ? 0 : 25);
	event_seconds(&e, "delay", 321);
	event_times(&e, "delays", times, 3);
	event_dsn(&e, dsn);
	event_text(&e, "status", "bounced");
	event_quoted(&e, "stage", "RCPT TO");
	event_reply(&e, 550, reply);
	event_beside(&e);
	event_text(&e, "tls", "TLSv1.3 x");
	event_end(&e);
}

/* "ID: to=<...> relay=... (550 text)" */
static bool
final_parses(const char *id, const char *to, const char *host,
    const char *reply)
{
	char *line = strstr(got, "]: ") + 3, *p;
	char shown_host[512];
	size_t n;

	if (strcspn(got, "\n") != strlen(got) - 1)
		return false;
	got[strlen(got) - 1] = '\0';
	if (!is_clean(got) || (p = strstr(line, ": to=<")) == NULL)
		return false;
	*p = '\0';
	unescape(line);
	if (strcmp(line, *id == '\0' ? "-" : id) != 0)
		return false;
	line = p + 6;
	if ((p = strstr(line, "> relay=")) == NULL)
		return false;
	*p = '\0';
	unescape(line);
	if (strcmp(line, to) != 0)
		return false;
	line = p + 8;
	n = strcspn(line, " ");
	line[n] = '\0';
	unescape(line);
	snprintf(shown_host, sizeof(shown_host), *host == '\0' ? "none%s" :
	    "%s[192.0.2.1]:25", host);
	if (strcmp(line, shown_host) != 0)
		return false;
	line = strstr(line + n + 1, "stage=\"RCPT TO\" (550 ");
	if (line == NULL || line[strlen(line) - 1] != ')')
		return false;
	line[strlen(line) - 1] = '\0';
	line += strlen("stage=\"RCPT TO\" (550 ");
	unescape(line);
	return strcmp(line, reply) == 0;
}

static void
test_final(void)
{
	char id[256], to[256], host[256], reply[256];
	unsigned i, bad = 0;

	log_set(LOG_TO_STDERR, LOG_LEVEL_INFO);
	for (i = 0; i < ROUNDS; i++) {
		say_final(nasty(id, sizeof(id)), nasty(to, sizeof(to)),
		    nasty(host, sizeof(host)), nasty(reply, sizeof(reply)));
		written();
		bad += !final_parses(id, to, host, reply);
	}
	is_int(bad, 0, "final line: %d of them parse back", ROUNDS);
	say_final("Q1", "a@b.test", "mx.test", "no");
	ok(strstr(written(), "]: Q1: to=<a@b.test> "
	    "relay=mx.test[192.0.2.1]:25 delay=0.321 "
	    "delays=0.001/0.020/0.300 dsn=5.1.110 status=bounced "
	    "stage=\"RCPT TO\" (550 no)\n") != NULL, "final line: its form");
}

/* ---- JSON ---- */

/* The value of a key, its escapes taken out where "escaped" says so. */
static const char *
json_text(json_t *o, const char *key)
{
	static char text[4096];
	const char *value = json_string_value(json_object_get(o, key));
	json_t *name;
	size_t i;

	if (value == NULL)
		return NULL;
	strlcpy(text, value, sizeof(text));
	json_array_foreach(json_object_get(o, "escaped"), i, name)
		if (strcmp(json_string_value(name), key) == 0)
			unescape(text);
	return text;
}

static bool
json_has(json_t *o, const char *key, const char *want)
{
	const char *value = json_text(o, key);

	return value != NULL && strcmp(value, want) == 0;
}

static void
test_json(void)
{
	char id[256], to[256], host[256], reply[256];
	unsigned i, bad = 0;
	json_t *o;

	log_set_text("stderr:info:json");
	log_set_ident("smtp-static/out");
	for (i = 0; i < ROUNDS; i++) {
		say_final(nasty(id, sizeof(id)), nasty(to, sizeof(to)),
		    nasty(host, sizeof(host)), nasty(reply, sizeof(reply)));
		written();
		bad += strcspn(got, "\n") != strlen(got) - 1;
		got[strlen(got) - 1] = '\0';
		bad += !is_clean(got);
		if ((o = json_loads(got, JSON_REJECT_DUPLICATES, NULL)) ==
		    NULL) {
			bad++;
			continue;
		}
		bad += (*id != '\0') != json_has(o, "id", id);
		bad += !json_has(o, "to", to);
		bad += (*host != '\0') != json_has(o, "host", host);
		bad += !json_has(o, "reply", reply);
		bad += !json_has(o, "event", "bounced");
		bad += !json_has(o, "relay", "out");
		bad += !json_has(o, "program", "smtp-static");
		bad += !json_has(o, "tls", "TLSv1.3 x");
		bad += json_integer_value(json_object_get(o, "code")) != 550;
		bad += json_integer_value(json_object_get(o, "pid")) !=
		    getpid();
		bad += json_array_size(json_object_get(o, "delays")) != 3;
		json_decref(o);
	}
	is_int(bad, 0, "JSON: %d events parse back", ROUNDS);
	log_warning("a \"line\"");
	o = json_loads(written(), 0, NULL);
	ok(json_has(o, "event", "note") && json_has(o, "level", "warning") &&
	    json_has(o, "message", "a \"line\"") &&
	    strlen(json_string_value(json_object_get(o, "time"))) == 24,
	    "JSON: a line that is no event");
	json_decref(o);
}

static void
test_long(void)
{
	static char text[40000];
	json_t *o;

	memset(text, '\n', sizeof(text) - 1);
	log_set_text("stderr:info:json");
	say_final("Q1", text, text, text);
	o = json_loads(written(), 0, NULL);
	ok(json_has(o, "id", "Q1") && strlen(json_text(o, "reply")) > 300,
	    "JSON: what is too long is cut, the object is whole");
	json_decref(o);
	text[1000] = (char)0xff;
	say_final(text, text, text, text);
	o = json_loads(written(), 0, NULL);
	ok(json_has(o, "event", "bounced"), "JSON: likewise with escapes");
	json_decref(o);
	log_set_text("stderr:info");
	say_final(text, text, text, text);
	written();
	ok(strlen(got) < LOG_LINE_MAX && strcspn(got, "\n") == strlen(got) - 1 &&
	    got[strlen(got) - 2] == ')', "text: likewise: %zu", strlen(got));
}

/* ---- the journal ---- */

static int
journal_open(const char *path, int type)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type, 0);

	strlcpy(sun.sun_path, path, sizeof(sun.sun_path));
	unlink(path);
	if (bind(fd, (struct sockaddr *)(void *)&sun, sizeof(sun)) == -1)
		return -1;
	return fd;
}

/* A field of an entry of n bytes; its length in *len_r. */
static const char *
entry_field(const char *p, size_t n, const char *key, size_t *len_r)
{
	const char *end = p + n, *lf;
	size_t len, i, klen = strlen(key);

	while (p < end) {
		const char *name = p;

		if ((lf = memchr(p, '\n', (size_t)(end - p))) == NULL)
			return NULL;
		len = strcspn(p, "=\n");
		if (p + len > lf)
			return NULL;
		if (p[len] == '=') {
			p += len + 1;
			*len_r = (size_t)(lf - p);
		} else {
			p += len + 1;
			for (*len_r = 0, i = 0; i < 8; i++)
				*len_r |= (size_t)(uint8_t)p[i] << (8 * i);
			p += 8;
		}
		if (len == klen && memcmp(name, key, klen) == 0)
			return p;
		p += *len_r;
		if (p >= end || *p++ != '\n')
			return NULL;
	}
	return NULL;
}

static bool
entry_has(const char *p, ssize_t n, const char *key, const char *want)
{
	size_t len;
	const char *value = n < 0 ? NULL :
	    entry_field(p, (size_t)n, key, &len);

	return value != NULL && len == strlen(want) &&
	    memcmp(value, want, len) == 0;
}

static void
test_entries(int fd)
{
	char id[256], to[256], host[256], reply[256];
	unsigned i, bad = 0;
	ssize_t n;

	for (i = 0; i < ROUNDS; i++) {
		say_final(nasty(id, sizeof(id)), nasty(to, sizeof(to)),
		    nasty(host, sizeof(host)), nasty(reply, sizeof(reply)));
		log_flush();
		n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
		bad += !entry_has(got, n, "NEXTHOP_EVENT", "bounced") ||
		    !entry_has(got, n, "NEXTHOP_RELAY", "out") ||
		    !entry_has(got, n, "SYSLOG_IDENTIFIER", "mx/smtp/out") ||
		    !entry_has(got, n, "PRIORITY", "6") ||
		    !entry_has(got, n, "NEXTHOP_TO", to) ||
		    !entry_has(got, n, "NEXTHOP_REPLY", reply) ||
		    !entry_has(got, n, "NEXTHOP_DSN", "5.1.110") ||
		    (*host != '\0') != entry_has(got, n, "NEXTHOP_HOST", host) ||
		    (*id != '\0') != entry_has(got, n, "NEXTHOP_ID", id);
	}
	is_int(bad, 0, "journal: %d entries parse back", ROUNDS);
	say_final("Q1", "a@b.test", "mx.test", "no");
	log_flush();
	n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
	ok(entry_has(got, n, "MESSAGE", "Q1: to=<a@b.test> "
	    "relay=mx.test[192.0.2.1]:25 delay=0.321 "
	    "delays=0.001/0.020/0.300 dsn=5.1.110 status=bounced "
	    "stage=\"RCPT TO\" (550 no)"), "journal: MESSAGE is the line");
	log_error("bad");
	n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
	ok(entry_has(got, n, "MESSAGE", "bad") &&
	    entry_has(got, n, "PRIORITY", "3") &&
	    entry_has(got, n, "NEXTHOP_EVENT", "note"),
	    "journal: a line that is no event, at once");
}

static void
test_journal_again(int fd)
{
	pid_t reader = fork();
	int i, status = -1;
	ssize_t n;

	if (reader == 0) {		/* the kernel keeps few for it */
		for (i = 0; i < 100; i++)
			if (recv(fd, got, sizeof(got), 0) <= 0)
				_exit(1);
		_exit(0);
	}
	for (i = 0; i < 100; i++)
		log_info("line %d", i);
	log_flush();
	waitpid(reader, &status, 0);
	is_int(status, 0, "journal: many entries at once");
	close(fd);
	log_info("into nothing");
	log_flush();
	fd = journal_open(JOURNAL "/socket", SOCK_DGRAM);
	usleep(1100 * 1000);		/* it is not tried more often */
	log_info("again");
	log_flush();
	n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
	ok(entry_has(got, n, "MESSAGE", "again"),
	    "journal: restarted, it is connected again");
	n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
	ok(entry_has(got, n, "NEXTHOP_EVENT", "log_lost") &&
	    entry_has(got, n, "NEXTHOP_LINES", "1"),
	    "journal: what was lost meanwhile is told");
	close(fd);
}

/* A datagram of the size that memory is passed for. */
static void
test_large(void)
{
	struct log_socket s = { .path = JOURNAL "/socket", .fd = -1,
	    .has_memfd = true };
	static char bytes[16000], control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { got, sizeof(got) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control, .msg_controllen = sizeof(control) };
	const uint32_t ends[] = { 3, 15000, 15004 };
	int fd = journal_open(s.path, SOCK_DGRAM), small = 1, sent = -1;
	struct stat st;

	memset(bytes, 'x', sizeof(bytes));
	log_socket_connect(&s);
	setsockopt(s.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	is_int(log_socket_send(&s, bytes, ends, 3), 0, "large: none is lost");
	is_int(recv(fd, got, sizeof(got), MSG_DONTWAIT), 3, "large: first");
	is_int(recvmsg(fd, &msg, MSG_DONTWAIT), 0, "large: no bytes ...");
	if (msg.msg_controllen > 0)
		memcpy(&sent, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(sent));
	ok(fstat(sent, &st) == 0 && st.st_size == 15000 - 4,
	    "large: ... but a descriptor with them");
	ok(fcntl(sent, F_GET_SEALS) == (F_SEAL_SEAL | F_SEAL_SHRINK |
	    F_SEAL_GROW | F_SEAL_WRITE), "large: it is sealed");
	is_int(recv(fd, got, sizeof(got), MSG_DONTWAIT), 3, "large: last");
	close(sent);
	s.has_memfd = false;
	is_int(log_socket_send(&s, bytes, ends, 3), 1,
	    "large: syslogd loses that one alone");
	log_socket_close(&s);
	close(fd);
}

static void
test_journal(void)
{
	int fd;

	if (unshare(CLONE_NEWNS) == -1 || mount("none", "/", NULL, MS_REC |
	    MS_PRIVATE, NULL) == -1 || mount("none", "/run", "tmpfs", 0,
	    NULL) == -1) {
		skip("no mount namespace of our own");
		return;
	}
	mkdir("/run/systemd", 0755);
	mkdir(JOURNAL, 0755);
	fd = journal_open(JOURNAL "/socket", SOCK_DGRAM);
	log_set_ident("smtp/out");
	is_int(log_set_text("journald:info:facility=local3:tag=mx"), 0,
	    "journal: settings");
	test_entries(fd);
	test_journal_again(fd);
	log_set_text("stderr:info");
	test_large();
}

/* ---- settings ---- */

static void
test_settings(void)
{
	static const char *const good[] = { "stderr:info:json",
		"syslog:debug:facility=local0:tag=mail/a", "file:error",
		"journald:warning:tag=x", "syslog:info:json:facility=news",
		"journald-text:info:json:tag=mx" };
	static const char *const bad[] = { "stderr:json", "file:",
		"syslog:info:facility=x", "syslog:info:tag=a b", "auto:info",
		"syslog:info:tag=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"stderr:info:jsonl" };
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		is_int(log_set_text(good[i]), 0, "\"%s\" is taken", good[i]);
		is_str(log_text(), good[i], "\"%s\" is told", good[i]);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_int(log_set_text(bad[i]), -1, "\"%s\" is not", bad[i]);
	is_int(log_facility("Local7"), LOG_LOCAL7, "a facility");
	is_int(log_facility("local8"), -1, "none");
}

static void
test_file(void)
{
	int first = memfd_create("first", MFD_CLOEXEC), second;
	char text[256] = "";

	second = fcntl(first, F_DUPFD_CLOEXEC, 3);
	log_set_text("file:info");
	log_info("early");
	ok(strstr(written(), "early") != NULL, "without a file: stderr");
	log_set_file(first);
	log_info("one");
	log_set_file(memfd_create("other", MFD_CLOEXEC));
	log_info("two");
	log_flush();
	ok(pread(second, text, sizeof(text) - 1, 0) > 0 &&
	    strstr(text, "one\n") != NULL && strstr(text, "two") == NULL,
	    "what was said before a reopen is in the old file");
	is_str(written(), "", "and nothing on stderr");
	is_int(fcntl(first, F_GETFD), -1, "the old file is closed");
	close(second);
	log_set_text("stderr:info");
}

static void
test_names(void)
{
	const char *name, *other;
	unsigned i, k, bad = 0;

	for (i = 0; (name = event_name_text(i)) != NULL; i++) {
		bad += name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] != 0;
		for (k = 0; k < i; k++) {
			other = event_name_text(k);
			bad += strcmp(name, other) == 0;
		}
	}
	is_int(bad, 0, "names are words, and differ");
	is_int(i, EVENT_NAMES, "each event has one");
}

int
main(void)
{
	unsetenv(LOG_ENV);
	capture();
	log_open("me");
	test_names();
	test_settings();
	test_text();
	test_final();
	test_json();
	test_long();
	test_file();
	test_journal();
	dup2(real_stderr, STDERR_FILENO);
	return done_testing();
}
