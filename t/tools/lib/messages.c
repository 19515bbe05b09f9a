/* messages.c - many distinct messages in one sealed memfd. */
#include "messages.h"

#include <sys/mman.h>

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"

/* A header with an id of its own, then lines, one of which starts with a
 * dot. */
static void
write_message(char *p, size_t size, int64_t i)
{
	size_t at, n, k, left;
	char head[256];

	at = (size_t)snprintf(head, sizeof(head), "From: <a@src.example>\r\n"
	    "To: <b@dst.example>\r\nSubject: bench %jd\r\n"
	    "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n"
	    "Message-ID: <bench.%jd@src.example>\r\n\r\n", (intmax_t)i,
	    (intmax_t)i);
	memcpy(p, head, at);
	for (left = size - at; left > 0; left -= n, at += n) {
		n = left <= 78 ? left : left < 160 ? left / 2 : 78;
		for (k = 0; k < n - 2; k++)
			p[at + k] = (char)('0' + (i * 7 + k * 11) % 75);
		if (left == size - at && n > 2)
			p[at] = '.';
		p[at + n - 2] = '\r';
		p[at + n - 1] = '\n';
	}
}

static void
write_all(const struct messages *m, size_t total)
{
	uint64_t at;
	int64_t i;
	char *p;

	p = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	if (p == MAP_FAILED)
		err(EX_OSERR, "mmap");
	for (i = 0; i < m->count; i++) {
		at = m->offsets[i];
		write_message(p + at, m->offsets[i + 1] - at, i);
	}
	munmap(p, total);
}

void
messages_make(struct messages *m, int64_t count, int64_t size)
{
	size_t total;
	int64_t i;

	m->count = count;
	m->offsets = xreallocarray(NULL, (size_t)count + 1,
	    sizeof(*m->offsets));
	m->offsets[0] = 0;
	for (i = 0; i < count; i++)
		m->offsets[i + 1] = m->offsets[i] + (size != 0 ?
		    (uint64_t)size : 1024 * (1 + (uint64_t)i % 4));
	total = m->offsets[count];
	m->fd = memfd_create("messages", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->fd == -1 || ftruncate(m->fd, (off_t)total) == -1)
		err(EX_OSERR, "memfd");
	write_all(m, total);
	if (fcntl(m->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK |
	    F_SEAL_GROW | F_SEAL_SEAL) == -1)
		err(EX_OSERR, "F_ADD_SEALS");
	m->mem = mmap(NULL, total, PROT_READ, MAP_SHARED, m->fd, 0);
	if (m->mem == MAP_FAILED)
		err(EX_OSERR, "mmap");
}
