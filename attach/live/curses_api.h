/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/live/curses_api.h - ncurses, loaded when a live table is shown on a terminal and not before.
 *
 * The variant with wide characters, which shows UTF-8. Without the library a live table is plain text.
 */
#ifndef CPROF_ATTACH_LIVE_CURSES_API_H
#define CPROF_ATTACH_LIVE_CURSES_API_H

#define NCURSES_NOMACROS /* they would stand for the functions that are looked up here */
#include <ncurses.h>

#include "cprof/error.h"

/* A row per function: X(member, function). */
#define CPROF_CURSES_FUNCTIONS(X)                                                                  \
	X(newterm, newterm)                                                                        \
	X(delscreen, delscreen)                                                                    \
	X(tigetstr, tigetstr)                                                                      \
	X(endwin, endwin)                                                                          \
	X(newwin, newwin)                                                                          \
	X(delwin, delwin)                                                                          \
	X(wresize, wresize)                                                                        \
	X(resizeterm, resizeterm)                                                                  \
	X(cbreak, cbreak)                                                                          \
	X(noecho, noecho)                                                                          \
	X(curs_set, curs_set)                                                                      \
	X(set_escdelay, set_escdelay)                                                              \
	X(keypad, keypad)                                                                          \
	X(nodelay, nodelay)                                                                        \
	X(wgetch, wgetch)                                                                          \
	X(werase, werase)                                                                          \
	X(wmove, wmove)                                                                            \
	X(wclrtoeol, wclrtoeol)                                                                    \
	X(wattrset, wattrset)                                                                      \
	X(waddnstr, waddnstr)                                                                      \
	X(clearok, clearok)                                                                        \
	X(wrefresh, wrefresh)

struct cprof_curses_api {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): the name of a member */
#define CPROF_CURSES_MEMBER(member, function) __typeof__(function) *member;
	CPROF_CURSES_FUNCTIONS(CPROF_CURSES_MEMBER)
#undef CPROF_CURSES_MEMBER
};

/* The library; stays loaded. Errors: UNSUPPORTED. Not for several threads at once. */
struct cprof_error *cprof_curses_api_load(const struct cprof_curses_api **ret_api);

#endif
