/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/work_result.h - what a process of ours has worked out, through a pipe to the one that asked: bytes, or an error.
 *
 * The reader owns its end of the pipe and what has come so far. A pipe that ends early is an error of its own.
 */
#ifndef CPROF_BASE_WORK_RESULT_H
#define CPROF_BASE_WORK_RESULT_H

#include <stdbool.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

/* Write all of it; blocks until it is read. `err` NULL: bytes; both are borrowed. */
void cprof_work_result_send(int fd, const struct cprof_error *err,
			    const struct cprof_buffer *bytes);

struct cprof_work_reader {
	int fd; /* owned; -1: closed */
	struct cprof_buffer got;
};

void cprof_work_reader_deinit(struct cprof_work_reader *reader);

/* Take what there is, without blocking. True once the other side has said all; the descriptor is closed then. */
bool cprof_work_reader_take(struct cprof_work_reader *reader);

/* After that: the bytes, for the caller to own; or the error that was sent, or that the other side ended early (OS). */
struct cprof_error *cprof_work_reader_finish(struct cprof_work_reader *reader,
					     struct cprof_buffer *ret_bytes);

#endif
