/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/cleanup.h - scope guards: what a function holds is released on every way out of it.
 *
 *     CPROF_AUTO(close) int fd = open(...);
 *     CPROF_AUTO(free) char *text = NULL;
 *     ...
 *     *ret_fd = cprof_take_fd(&fd);
 *
 * Not for undoing things done to the target: those want an order and a report (see attach/).
 */
#ifndef CPROF_BASE_CLEANUP_H
#define CPROF_BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CPROF_AUTO(verb) __attribute__((cleanup(cprof_auto_##verb)))

/* errno survives, so that a guard never hides the reason why the function is returning. */
static inline void cprof_auto_close(const int *fd)
{
	int saved = errno;
	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void cprof_auto_free(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cprof_auto_fclose(FILE **file)
{
	int saved = errno;
	if (*file)
		fclose(*file);
	errno = saved;
}

static inline void cprof_auto_closedir(DIR **dir)
{
	int saved = errno;
	if (*dir)
		closedir(*dir);
	errno = saved;
}

/* Hand the descriptor (or pointer) out of the scope; the guard then finds nothing to release. */
static inline int cprof_take_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

#define cprof_take_ptr(pointer)                                                                    \
	({                                                                                         \
		__auto_type taken_ = *(pointer);                                                   \
		*(pointer) = NULL;                                                                 \
		taken_;                                                                            \
	})

#endif
