/*
 * cage_landlock.c - files, ports and signals of a cage (landlock(7)).
 *
 * The numbers are the kernel's; headers of Debian 12 know those of the first
 * two versions only.  What the running kernel does not have is left out.
 */
#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cage_inner.h"

#define FS_WRITE_FILE	(UINT64_C(1) << 1)
#define FS_READ_FILE	(UINT64_C(1) << 2)
#define FS_READ_DIR	(UINT64_C(1) << 3)
#define FS_REMOVE_FILE	(UINT64_C(1) << 5)
#define FS_MAKE_DIR	(UINT64_C(1) << 7)
#define FS_MAKE_REG	(UINT64_C(1) << 8)
#define FS_TRUNCATE	(UINT64_C(1) << 14)
#define FS_BITS_1	13	/* of version 1; then one each in 2, 3, 5 */
#define NET_BIND_TCP	(UINT64_C(1) << 0)
#define SCOPE_ABSTRACT	(UINT64_C(1) << 0)
#define SCOPE_SIGNAL	(UINT64_C(1) << 1)

#define VERSION_FLAG	1U
#define RULE_PATH	1
#define RULE_PORT	2

struct ruleset_attr {
	uint64_t	 fs, net, scoped;
};

struct path_attr {
	uint64_t	 access;
	int32_t		 fd;
} __attribute__((packed));

struct port_attr {
	uint64_t	 access;
	uint64_t	 port;
};

struct making {
	int		 ruleset;
	uint64_t	 handled;
	int		 error;
};

int
cage_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION_FLAG);

	return abi < 0 ? 0 : (int)abi;
}

/* Every right of files that this version can withhold. */
static uint64_t
files_of(int abi)
{
	int bits = FS_BITS_1 + (abi >= 2) + (abi >= 3) + (abi >= 5);

	return (UINT64_C(1) << bits) - 1;
}

/* ---- rules ---- */

static void
add_fd(struct making *m, int fd, uint64_t access)
{
	struct path_attr rule = { .access = access & m->handled, .fd = fd };

	if (rule.access != 0 && m->error == 0 && syscall(
	    SYS_landlock_add_rule, m->ruleset, RULE_PATH, &rule, 0) == -1)
		m->error = errno;
}

static void
add_folder(struct making *m, const char *path, uint64_t access)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1)
		return;			/* there is no such folder */
	add_fd(m, fd, access);
	close(fd);
}

/*
 * A folder that holds all kinds of things, of which one file was named: one
 * directly below the root, or below /usr, /var and /home.
 */
static bool
is_broad(const char *folder)
{
	static const char *const tops[] = { "/usr/", "/var/", "/home/" };
	const char *rest = *folder == '/' ? strchr(folder + 1, '/') : folder;
	size_t i;

	if (rest == NULL)
		return true;
	for (i = 0; i < 3; i++)
		if (strncmp(folder, tops[i], strlen(tops[i])) == 0)
			return strchr(folder + strlen(tops[i]), '/') == NULL;
	return false;
}

static void
folder_of(char to[PATH_MAX], const char *path)
{
	char *slash;

	strlcpy(to, path, PATH_MAX);
	slash = strrchr(to, '/');
	if (slash == NULL)
		strlcpy(to, ".", PATH_MAX);
	else
		slash[slash == to ? 1 : 0] = '\0';
}

/* The folder where the file will be found again, if it may be open. */
static void
add_folder_of(struct making *m, const char *path)
{
	char folder[PATH_MAX], real[PATH_MAX];

	folder_of(folder, path);
	if (realpath(folder, real) != NULL && !is_broad(real))
		add_folder(m, real, FS_READ_FILE | FS_READ_DIR);
}

static void
add_file(struct making *m, struct cage_file *f)
{
	char real[PATH_MAX];
	struct stat st;
	int fd;

	if ((fd = open(f->path, O_PATH | O_CLOEXEC)) != -1 &&
	    fstat(fd, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			add_fd(m, fd, FS_READ_FILE | FS_READ_DIR);
		else {
			add_fd(m, fd, FS_READ_FILE);
			f->dev = st.st_dev;
			f->ino = st.st_ino;
			/* Where its folder is open it may still be a link
			 * that comes to lead elsewhere. */
			f->is_watched = S_ISREG(st.st_mode);
			f->is_users = access(f->path, R_OK) == 0;
			add_folder_of(m, f->path);
		}
		if (S_ISREG(st.st_mode) && realpath(f->path, real) != NULL)
			add_folder_of(m, real);
		close(fd);
		return;
	}
	if (fd != -1)
		close(fd);
	/* It may come to be. */
	f->is_watched = true;
	add_folder_of(m, f->path);
}

static void
add_files(struct making *m, struct cage *c)
{
	size_t i;

	for (i = 0; i < c->nfiles; i++)
		if (c->files[i].is_written)
			add_folder(m, c->files[i].path, FS_READ_FILE |
			    FS_READ_DIR | FS_WRITE_FILE | FS_REMOVE_FILE |
			    FS_MAKE_DIR | FS_MAKE_REG | FS_TRUNCATE);
		else
			add_file(m, &c->files[i]);
}

/* Port 0 is "any that is free", which source addresses go with. */
static void
add_ports(struct making *m)
{
	struct port_attr rule = { .access = NET_BIND_TCP, .port = 0 };

	if (m->error == 0 && syscall(SYS_landlock_add_rule, m->ruleset,
	    RULE_PORT, &rule, 0) == -1)
		m->error = errno;
}

int
cage_landlock_enter(struct cage *c)
{
	int abi = cage_landlock_abi();
	struct ruleset_attr attr = {
		.fs = files_of(abi),
		.net = abi >= 4 ? NET_BIND_TCP : 0,
		.scoped = abi >= 6 ? SCOPE_ABSTRACT | SCOPE_SIGNAL : 0,
	};
	struct making m = { .handled = attr.fs };

	m.ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr,
	    abi >= 6 ? sizeof(attr) : abi >= 4 ?
	    offsetof(struct ruleset_attr, scoped) :
	    offsetof(struct ruleset_attr, net), 0);
	if (m.ruleset == -1)
		return -1;
	add_files(&m, c);
	if (abi >= 4)
		add_ports(&m);
	if (m.error == 0 && syscall(SYS_landlock_restrict_self, m.ruleset,
	    0) == -1)
		m.error = errno;
	close(m.ruleset);
	errno = m.error;
	return m.error == 0 ? 0 : -1;
}
