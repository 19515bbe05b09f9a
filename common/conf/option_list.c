/*
 * option_list.c - lists, dictionaries, and command lines that are taken
 * apart and put together.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "conf/option_value.h"

void
opt_list_add(struct opt_list *list, const char *s, size_t n)
{
	char *copy;

	copy = xmalloc(n + 1);
	memcpy(copy, s, n);
	copy[n] = '\0';
	/* Room in powers of two, always with the NULL at the end. */
	if (list->v == NULL || ((list->n + 1) & list->n) == 0)
		list->v = xreallocarray(list->v, 2 * (list->n + 1),
		    sizeof(*list->v));
	list->v[list->n++] = copy;
	list->v[list->n] = NULL;
}

void
opt_list_clear(struct opt_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i]);
	free(list->v);
	list->v = NULL;
	list->n = 0;
}

void
opt_dict_clear(struct opt_dict *dict)
{
	for (size_t i = 0; i < dict->n; i++) {
		free(dict->v[i].key);
		free(dict->v[i].value);
	}
	free(dict->v);
	dict->v = NULL;
	dict->n = 0;
}

struct opt_pair *
opt_dict_find(const struct opt_dict *dict, const char *key)
{
	for (size_t i = 0; i < dict->n; i++)
		if (strcmp(dict->v[i].key, key) == 0)
			return &dict->v[i];
	return NULL;
}

void
opt_dict_put(struct opt_dict *dict, const char *key, const char *value)
{
	struct opt_pair *pair;

	if ((pair = opt_dict_find(dict, key)) == NULL) {
		dict->v = xreallocarray(dict->v, dict->n + 1,
		    sizeof(*dict->v));
		pair = &dict->v[dict->n++];
		pair->key = xstrdup(key);
	} else
		free(pair->value);
	pair->value = xstrdup(value);
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*
 * One word: quotes and backslashes taken off into to, which has room for all
 * of s.  Returns what follows it, or NULL where a quote is open or a backslash
 * is the last.
 */
static const char *
scan_word(const char *s, char *to)
{
	char quote = '\0';

	for (; *s != '\0' && (quote != '\0' || !is_space(*s)); s++) {
		if (quote == '\0' && (*s == '"' || *s == '\'')) {
			quote = *s;
			continue;
		}
		if (*s == quote) {
			quote = '\0';
			continue;
		}
		/* As in a shell: literal in '', and in "" before the rest. */
		if (*s == '\\' && (quote == '\0' || (quote == '"' &&
		    (s[1] == '"' || s[1] == '\\')))) {
			if (*++s == '\0')
				return NULL;
		}
		*to++ = *s;
	}
	*to = '\0';
	return quote == '\0' ? s : NULL;
}

int
opt_split_words(const char *s, struct opt_list *list)
{
	char *word;

	list->v = NULL;
	list->n = 0;
	word = xmalloc(strlen(s) + 1);
	for (;;) {
		while (is_space(*s))
			s++;
		if (*s == '\0')
			break;
		if ((s = scan_word(s, word)) == NULL) {
			opt_list_clear(list);
			free(word);
			return -1;
		}
		opt_list_add(list, word, strlen(word));
	}
	free(word);
	return 0;
}

/* Anything that a reader of a file or a shell may take for something else. */
static bool
is_plain_word(const char *s)
{
	return *s != '\0' && strpbrk(s, " \t\r\n\"'\\#;") == NULL;
}

char *
opt_quote_words(const struct opt_list *list)
{
	struct buf	 b;
	char		*line;
	const char	*s;

	buf_init(&b, SIZE_MAX);
	for (size_t i = 0; i < list->n; i++) {
		s = list->v[i];
		if (i > 0)
			buf_puts(&b, " ");
		if (is_plain_word(s)) {
			buf_puts(&b, s);
			continue;
		}
		buf_puts(&b, "\"");
		for (; *s != '\0'; s++) {
			if (*s == '"' || *s == '\\')
				buf_puts(&b, "\\");
			buf_add(&b, s, 1);
		}
		buf_puts(&b, "\"");
	}
	buf_add(&b, "", 1);
	line = xstrdup(buf_data(&b));
	buf_clear(&b);
	return line;
}
