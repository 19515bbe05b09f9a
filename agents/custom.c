/*
 * custom - an agent of the operator's own: a factory in a shared object, which
 * is loaded here, in the agent's process, never in the master's.
 */
#include <sys/stat.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/cage.h"
#include "agent/factory.h"

struct custom {
	const struct agent_ops *ops;	/* the factory's */
	void		*state;
	struct factory_options options;
	struct factory_option *v;
};

struct custom_conf {
	char		*factory;
	struct opt_dict	 rest;
	struct custom	*custom;	/* set by start */
	struct cage_conf cage;
};

static const char *
check_factory(const char *value)
{
	const char *colon = strrchr(value, ':');

	if (colon == NULL || colon[1] == '\0' || colon[1] == '/')
		return "is not FILE:SYMBOL";
	if (memchr(value, '/', (size_t)(colon - value)) == NULL)
		return "is not FILE:SYMBOL with a / in FILE";
	return NULL;
}

static const struct opt_row rows[] = {
	{ .name = "factory", .type = OPT_STRING,
	    .offset = offsetof(struct custom_conf, factory),
	    .check = check_factory, .flags = OPT_REQUIRED,
	    .text = "FILE:SYMBOL, a shared object with a / in its name, and a "
	    "function in it that makes the agent." },
	{ .name = "NAME", .type = OPT_DICT,
	    .offset = offsetof(struct custom_conf, rest), .flags = OPT_REST,
	    .text = "Any other option goes to the factory as it stands." },
	{ .name = NULL }
};
static const struct opt_group groups[] = {
	{ cage_conf_rows, offsetof(struct custom_conf, cage) },
	{ rows, 0 },
	{ NULL, 0 }
};
static const struct opt_table table = {
	"custom", groups, sizeof(struct custom_conf), NULL
};

/* What of the library only objects call, which the linker cannot know. */
static void (*const kept[])(void) __attribute__((used)) = {
	(void (*)(void))body_read,
	(void (*)(void))reply_from_server,
	(void (*)(void))factory_text,
};

/* ---- loading ---- */

/* dlopen() words what is missing or unreadable differently from case to case,
 * and would run a program's constructors before it says no. */
static int
check_file(const char *path, char *error, size_t size)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd == -1 || fstat(fd, &st) == -1)
		snprintf(error, size, "factory: %s: %s", path,
		    strerror(errno));
	else if (!S_ISREG(st.st_mode))
		snprintf(error, size, "factory: %s is no file", path);
	else {
		close(fd);
		return 0;
	}
	if (fd != -1)
		close(fd);
	return -1;
}

static int
check_abi(void *object, const char *path, char *error, size_t size)
{
	static const struct factory_abi ours = FACTORY_ABI_VALUE;
	const struct factory_abi *abi = dlsym(object, "nexthop_factory_abi");

	if (abi == NULL)
		snprintf(error, size, "factory: %s does not say which ABI it "
		    "is made for: FACTORY_ABI is missing in it", path);
	else if (abi->version != ours.version)
		snprintf(error, size, "factory: %s is made for ABI version "
		    "%u, this is %u", path, abi->version, ours.version);
	else if (memcmp(abi, &ours, sizeof(ours)) != 0)
		snprintf(error, size, "factory: %s was compiled with headers "
		    "of another nexthop", path);
	else
		return 0;
	return -1;
}

/* The function, or NULL with a text.  The object stays in memory. */
static factory_make *
load(const char *factory, char *error, size_t size)
{
	const char *colon = strrchr(factory, ':');
	char *path = xasprintf("%.*s", (int)(colon - factory), factory);
	factory_make *make = NULL;
	void *object;

	if (check_file(path, error, size) == -1)
		;
	else if ((object = dlopen(path, RTLD_NOW | RTLD_LOCAL)) == NULL)
		snprintf(error, size, "factory: %s", dlerror());
	else if (check_abi(object, path, error, size) == 0 &&
	    (make = (factory_make *)dlsym(object, colon + 1)) == NULL)
		snprintf(error, size, "factory: %s has no symbol %s", path,
		    colon + 1);
	free(path);
	return make;
}

/* By hand nobody says what type it is. */
static void
gather(struct custom *c, const struct custom_conf *conf)
{
	size_t i, n = 0;

	c->v = xcalloc(conf->rest.n + 2, sizeof(*c->v));
	c->v[n++] = (struct factory_option){ "type", "custom" };
	c->v[n++] = (struct factory_option){ "factory", conf->factory };
	for (i = 0; i < conf->rest.n; i++)
		if (strcmp(conf->rest.v[i].key, "type") != 0)
			c->v[n++] = (struct factory_option){
			    conf->rest.v[i].key, conf->rest.v[i].value };
	c->options.v = c->v;
	c->options.n = n;
}

static void
custom_free(struct custom *c)
{
	free(c->v);
	free(c);
}

/* The operations that the factory chose, or NULL with a text. */
static const struct agent_ops *
choose(struct custom *c, const struct custom_conf *conf, char *error,
    size_t size)
{
	factory_make *make = load(conf->factory, error, size);
	const struct agent_ops *ops;

	if (make == NULL)
		return NULL;
	ops = make(&c->options);
	if (*c->options.error != '\0')
		strlcpy(error, c->options.error, size);
	else if (ops == NULL)
		snprintf(error, size, "factory: %s made no agent",
		    conf->factory);
	else if (ops->start == NULL || ops->deliver == NULL ||
	    ops->cancel == NULL)
		snprintf(error, size, "factory: the agent of %s lacks start, "
		    "deliver or cancel", conf->factory);
	else
		return ops;
	return NULL;
}

static void *
custom_start(struct agent *agent, void *values, char *error, size_t size)
{
	struct custom *c = xcalloc(1, sizeof(*c));
	struct custom_conf *conf = values;

	gather(c, conf);
	*error = '\0';
	c->ops = choose(c, conf, error, size);
	if (c->ops != NULL)
		c->state = c->ops->start(agent, &c->options, error, size);
	if (c->state == NULL) {
		if (*error == '\0' && *c->options.error != '\0')
			strlcpy(error, c->options.error, size);
		else if (*error == '\0')
			snprintf(error, size, "factory: the agent of %s does "
			    "not start", conf->factory);
		custom_free(c);
		return NULL;
	}
	conf->custom = c;
	return c;
}

/* ---- what goes on to it ---- */

static void
custom_deliver(void *state, struct delivery *d)
{
	struct custom *c = state;

	c->ops->deliver(c->state, d);
}

static void
custom_cancel(void *state, struct delivery *d)
{
	struct custom *c = state;

	c->ops->cancel(c->state, d);
}

static void
custom_drain(void *state)
{
	struct custom *c = state;

	if (c->ops->drain != NULL)
		c->ops->drain(c->state);
}

static bool
custom_is_busy(void *state)
{
	struct custom *c = state;

	return c->ops->is_busy != NULL && c->ops->is_busy(c->state);
}

static void
custom_stop(void *state)
{
	struct custom *c = state;

	if (c->ops->stop != NULL)
		c->ops->stop(c->state);
	custom_free(c);
}

static void
custom_stats(void *state, agent_stat *put, void *arg)
{
	struct custom *c = state;

	if (c->ops->stats != NULL)
		c->ops->stats(c->state, put, arg);
}

static uint32_t
custom_window(const void *values)
{
	const struct custom *c = ((const struct custom_conf *)values)->custom;
	uint32_t window = c->ops->window == NULL ? AGENT_WINDOW_DEFAULT :
	    c->ops->window(&c->options);

	return window < 1 ? 1 : window > FRAME_WINDOW_MAX ?
	    FRAME_WINDOW_MAX : window;
}

/* Nobody here knows what the object needs. */
static const struct cage_policy cage = {
	.name = "custom",
	.may = CAGE_PROGRAMS,
	.conf_at = offsetof(struct custom_conf, cage),
};

int
main(int argc, char **argv)
{
	static const struct agent_ops ops = {
		.name = "custom",
		.summary = "deliver by the operator's own shared object",
		.table = &table,
		.start = custom_start,
		.deliver = custom_deliver,
		.cancel = custom_cancel,
		.drain = custom_drain,
		.is_busy = custom_is_busy,
		.stop = custom_stop,
		.stats = custom_stats,
		.window = custom_window,
		.cage = &cage,
	};

	return agent_main(&ops, argc, argv);
}
