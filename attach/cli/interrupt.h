/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/interrupt.h - Ctrl-C and SIGTERM for a program that wants to save its work: the first ends the window,
 * the second ends the program.
 *
 * The program's own (main.c uses it, libraries do not): there is one set of signal handlers in a process.
 */
#ifndef CPROF_ATTACH_CLI_INTERRUPT_H
#define CPROF_ATTACH_CLI_INTERRUPT_H

#include <stdbool.h>
#include <termios.h>

#include "base/new_file.h"
#include "cprof/error.h"

/*
 * From now on SIGINT, SIGTERM, SIGHUP and whatever else would end us and can be caught make `*ret_fd` readable; it stays ours. SIGPIPE is ignored, so that
 * a reader that goes away is an error of write(2). Where SIGINT was ignored (a background job of a script) the terminal's stays
 * ignored and only one that is sent by kill(2) counts; an ignored SIGTERM does not stay ignored, all others do.
 */
struct cprof_error *cprof_interrupt_init(int *ret_fd);

/*
 * From now on a SIGHUP that somebody sends makes `*ret_fd`, an eventfd(2) that stays ours, readable instead: a server reads its list
 * again. One of the kernel, because the terminal has gone, ends as before, and so does one of a shell whose terminal has gone.
 */
struct cprof_error *cprof_interrupt_hangups(int *ret_fd);

/* From now on SIGUSR1 and SIGUSR2 make these readable, eventfds(2) that stay ours. */
struct cprof_error *cprof_interrupt_users(int ret_fds[2]);

/* How often the user has asked us to end. */
int cprof_interrupt_count(void);

/*
 * The second signal removes what `file` (NULL for none) has made so far and ends the program at once with status 130.
 * `file` must stay where it is. From now on cprof_interrupt_again() tells of new signals.
 */
void cprof_interrupt_unlink(const struct cprof_new_file *file);

/* Whether the user has asked once more since the file was begun. */
bool cprof_interrupt_again(void);

/*
 * While something in a target must be put back first, a second signal is only counted; main.c ends
 * with 130 after the mode has returned. Calls nest.
 */
void cprof_interrupt_hold(bool hold);

/*
 * The terminal of stdin and stdout was found like this, and is somebody's screen now (NULL: no more). Where it takes nothing any more
 * (Ctrl-S, a connection that hangs) a second signal does not wait for it whatever is held: it gets its modes back, and the program ends
 * with status 130. `found` must stay where it is.
 */
void cprof_interrupt_terminal(const struct termios *found);

#endif
