/*
 * attr.h - attribute lists, the wire format between Postfix processes: name
 * NUL value NUL, one after the other, and a NUL that ends the list.  Numbers
 * are decimal and unsigned: -1 stands there as 4294967295 or, where Postfix
 * has a long, as 18446744073709551615.
 *
 * Readers are strict, as Postfix's are: every attribute, in the order of the
 * list, and nothing else.
 */
#ifndef POSTFIX_ATTR_H
#define POSTFIX_ATTR_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct buf;

#define PF_NAME_MAX	64		/* bytes of a name */
#define PF_VALUE_MAX	(64 * 1024)	/* bytes of a value */

enum pf_scan { PF_MORE, PF_DONE, PF_BAD };

enum pf_type {
	PF_STRING,	/* const char *, in the arena */
	PF_INT,		/* int32_t */
	PF_LONG		/* int64_t */
};

/* One attribute of a list, and where its value goes. */
struct pf_field {
	const char	*name;		/* NULL ends the list */
	const char	*alias;		/* another version's name, or NULL */
	enum pf_type	 type;
	size_t		 offset;
};

/*
 * The list at the start of n bytes.  PF_DONE: the fields of `to` are set,
 * *took_r is the length with the final NUL.  PF_MORE: it has not come whole.
 * PF_BAD: a static text in error_r, and in at_r the name that was expected (or
 * "" where the list should have ended).  error_r and at_r are set only then.
 */
enum pf_scan	pf_attr_scan(const struct pf_field *, const char *, size_t n,
		    void *to, struct arena *, size_t *took_r,
		    const char **error_r, const char **at_r);

/* Writing; a buffer at its ceiling is the caller's bug, and aborts. */
void	pf_attr_string(struct buf *, const char *name, const char *value);
void	pf_attr_int(struct buf *, const char *name, int32_t);
void	pf_attr_long(struct buf *, const char *name, int64_t);
void	pf_attr_end(struct buf *);

#endif
