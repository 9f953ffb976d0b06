/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/new_file.h - the one way in which we write a file.
 *
 * The file appears whole under its name or not at all, readable by its owner alone (mode 0600: profiles tell what a
 * program does). It never replaces another one unasked, and what is written never goes through a link, pipe or device
 * that another user could have put there; where that user's own directory is written to, he can remove the file and
 * no more. What root writes for the caller of sudo(8) is that user's, in a directory where he could have put a file himself
 * (caller.h). A pipe or device that is the caller's, an open descriptor ("/dev/stdout", "/dev/fd/3", what the shell makes of
 * ">(command)") and /dev/null are written to as they are, through the descriptor that was taken when the name was looked at.
 *
 * Nothing here waits without end: a pipe without a reader is an error after some seconds, and `stopped` is asked meanwhile.
 * Where directories lead to is found out by place.h. Source of truth: open(2) "O_TMPFILE", fifo(7).
 */
#ifndef CPROF_BASE_NEW_FILE_H
#define CPROF_BASE_NEW_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/place.h"
#include "cprof/error.h"

enum cprof_new_file_how {
	CPROF_NEW_FILE_REFUSE, /* what is there stays: EXISTS */
	CPROF_NEW_FILE_REPLACE, /* a file or link of that name goes; a file of ours hands down its mode */
	CPROF_NEW_FILE_NAMED, /* the name is a proposal of ours: what is there stays, and is no error yet */
};

struct cprof_new_file {
	char *path; /* owned; as it was asked for */
	struct cprof_place place;
	enum cprof_new_file_how how;
	int fd;        /* owned; what to write to, between create and finish; -1 */
	bool stream;   /* a pipe, device or descriptor of the caller's: written as it is */
	int pipe;      /* owned; O_PATH: a pipe that nobody reads yet; -1 */
	mode_t mode;   /* of the file that is replaced; 0: none */
	char temp[40]; /* its name until it is finished; "": it has none */
};

/* Asked while waiting: true ends it. NULL: never. */
typedef bool cprof_new_file_stopped_fn(void);

/*
 * Look at `path`: that it may be written there. Creates nothing. `path` must not be empty; "-" is a file's name here.
 * Errors: EXISTS, DENIED, OS (EISDIR, ENOENT for a missing directory), NO_MEMORY.
 */
struct cprof_error *cprof_new_file_plan(const char *path, enum cprof_new_file_how how,
					struct cprof_new_file *ret_file);

/* The same for `name` in a directory that is open; `dir` stays the caller's. */
struct cprof_error *cprof_new_file_plan_in(int dir, const char *name, enum cprof_new_file_how how,
					   struct cprof_new_file *ret_file);

/* Whether bytes can be stored there: a file is made, given a byte and dropped. Errors: OS. */
struct cprof_error *cprof_new_file_try(struct cprof_new_file *file);

/* Open file->fd for writing: of a file without a name yet, or of the stream. Errors: OS. */
struct cprof_error *cprof_new_file_create(struct cprof_new_file *file,
					  cprof_new_file_stopped_fn *stopped);

/*
 * Give what was written its name; `name` (NULL: the one that was planned) is in the same directory. Nothing to do for a
 * stream. Errors: EXISTS (and another name may be tried), OS (a full disk may be told of only now).
 */
struct cprof_error *cprof_new_file_finish(struct cprof_new_file *file, const char *name);

/* All of it: create, write, finish. Errors as those; nothing is left behind then. */
struct cprof_error *cprof_new_file_write(struct cprof_new_file *file, const void *bytes, size_t n,
					 cprof_new_file_stopped_fn *stopped);

/* `n` bytes to file->fd. Errors: OS (ECANCELED: stopped). */
struct cprof_error *cprof_new_file_put(const struct cprof_new_file *file, const void *bytes,
				       size_t n, cprof_new_file_stopped_fn *stopped);

/* The same to a descriptor that may be a pipe: never waits in write(2). `name` is for messages. */
struct cprof_error *cprof_new_file_put_stream(int fd, const char *name, const void *bytes, size_t n,
					      cprof_new_file_stopped_fn *stopped);

/* Drop what was not finished; a zeroed struct is nothing. A signal handler does: unlinkat(place.dir, temp). */
void cprof_new_file_deinit(struct cprof_new_file *file);

#endif
