/*
 * probe.c - `nexthop check` and `nexthop config`: agents are started only to
 * judge their options, and nothing is left running.
 */
#include "master.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "conf/option_name.h"

static void
on_done(void *arg)
{
	loop_stop(arg, 0);
}

/* Agents started for path; the faults are printed if there are any. */
static struct rollout *
probe(struct loop *loop, struct reaper *reaper, const char *path, int flags)
{
	struct config *config = config_load(path);
	struct rollout *ro;

	ro = rollout_start(loop, reaper, config, NULL,
	    flags | ROLLOUT_ONE_EACH, on_done, loop);
	config_unref(config);
	loop_run(loop);
	if (!rollout_is_good(ro))
		conf_print_faults(ro->config->conf, stderr);
	return ro;
}

static int
probe_end(struct loop *loop, struct reaper *reaper, struct rollout *ro,
    int status)
{
	reaper_kill_all(reaper, SIGKILL);
	rollout_free(ro);
	loop_turn(loop, 0);
	reaper_wait(reaper);
	reaper_free(reaper);
	loop_free(loop);
	return status;
}

int
probe_check(const char *path, bool is_strict)
{
	struct loop *loop = loop_new();
	struct reaper *reaper = reaper_new(loop);
	struct rollout *ro = probe(loop, reaper, path, ROLLOUT_OPTIONS);
	bool is_good = rollout_is_good(ro);
	unsigned nwarnings = 0, n = ro->config->nrelays;

	if (is_good) {
		nwarnings = check_warn(ro, stderr);
		is_good = nwarnings == 0 || !is_strict;
		printf("%s: %s%u relay%s", path, is_good ? "ok, " : "", n,
		    n == 1 ? "" : "s");
		if (nwarnings > 0)
			printf(", %u warning%s", nwarnings,
			    nwarnings == 1 ? "" : "s");
		putchar('\n');
	}
	return probe_end(loop, reaper, ro, is_good ? EX_OK : EX_CONFIG);
}

/* ---- nexthop config ---- */

/* A value with a line end goes on in the next line. */
static void
print_value(const char *value, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		printf(value[i] == '\n' ? "\n\t" : "%c", value[i]);
	putchar('\n');
}

/* Unset and hidden ones as comments: the rest reads as a configuration. */
static void
print_option(const char *name, size_t name_len, const char *value, size_t n)
{
	bool is_hidden = n == 8 && memcmp(value, "(hidden)", 8) == 0;

	printf("%s%.*s = ", is_hidden ? "#" : "", (int)name_len, name);
	print_value(value, n);
}

static void
on_row(void *arg, const char *name, const char *value, bool is_default)
{
	(void)arg;
	(void)is_default;
	if (value == NULL)
		printf("#%s =\n", name);
	else
		print_option(name, strlen(name), value, strlen(value));
}

/* What the type of the relay says already, or the master's own row. */
static bool
is_implied(const struct relay_conf *r, const char *name, size_t n)
{
	return (n == 12 && memcmp(name, "no_new_privs", n) == 0) ||
	    (n == 4 && memcmp(name, "type", n) == 0) ||
	    (n == 6 && memcmp(name, "preset", n) == 0 &&
	    strcmp(r->type, "pipe") != 0);
}

/* Whether the agent listed an option of this name. */
static bool
is_listed(const struct frame *f, const char *name)
{
	struct attr a;
	size_t at = 0;

	while (frame_next(f, &at, &a) == 1)
		if (a.tag == ATTR_OPTION_NAME &&
		    opt_name_is_bytes(name, a.data, a.len))
			return true;
	return false;
}

/* Only an agent knows its secrets; of one that does not tell, the name must
 * do. */
bool
probe_sounds_secret(const char *name)
{
	return strcasestr(name, "pass") != NULL ||
	    strcasestr(name, "secret") != NULL ||
	    strcasestr(name, "token") != NULL;
}

static void
print_given(const struct relay_option *o)
{
	const char *value = probe_sounds_secret(o->name) ? "(hidden)" : o->value;

	print_option(o->name, strlen(o->name), value, strlen(value));
}

/* As the agent lists them; one that tells less is believed to have taken the
 * others as they stand. */
static void
print_agent_options(const struct child *c)
{
	const struct relay_conf *r = c->gen->conf;
	const struct frame f = {
		.attrs = (const uint8_t *)buf_data(&c->effective),
		.attrs_len = buf_len(&c->effective)
	};
	struct attr a, name = { 0, 0, NULL };
	size_t at = 0, i;

	for (i = 0; i < r->noptions; i++)
		if (!is_listed(&f, r->options[i].name) && !is_implied(r,
		    r->options[i].name, strlen(r->options[i].name)))
			print_given(&r->options[i]);
	while (frame_next(&f, &at, &a) == 1)
		if (a.tag == ATTR_OPTION_NAME)
			name = a;
		else if (a.tag == ATTR_OPTION_VALUE && name.data != NULL &&
		    !is_implied(r, (const char *)name.data, name.len))
			print_option((const char *)name.data, name.len,
			    (const char *)a.data, a.len);
}

static void
print_config(const struct rollout *ro)
{
	const struct generation *g;

	printf("[master]\n");
	opts_each(ro->config->opts, on_row, NULL);
	TAILQ_FOREACH(g, &ro->generations, next) {
		printf(g->conf->kind == CONF_METRICS ? "\n[%s]\n" :
		    "\n[%s %s]\n", conf_kind_name(g->conf->kind),
		    g->conf->name);
		opts_each(g->conf->opts, on_row, NULL);
		print_agent_options(&g->children[0]);
	}
}

int
probe_config(const char *path)
{
	struct loop *loop = loop_new();
	struct reaper *reaper = reaper_new(loop);
	struct rollout *ro = probe(loop, reaper, path, ROLLOUT_OPTIONS);
	bool is_good = rollout_is_good(ro);

	if (is_good)
		print_config(ro);
	return probe_end(loop, reaper, ro, is_good ? EX_OK : EX_CONFIG);
}
