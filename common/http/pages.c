/* pages.c - texts that are asked for when somebody wants them, and kept. */
#include "http/pages.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

struct wait {			/* a client that waits */
	TAILQ_ENTRY(wait) next;
	struct http_client *client;
};

struct kept {
	struct buf	 text;
	unsigned	 status;	/* 0: there is none */
	int64_t		 made_ms;
	uint64_t	 id;		/* asked for; 0 = not */
	struct buf	 coming;
	struct timer	 late;
	TAILQ_HEAD(, wait) waits;
};

struct pages {
	struct loop	*loop;
	const struct page *rows;
	unsigned	 n;
	struct kept	*kept;		/* [n] */
	page_ask	*ask;
	void		*arg;
	uint64_t	 last_id;
};

static const char plain[] = "text/plain; charset=utf-8";

static void
answer_waiting(struct kept *k, unsigned status, const char *type,
    const char *text, size_t n)
{
	struct wait *w;

	while ((w = TAILQ_FIRST(&k->waits)) != NULL) {
		TAILQ_REMOVE(&k->waits, w, next);
		http_server_answer(w->client, status, type, text, n);
		free(w);
	}
}

static void
give_up(struct kept *k, const char *why)
{
	k->id = 0;
	timer_stop(&k->late);
	buf_clear(&k->coming);
	answer_waiting(k, 503, plain, why, strlen(why));
}

static void
on_late(void *arg)
{
	give_up(arg, "no answer in time\n");
}

/* Of one that came too late: NULL. */
static struct kept *
find(struct pages *p, uint64_t id)
{
	unsigned i;

	for (i = 0; i < p->n; i++)
		if (p->kept[i].id == id && id != 0)
			return &p->kept[i];
	return NULL;
}

void
pages_add(struct pages *p, uint64_t id, const void *text, size_t n)
{
	struct kept *k = find(p, id);

	if (k != NULL && buf_add(&k->coming, text, n) == -1)
		give_up(k, "the text is too long\n");
}

void
pages_finish(struct pages *p, uint64_t id, unsigned status)
{
	struct kept *k = find(p, id);
	struct buf was;

	if (k == NULL)
		return;
	timer_stop(&k->late);
	k->id = 0;
	was = k->text;
	k->text = k->coming;
	k->coming = was;
	buf_clear(&k->coming);
	k->made_ms = loop_now_ms(p->loop);
	k->status = status;
	answer_waiting(k, status, p->rows[k - p->kept].type,
	    buf_data(&k->text), buf_len(&k->text));
}

static void
ask(struct pages *p, unsigned i)
{
	struct kept *k = &p->kept[i];

	k->id = ++p->last_id;
	buf_clear(&k->coming);
	timer_set(&k->late, PAGE_WAIT_MS);
	if (p->ask(p->arg, i, k->id) == -1)
		give_up(k, "nobody is there to answer\n");
}

static void
answer_missing(const struct pages *p, struct http_client *client)
{
	char text[256] = "there are";
	unsigned i;

	for (i = 0; i < p->n; i++) {
		strlcat(text, i > 0 ? " and " : " ", sizeof(text));
		strlcat(text, p->rows[i].path, sizeof(text));
	}
	strlcat(text, "\n", sizeof(text));
	http_server_answer(client, 404, plain, text, strlen(text));
}

void
pages_request(struct pages *p, struct http_client *client,
    const struct http_asked *asked)
{
	struct kept *k;
	struct wait *w;
	unsigned i;

	for (i = 0; i < p->n; i++)
		if (strcmp(p->rows[i].path, asked->path) == 0)
			break;
	if (i == p->n) {
		answer_missing(p, client);
		return;
	}
	k = &p->kept[i];
	if (k->status != 0 &&
	    loop_now_ms(p->loop) - k->made_ms < PAGE_AGE_MS) {
		http_server_answer(client, k->status, p->rows[i].type,
		    buf_data(&k->text), buf_len(&k->text));
		return;
	}
	w = xcalloc(1, sizeof(*w));
	w->client = client;
	TAILQ_INSERT_TAIL(&k->waits, w, next);
	if (k->id == 0)
		ask(p, i);
}

void
pages_gone(struct pages *p, struct http_client *client)
{
	struct wait *w, *next;
	unsigned i;

	for (i = 0; i < p->n; i++)
		for (w = TAILQ_FIRST(&p->kept[i].waits); w != NULL;
		    w = next) {
			next = TAILQ_NEXT(w, next);
			if (w->client != client)
				continue;
			TAILQ_REMOVE(&p->kept[i].waits, w, next);
			free(w);
		}
}

struct pages *
pages_new(struct loop *loop, const struct page *rows, page_ask *cb, void *arg)
{
	struct pages *p = xcalloc(1, sizeof(*p));
	struct kept *k;

	p->loop = loop;
	p->rows = rows;
	p->ask = cb;
	p->arg = arg;
	while (rows[p->n].path != NULL)
		p->n++;
	p->kept = xcalloc(p->n, sizeof(*p->kept));
	for (k = p->kept; k < p->kept + p->n; k++) {
		buf_init(&k->text, PAGE_BYTES_MAX);
		buf_init(&k->coming, PAGE_BYTES_MAX);
		timer_init(&k->late, loop, on_late, k);
		TAILQ_INIT(&k->waits);
	}
	return p;
}

void
pages_free(struct pages *p)
{
	struct kept *k;

	if (p == NULL)
		return;
	for (k = p->kept; k < p->kept + p->n; k++) {
		timer_clear(&k->late);
		buf_clear(&k->text);
		buf_clear(&k->coming);
	}
	free(p->kept);
	free(p);
}
