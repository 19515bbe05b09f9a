/*
 * maildir.h - messages as files: written in tmp/, complete in new/.
 */
#ifndef MAILDIR_H
#define MAILDIR_H

#include <stdbool.h>
#include <stddef.h>

struct maildir;
struct maildir_draft;			/* a file on its way, not yet in new/ */

/* Makes the folder and its three parts where needed; NULL and errno. */
struct maildir *maildir_open(const char *path, bool is_synced);
void	 maildir_close(struct maildir *);

/* NULL and errno where the file cannot be made. */
struct maildir_draft *maildir_draft_new(struct maildir *);

/*
 * The writers remember a failure for _publish to report.  A header's value
 * has control characters replaced; _text turns CR LF into LF.
 */
void	 maildir_draft_header(struct maildir_draft *, const char *name,
	    const char *value);
void	 maildir_draft_text(struct maildir_draft *, const char *, size_t);
/* All the text of another draft, published or not, without its headers. */
void	 maildir_draft_copy(struct maildir_draft *, struct maildir_draft *from);

/* Into new/: 0, or -1 and errno.  The draft can still be copied from. */
int	 maildir_draft_publish(struct maildir_draft *);
/* Removes the file unless it was published. */
void	 maildir_draft_free(struct maildir_draft *);

#endif
