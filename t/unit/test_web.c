/*
 * test_web.c - libcurl's transfers on the loop: side by side, taken back, and
 * their owners freed by their own callbacks.  The server is a child process.
 */
#include "net/web.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/addr.h"
#include "net_test.h"

#define MANY	40

static struct loop *loop;
static struct web *web;
static uint16_t port;
static pid_t server;

/* ---- the server ---- */

/* /hang: nothing; /cut: half of it; else the path as it was asked for. */
static void
answer(int fd, const char *path)
{
	char text[512];
	int n;

	if (strncmp(path, "/hang", 5) == 0) {
		poll(NULL, 0, 60000);
		return;
	}
	n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n"
	    "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
	    strlen(path) + (strncmp(path, "/cut", 4) == 0 ? 100 : 0), path);
	if (write(fd, text, (size_t)n) != n)
		return;
}

static void
serve(int fd)
{
	char text[2048];
	ssize_t n;
	int at;

	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		at = accept(fd, NULL, NULL);
		if (fork() == 0) {
			n = read(at, text, sizeof(text) - 1);
			text[n > 0 ? n : 0] = '\0';
			strtok(text, " ");
			answer(at, strtok(NULL, " "));
			_exit(0);
		}
		close(at);
	}
}

static void
start(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct addr a;

	addr_parse(&a, "127.0.0.1", 0);
	if (bind(fd, &a.u.sa, a.len) == -1 || listen(fd, 100) == -1 ||
	    getsockname(fd, &a.u.sa, &a.len) == -1) {
		diag("server: %s", strerror(errno));
		exit(1);
	}
	port = addr_port(&a);
	if ((server = fork()) == 0) {
		setpgid(0, 0);
		serve(fd);
	}
	setpgid(server, server);
	close(fd);
}

/* ---- the client ---- */

struct get {
	struct web_job	 job;
	CURL		*easy;
	char		 body[64];
	size_t		 n;
	bool		 is_over;
	CURLcode	 code;
};

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct get *g = arg;

	if (g->n + size * n >= sizeof(g->body))
		return 0;
	memcpy(g->body + g->n, p, size * n);
	g->n += size * n;
	return size * n;
}

static void
on_done(void *arg, CURLcode code)
{
	struct get *g = arg;

	g->is_over = true;
	g->code = code;
}

static CURL *
easy(struct get *g, const char *path, long at)
{
	CURL *c = curl_easy_init();
	char url[128];

	snprintf(url, sizeof(url), "http://127.0.0.1:%ld%s", at, path);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, g);
	return c;
}

static void
get_start(struct get *g, const char *path)
{
	memset(g, 0, sizeof(*g));
	g->easy = easy(g, path, port);
	if (web_start(web, &g->job, g->easy, on_done, g) == -1)
		diag("not started: %s", path);
	if (g->is_over)
		diag("over inside the call");
}

static void
get_clear(struct get *g)
{
	web_stop(&g->job);
	curl_easy_cleanup(g->easy);
}

static void
test_one(void)
{
	struct get g;

	get_start(&g, "/hello");
	turn_until(loop, &g.is_over);
	ok(g.code == CURLE_OK, "a transfer ends");
	is_str(g.body, "/hello", "... with what was there");
	get_clear(&g);

	get_start(&g, "/cut");
	turn_until(loop, &g.is_over);
	is_int(g.code, CURLE_PARTIAL_FILE, "one that is cut");
	get_clear(&g);

	memset(&g, 0, sizeof(g));
	g.easy = easy(&g, "/", 1);
	web_start(web, &g.job, g.easy, on_done, &g);
	turn_until(loop, &g.is_over);
	is_int(g.code, CURLE_COULDNT_CONNECT, "nobody there");
	get_clear(&g);

	memset(&g, 0, sizeof(g));
	g.easy = easy(&g, "/hang", port);
	curl_easy_setopt(g.easy, CURLOPT_TIMEOUT_MS, 100L);
	web_start(web, &g.job, g.easy, on_done, &g);
	turn_until(loop, &g.is_over);
	is_int(g.code, CURLE_OPERATION_TIMEDOUT, "no answer in time");
	get_clear(&g);
}

static void
test_many(void)
{
	static struct get gets[MANY];
	int i, n = 0;
	char path[32];

	for (i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "/n%d", i);
		get_start(&gets[i], path);
	}
	for (i = 0; i < MANY; i++) {
		turn_until(loop, &gets[i].is_over);
		snprintf(path, sizeof(path), "/n%d", i);
		if (gets[i].code == CURLE_OK &&
		    strcmp(gets[i].body, path) == 0)
			n++;
		get_clear(&gets[i]);
	}
	is_int(n, MANY, "%d side by side, each its own", MANY);
}

static void
test_stop(void)
{
	struct get hanging, other, never = { .n = 0 };
	int before;

	turn_some(loop);
	before = count_fds();
	get_start(&hanging, "/hang");
	get_start(&other, "/other");
	turn_until(loop, &other.is_over);
	ok(!hanging.is_over, "one hangs");
	get_clear(&hanging);
	turn_some(loop);
	ok(!hanging.is_over, "taken back: no callback");
	get_clear(&other);
	get_start(&other, "/again");
	get_clear(&other);
	turn_some(loop);
	ok(!other.is_over, "taken back at once");
	web_stop(&never.job);
	turn_some(loop);
	is_int(count_fds(), before, "nothing stays open");
	get_start(&other, "/after");
	turn_until(loop, &other.is_over);
	is_str(other.body, "/after", "others work on");
	get_clear(&other);
}

/* A callback that ends its own transfer and another, and begins a third. */
struct chain {
	struct get	*self, *victim, *next;
	bool		 is_over;
};

static void
on_chain(void *arg, CURLcode code)
{
	struct chain *c = arg;

	if (code != CURLE_OK)
		diag("%s", curl_easy_strerror(code));
	get_clear(c->self);
	free(c->self);
	get_clear(c->victim);
	free(c->victim);
	get_start(c->next, "/third");
	c->is_over = true;
}

static void
test_inside(void)
{
	struct chain c = { .is_over = false };
	struct get next;

	c.self = xcalloc(1, sizeof(*c.self));
	c.victim = xcalloc(1, sizeof(*c.victim));
	c.next = &next;
	memset(&next, 0, sizeof(next));
	get_start(c.victim, "/hang");
	c.self->easy = easy(c.self, "/first", port);
	web_start(web, &c.self->job, c.self->easy, on_chain, &c);
	turn_until(loop, &c.is_over);
	turn_until(loop, &next.is_over);
	is_str(next.body, "/third", "owners freed inside, another begun");
	get_clear(&next);
}

int
main(void)
{
	int before;

	signal(SIGPIPE, SIG_IGN);
	start();
	loop = loop_new();
	web = web_new(loop, 1);
	test_one();
	test_many();
	test_stop();
	test_inside();
	web_free(web);
	turn_some(loop);
	before = count_fds();
	web = web_new(loop, 0);
	web_free(web);
	web_free(NULL);
	is_int(count_fds(), before, "made for nothing, freed");
	loop_free(loop);
	kill(-server, SIGKILL);
	waitpid(server, NULL, 0);
	return done_testing();
}
