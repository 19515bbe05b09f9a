/* test_secret.c - secrets in files: who may read them, when they change. */
#include "base/secret.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static char folder[] = "/tmp/nexthop-secret.XXXXXX";
static char path[64];
static char error[512];

static void
write_file(const char *text, size_t n, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd == -1 || write(fd, text, n) != (ssize_t)n ||
	    fchmod(fd, mode) == -1)
		abort();
	close(fd);
}

/* Long ago, so that it counts as settled. */
static void
age(time_t mtime)
{
	struct timespec times[2] = { { .tv_sec = mtime }, { .tv_sec = mtime } };

	if (utimensat(AT_FDCWD, path, times, 0) == -1)
		abort();
}

static bool
error_has(const char *word)
{
	return strstr(error, word) != NULL && strstr(error, path) != NULL;
}

static const struct {
	const char	*text;
	size_t		 n;
	const char	*value;		/* NULL: refused */
	const char	*error;
} contents[] = {
	{ "secret", 6, "secret", NULL },
	{ "secret\n", 7, "secret", NULL },
	{ "secret\r\n", 8, "secret", NULL },
	{ "secret\n\n", 8, "secret\n", NULL },
	{ "secret\r", 7, "secret\r", NULL },
	{ " a b ", 5, " a b ", NULL },
	{ "x", 1, "x", NULL },
	{ "", 0, NULL, "is empty" },
	{ "\n", 1, NULL, "is empty" },
	{ "\r\n", 2, NULL, "is empty" },
	{ "sec\0ret", 7, NULL, "NUL" },
	{ "sec\0", 4, NULL, "NUL" },
};

static void
test_contents(void)
{
	size_t i, n;
	char *s;

	for (i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		write_file(contents[i].text, contents[i].n, 0600);
		n = 0;
		s = secret_read(path, &n, error, sizeof(error));
		is_str(s, contents[i].value, "contents %zu", i);
		if (s != NULL)
			is_int((intmax_t)n, (intmax_t)strlen(s),
			    "contents %zu: length", i);
		else
			ok(error_has(contents[i].error), "contents %zu: %s",
			    i, error);
		secret_free(s, n);
	}
}

static void
test_size(void)
{
	char *big = malloc(SECRET_BYTES_MAX + 1), *s;
	size_t n = 0;

	memset(big, 'x', SECRET_BYTES_MAX + 1);
	write_file(big, SECRET_BYTES_MAX, 0600);
	s = secret_read(path, &n, error, sizeof(error));
	is_int((intmax_t)n, SECRET_BYTES_MAX, "64 KiB");
	secret_free(s, n);
	write_file(big, SECRET_BYTES_MAX + 1, 0600);
	ok(secret_read(path, &n, error, sizeof(error)) == NULL &&
	    error_has("64 KiB"), "more than 64 KiB: %s", error);
	free(big);
}

static void
test_kinds(void)
{
	char link_path[80];
	size_t n = 0;
	char *s;

	unlink(path);
	ok(secret_read(path, &n, error, sizeof(error)) == NULL &&
	    error_has("No such file"), "missing: %s", error);
	if (mkfifo(path, 0600) == -1)
		abort();
	ok(secret_read(path, &n, error, sizeof(error)) == NULL &&
	    error_has("not a regular file"), "pipe, without waiting: %s",
	    error);
	unlink(path);
	if (mkdir(path, 0700) == -1)
		abort();
	ok(secret_read(path, &n, error, sizeof(error)) == NULL &&
	    error_has("not a regular file"), "folder: %s", error);
	rmdir(path);
	write_file("secret\n", 7, 0600);
	snprintf(link_path, sizeof(link_path), "%s.link", path);
	if (symlink(path, link_path) == -1)
		abort();
	s = secret_read(link_path, &n, error, sizeof(error));
	is_str(s, "secret", "a link to a file");
	secret_free(s, n);
	unlink(link_path);
}

static const struct {
	mode_t		 mode;
	uid_t		 uid;		/* of the file */
	gid_t		 gid;
	uid_t		 euid;		/* of the process */
	gid_t		 egid;
	bool		 is_fine;
	const char	*name;
} modes[] = {
	{ 0400, 0, 0, 0, 0, true, "root's, 0400, root" },
	{ 0600, 0, 0, 0, 0, true, "root's, 0600, root" },
	{ 0640, 0, 0, 0, 0, true, "root's, 0640, root" },
	{ 0640, 0, 1234, 0, 0, true, "a group's, 0640, root" },
	{ 0644, 0, 0, 0, 0, false, "root's, 0644, root" },
	{ 0604, 0, 0, 0, 0, false, "root's, 0604, root" },
	{ 0602, 0, 0, 0, 0, false, "root's, 0602, root" },
	{ 0601, 0, 0, 0, 0, false, "root's, 0601, root" },
	{ 0660, 0, 0, 0, 0, false, "root's, 0660, root" },
	{ 0600, 4321, 1234, 0, 0, true, "the agent's, 0600, root" },
	{ 0600, 4321, 1234, 4321, 1234, true, "the agent's, 0600" },
	{ 0640, 4321, 1234, 4321, 1234, false, "the agent's, 0640" },
	{ 0640, 0, 1234, 4321, 1234, true, "root's for the group, 0640" },
	{ 0660, 0, 1234, 4321, 1234, false, "root's for the group, 0660" },
	{ 0644, 0, 1234, 4321, 1234, false, "root's for the group, 0644" },
	{ 0600, 0, 1234, 4321, 1234, false, "root's, 0600" },
};

/* A child, for the change of user. */
static bool
is_readable_as(uid_t uid, gid_t gid)
{
	int status = 0;
	size_t n = 0;
	pid_t pid;
	char *s;

	fflush(stdout);
	if ((pid = fork()) == 0) {
		if (setresgid(gid, gid, gid) == -1 ||
		    setresuid(uid, uid, uid) == -1)
			_exit(2);
		s = secret_read(path, &n, error, sizeof(error));
		secret_free(s, n);
		_exit(s == NULL ? 1 : 0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
test_modes(void)
{
	size_t i;

	if (geteuid() != 0) {
		skip("file owners: needs root");
		return;
	}
	if (chmod(folder, 0755) == -1)
		abort();
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		unlink(path);
		write_file("secret\n", 7, 0600);
		if (chown(path, modes[i].uid, modes[i].gid) == -1 ||
		    chmod(path, modes[i].mode) == -1)
			abort();
		is_int(is_readable_as(modes[i].euid, modes[i].egid),
		    modes[i].is_fine, "%s: %s", modes[i].name,
		    modes[i].is_fine ? "taken" : "refused");
	}
	unlink(path);
	write_file("secret\n", 7, 0640);
	if (chown(path, 0, 1234) == -1)
		abort();
	ok(!is_readable_as(4321, 4321), "root's for another group: refused");
}

static void
test_others(void)
{
	size_t n = 0;

	unlink(path);
	write_file("secret\n", 7, 0604);
	ok(secret_read(path, &n, error, sizeof(error)) == NULL &&
	    error_has("others have access"), "others: %s", error);
	unlink(path);
	write_file("secret\n", 7, 0620);
	ok(secret_read(path, &n, error, sizeof(error)) == NULL &&
	    error_has("group"), "group may write: %s", error);
}

static void
test_value(void)
{
	struct secret s = { .path = NULL };

	ok(!secret_is_set(&s), "nothing is set");
	secret_set(&s, "one");
	ok(secret_is_set(&s), "a value is set");
	is_int(secret_refresh(&s, error, sizeof(error)), 0, "no file to read");
	is_str(s.value, "one", "the value");
	secret_set(&s, s.value);
	is_str(s.value, "one", "set to itself");
	secret_set_file(&s, path);
	ok(secret_is_set(&s) && s.value == NULL, "a file is set, not read");
	secret_clear(&s);
	ok(!secret_is_set(&s), "cleared");
	secret_clear(&s);
}

static void
test_refresh(void)
{
	struct secret s = { .path = NULL };
	time_t now = time(NULL);

	unlink(path);
	write_file("one\n", 4, 0600);
	secret_set_file(&s, path);
	is_int(secret_refresh(&s, error, sizeof(error)), 0, "read");
	is_str(s.value, "one", "the value");
	ok(s.stamp.is_fresh, "just written");
	write_file("two\n", 4, 0600);
	age(now);
	is_int(secret_refresh(&s, error, sizeof(error)), 0, "read again");
	is_str(s.value, "two", "a change in the same tick is seen");

	/* As if it had been read long after it was written. */
	s.stamp.is_fresh = false;
	s.value[0] = 'T';
	is_int(secret_refresh(&s, error, sizeof(error)), 0, "not changed");
	is_str(s.value, "Two", "then it is not read");
	s.stamp.is_fresh = false;
	age(now - 1000);
	is_int(secret_refresh(&s, error, sizeof(error)), 0, "other time");
	is_str(s.value, "two", "then it is read");
	s.stamp.is_fresh = false;
	write_file("three\n", 6, 0600);
	age(now - 1000);
	is_int(secret_refresh(&s, error, sizeof(error)), 0, "other size");
	is_str(s.value, "three", "then it is read");

	s.stamp.is_fresh = false;
	unlink(path);
	is_int(secret_refresh(&s, error, sizeof(error)), -1, "gone");
	ok(error_has("No such file"), "%s", error);
	ok(s.value == NULL && secret_is_set(&s), "no value is kept");
	write_file("four\n", 5, 0600);
	is_int(secret_refresh(&s, error, sizeof(error)), 0, "back");
	is_str(s.value, "four", "the value");
	secret_clear(&s);
}

static void
test_credentials(void)
{
	struct credentials c = { .username = NULL };
	uint32_t changes;

	is_int(credentials_refresh(&c, error, sizeof(error)), 0, "nothing");
	c.username = strdup("me");
	secret_set(&c.password, "secret");
	secret_set_file(&c.token, path);
	is_int(credentials_refresh(&c, error, sizeof(error)), 0, "both");
	is_str(c.token.value, "four", "the token");
	changes = credentials_changes(&c);
	credentials_refresh(&c, error, sizeof(error));
	is_int(credentials_changes(&c), changes, "no change");
	age(1000);
	credentials_refresh(&c, error, sizeof(error));
	ok(credentials_changes(&c) != changes,
	    "the same written again is a change");
	changes = credentials_changes(&c);
	unlink(path);
	c.token.stamp.is_fresh = false;
	is_int(credentials_refresh(&c, error, sizeof(error)), -1,
	    "the token is gone");
	ok(credentials_changes(&c) != changes, "that is a change");
	credentials_clear(&c);
	ok(c.username == NULL && !secret_is_set(&c.password) &&
	    !secret_is_set(&c.token), "cleared");
}

int
main(void)
{
	if (mkdtemp(folder) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/secret.file", folder);
	test_contents();
	test_size();
	test_kinds();
	test_modes();
	test_others();
	test_value();
	test_refresh();
	test_credentials();
	rmdir(folder);
	return done_testing();
}
