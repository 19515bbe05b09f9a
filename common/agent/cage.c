/* cage.c - what a process may still do once it has begun its work. */
#include "agent/cage.h"

#include <sys/prctl.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cage_inner.h"
#include "base/log.h"
#include "base/mem.h"

static const struct opt_word sandbox_words[] = {
	{ "yes", SANDBOX_YES, "as far as the kernel has what it takes; the "
	    "log has a warning where it has not" },
	{ "require", SANDBOX_REQUIRE, "or the agent does not start" },
	{ "log", SANDBOX_LOG, "nothing is refused; system calls that would be "
	    "are in the kernel's log" },
	{ "no", SANDBOX_NO, "the agent may do what its user may" },
	{ .word = NULL }
};

const struct opt_row cage_conf_rows[] = {
	{ "sandbox", OPT_ENUM, offsetof(struct cage_conf, sandbox), "yes", 0,
	    0, sandbox_words, NULL, 0, "Give up, after the start, all rights "
	    "that deliveries do not need; see nexthop-sandbox(7)." },
	{ .name = NULL }
};

/* ---- what it is to be ---- */

struct cage *
cage_new(const struct cage_policy *policy, const void *values)
{
	const struct cage_conf *conf = (const void *)((const char *)values +
	    policy->conf_at);
	struct cage *c = xcalloc(1, sizeof(*c));

	c->policy = policy;
	c->may = policy->may;
	c->sandbox = conf->sandbox;
	if (log_is_stream())
		cage_may(c, CAGE_UNIX);		/* to connect to it again */
	cage_read(c, "/dev/null");
	cage_read(c, "/dev/urandom");
	cage_read(c, "/etc/localtime");
	cage_read(c, "/usr/share/zoneinfo");
	if (policy->name_files != NULL)
		policy->name_files(c, values);
	return c;
}

void
cage_free(struct cage *c)
{
	size_t i;

	if (c == NULL)
		return;
	cage_calls_leave();
	for (i = 0; i < c->nfiles; i++)
		free(c->files[i].path);
	free(c->files);
	free(c);
}

void
cage_may(struct cage *c, unsigned more)
{
	c->may |= more;
}

unsigned
cage_may_what(const struct cage *c)
{
	return c->may;
}

void
cage_refrain(struct cage *c, const char *why)
{
	c->refrains = why;
}

static void
add_file(struct cage *c, const char *path, bool is_written)
{
	if (path == NULL || *path == '\0')
		return;
	if (c->nfiles == c->files_size) {
		c->files_size = c->files_size == 0 ? 32 : 2 * c->files_size;
		c->files = xreallocarray(c->files, c->files_size,
		    sizeof(*c->files));
	}
	c->files[c->nfiles++] = (struct cage_file){ .path = xstrdup(path),
	    .is_written = is_written };
}

void
cage_read(struct cage *c, const char *path)
{
	add_file(c, path, false);
}

void
cage_write(struct cage *c, const char *folder)
{
	if (folder != NULL && *folder != '\0')
		c->may |= CAGE_WRITE;
	add_file(c, folder, true);
}

/* ---- what parts of the library read ---- */

static void
read_all(struct cage *c, const char *const *paths)
{
	for (; *paths != NULL; paths++)
		cage_read(c, *paths);
}

/* Libraries: modules of the name service are loaded when they are asked. */
void
cage_names(struct cage *c)
{
	static const char *const paths[] = { "/etc/resolv.conf", "/etc/hosts",
	    "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf",
	    "/etc/services", "/etc/ld.so.cache", "/usr/lib", "/usr/lib64",
	    "/lib", "/lib64", "/run/systemd/resolve", NULL };

	read_all(c, paths);
}

void
cage_tls(struct cage *c, const struct tls_conf *tls)
{
	static const char *const paths[] = { "/etc/ssl/certs",
	    "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/usr/lib/ssl",
	    "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
	    "/etc/ca-certificates", "/etc/pki/tls", "/etc/pki/ca-trust",
	    "/etc/crypto-policies", NULL };

	read_all(c, paths);
	cage_read(c, getenv("SSL_CERT_FILE"));
	cage_read(c, getenv("SSL_CERT_DIR"));
	cage_read(c, getenv("OPENSSL_CONF"));
	cage_read(c, tls->ca_certs);
	cage_read(c, tls->ca_path);
	cage_read(c, tls->certfile);
	cage_read(c, tls->keyfile);
}

/* Reports are files, made where the first fault is found. */
static void
read_for_sanitizers(struct cage *c)
{
	static const char *const names[] = { "ASAN_OPTIONS", "UBSAN_OPTIONS",
	    "LSAN_OPTIONS" };
	const char *text, *path;
	char folder[4096], *slash;
	size_t i;

	cage_read(c, "/proc");
	cage_names(c);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((text = getenv(names[i])) == NULL ||
		    (path = strstr(text, "log_path=")) == NULL)
			continue;
		path += strlen("log_path=");
		snprintf(folder, sizeof(folder), "%.*s",
		    (int)strcspn(path, ":"), path);
		if ((slash = strrchr(folder, '/')) != NULL) {
			*slash = '\0';
			cage_write(c, folder);
		}
	}
}

/* ---- the way in ---- */

struct entry {
	struct cage	*cage;
	bool		 is_quiet;
	char		*error;
	size_t		 size;
};

/* The kernel lacks something: -1 where that is not to be borne. */
static int
lacking(const struct entry *e, const char *what, const char *so)
{
	if (e->cage->sandbox == SANDBOX_REQUIRE) {
		snprintf(e->error, e->size, "sandbox: required, but this "
		    "kernel has no %s", what);
		return -1;
	}
	if (!e->is_quiet)
		log_warning("sandbox: this kernel has no %s: %s", what, so);
	return 0;
}

static int
failed(const struct entry *e, const char *what)
{
	snprintf(e->error, e->size, "sandbox: %s: %s", what, strerror(errno));
	return -1;
}

static bool
is_missing(int error)
{
	return error == ENOSYS || error == EOPNOTSUPP || error == EINVAL;
}

static int
enter_files(const struct entry *e)
{
	if (cage_landlock_abi() == 0)
		return lacking(e, "Landlock", "files are as open to the agent "
		    "as to its user");
	return cage_landlock_enter(e->cage) == 0 ? 0 : failed(e, "landlock");
}

static int
enter_calls(const struct entry *e, struct loop *loop)
{
	if (cage_calls_enter(e->cage->may, e->cage->sandbox, loop) == 0)
		return 0;
	return is_missing(errno) ? lacking(e, "seccomp filters", "the agent "
	    "may call all of the kernel") : failed(e, "seccomp");
}

enum cage_result
cage_enter(struct cage *c, struct loop *loop, bool is_quiet, char *error,
    size_t size)
{
	const struct entry e = { c, is_quiet, error, size };

	if (c->sandbox == SANDBOX_NO)
		return CAGE_OFF;
	if (c->refrains != NULL) {
		if (c->sandbox == SANDBOX_REQUIRE) {
			snprintf(error, size, "sandbox: required, but %s",
			    c->refrains);
			return CAGE_FAILED;
		}
		log_info("sandbox: none, %s", c->refrains);
		return CAGE_OFF;
	}
	if (CAGE_SANITIZED)
		read_for_sanitizers(c);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1) {
		failed(&e, "no new privileges");
		return CAGE_FAILED;
	}
	if ((c->may & CAGE_PROGRAMS) == 0 && c->sandbox != SANDBOX_LOG &&
	    enter_files(&e) == -1)
		return CAGE_FAILED;
	if (enter_calls(&e, loop) == -1)
		return CAGE_FAILED;
	malloc_trim(0);		/* making the filter took some */
	return CAGE_DONE;
}

static bool
is_readable(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd != -1)
		close(fd);
	return fd != -1;
}

const char *
cage_outdated(struct cage *c)
{
	struct cage_file *f;
	struct stat st;
	size_t i;

	for (i = 0; i < c->nfiles; i++) {
		f = &c->files[i];
		/* It may be missing while somebody replaces it. */
		if (!f->is_watched || stat(f->path, &st) == -1 ||
		    (st.st_ino == f->ino && st.st_dev == f->dev))
			continue;
		if (is_readable(f->path)) {
			/* By another name it went into an open folder. */
			f->ino = st.st_ino;
			f->dev = st.st_dev;
		} else if (!f->is_users || access(f->path, R_OK) == 0)
			/* Where the user may, which access(2) says, it is the
			 * cage: a new process could.  So could one that is
			 * another user first. */
			return f->path;
	}
	return NULL;
}
