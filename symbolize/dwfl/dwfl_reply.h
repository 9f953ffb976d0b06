/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwfl/dwfl_reply.h - the frames of an address as bytes, from the process that asked libdw to the one that wants to know.
 *
 * Whoever asks libdw about files of others may be made to say anything, so what it says is read like a file of theirs.
 */
#ifndef CPROF_SYMBOLIZE_DWFL_DWFL_REPLY_H
#define CPROF_SYMBOLIZE_DWFL_DWFL_REPLY_H

#include "cprof/buffer.h"
#include "symbolize/dwarf/dwarf.h"

#define CPROF_DWFL_TEXT_MAX  4096 /* of a name or path; more is cut */
#define CPROF_DWFL_REPLY_MAX (1u << 20)

void cprof_dwfl_reply_write(const struct cprof_dwarf_frame *frames, size_t n,
			    struct cprof_buffer *out);

/* False: they are no frames, or more than `cap`. Strings are borrowed from `bytes`. */
bool cprof_dwfl_reply_read(const uint8_t *bytes, size_t len, struct cprof_dwarf_frame *frames,
			   size_t cap, size_t *ret_n);

#endif
