/*
 * identity.c - whom an agent runs as.  Looked up once, when the configuration
 * is read, because a look-up may block and must not happen after fork().
 */
#include "master.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define GROUPS_MAX	65536

/* The supplementary groups of a user. */
static void
groups_of(struct identity *id, const char *user)
{
	int n = 32;

	for (;;) {
		id->groups = xreallocarray(id->groups, (size_t)n,
		    sizeof(*id->groups));
		id->ngroups = n;
		if (getgrouplist(user, id->gid, id->groups, &id->ngroups) != -1)
			return;
		if (n >= GROUPS_MAX) {
			id->ngroups = n;
			return;
		}
		n = id->ngroups > n ? id->ngroups : 2 * n;
	}
}

int
identity_resolve(struct identity *id, const char *user, const char *group,
    char *error, size_t size)
{
	struct passwd *pw;
	struct group *gr;

	memset(id, 0, sizeof(*id));
	errno = 0;
	if ((pw = getpwnam(user)) == NULL) {
		snprintf(error, size, "no user named %s%s%s", user,
		    errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
		return -1;
	}
	id->uid = pw->pw_uid;
	id->gid = pw->pw_gid;
	if (group != NULL) {
		if ((gr = getgrnam(group)) == NULL) {
			snprintf(error, size, "no group named %s", group);
			return -1;
		}
		id->gid = gr->gr_gid;
	}
	groups_of(id, user);
	id->is_set = true;
	return 0;
}

void
identity_clear(struct identity *id)
{
	free(id->groups);
	memset(id, 0, sizeof(*id));
}

bool
identity_is_same(const struct identity *a, const struct identity *b)
{
	return a->is_set == b->is_set && a->may_gain == b->may_gain &&
	    a->uid == b->uid &&
	    a->gid == b->gid && a->ngroups == b->ngroups &&
	    (a->ngroups == 0 || memcmp(a->groups, b->groups,
	    (size_t)a->ngroups * sizeof(*a->groups)) == 0);
}
