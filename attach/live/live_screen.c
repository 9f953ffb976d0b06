/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/live/live_screen.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "attach/live/curses_api.h"
#include "attach/live/live_view.h"
#include "base/cleanup.h"

#define ESCAPE_MS     50 /* after which Esc is a key by itself */
#define COLUMNS_USUAL 80
#define LINES_USUAL   24

struct cprof_live_screen {
	const struct cprof_curses_api *curses;
	SCREEN *screen;
	WINDOW *window;
	int signals_fd;  /* owned */
	sigset_t before; /* what was blocked */
	size_t columns, lines;
};

static void find_size(struct cprof_live_screen *screen)
{
	struct winsize size;
	const bool known =
		ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row;
	screen->columns = known ? size.ws_col : COLUMNS_USUAL;
	screen->lines = known ? size.ws_row : LINES_USUAL;
}

/* ---- open and close ---- */

/* ncurses would catch them by handlers of its own, which call what no handler may. */
static struct cprof_error *take_signals(struct cprof_live_screen *screen)
{
	static const int signals[] = { SIGWINCH, SIGTSTP, SIGCONT, SIGQUIT };
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	screen->signals_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (screen->signals_fd < 0)
		return cprof_error_os(errno, "signalfd");
	sigprocmask(SIG_BLOCK, &set, &screen->before);
	return NULL;
}

/* Whose cursor stays where it is, such as an editor's window ("dumb"), can show lines and no screen. */
static bool has_cursor(const struct cprof_live_screen *screen)
{
	const char *move = screen->curses->tigetstr("cup");
	return move && move != (const char *)-1; /* terminfo(3X): -1 says that it is no string */
}

static struct cprof_error *open_terminal(struct cprof_live_screen *screen)
{
	const struct cprof_curses_api *curses = screen->curses;
	screen->screen = curses->newterm(NULL, stdout, stdin);
	if (!screen->screen || !has_cursor(screen)) {
		const char *term = getenv("TERM");
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "a terminal that ncurses cannot draw on: TERM is \"%s\"",
				       term ? term : "");
	}
	find_size(screen);
	curses->resizeterm((int)screen->lines, (int)screen->columns);
	screen->window = curses->newwin(0, 0, 0, 0);
	if (!screen->window)
		return cprof_error_no_memory();
	curses->cbreak();
	curses->noecho();
	curses->curs_set(0);
	curses->set_escdelay(ESCAPE_MS);
	curses->keypad(screen->window, TRUE);
	curses->nodelay(screen->window, TRUE);
	return NULL;
}

struct cprof_error *cprof_live_screen_open(struct cprof_live_screen **ret_screen)
{
	struct cprof_live_screen *screen = calloc(1, sizeof(*screen));
	if (!screen)
		return cprof_error_no_memory();
	screen->signals_fd = -1;
	struct cprof_error *err = cprof_curses_api_load(&screen->curses);
	if (!err)
		err = take_signals(screen);
	if (!err)
		err = open_terminal(screen);
	if (err) {
		cprof_live_screen_close(screen);
		return err;
	}
	*ret_screen = screen;
	return NULL;
}

/* A terminal that has no other screen goes on below this one: in its last line, which is made empty. */
static void leave(struct cprof_live_screen *screen)
{
	if (screen->window) {
		screen->curses->wmove(screen->window, (int)screen->lines - 1, 0);
		screen->curses->wclrtoeol(screen->window);
		screen->curses->wrefresh(screen->window);
	}
	screen->curses->endwin();
}

void cprof_live_screen_close(struct cprof_live_screen *screen)
{
	if (!screen)
		return;
	if (screen->screen)
		leave(screen);
	if (screen->window)
		screen->curses->delwin(screen->window);
	if (screen->screen)
		screen->curses->delscreen(screen->screen);
	if (screen->signals_fd >= 0) {
		close(screen->signals_fd);
		sigprocmask(SIG_SETMASK, &screen->before, NULL);
	}
	free(screen);
}

/* ---- drawing ---- */

void cprof_live_screen_size(const struct cprof_live_screen *screen, size_t *ret_columns,
			    size_t *ret_lines)
{
	*ret_columns = screen->columns;
	*ret_lines = screen->lines;
}

void cprof_live_screen_draw(struct cprof_live_screen *screen, const struct cprof_live_page *page)
{
	static const attr_t attributes[] = { [CPROF_LIVE_PLAIN] = A_NORMAL,
					     [CPROF_LIVE_BOLD] = A_BOLD,
					     [CPROF_LIVE_REVERSE] = A_REVERSE };
	const struct cprof_curses_api *curses = screen->curses;
	curses->werase(screen->window);
	for (size_t i = 0; i < page->n && i < screen->lines; i++) {
		curses->wmove(screen->window, (int)i, 0);
		curses->wattrset(screen->window, (int)attributes[page->lines[i].style]);
		curses->waddnstr(screen->window, cprof_live_page_line(page, i), -1);
	}
	curses->wattrset(screen->window, A_NORMAL);
	curses->wrefresh(screen->window);
}

/* ---- signals ---- */

static void resize(struct cprof_live_screen *screen)
{
	find_size(screen);
	screen->curses->resizeterm((int)screen->lines, (int)screen->columns);
	screen->curses->wresize(screen->window, (int)screen->lines, (int)screen->columns);
	screen->curses->clearok(screen->window, TRUE);
}

/* The terminal is the shell's until we go on; what is drawn next takes it back. */
static void suspend(struct cprof_live_screen *screen)
{
	sigset_t stop;
	leave(screen);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	signal(SIGTSTP, SIG_DFL); /* ncurses has put its own there */
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stop, NULL); /* it stops here */
	sigprocmask(SIG_BLOCK, &stop, NULL);
	resize(screen);
}

/* Whoever had the terminal meanwhile may have changed its modes. */
static void resume(struct cprof_live_screen *screen)
{
	screen->curses->endwin();
	resize(screen);
}

int cprof_live_screen_signals_fd(const struct cprof_live_screen *screen)
{
	return screen->signals_fd;
}

bool cprof_live_screen_signals(struct cprof_live_screen *screen)
{
	struct signalfd_siginfo told;
	while (read(screen->signals_fd, &told, sizeof(told)) == (ssize_t)sizeof(told)) {
		if (told.ssi_signo == SIGQUIT)
			return false;
		if (told.ssi_signo == SIGWINCH)
			resize(screen);
		else if (told.ssi_signo == SIGTSTP)
			suspend(screen);
		else
			resume(screen);
	}
	return true;
}

/* ---- keys ---- */

int cprof_live_screen_key(struct cprof_live_screen *screen)
{
	static const struct {
		int theirs, ours;
	} keys[] = {
		{ KEY_UP, CPROF_LIVE_KEY_UP },         { KEY_DOWN, CPROF_LIVE_KEY_DOWN },
		{ KEY_PPAGE, CPROF_LIVE_KEY_PAGE_UP }, { KEY_NPAGE, CPROF_LIVE_KEY_PAGE_DOWN },
		{ KEY_HOME, CPROF_LIVE_KEY_HOME },     { KEY_END, CPROF_LIVE_KEY_END },
		{ KEY_ENTER, CPROF_LIVE_KEY_ENTER },   { KEY_BACKSPACE, CPROF_LIVE_KEY_BACKSPACE },
		{ 0x7f, CPROF_LIVE_KEY_BACKSPACE },    { '\b', CPROF_LIVE_KEY_BACKSPACE },
	};
	const int key = screen->curses->wgetch(screen->window);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (key == keys[i].theirs)
			return keys[i].ours;
	}
	return key < 0 ? -1 : key < 0x100 ? key : 0; /* 0: one that says nothing here */
}
