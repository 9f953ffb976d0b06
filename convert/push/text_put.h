/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/text_put.h - times as texts that requests are made of.
 *
 * Source: RFC 3339.
 */
#ifndef CPROF_CONVERT_PUSH_TEXT_PUT_H
#define CPROF_CONVERT_PUSH_TEXT_PUT_H

#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"

/* As strftime(3) says it in UTC. */
void cprof_push_put_time(struct cprof_buffer *out, uint64_t wall_ns, const char *format);

#endif
