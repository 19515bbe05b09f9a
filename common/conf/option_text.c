/*
 * option_text.c - options as text: --help, the sample file, the manual page,
 * and the values in force.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "conf/option_value.h"

#define LINE_COLUMNS	79

/* Paragraphs of which every line begins with prefix. */
static void
wrap(FILE *to, const char *prefix, const char *text)
{
	size_t column = 0, len;

	for (;;) {
		text += strspn(text, " \t\n");
		if ((len = strcspn(text, " \t\n")) == 0)
			break;
		if (column > 0 && column + 1 + len > LINE_COLUMNS) {
			putc('\n', to);
			column = 0;
		}
		if (column == 0)
			column = (size_t)fprintf(to, "%s", prefix);
		else
			column += (size_t)fprintf(to, " ");
		column += (size_t)fprintf(to, "%.*s", (int)len, text);
		text += len;
	}
	if (column > 0)
		putc('\n', to);
}

/* What stands for the value, in capitals. */
static void
format_what(const struct opt_row *row, char *to, size_t size)
{
	static const char *const names[] = {
		[OPT_STRING] = "TEXT",
		[OPT_INT] = "NUMBER",
		[OPT_BOOL] = "yes|no",
		[OPT_TIME] = "TIME",
		[OPT_SIZE] = "SIZE",
		[OPT_LIST] = "LIST",
		[OPT_ARGV] = "COMMAND",
		[OPT_DICT] = "TEXT"
	};

	if (row->type == OPT_ENUM)
		opt_join_words(row->words, "|", to, size);
	else
		strlcpy(to, row->flags & OPT_FILE ? "FILE" : names[row->type],
		    size);
}

static const char *
shown_default(const struct opt_row *row)
{
	return row->def == NULL || (row->flags & OPT_SECRET) ? "" : row->def;
}

static void
format_bounds(const struct opt_row *row, struct buf *to)
{
	char range[72];

	if (!opt_has_range(row))
		return;
	if (opt_is_number(row->type)) {
		opt_format_range(row, range, sizeof(range));
		buf_printf(to, row->max == INT64_MAX ? " Must be %s." :
		    " Range %s.", range);
		return;
	}
	if (row->min > 0)
		buf_printf(to, " At least %jd.", (intmax_t)row->min);
	if (row->max > 0)
		buf_printf(to, " At most %jd.", (intmax_t)row->max);
}

/* What follows from the row, as sentences behind its text. */
static void
format_facts(const struct opt_row *row, bool with_default, struct buf *to)
{
	char words[OPT_WORDS_MAX];

	if (row->flags & OPT_REQUIRED)
		buf_puts(to, " Required.");
	format_bounds(row, to);
	if (row->words != NULL && row->type != OPT_ENUM) {
		opt_join_words(row->words, ", ", words, sizeof(words));
		buf_printf(to, " %s: %s.", row->type == OPT_DICT ? "Keys" :
		    "Elements", words);
	}
	if (row->flags & OPT_CLI_ONLY)
		buf_puts(to, " Only for the command line.");
	if (with_default && shown_default(row)[0] != '\0')
		buf_printf(to, " Default %s.", shown_default(row));
	buf_add(to, "", 1);
}

/* The words that have a text, one a paragraph. */
static void
print_words(FILE *to, const char *prefix, const struct opt_word *words)
{
	struct buf line;

	for (; words != NULL && words->word != NULL; words++) {
		if (words->text == NULL)
			continue;
		buf_init(&line, SIZE_MAX);
		buf_printf(&line, "%s: %s", words->word, words->text);
		buf_add(&line, "", 1);
		wrap(to, prefix, buf_data(&line));
		buf_clear(&line);
	}
}

static void
print_row(FILE *to, const char *prefix, const char *words_prefix,
    const struct opt_row *row, bool with_default)
{
	struct buf text;

	buf_init(&text, SIZE_MAX);
	buf_puts(&text, row->text == NULL ? "" : row->text);
	format_facts(row, with_default, &text);
	wrap(to, prefix, buf_data(&text));
	buf_clear(&text);
	print_words(to, words_prefix, row->words);
}

void
opt_table_help(const struct opt_table *table, FILE *to)
{
	struct opt_at	at;
	char		what[OPT_WORDS_MAX];

	OPT_FOREACH(&at, table) {
		format_what(at.row, what, sizeof(what));
		fprintf(to, "  %s%s=%s\n", at.row->name,
		    at.row->type == OPT_DICT &&
		    (at.row->flags & OPT_REST) == 0 ? ".KEY" : "", what);
		print_row(to, "        ", "          ", at.row, true);
	}
}

/* A default of several lines goes on as the file would. */
static void
print_default(FILE *to, const char *def)
{
	if (*def != '\0' && *def != '\n')
		putc(' ', to);
	for (; *def != '\0'; def++) {
		putc(*def, to);
		if (*def == '\n')
			fputs("#\t", to);
	}
	putc('\n', to);
}

void
opt_table_sample(const struct opt_table *table, FILE *to)
{
	struct opt_at	at;
	const char	*def;
	bool		is_next = false;

	OPT_FOREACH(&at, table) {
		if (at.row->flags & (OPT_CLI_ONLY | OPT_REST))
			continue;
		if (is_next)
			putc('\n', to);
		is_next = true;
		print_row(to, "# ", "#   ", at.row, false);
		def = shown_default(at.row);
		fprintf(to, "#%s%s =", at.row->name,
		    at.row->type == OPT_DICT && *def == '\0' ? ".KEY" : "");
		print_default(to, def);
	}
}

/*
 * A word in a line of text; returns its columns.  A dot or an apostrophe makes
 * a request of a line.
 */
static size_t
mdoc_text_word(FILE *to, const char *word, size_t len, bool is_first)
{
	size_t columns = len;

	if (is_first && (*word == '.' || *word == '\''))
		columns += (size_t)fprintf(to, "\\&");
	for (size_t i = 0; i < len; i++) {
		if (word[i] == '\\')
			columns += (size_t)fprintf(to, "\\e") - 1;
		else if (i == 0 && word[i] == '-')
			columns += (size_t)fprintf(to, "\\-") - 1;
		else
			putc(word[i], to);
	}
	return columns;
}

/* Text; a new line for each sentence, as mdoc wants it. */
static void
mdoc_text(FILE *to, const char *text)
{
	size_t	column = 0, len;
	bool	is_end = false;

	for (;; text += len) {
		text += strspn(text, " \t\n");
		if ((len = strcspn(text, " \t\n")) == 0)
			break;
		if (column > 0 &&
		    (is_end || column + 1 + len > LINE_COLUMNS - 2)) {
			putc('\n', to);
			column = 0;
		}
		if (column > 0)
			column += (size_t)fprintf(to, " ");
		column += mdoc_text_word(to, text, len, column == 0);
		is_end = strchr(".?!", text[len - 1]) != NULL;
	}
	if (column > 0)
		putc('\n', to);
}

/* An argument of a macro, which must not be taken for one. */
static void
mdoc_word(FILE *to, const char *word)
{
	fputs(" \\&", to);
	for (; *word != '\0'; word++)
		if (*word == '\\')
			fputs("\\e", to);
		else if (*word == ' ')
			fputs("\\ ", to);
		else if (*word == '"')
			fputs("\\(dq", to);
		else
			putc(*word, to);
}

static void
mdoc_item(FILE *to, const struct opt_row *row)
{
	const struct opt_word	*word, *words = row->words;
	char			 what[OPT_WORDS_MAX];
	const char		*bar = "";

	fprintf(to, ".It %s %s", row->flags & OPT_REST ? "Ar" : "Cm",
	    row->name);
	if (row->type == OPT_DICT && (row->flags & OPT_REST) == 0)
		fputs(".\\& Ns Ar key", to);
	fputs(" Ns = Ns", to);
	if (row->type == OPT_BOOL)
		fputs(" Cm \\&yes | \\&no", to);
	else if (row->type == OPT_ENUM) {
		fputs(" Cm", to);
		for (word = words; word->word != NULL; word++) {
			if (!opt_is_shown(words, word))
				continue;
			fputs(bar, to);
			mdoc_word(to, word->word);
			bar = " |";
		}
	} else {
		format_what(row, what, sizeof(what));
		for (char *p = what; *p != '\0'; p++)
			*p = (char)(*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
		fprintf(to, " Ar %s", what);
	}
	putc('\n', to);
}

static void
mdoc_words(FILE *to, const struct opt_word *words)
{
	bool is_open = false;

	for (; words != NULL && words->word != NULL; words++) {
		if (words->text == NULL)
			continue;
		if (!is_open)
			fputs(".Bl -tag -width Ds -compact\n", to);
		is_open = true;
		fputs(".It Cm", to);
		mdoc_word(to, words->word);
		putc('\n', to);
		mdoc_text(to, words->text);
	}
	if (is_open)
		fputs(".El\n", to);
}

void
opt_table_mdoc(const struct opt_table *table, FILE *to)
{
	struct opt_at	at;
	struct buf	text;

	OPT_FOREACH(&at, table) {
		mdoc_item(to, at.row);
		buf_init(&text, SIZE_MAX);
		buf_puts(&text, at.row->text == NULL ? "" : at.row->text);
		format_facts(at.row, true, &text);
		mdoc_text(to, buf_data(&text));
		buf_clear(&text);
		mdoc_words(to, at.row->words);
	}
}
