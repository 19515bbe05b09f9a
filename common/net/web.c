/*
 * web.c - libcurl's transfers on the event loop.
 *
 * libcurl says which descriptors it waits for and when it wants to be called;
 * it is told what has happened.  Ended transfers are collected after the
 * turn, outside of any call of libcurl.
 */
#include "net/web.h"

#include <stdlib.h>

#include "base/mem.h"

struct web {
	struct loop	*loop;
	CURLM		*multi;
	struct timer	 timer;
	struct later	 collect;
	TAILQ_HEAD(, web_job) jobs;
};

struct watch {			/* one descriptor of libcurl's */
	struct web	*web;
	struct event	 ev;
	bool		 is_on;
};

/* ---- what has happened ---- */

static void
take_results(struct web *w)
{
	struct web_job *job;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(w->multi, &left)) != NULL) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &job);
		job->result = msg->data.result;
		job->is_over = true;
	}
}

static struct web_job *
find_over(struct web *w)
{
	struct web_job *job;

	TAILQ_FOREACH(job, &w->jobs, next)
		if (job->is_over)
			return job;
	return NULL;
}

static void
collect(void *arg)
{
	struct web *w = arg;
	struct web_job *job;

	take_results(w);
	while ((job = find_over(w)) != NULL) {
		web_stop(job);
		job->cb(job->arg, job->result);
	}
}

static void
act(struct web *w, curl_socket_t fd, int what)
{
	int running;

	curl_multi_socket_action(w->multi, fd, what, &running);
	loop_later(w->loop, &w->collect);
}

static void
on_timer(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct watch *watch = arg;

	act(watch->web, fd, ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) |
	    ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0));
}

/* ---- what libcurl waits for ---- */

static int
on_wanted_time(CURLM *multi, long ms, void *arg)
{
	struct web *w = arg;

	(void)multi;
	if (ms < 0)
		timer_stop(&w->timer);
	else
		timer_set(&w->timer, ms);
	return 0;
}

static void
unwatch(struct web *w, struct watch *watch, curl_socket_t fd)
{
	if (watch == NULL)
		return;
	if (watch->is_on)
		event_del(&watch->ev);
	curl_multi_assign(w->multi, fd, NULL);
	free(watch);
}

static int
on_wanted_fd(CURL *easy, curl_socket_t fd, int what, void *arg,
    void *fd_arg)
{
	struct web *w = arg;
	struct watch *watch = fd_arg;
	short events = EV_PERSIST;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		unwatch(w, watch, fd);
		return 0;
	}
	if (watch == NULL) {
		watch = xcalloc(1, sizeof(*watch));
		watch->web = w;
		curl_multi_assign(w->multi, fd, watch);
	}
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= EV_READ;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= EV_WRITE;
	if (watch->is_on)
		event_del(&watch->ev);
	event_assign(&watch->ev, loop_base(w->loop), fd, events, on_event,
	    watch);
	watch->is_on = event_add(&watch->ev, NULL) == 0;
	return 0;
}

/* ---- transfers ---- */

struct web *
web_new(struct loop *loop, long idle_max)
{
	struct web *w;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return NULL;
	w = xcalloc(1, sizeof(*w));
	w->loop = loop;
	TAILQ_INIT(&w->jobs);
	timer_init(&w->timer, loop, on_timer, w);
	later_init(&w->collect, collect, w);
	if ((w->multi = curl_multi_init()) == NULL) {
		web_free(w);
		return NULL;
	}
	curl_multi_setopt(w->multi, CURLMOPT_SOCKETFUNCTION, on_wanted_fd);
	curl_multi_setopt(w->multi, CURLMOPT_SOCKETDATA, w);
	curl_multi_setopt(w->multi, CURLMOPT_TIMERFUNCTION, on_wanted_time);
	curl_multi_setopt(w->multi, CURLMOPT_TIMERDATA, w);
	curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS,
	    idle_max > 0 ? idle_max : 1L);
	return w;
}

void
web_free(struct web *w)
{
	if (w == NULL)
		return;
	/* May still call for descriptors and time. */
	curl_multi_cleanup(w->multi);
	loop_forget(w->loop, &w->collect);
	timer_clear(&w->timer);
	free(w);
	curl_global_cleanup();
}

int
web_start(struct web *w, struct web_job *job, CURL *easy,
    void (*cb)(void *arg, CURLcode), void *arg)
{
	job->web = w;
	job->easy = easy;
	job->cb = cb;
	job->arg = arg;
	job->is_over = false;
	if (curl_easy_setopt(easy, CURLOPT_PRIVATE, job) != CURLE_OK ||
	    curl_multi_add_handle(w->multi, easy) != CURLM_OK) {
		job->web = NULL;
		return -1;
	}
	TAILQ_INSERT_TAIL(&w->jobs, job, next);
	return 0;
}

void
web_stop(struct web_job *job)
{
	struct web *w = job->web;

	if (w == NULL)
		return;
	job->web = NULL;
	TAILQ_REMOVE(&w->jobs, job, next);
	curl_multi_remove_handle(w->multi, job->easy);
}
