/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/json_member.h - one text out of an object of JSON, without reading the rest into memory.
 *
 * Source of truth: RFC 8259.
 */
#ifndef CPROF_BASE_JSON_MEMBER_H
#define CPROF_BASE_JSON_MEMBER_H

#include <stdbool.h>
#include <stddef.h>

#include "cprof/buffer.h"

/*
 * Append the text of the member `name` of the object that the `n` bytes at `json` are, escapes resolved. False: there is no such member, it is
 * no text, or this is no object as far as that member. Objects within the object are passed over, however deep.
 */
bool cprof_json_member(const char *json, size_t n, const char *name, struct cprof_buffer *out);

#endif
