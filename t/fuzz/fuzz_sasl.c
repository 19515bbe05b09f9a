/*
 * fuzz_sasl.c - what servers offer and ask.  The first byte chooses the
 * mechanism and whether challenges come as they are or are encoded first, the
 * lines that follow are challenges; all of it is an offer too.
 */
#include "smtp/sasl.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/str.h"

#define PASSWORD	"pencil-0123456789"
#define NONCE		"rOprNGfwEbeRWgbNEkqO"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char *const names[] = { "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256",
    "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL" };

#define NNAMES	(sizeof(names) / sizeof(names[0]))

static struct credentials credentials;
static struct scram_cache cache;
static char error[SASL_ERROR_MAX];

static const struct sasl_channel channel = {
	.is_protected = true,
	.binding = SASL_BIND_TLS_EXPORTER,
	.binding_data = "0123456789abcdef0123456789abcdef",
	.binding_len = 32,
	.host = "host.example",
	.port = 587,
};

static void
check(bool held)
{
	if (!held)
		abort();
}

/* One line. */
static void
check_text(const char *text)
{
	if (text == NULL)
		abort();
	check(*text != '\0' && !str_has_control(text));
	check(strlen(text) < SASL_ERROR_MAX);
	check(str_is_utf8(text, strlen(text)));
}

static void
check_error(const struct sasl *s)
{
	check_text(sasl_error(s));
	check(strstr(sasl_error(s), PASSWORD) == NULL);
}

static void
fuzz_offer(const char *offer)
{
	struct sasl_channel bare = { .is_protected = false };
	struct sasl_choice choice;

	if (sasl_choose(offer, NULL, &credentials, &channel, &choice, error,
	    sizeof(error)) == SASL_CHOSEN)
		check(strcasestr(offer, sasl_mech_name(choice.mech)) != NULL);
	else
		check_text(error);
	if (sasl_choose(offer, NULL, &credentials, &bare, &choice, error,
	    sizeof(error)) == SASL_CHOSEN)
		check(strstr("SCRAM-SHA-256 CRAM-MD5",
		    sasl_mech_name(choice.mech)) != NULL);
	else
		check_text(error);
}

/* Hashing in many rounds is slow, and shows nothing. */
static bool
is_slow(const char *challenge, size_t n)
{
	static uint8_t bytes[SASL_RAW_MAX + 1];
	size_t len;
	char *p;

	if (n > SASL_LINE_MAX || base64_decode(bytes, challenge, n, &len) == -1)
		return false;
	bytes[len] = '\0';
	p = (char *)bytes;
	while ((p = memmem(p, len - (size_t)(p - (char *)bytes), "i=", 2)) !=
	    NULL)
		if (strspn(p += 2, "0123456789") > 4)
			return true;
	return false;
}

/* A line is a base64 text, an AUTH command or a star, whatever was asked. */
static void
check_line(const struct sasl *s, const char *line)
{
	size_t n = strlen(line), len;
	uint8_t *bytes = malloc(n + 1);

	check(n <= SASL_LINE_MAX - 2 && !str_has_control(line));
	check(strstr(sasl_trace(s), PASSWORD) == NULL);
	if (strcmp(line, "*") == 0)
		check_error(s);
	else if (strncmp(line, "AUTH ", 5) == 0)
		check(n <= SASL_INITIAL_MAX - 2);
	else {
		check(base64_decode(bytes, line, n, &len) == 0);
		check(strcmp(sasl_trace(s), n == 0 ? "" : "[secret]") == 0);
	}
	free(bytes);
}

static void
fuzz_challenge(struct sasl *s, const char *p, size_t n, bool is_raw)
{
	char *text = malloc(BASE64_LEN(n) + 1);
	bool was_cancelled = s->is_cancelled;
	const char *line;

	if (is_raw)
		memcpy(text, p, n);
	else
		n = base64_encode(text, p, n);
	if (!is_slow(text, n)) {
		line = sasl_continue(s, text, n);
		check_line(s, line);
		check(!was_cancelled || strcmp(line, "*") == 0);
	}
	free(text);
	if (sasl_error(s) != NULL)
		check_error(s);
}

static void
fuzz_exchange(const char *name, const char *p, size_t n, bool is_raw)
{
	char *allowed_names[] = { (char *)(uintptr_t)name, NULL };
	struct opt_list allowed = { .v = allowed_names, .n = 1 };
	struct sasl_choice choice;
	struct sasl *s;
	const char *end;
	size_t len;

	check(sasl_choose(name, &allowed, &credentials, &channel, &choice,
	    error, sizeof(error)) == SASL_CHOSEN);
	s = sasl_new(&choice, &credentials, &channel, &cache, error,
	    sizeof(error));
	check(s != NULL);
	memcpy(s->scram.nonce, NONCE, sizeof(NONCE));
	check_line(s, sasl_start(s));
	do {
		end = memchr(p, '\n', n);
		len = end == NULL ? n : (size_t)(end - p);
		fuzz_challenge(s, p, len, is_raw);
		if (end != NULL)
			len++;
		p += len;
		n -= len;
	} while (n > 0);
	/* Nobody signs without the password. */
	if (sasl_is_complete(s))
		check(!s->is_cancelled && strncmp(name, "SCRAM", 5) != 0);
	else
		check_error(s);
	sasl_free(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *offer;

	if (credentials.username == NULL) {
		credentials.username = xstrdup("user");
		credentials.has_certificate = true;
		secret_set(&credentials.password, PASSWORD);
		secret_set(&credentials.token, PASSWORD);
	}
	if (n == 0)
		return 0;
	offer = xmalloc(n);
	memcpy(offer, data + 1, n - 1);
	offer[n - 1] = '\0';
	fuzz_offer(offer);
	fuzz_exchange(names[data[0] % NNAMES], offer, n - 1,
	    (data[0] & 0x80) != 0);
	free(offer);
	return 0;
}
