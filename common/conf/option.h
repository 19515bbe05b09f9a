/*
 * option.h - options as rows of a table.
 *
 * An option is one row: its name, type, unit, default, range and text.  The
 * configuration file, `-o name=value` and `--name=value` go through opts_set();
 * help, the sample file, the manual page and `nexthop config` are printed from
 * the same row.  `_` and `-` are alike in names; names are case-sensitive.
 *
 * The values land in a struct of the module that owns the rows; a row holds
 * the offset of its field.  A table may join the rows of several modules
 * (groups), each with the offset of its struct in the whole.
 */
#ifndef CONF_OPTION_H
#define CONF_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum opt_type {
	OPT_STRING,	/* char * (owned); NULL if there is no default */
	OPT_INT,	/* int64_t, min..max */
	OPT_BOOL,	/* bool: yes/no, true/false, on/off, 1/0 */
	OPT_TIME,	/* int64_t in ms; "30" is seconds, also 1.5 500ms 10s 5m
			 * 2h 1d; min..max in ms */
	OPT_SIZE,	/* int64_t in bytes; 64k 10M 1G are powers of 1024 */
	OPT_ENUM,	/* int: the value of one of words[], whatever the case
			 * of its letters */
	OPT_LIST,	/* struct opt_list: comma-separated, or repeated keys */
	OPT_ARGV,	/* struct opt_list: split like a shell's words, without
			 * a shell: quotes '' "" and backslash; repeated keys
			 * add words */
	OPT_DICT	/* struct opt_dict: name.key = value; repeated. A row
			 * whose own name has the dot goes first. By its name
			 * alone it takes lines of key = value, or "": given,
			 * but empty (also the form of its default) */
};

/* Shared by OPT_LIST and OPT_ARGV; v is NULL-terminated. */
struct opt_list {
	char	**v;
	size_t	  n;
};

struct opt_pair {
	char	*key;
	char	*value;
};

struct opt_dict {
	struct opt_pair	*v;
	size_t		 n;
};

struct opt_word {
	const char	*word;		/* NULL ends the list */
	int		 value;
	const char	*text;		/* for the manual; NULL: an alias that
					 * is understood but not shown, unless
					 * no word of the row has one */
};

#define OPT_REQUIRED	0x01	/* must be given; def is NULL */
#define OPT_SECRET	0x02	/* value never printed */
#define OPT_FILE	0x04	/* OPT_STRING: must be a readable file, or ""
				 * for none; a default is not looked at */
#define OPT_REST	0x10	/* OPT_DICT: takes every name that no row has,
				 * whole, as its key; the row's own name only
				 * stands for them in help and manual */
#define OPT_CLI_ONLY	0x08	/* not in the configuration file: refused with
				 * OPTS_ONCE, not in the sample */

struct opt_row {
	const char	*name;
	enum opt_type	 type;
	size_t		 offset;
	const char	*def;		/* as text; NULL: unset / empty / 0 */
	int64_t		 min, max;	/* numbers; both 0: no bound but type's.
					 * OPT_LIST, _ARGV, _DICT: how many (max
				 * 0: 1,000; min counts where it is given) */
	const struct opt_word *words;	/* OPT_LIST: what elements may be;
					 * OPT_DICT: what keys may be */
	/* Extra check of one value (each element of a list, each value of a
	 * dictionary): NULL or what is wrong with it, static text that follows
	 * the value: "is no host name". */
	const char	*(*check)(const char *value);
	unsigned	 flags;
	const char	*text;		/* one or more sentences, plain text */
};

struct opt_group {
	const struct opt_row	*rows;	/* a row with name NULL ends them */
	size_t			 base;	/* offset of its struct */
};

/* A fault: of the option of that name, NULL: of all together.  Texts are
 * borrowed for the call. */
typedef void opt_report(void *arg, const char *name, const char *text);

struct opt_table {
	const char		*name;	/* "smtp-static" */
	const struct opt_group	*groups; /* rows NULL ends them */
	size_t			 size;	/* of the whole struct */
	/* What one row cannot see (options that exclude each other); reports
	 * each fault, returns their number. May be NULL. */
	int			(*check)(void *values, opt_report *, void *arg);
};

/* The values of one table, being set and then read. */
struct opts;

struct opts	*opts_new(const struct opt_table *);	/* with the defaults */
void		 opts_free(struct opts *);
/* The struct of the values, and all they point to: valid until opts_free(). */
void		*opts_values(struct opts *);
/* It was given, be it by its default's value. */
bool		 opts_is_set(const struct opts *, const char *name);

enum opts_again {
	OPTS_ONCE,	/* a scalar given twice is an error (files) */
	OPTS_LAST	/* the last one wins (command line) */
};

/*
 * Set one option from text.  The first value given to a list replaces its
 * default, further ones add.  -1 with a text in error that names the option,
 * the value and what is allowed; for an unknown name also the nearest known
 * one.  The values are unchanged then.
 *
 * A line feed in the value is that of a continuation line: between elements of
 * lists it stands for a comma, between words and in the values of a dictionary
 * for a space, elsewhere for nothing.  Other control characters but tabs are
 * refused, and values beyond 64 KiB.
 */
int	opts_set(struct opts *, const char *name, const char *value,
	    enum opts_again, char *error, size_t error_size);
/* The same from "name=value". */
int	opts_set_text(struct opts *, const char *text, enum opts_again,
	    char *error, size_t error_size);

/* After the last opts_set(): required options and the table's own check.
 * Returns the number of faults reported. */
int	opts_finish(struct opts *, opt_report *, void *arg);

/*
 * Every option's effective value as text that opts_set() takes, in table
 * order; a list one call an element, a dictionary one call a key with the name
 * "row.key", a command line one call with its words quoted; secrets as
 * "(hidden)"; unset ones with value NULL, emptied lists with "".
 */
void	opts_each(const struct opts *,
	    void (*)(void *arg, const char *name, const char *value,
	    bool is_default), void *arg);

void	opt_table_help(const struct opt_table *, FILE *);	/* --help */
void	opt_table_sample(const struct opt_table *, FILE *);	/* #name = x */
void	opt_table_mdoc(const struct opt_table *, FILE *);	/* .It rows */

/* Values of single types, for use outside tables. */
int	opt_parse_time(const char *, int64_t *ms_r);
int	opt_parse_size(const char *, int64_t *bytes_r);
/* Overwrites the list; -1: a quote is open, or a backslash is the last. */
int	opt_split_words(const char *, struct opt_list *);
void	opt_list_clear(struct opt_list *);

#endif
