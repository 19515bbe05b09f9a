/*
 * conf.h - the configuration file as sections of key = value lines.
 *
 * Syntax: `[master]`, `[relay NAME]`; `key = value` or `key: value`.  A line
 * that is indented deeper than its key goes on with the value; other
 * indentation, empty lines and a byte order mark mean nothing.  A `#` or `;`
 * at the start of a line or behind white space starts a comment, unless it is
 * between double quotes that open and close in that line (a backslash takes
 * the meaning from the character behind it).  Quotes and backslashes stay in
 * the value; single quotes mean nothing here.  Lines end in LF or CR LF.
 *
 * Read by inih, behind our own line reader (conf_parse.c), because inih as
 * Debian builds it silently cuts a line at 199 bytes: a line of more than 197,
 * counted without indentation and comment, is a fault here, with its place,
 * and nothing of it is used.
 *
 * Reading never stops at a fault: all are collected, with file, line, section
 * and key, so that an administrator sees them in one run.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdio.h>
#include <sys/queue.h>

struct conf_entry {
	STAILQ_ENTRY(conf_entry) next;
	char		*key;
	char		*value;		/* continuation lines joined by LF */
	unsigned	 line;
};
STAILQ_HEAD(conf_entries, conf_entry);

struct conf_section {
	STAILQ_ENTRY(conf_section) next;
	char		*type;		/* "master", "relay" */
	char		*name;		/* "" where there is none */
	unsigned	 line;
	struct conf_entries entries;
};

struct conf_fault {
	STAILQ_ENTRY(conf_fault) next;
	unsigned	 line;		/* 0: the file as a whole */
	char		*text;		/* "[relay a] port: ..." */
};

struct conf {
	char		*path;
	STAILQ_HEAD(, conf_section) sections;
	STAILQ_HEAD(, conf_fault) faults;	/* by line */
	unsigned	 nfaults;
};

/*
 * Always returns a conf; what could not be read or understood (no file, a line
 * too long, control characters other than tabs, a key outside a section, `[`
 * without `]`, a section given twice, a value of more than 64 KiB, more than
 * 10,000 lines or 1 MiB) is in its faults.  Sections of any type are kept,
 * also one given twice; lines below a header that is not understood are not.
 */
struct conf	*conf_read(const char *path);
/* The same from memory, for tests and fuzzers. */
struct conf	*conf_read_mem(const char *name, const void *, size_t);
void		 conf_free(struct conf *);

/*
 * Adds a fault; section and key may be NULL.  Texts of opts_set() name the
 * option already: no key then.
 */
void	 conf_fault(struct conf *, unsigned line, const struct conf_section *,
	    const char *key, const char *fmt, ...)
	    __attribute__((format(printf, 5, 6)));

/* `FILE:LINE: TEXT`, one a line, in the order of lines; returns how many. */
unsigned conf_print_faults(const struct conf *, FILE *);

#endif
