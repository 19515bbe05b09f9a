/* curl_loop.c - a multi handle of libcurl on the event loop. */
#include "net/curl_loop.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

struct curl_sock {
	LIST_ENTRY(curl_sock) next;
	struct curl_loop *cl;
	struct event	 ev;
	curl_socket_t	 fd;
	short		 want;		/* what libcurl waits for */
	short		 watched;	/* what ev is set to; 0: not set */
};

/* ---- what has happened ---- */

/* In libcurl's order; owners may begin anew. */
static void
take_ended(struct curl_loop *cl)
{
	CURLMsg *msg;
	int left;

	while (!cl->is_stopped &&
	    (msg = curl_multi_info_read(cl->multi, &left)) != NULL)
		if (msg->msg == CURLMSG_DONE)
			cl->ops->ended(cl->arg, msg->easy_handle,
			    msg->data.result);
}

static void
act(struct curl_loop *cl, curl_socket_t fd, int bits)
{
	int running;

	curl_multi_socket_action(cl->multi, fd, bits, &running);
	take_ended(cl);
}

static void
on_kick(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

void
curl_loop_kick(struct curl_loop *cl)
{
	loop_later(cl->loop, &cl->kick);
}

/* ---- what libcurl waits for ---- */

static int
on_timeout_set(CURLM *multi, long ms, void *arg)
{
	struct curl_loop *cl = arg;

	(void)multi;
	if (cl->is_stopped)
		return 0;
	if (ms == 0)
		curl_loop_kick(cl);
	else if (ms > 0)
		timer_set(&cl->timer, ms);
	else
		timer_stop(&cl->timer);
	return 0;
}

static void	on_sock(evutil_socket_t, short, void *);

static void
watch(struct curl_sock *s, short what)
{
	if (s->watched == what)
		return;
	if (s->watched != 0)
		event_del(&s->ev);
	s->watched = what;
	if (what == 0)
		return;
	event_assign(&s->ev, loop_base(s->cl->loop), s->fd,
	    (short)(what | EV_PERSIST), on_sock, s);
	event_add(&s->ev, NULL);
}

static void
on_sock(evutil_socket_t fd, short what, void *arg)
{
	struct curl_sock *s = arg;
	struct curl_loop *cl = s->cl;

	if (cl->ops->hears != NULL && !cl->ops->hears(cl->arg))
		return;
	if ((s->want & what) == 0) {
		watch(s, s->want);	/* a transfer that is held back */
		return;
	}
	act(cl, fd, ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) |
	    ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0));
}

static struct curl_sock *
find_sock(const struct curl_loop *cl, curl_socket_t fd)
{
	struct curl_sock *s;

	LIST_FOREACH(s, &cl->socks, next)
		if (s->fd == fd)
			return s;
	return NULL;
}

static struct curl_sock *
add_sock(struct curl_loop *cl, curl_socket_t fd)
{
	struct curl_sock *s = xcalloc(1, sizeof(*s));

	s->cl = cl;
	s->fd = fd;
	LIST_INSERT_HEAD(&cl->socks, s, next);
	return s;
}

static void
drop_sock(struct curl_sock *s)
{
	watch(s, 0);
	LIST_REMOVE(s, next);
	free(s);
}

/* What is not kept is gone: libcurl may have closed it without a word. */
static int
on_socket_set(CURL *easy, curl_socket_t fd, int what, void *arg, void *data)
{
	struct curl_loop *cl = arg;
	struct curl_sock *s = find_sock(cl, fd);

	(void)easy;
	(void)data;
	if (cl->is_stopped)
		return 0;
	if (what == CURL_POLL_REMOVE && fd != cl->kept) {
		if (s != NULL)
			drop_sock(s);
		return 0;
	}
	if (s == NULL)
		s = add_sock(cl, fd);
	s->want = 0;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		s->want |= EV_READ;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		s->want |= EV_WRITE;
	watch(s, s->want != 0 ? s->want : EV_READ);
	return 0;
}

static int
on_close(void *arg, curl_socket_t fd)
{
	struct curl_loop *cl = arg;
	struct curl_sock *s = find_sock(cl, fd);

	if (s != NULL)
		drop_sock(s);
	if (fd == cl->kept) {
		cl->kept = -1;
		cl->ops->closed(cl->arg);
	}
	return close(fd);
}

/* ---- the owner's side ---- */

int
curl_loop_init(struct curl_loop *cl, struct loop *loop,
    const struct curl_loop_ops *ops, void *arg)
{
	*cl = (struct curl_loop){
		.loop = loop, .ops = ops, .arg = arg, .kept = -1,
		.multi = curl_multi_init(),
	};
	if (cl->multi == NULL)
		return -1;
	LIST_INIT(&cl->socks);
	timer_init(&cl->timer, loop, on_kick, cl);
	later_init(&cl->kick, on_kick, cl);
	curl_multi_setopt(cl->multi, CURLMOPT_SOCKETFUNCTION, on_socket_set);
	curl_multi_setopt(cl->multi, CURLMOPT_SOCKETDATA, cl);
	curl_multi_setopt(cl->multi, CURLMOPT_TIMERFUNCTION, on_timeout_set);
	curl_multi_setopt(cl->multi, CURLMOPT_TIMERDATA, cl);
	return 0;
}

/* libcurl may be calling us: what it holds stays until curl_loop_clear(). */
void
curl_loop_stop(struct curl_loop *cl)
{
	struct curl_sock *s;

	cl->is_stopped = true;
	LIST_FOREACH(s, &cl->socks, next)
		watch(s, 0);
	timer_clear(&cl->timer);
	loop_forget(cl->loop, &cl->kick);
}

void
curl_loop_clear(struct curl_loop *cl)
{
	struct curl_sock *s;

	curl_loop_stop(cl);
	curl_multi_cleanup(cl->multi);
	while ((s = LIST_FIRST(&cl->socks)) != NULL)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		drop_sock(s);		/* leaves the list */
}

CURLMcode
curl_loop_add(struct curl_loop *cl, CURL *easy)
{
	CURLMcode rc;

	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, cl);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	if ((rc = curl_multi_add_handle(cl->multi, easy)) == CURLM_OK)
		curl_loop_kick(cl);
	return rc;
}

void
curl_loop_remove(struct curl_loop *cl, CURL *easy)
{
	curl_multi_remove_handle(cl->multi, easy);
}

void
curl_loop_keep(struct curl_loop *cl, curl_socket_t fd)
{
	cl->kept = fd;
}
