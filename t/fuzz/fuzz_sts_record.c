/*
 * fuzz_sts_record.c - any TXT records, divided by LF.  An id is of 1 to 32
 * letters and digits, records of others change nothing, and a second record
 * of ours undoes the first.
 */
#include "route/sts_record.h"

#include <stdlib.h>
#include <string.h>

#define RECORDS_MAX	16

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Each in memory of its own, so that a byte too far is seen. */
static size_t
cut(const uint8_t *data, size_t n, struct dns_txt txt[RECORDS_MAX])
{
	size_t count = 0, len;
	const uint8_t *lf;
	char *copy;

	while (count < RECORDS_MAX) {
		lf = memchr(data, '\n', n);
		len = lf != NULL ? (size_t)(lf - data) : n;
		if ((copy = malloc(len + 1)) == NULL)
			abort();
		memcpy(copy, data, len);
		copy[len] = '\0';
		txt[count++] = (struct dns_txt){ copy, len };
		if (lf == NULL)
			break;
		data += len + 1;
		n -= len + 1;
	}
	return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct dns_txt txt[RECORDS_MAX + 1];
	char id[STS_ID_MAX], again[STS_ID_MAX];
	size_t count = cut(data, n, txt), i;
	enum sts_record_result result;
	const char *why;

	result = sts_record_parse(txt, count, id, &why);
	if ((result == STS_RECORD_FOUND) != (*id != '\0') ||
	    (result == STS_RECORD_BAD) != (why != NULL))
		abort();
	for (i = 0; id[i] != '\0'; i++)
		if (strchr("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		    "abcdefghijklmnopqrstuvwxyz", id[i]) == NULL)
			abort();
	txt[count] = (struct dns_txt){ "v=spf1 -all", 11 };
	if (sts_record_parse(txt, count + 1, again, &why) != result ||
	    strcmp(id, again) != 0)
		abort();
	txt[count] = (struct dns_txt){ "v=STSv1; id=1", 13 };
	if (sts_record_parse(txt, count + 1, again, &why) !=
	    (result == STS_RECORD_NONE ? STS_RECORD_FOUND : STS_RECORD_BAD))
		if (result != STS_RECORD_BAD)
			abort();
	for (i = 0; i < count; i++)
		free((char *)(uintptr_t)txt[i].text);
	return 0;
}
