/*
 * resolve.c - getaddrinfo() in threads.
 *
 * Each name has an entry; questions for it wait there.  A thread takes entries
 * from a list under a lock and writes a byte to a pipe when it is done.  A
 * thread that hangs in the system's resolver cannot be ended: the question
 * times out, the thread is left to come back, and at most THREADS_MAX exist.
 */
#include "net/resolve.h"

#include <err.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/mem.h"

#define THREADS_MAX	8
#define THREAD_STACK	(256 * 1024)
#define KEEP_MS		60000		/* getaddrinfo() tells no TTL */
#define KEEP_FAILED_MS	5000
#define NAMES_MAX	10000
#define NAME_BYTES_MAX	1024		/* of one; longer ones do not exist */
#define BUCKETS		1024

enum name_state { NAME_IDLE, NAME_WAITING, NAME_ASKED };

struct resolve_query {
	TAILQ_ENTRY(resolve_query) next;
	struct name	*name;
	resolve_cb	*cb;
	void		*arg;
	int64_t		 until_ms;
	bool		 is_due;	/* answer it from the name's answer */
	bool		 is_late;	/* answer it: timed out */
};
TAILQ_HEAD(query_list, resolve_query);

struct name {
	LIST_ENTRY(name) in_bucket;
	STAILQ_ENTRY(name) in_work;	/* waiting for a thread, or done */
	struct resolver	*r;
	struct query_list queries;
	struct later	 answer_later;
	enum name_state	 state;
	int64_t		 fresh_until_ms;
	struct resolved	 answer;
	/* The thread's side, copied under the lock. */
	struct resolved	 found;
	char		 text[];
};
STAILQ_HEAD(name_list, name);

/* What threads touch; it outlives the resolver while one of them hangs. */
struct shared {
	pthread_mutex_t	 lock;
	pthread_cond_t	 wake;
	struct name_list todo, done;
	int		 pipe_fd;	/* writing end */
	unsigned	 ntodo, nthreads, nidle;
	unsigned	 refs;
	bool		 is_over;
};

struct resolver {
	struct loop	*loop;
	int64_t		 timeout_ms;
	struct shared	*shared;
	int		 pipe_fd;	/* reading end */
	struct event	 ev_done;
	struct timer	 sweep;
	unsigned	 nnames, nqueries;
	LIST_HEAD(, name) buckets[BUCKETS];
};

/* ---- threads ---- */

static void
look_up(const char *text, struct resolved *out)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *ai;
	int error = getaddrinfo(text, NULL, &hints, &list);

	memset(out, 0, sizeof(*out));
	if (error != 0) {
		out->error = gai_strerror(error);
		out->is_temporary = error != EAI_NONAME && error != EAI_NODATA;
		return;
	}
	for (ai = list; ai != NULL && out->n < RESOLVE_ADDRS_MAX;
	    ai = ai->ai_next)
		if (ai->ai_addrlen <= sizeof(out->addrs[0].u)) {
			memcpy(&out->addrs[out->n].u, ai->ai_addr,
			    ai->ai_addrlen);
			out->addrs[out->n++].len = ai->ai_addrlen;
		}
	freeaddrinfo(list);
}

static void
shared_unref(struct shared *s)
{
	bool is_last;

	pthread_mutex_lock(&s->lock);
	is_last = --s->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (is_last) {
		close(s->pipe_fd);
		pthread_mutex_destroy(&s->lock);
		pthread_cond_destroy(&s->wake);
		free(s);
	}
}

static void *
thread_main(void *arg)
{
	struct shared *s = arg;
	struct resolved found;
	struct name *n;
	char text[NAME_BYTES_MAX + 1];

	pthread_mutex_lock(&s->lock);
	while (!s->is_over) {
		if ((n = STAILQ_FIRST(&s->todo)) == NULL) {
			s->nidle++;
			pthread_cond_wait(&s->wake, &s->lock);
			s->nidle--;
			continue;
		}
		STAILQ_REMOVE_HEAD(&s->todo, in_work);
		s->ntodo--;
		strlcpy(text, n->text, sizeof(text));
		pthread_mutex_unlock(&s->lock);
		look_up(text, &found);
		pthread_mutex_lock(&s->lock);
		if (s->is_over)
			break;		/* n is gone */
		n->found = found;
		STAILQ_INSERT_TAIL(&s->done, n, in_work);
		if (write(s->pipe_fd, "", 1) == -1)
			break;		/* cannot be: one byte a name */
	}
	pthread_mutex_unlock(&s->lock);
	shared_unref(s);
	return NULL;
}

static void
start_thread(struct shared *s)
{
	pthread_attr_t attr;
	pthread_t id;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	if (pthread_create(&id, &attr, thread_main, s) == 0) {
		s->nthreads++;
		s->refs++;
	}
	pthread_attr_destroy(&attr);
}

static void
ask(struct resolver *r, struct name *n)
{
	struct shared *s = r->shared;

	n->state = NAME_ASKED;
	pthread_mutex_lock(&s->lock);
	STAILQ_INSERT_TAIL(&s->todo, n, in_work);
	/* One that is woken counts as idle until it runs. */
	if (++s->ntodo > s->nidle && s->nthreads < THREADS_MAX)
		start_thread(s);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

/* ---- names ---- */

static uint32_t
bucket_of(const char *text)
{
	uint32_t h = 2166136261U;

	/* Lower and upper case are one. */
	for (; *text != '\0'; text++)
		h = (h ^ ((unsigned char)*text | 0x20)) * 16777619U;
	return h % BUCKETS;
}

/*
 * Answers those marked, who are the first in the list.  A callback may ask
 * again or take back other questions; its own is gone when it runs.
 */
static void
on_answer(void *arg)
{
	static const struct resolved late = { .is_temporary = true,
	    .error = "look-up timed out" };
	struct name *n = arg;
	struct resolve_query *q, gone;

	while ((q = TAILQ_FIRST(&n->queries)) != NULL &&
	    (q->is_due || q->is_late)) { /* NOLINT(clang-analyzer-unix.Malloc) */
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): left the list */
		gone = *q;
		resolve_cancel(q);
		gone.cb(gone.arg, gone.is_due ? &n->answer : &late);
	}
}

static void
answer_all(struct name *n)
{
	struct resolve_query *q;

	TAILQ_FOREACH(q, &n->queries, next)
		q->is_due = true;
	loop_later(n->r->loop, &n->answer_later);
}

static struct name *
find_name(struct resolver *r, const char *text)
{
	size_t size = strlen(text) + 1;
	uint32_t b = bucket_of(text);
	struct name *n;

	LIST_FOREACH(n, &r->buckets[b], in_bucket)
		if (strcasecmp(n->text, text) == 0)
			return n;
	n = xcalloc(1, sizeof(*n) + size);
	memcpy(n->text, text, size);
	n->r = r;
	TAILQ_INIT(&n->queries);
	later_init(&n->answer_later, on_answer, n);
	LIST_INSERT_HEAD(&r->buckets[b], n, in_bucket);
	r->nnames++;
	return n;
}

static void
drop_name(struct resolver *r, struct name *n)
{
	loop_forget(r->loop, &n->answer_later);
	LIST_REMOVE(n, in_bucket);
	r->nnames--;
	free(n);
}

static void
drop_old_names(struct resolver *r)
{
	struct name *n, *next;
	int64_t now = loop_now_ms(r->loop);
	size_t b;

	for (b = 0; b < BUCKETS; b++)
		for (n = LIST_FIRST(&r->buckets[b]); n != NULL; n = next) {
			next = LIST_NEXT(n, in_bucket);
			if (n->state == NAME_IDLE && n->fresh_until_ms < now &&
			    TAILQ_EMPTY(&n->queries))
				drop_name(r, n);
		}
}

struct resolve_query *
resolve(struct resolver *r, const char *text, resolve_cb *cb, void *arg)
{
	struct resolve_query *q = xcalloc(1, sizeof(*q));
	struct name *n;

	if (r->nnames >= NAMES_MAX)
		drop_old_names(r);
	n = find_name(r, text);
	q->name = n;
	q->cb = cb;
	q->arg = arg;
	q->until_ms = loop_now_ms(r->loop) + r->timeout_ms;
	TAILQ_INSERT_TAIL(&n->queries, q, next);
	r->nqueries++;
	if (n->state == NAME_IDLE) {
		if (strlen(text) > NAME_BYTES_MAX) {
			n->answer.error = gai_strerror(EAI_NONAME);
			answer_all(n);
		} else if (n->fresh_until_ms > loop_now_ms(r->loop))
			answer_all(n);
		else
			ask(r, n);
	}
	if (r->sweep.due_ms == 0)
		timer_set(&r->sweep, r->timeout_ms);
	return q;
}

void
resolve_cancel(struct resolve_query *q)
{
	if (q == NULL)
		return;
	TAILQ_REMOVE(&q->name->queries, q, next);
	q->name->r->nqueries--;
	free(q);
}

/* ---- what comes back ---- */

static void
on_done(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *r = arg;
	struct shared *s = r->shared;
	struct name *n;
	char bytes[256];

	(void)what;
	while (read(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes))
		;
	for (;;) {
		pthread_mutex_lock(&s->lock);
		if ((n = STAILQ_FIRST(&s->done)) != NULL) {
			STAILQ_REMOVE_HEAD(&s->done, in_work);
			n->answer = n->found;
		}
		pthread_mutex_unlock(&s->lock);
		if (n == NULL)
			return;
		n->state = NAME_IDLE;
		n->fresh_until_ms = loop_now_ms(r->loop) +
		    (n->answer.n > 0 ? KEEP_MS : KEEP_FAILED_MS);
		answer_all(n);
	}
}

/* Questions whose time is over; the oldest of a name come first. */
static void
on_sweep(void *arg)
{
	struct resolver *r = arg;
	struct resolve_query *q;
	int64_t now = loop_now_ms(r->loop);
	struct name *n;
	size_t b;

	for (b = 0; b < BUCKETS; b++)
		LIST_FOREACH(n, &r->buckets[b], in_bucket)
			TAILQ_FOREACH(q, &n->queries, next) {
				if (q->until_ms > now)
					break;
				q->is_late = true;
				loop_later(r->loop, &n->answer_later);
			}
	if (r->nqueries > 0)
		timer_set(&r->sweep, r->timeout_ms / 4 + 1);
}

struct resolver *
resolver_new(struct loop *loop, int64_t timeout_ms)
{
	struct resolver *r = xcalloc(1, sizeof(*r));
	struct shared *s = xcalloc(1, sizeof(*s));
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1)
		err(1, "pipe");
	r->loop = loop;
	r->timeout_ms = timeout_ms;
	r->shared = s;
	r->pipe_fd = fds[0];
	s->pipe_fd = fds[1];
	s->refs = 1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	STAILQ_INIT(&s->todo);
	STAILQ_INIT(&s->done);
	event_assign(&r->ev_done, loop_base(loop), fds[0],
	    EV_READ | EV_PERSIST, on_done, r);
	event_add(&r->ev_done, NULL);
	timer_init(&r->sweep, loop, on_sweep, r);
	return r;
}

void
resolver_free(struct resolver *r)
{
	struct resolve_query *q;
	struct name *n;
	size_t b;

	if (r == NULL)
		return;
	pthread_mutex_lock(&r->shared->lock);
	r->shared->is_over = true;
	pthread_cond_broadcast(&r->shared->wake);
	pthread_mutex_unlock(&r->shared->lock);
	event_del(&r->ev_done);
	timer_clear(&r->sweep);
	close(r->pipe_fd);
	for (b = 0; b < BUCKETS; b++)
		while ((n = LIST_FIRST(&r->buckets[b])) != NULL) {
			while ((q = TAILQ_FIRST(&n->queries)) != NULL)
				/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
				resolve_cancel(q);	/* leaves the list */
			drop_name(r, n);
		}
	shared_unref(r->shared);
	free(r);
}
