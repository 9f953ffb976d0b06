/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/text_put.h - bytes as texts that requests are made of: JSON strings, times.
 *
 * Sources: RFC 8259 "Strings"; RFC 3339.
 */
#ifndef CPROF_CONVERT_PUSH_TEXT_PUT_H
#define CPROF_CONVERT_PUSH_TEXT_PUT_H

#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"

/* With the quotes; `text` is UTF-8. */
void cprof_push_put_json(struct cprof_buffer *out, const char *text);

/* As strftime(3) says it in UTC. */
void cprof_push_put_time(struct cprof_buffer *out, uint64_t wall_ns, const char *format);

#endif
