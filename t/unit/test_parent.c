/* test_parent.c - what children of the master do alike with its frames. */
#include "agent/parent.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/log.h"
#include "base/mem.h"
#include "test.h"

struct values {
	int64_t	 size;
	char	*colour;
};

static int
check(void *values, opt_report *report, void *arg)
{
	const struct values *v = values;

	if (v->size != 7)
		return 0;
	report(arg, "size", "seven is not wanted");
	report(arg, NULL, "nor anything like it");
	return 2;
}

static const struct opt_row rows[] = {
	{ .name = "size", .type = OPT_INT, .min = 1, .max = 9, .def = "5",
	    .offset = offsetof(struct values, size), .text = "Size." },
	{ .name = "colour", .type = OPT_STRING,
	    .offset = offsetof(struct values, colour), .text = "Colour." },
	{ .name = NULL }
};
static const struct opt_group groups[] = { { rows, 0 }, { NULL, 0 } };
static const struct opt_table table = {
	"t", groups, sizeof(struct values), check
};

static struct buf in, out;
static struct frame_out o;
static char said[1024];

static void
begin(enum frame_type type, uint16_t flags)
{
	buf_clear(&in);
	frame_begin(&o, &in, type, 0, flags);
}

static void
option(const char *name, const char *value)
{
	frame_put_text(&o, ATTR_OPTION_NAME, name);
	frame_put_text(&o, ATTR_OPTION_VALUE, value);
}

static struct frame
parsed(struct buf *b)
{
	const char *error = NULL;
	struct frame f = { .len = 0 };

	if (frame_parse(buf_data(b), buf_len(b), &f, &error) != 1)
		diag("no frame: %s", error);
	return f;
}

static struct frame
finish(void)
{
	frame_end(&o);
	return parsed(&in);
}

/* The attributes of READY as text: "TAG=VALUE;"... */
static const char *
ready(struct parent_config *c)
{
	struct arena *arena = arena_new(256);
	struct frame f;
	struct attr a;
	size_t at = 0;
	uint32_t n;

	*said = '\0';
	frame_end(&c->ready);
	f = parsed(&out);
	if (f.type != FRAME_READY)
		diag("no READY");
	while (frame_next(&f, &at, &a) == 1) {
		if (a.tag == ATTR_OPTION_INDEX && attr_u32(&a, &n) == 0)
			strlcat(said, arena_printf(arena, "#%u ", n),
			    sizeof(said));
		else
			strlcat(said, arena_printf(arena, "%s%c",
			    attr_text(&a, arena),
			    a.tag == ATTR_OPTION_NAME ? '=' : ';'),
			    sizeof(said));
	}
	arena_free(arena);
	return said;
}

/* CONFIG, begun by the caller, is taken into fresh options. */
static int
take(struct parent_config *c, struct opts **opts)
{
	struct frame f = finish();

	opts_free(*opts);
	*opts = opts_new(&table);
	buf_clear(&out);
	return parent_config_take(c, *opts, &f, &out);
}

static void
test_config(void)
{
	struct opts *opts = NULL;
	struct parent_config c;
	const struct values *v;

	begin(FRAME_CONFIG, 0);
	frame_put_text(&o, ATTR_RELAY, "sec tion");
	option("size", "3");
	is_int(take(&c, &opts), 0, "config: taken");
	v = opts_values(opts);
	is_int(v->size, 3, "config: an option is set");
	is_str(c.section, "sec tion", "config: the section");
	is_int(parent_config_status(&c), -1, "config: the process goes on");
	is_str(ready(&c), "", "config: READY is left to the caller");

	begin(FRAME_CONFIG, 0);
	is_int(take(&c, &opts), 0, "config: nothing in it");
	is_str(c.section, "-", "config: no section");

	begin(FRAME_CONFIG, 0);
	frame_put(&o, ATTR_WANT_OPTIONS, "", 0);
	option("colour", "red");
	take(&c, &opts);
	ok(c.want_options, "options: asked for");
	is_int(parent_config_status(&c), EX_OK, "options: and no more");
	parent_config_put_options(&c);
	is_str(ready(&c), "size=5;colour=red;", "options: all, with defaults");

	begin(FRAME_CONFIG, 0);
	frame_put(&o, ATTR_WANT_OPTIONS, "", 0);
	take(&c, &opts);
	parent_config_put_options(&c);
	is_str(ready(&c), "size=5;", "options: none that is not set");
	opts_free(opts);
}

static void
test_faults(void)
{
	struct opts *opts = NULL;
	struct parent_config c;

	begin(FRAME_CONFIG, 0);
	option("colour", "red");
	option("size", "7");
	option("size", "8");
	option("shape", "round");
	is_int(take(&c, &opts), 0, "faults: the frame is sound");
	is_int(c.nfaults, 2, "faults: each is counted, not those of all");
	is_int(parent_config_status(&c), EX_CONFIG, "faults: the status");
	ready(&c);
	ok(strncmp(said, "#2 ", 3) == 0 && strstr(said, ";#3 ") != NULL,
	    "faults: by the option's place: %s", said);

	begin(FRAME_CONFIG, 0);
	option("size", "7");
	take(&c, &opts);
	is_int(c.nfaults, 2, "table: its faults");
	parent_config_fault(&c, "and mine");
	is_str(ready(&c), "size: seven is not wanted;nor anything like it;"
	    "and mine;", "table: faults are of no option's place");
	opts_free(opts);
}

static void
test_malformed(void)
{
	struct opts *opts = NULL;
	struct parent_config c;

	begin(FRAME_CONFIG, 0);
	frame_put_text(&o, ATTR_OPTION_VALUE, "x");
	is_int(take(&c, &opts), -1, "malformed: a value without a name");
	begin(FRAME_CONFIG, 0);
	option("size", "3");
	frame_put_text(&o, ATTR_OPTION_VALUE, "4");
	is_int(take(&c, &opts), -1, "malformed: two values for a name");
	begin(FRAME_CONFIG, 0);
	frame_put_text(&o, ATTR_ERROR, "x");
	is_int(take(&c, &opts), -1, "malformed: what is not for CONFIG");
	begin(FRAME_CONFIG, 0);
	frame_put(&o, ATTR_RELAY, "a\0b", 3);
	is_int(take(&c, &opts), -1, "malformed: a text with a NUL");
	begin(FRAME_CONFIG, 0);
	frame_put(&o, ATTR_SKIPPABLE | 1000, "a\0b", 3);
	is_int(take(&c, &opts), 0, "what may be skipped is");
	opts_free(opts);
}

static void
test_hello(void)
{
	struct frame f;
	struct attr a;
	size_t at = 0;
	unsigned tags = 0;

	buf_clear(&out);
	is_int(parent_put_hello(&out, "prog"), 0, "hello: put");
	f = parsed(&out);
	is_int(f.type, FRAME_HELO, "hello: a HELO");
	while (frame_next(&f, &at, &a) == 1) {
		tags++;
		if (a.tag == ATTR_AGENT)
			is_mem(a.data, a.len, "prog", 4, "hello: the program");
	}
	is_int(tags, 5, "hello: all of it");
}

/* A frame of the type, with flags, and fd: what becomes of it. */
static int
look(enum frame_type type, uint16_t flags, int fd, enum frame_type takes_fd,
    const char **error)
{
	struct frame f;

	*error = NULL;
	begin(type, flags);
	f = finish();
	return parent_frame(&f, fd, takes_fd, error);
}

static void
test_frame(void)
{
	static const struct {
		enum frame_type	 type;
		uint16_t	 flags;
		bool		 has_fd;
		enum frame_type	 takes_fd;
		int		 result;
		const char	*error;
	} r[] = {
		{ FRAME_DRAIN, 0, false, FRAME_DELIVER, 1, NULL },
		{ FRAME_DELIVER, 0, false, FRAME_DELIVER, 1, NULL },
		{ FRAME_DELIVER, FRAME_HAS_FD, true, FRAME_DELIVER, 1, NULL },
		{ FRAME_DELIVER, FRAME_HAS_FD, false, FRAME_DELIVER, 1, NULL },
		{ FRAME_DELIVER, FRAME_HAS_FD, true, FRAME_LISTEN, -1,
		    "descriptor with a frame that takes none" },
		{ FRAME_CONFIG, FRAME_HAS_FD, true, FRAME_LISTEN, -1,
		    "descriptor with a frame that takes none" },
		{ FRAME_CONFIG, FRAME_HAS_FD, false, FRAME_LISTEN, -1,
		    "descriptor with a frame that takes none" },
		{ FRAME_LISTEN, FRAME_HAS_FD, true, FRAME_LISTEN, 1, NULL },
		{ FRAME_LISTEN, FRAME_HAS_FD, false, FRAME_LISTEN, -1,
		    "no descriptor is left for a listening socket" },
		{ FRAME_LISTEN, FRAME_HAS_FD, true, FRAME_DELIVER, -1,
		    "descriptor with a frame that takes none" },
		{ FRAME_LOG, 0, false, FRAME_LISTEN, -1,
		    "LOG without a descriptor" },
	};
	const char *error;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(r) / sizeof(r[0]); i++) {
		fd = r[i].has_fd ? dup(1) : -1;
		is_int(look(r[i].type, r[i].flags, fd, r[i].takes_fd, &error),
		    r[i].result, "frame: row %zu", i);
		is_str(error, r[i].error, "frame: its error");
		if (fd != -1)
			is_int(close(fd), r[i].result == 1 ? 0 : -1,
			    "frame: who has the descriptor");
	}
}

/* Lines go into the pipe that was given, and still do when the kernel had no
 * descriptor for another one. */
static void
test_log(void)
{
	struct log_conf conf = { .target = LOG_TO_FILE,
	    .level = LOG_LEVEL_INFO };
	char line[512];
	const char *error;
	ssize_t n;
	int p[2];

	if (pipe(p) == -1)
		diag("no pipe");
	log_configure(&conf);
	is_int(look(FRAME_LOG, FRAME_HAS_FD, p[1], FRAME_DELIVER, &error), 0,
	    "log: taken");
	is_int(log_file(), p[1], "log: the file");
	is_int(look(FRAME_LOG, FRAME_HAS_FD, -1, FRAME_DELIVER, &error), 0,
	    "log: none is left");
	is_int(log_file(), p[1], "log: the old file stays");
	log_flush();
	n = read(p[0], line, sizeof(line) - 1);
	line[n < 0 ? 0 : n] = '\0';
	ok(strstr(line, "no descriptor is left for the log's new file") != NULL,
	    "log: and says so");
	close(p[0]);
}

static void
test_open(void)
{
	char number[16];
	int fds[2], p[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == -1 || pipe(p) == -1)
		diag("no descriptors");
	setenv(CHANNEL_ENV, "x", 1);
	is_int(parent_open("x"), -1, "open: no number");
	is_int(parent_open("2"), -1, "open: stderr");
	snprintf(number, sizeof(number), "%d", p[0]);
	is_int(parent_open(number), -1, "open: a pipe");
	ok(getenv(CHANNEL_ENV) != NULL, "open: the variable stays on error");
	snprintf(number, sizeof(number), "%d", fds[0]);
	is_int(parent_open(number), fds[0], "open: a UNIX socket");
	ok(getenv(CHANNEL_ENV) == NULL, "open: nobody inherits the variable");
	close(fds[0]);
	close(fds[1]);
	close(p[0]);
	close(p[1]);
}

int
main(void)
{
	log_open("test_parent");
	buf_init(&in, 65536);
	buf_init(&out, 65536);
	test_config();
	test_faults();
	test_malformed();
	test_hello();
	test_open();
	test_frame();
	test_log();
	buf_clear(&in);
	buf_clear(&out);
	log_flush();
	return done_testing();
}
