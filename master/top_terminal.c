/*
 * top_terminal.c - the terminal: keys as they are pressed, the second screen,
 * no cursor; and all as it was before, however the process ends.
 */
#include "top.h"

#include <sys/ioctl.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define WIDTH_MAX	1000
#define HEIGHT_MAX	500

/* A signal handler has to find it. */
static struct termios was;
static volatile sig_atomic_t is_taken;

static int
write_all(const char *p, size_t n)
{
	ssize_t got;

	for (; n > 0; p += got, n -= (size_t)got)
		if ((got = write(STDOUT_FILENO, p, n)) <= 0) {
			if (got == -1 && errno == EINTR)
				got = 0;
			else
				return -1;
		}
	return 0;
}

/* Only what a signal handler may do. */
void
top_terminal_give_back(void)
{
	static const char text[] = "\033[0m\033[?25h\033[?1049l";

	if (!is_taken)
		return;
	is_taken = 0;
	write_all(text, sizeof(text) - 1);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &was);
}

static void
on_fatal(int sig)
{
	top_terminal_give_back();
	raise(sig);		/* SA_RESETHAND: as if nothing had been set */
}

static void
catch_fatal(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE,
	    SIGABRT };
	struct sigaction sa = { .sa_handler = on_fatal,
	    .sa_flags = (int)SA_RESETHAND | SA_NODEFER };
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
}

/* One that knows none of our escapes. */
static bool
is_dumb(void)
{
	const char *term = getenv("TERM");

	return term == NULL || *term == '\0' || strcmp(term, "dumb") == 0;
}

bool
top_terminal_is_there(void)
{
	return isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) && !is_dumb();
}

int
top_terminal_take(void)
{
	static const char text[] = "\033[?1049h\033[?25l\033[2J";
	static bool is_caught;
	struct termios raw;

	if (is_taken)
		return 0;
	if (tcgetattr(STDIN_FILENO, &was) == -1)
		return -1;
	raw = was;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);	/* Ctrl-C stays */
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (!is_caught) {
		atexit(top_terminal_give_back);
		catch_fatal();
	}
	is_caught = true;
	is_taken = 1;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	write_all(text, sizeof(text) - 1);
	return 0;
}

void
top_terminal_size(unsigned *width_r, unsigned *height_r)
{
	struct winsize ws;

	*width_r = 80;
	*height_r = 24;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == -1)
		return;
	if (ws.ws_col > 0)
		*width_r = ws.ws_col < WIDTH_MAX ? ws.ws_col : WIDTH_MAX;
	if (ws.ws_row > 0)
		*height_r = ws.ws_row < HEIGHT_MAX ? ws.ws_row : HEIGHT_MAX;
}

int
top_terminal_show(const struct buf *b)
{
	return write_all(buf_data(b), buf_len(b));
}
