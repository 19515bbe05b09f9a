/* share.c - connections per remote host over several processes. */
#include "net/share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define SHARE_MAGIC	0x6e787368u
#define ROWS		4096
#define PROBES		32
#define YIELD_MESSAGES	16	/* over a connection, where places are rare */

struct share_row {
	_Atomic uint64_t key;		/* hash of the address; 0 = free */
	_Atomic uint16_t held[SHARE_PROCESSES_MAX];
	_Atomic uint8_t	 waiting[SHARE_PROCESSES_MAX];
};

struct memory {
	uint32_t	 magic;
	uint32_t	 processes;
	struct share_row rows[ROWS];
};

struct share {
	struct memory	*mem;
	unsigned	 index;
};

static struct memory *
map(int fd)
{
	void *p = mmap(NULL, sizeof(struct memory), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static struct share *
wrap(struct memory *mem, unsigned index)
{
	struct share *s = xcalloc(1, sizeof(*s));

	s->mem = mem;
	s->index = index;
	return s;
}

struct share *
share_new(unsigned processes, int *fd_r)
{
	struct memory *mem;
	int fd = memfd_create("nexthop-share", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1)
		return NULL;
	if (ftruncate(fd, sizeof(struct memory)) == -1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == -1 ||
	    (mem = map(fd)) == NULL) {
		close(fd);
		return NULL;
	}
	mem->magic = SHARE_MAGIC;
	mem->processes = processes;
	*fd_r = fd;
	return wrap(mem, 0);
}

struct share *
share_open(int fd, unsigned index)
{
	struct memory *mem;
	struct stat st;

	errno = EINVAL;
	if (fstat(fd, &st) == -1 ||
	    st.st_size != (off_t)sizeof(struct memory) ||
	    (mem = map(fd)) == NULL)
		return NULL;
	if (mem->magic != SHARE_MAGIC || index >= mem->processes ||
	    mem->processes > SHARE_PROCESSES_MAX) {
		munmap(mem, sizeof(*mem));
		errno = EINVAL;
		return NULL;
	}
	return wrap(mem, index);
}

void
share_free(struct share *s)
{
	if (s == NULL)
		return;
	munmap(s->mem, sizeof(*s->mem));
	free(s);
}

void
share_clear(struct share *s, unsigned index)
{
	size_t i;

	for (i = 0; i < ROWS; i++) {
		if (atomic_load(&s->mem->rows[i].key) == 0)
			continue;
		atomic_store(&s->mem->rows[i].held[index], 0);
		atomic_store(&s->mem->rows[i].waiting[index], 0);
	}
}

/* FNV-1a, 64 bits; never 0. */
static uint64_t
key_of(const struct addr *a)
{
	const unsigned char *p = (const unsigned char *)&a->u;
	uint64_t h = 14695981039346656037ULL;
	socklen_t i;

	for (i = 0; i < a->len; i++)
		h = (h ^ p[i]) * 1099511628211ULL;
	return h == 0 ? 1 : h;
}

struct share_row *
share_row(struct share *s, const struct addr *a)
{
	uint64_t key = key_of(a), found;
	struct share_row *row;
	unsigned i;

	for (i = 0; i < PROBES; i++) {
		row = &s->mem->rows[(key + i) % ROWS];
		found = 0;
		if (atomic_compare_exchange_strong(&row->key, &found, key) ||
		    found == key)
			return row;
	}
	return NULL;
}

void
share_give(struct share *s, struct share_row *row)
{
	atomic_fetch_sub(&row->held[s->index], 1);
}

void
share_set_waiting(struct share *s, struct share_row *row, bool is_waiting)
{
	atomic_store(&row->waiting[s->index], is_waiting);
}

/* How a host's places are spread at this moment. */
struct spread {
	uint32_t	 held;		/* by all */
	uint32_t	 mine;
	uint32_t	 active;	/* processes that hold or wait */
	bool		 other_waits;
	bool		 other_starves;	/* waits and holds nothing */
};

static void
look(struct share *s, struct share_row *row, struct spread *sp)
{
	uint32_t i, held;
	bool is_waiting;

	memset(sp, 0, sizeof(*sp));
	for (i = 0; i < s->mem->processes; i++) {
		held = atomic_load(&row->held[i]);
		is_waiting = atomic_load(&row->waiting[i]) != 0;
		sp->held += held;
		sp->active += is_waiting || held > 0;
		if (i == s->index)
			sp->mine = held;
		else if (is_waiting) {
			sp->other_waits = true;
			sp->other_starves |= held == 0;
		}
	}
}

/* One process's part of the limit, rounded up. */
static uint32_t
fair_part(const struct spread *sp, uint32_t limit)
{
	return sp->active == 0 ? limit :
	    (limit + sp->active - 1) / sp->active;
}

bool
share_take(struct share *s, struct share_row *row, uint32_t limit)
{
	struct spread sp;

	atomic_fetch_add(&row->held[s->index], 1);
	look(s, row, &sp);
	if (sp.held <= limit &&
	    !(sp.other_waits && sp.mine > fair_part(&sp, limit)))
		return true;
	atomic_fetch_sub(&row->held[s->index], 1);
	return false;
}

bool
share_others_wait(struct share *s, struct share_row *row)
{
	struct spread sp;

	look(s, row, &sp);
	return sp.other_waits;
}

bool
share_must_yield(struct share *s, struct share_row *row, uint32_t limit)
{
	struct spread sp;

	look(s, row, &sp);
	if (!sp.other_waits || sp.mine == 0)
		return false;
	/* Fewer places than processes: they take turns. */
	if (limit < sp.active)
		return sp.other_starves &&
		    arc4random_uniform(YIELD_MESSAGES) == 0;
	return sp.mine > fair_part(&sp, limit);
}
