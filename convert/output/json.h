/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/json.h - writing JSON text.
 */
#ifndef CPROF_CONVERT_OUTPUT_JSON_H
#define CPROF_CONVERT_OUTPUT_JSON_H

#include <stdio.h>

/* `text` as a JSON string with its quotes, as base/json_put.h writes it. */
void cprof_json_put_string(FILE *out, const char *text);

/* "key":"value"; `key` is written as it is. */
void cprof_json_put_member(FILE *out, const char *key, const char *value);

#endif
