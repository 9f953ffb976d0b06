/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/json.h"

#include <stddef.h>
#include <string.h>

#include "base/json_put.h"

void cprof_json_put_string(FILE *out, const char *text)
{
	char escaped[CPROF_JSON_ESCAPE_MAX];
	fputc('"', out);
	for (size_t left = strlen(text), used, n; left; text += used, left -= used) {
		used = cprof_json_escape(text, left, escaped, &n);
		fwrite(escaped, 1, n, out);
	}
	fputc('"', out);
}

void cprof_json_put_member(FILE *out, const char *key, const char *value)
{
	fprintf(out, "\"%s\":", key);
	cprof_json_put_string(out, value);
}
