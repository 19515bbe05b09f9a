/* web.c - libcurl's transfers, each with a callback of its own. */
#include "net/web.h"

#include <stdlib.h>

#include "base/mem.h"
#include "net/curl_loop.h"

struct web {
	struct curl_loop curl;
};

static void
on_ended(void *arg, CURL *easy, CURLcode result)
{
	struct web_job *job;

	(void)arg;
	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &job);
	web_stop(job);
	job->cb(job->arg, result);
}

struct web *
web_new(struct loop *loop, long idle_max)
{
	static const struct curl_loop_ops ops = { .ended = on_ended };
	struct web *w;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return NULL;
	w = xcalloc(1, sizeof(*w));
	if (curl_loop_init(&w->curl, loop, &ops, w) == -1) {
		free(w);
		curl_global_cleanup();
		return NULL;
	}
	curl_multi_setopt(w->curl.multi, CURLMOPT_MAXCONNECTS,
	    idle_max > 0 ? idle_max : 1L);
	return w;
}

void
web_free(struct web *w)
{
	if (w == NULL)
		return;
	curl_loop_clear(&w->curl);
	free(w);
	curl_global_cleanup();
}

int
web_start(struct web *w, struct web_job *job, CURL *easy,
    void (*cb)(void *arg, CURLcode), void *arg)
{
	*job = (struct web_job){ .web = w, .easy = easy, .cb = cb, .arg = arg };
	if (curl_easy_setopt(easy, CURLOPT_PRIVATE, job) == CURLE_OK &&
	    curl_loop_add(&w->curl, easy) == CURLM_OK)
		return 0;
	job->web = NULL;
	return -1;
}

void
web_stop(struct web_job *job)
{
	if (job->web == NULL)
		return;
	curl_loop_remove(&job->web->curl, job->easy);
	job->web = NULL;
}
