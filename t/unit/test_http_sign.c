/* test_http_sign.c - digests, by the examples of RFC 4231. */
#include "http/sign.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "test.h"

/* In a process whose OpenSSL has no algorithms; before any use of it here. */
static void
test_none(void)
{
	static const char conf[] = "openssl_conf = a\n[a]\nproviders = b\n"
	    "[b]\nnull = c\n[c]\nactivate = 1\n";
	char path[] = "/tmp/test_http_sign.XXXXXX";
	int fd = mkstemp(path), status = -1;
	pid_t pid;

	ok(write(fd, conf, sizeof(conf) - 1) == (ssize_t)sizeof(conf) - 1,
	    "a configuration of OpenSSL");
	if ((pid = fork()) == 0) {
		setenv("OPENSSL_CONF", path, 1);
		close(STDERR_FILENO);
		digest_new();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == EX_SOFTWARE,
	    "no SHA-256: the program ends");
	close(fd);
	unlink(path);
}

static void
is_hmac(const char *key, size_t n, const char *data, size_t len,
    const char *want, const char *name)
{
	uint8_t bytes[DIGEST_BYTES];
	char hex[DIGEST_HEX];
	struct digest *d = digest_new_hmac(key, n);
	size_t i;

	for (i = 0; i < len; i++)
		digest_add(d, data + i, 1);
	digest_finish(d, bytes);
	digest_hex(bytes, DIGEST_BYTES, hex);
	is_str(hex, want, "%s", name);
	digest_free(d);
}

int
main(void)
{
	char key[131], data[50];
	uint8_t bytes[DIGEST_BYTES];
	char hex[DIGEST_HEX];
	struct digest *d;

	test_none();
	d = digest_new();
	digest_add(d, "abc", 3);
	digest_finish(d, bytes);
	digest_hex(bytes, DIGEST_BYTES, hex);
	is_str(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61"
	    "f20015ad", "SHA-256");
	digest_free(d);
	digest_free(NULL);

	memset(key, 0x0b, 20);
	is_hmac(key, 20, "Hi There", 8, "b0344c61d8db38535ca8afceaf0bf12b881d"
	    "c200c9833da726e9376c2e32cff7", "case 1");
	is_hmac("Jefe", 4, "what do ya want for nothing?", 28,
	    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
	    "case 2");
	memset(key, 0xaa, 131);
	memset(data, 0xdd, 50);
	is_hmac(key, 20, data, 50, "773ea91e36800e46854db8ebd09181a72959098b3e"
	    "f8c122d9635514ced565fe", "case 3");
	is_hmac(key, 131, "Test Using Larger Than Block-Size Key - Hash Key "
	    "First", 54, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546"
	    "040f0ee37f54", "case 6");
	return done_testing();
}
