/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/json.h"

#include <stddef.h>
#include <string.h>

#include "base/printable.h"

void cprof_json_put_string(FILE *out, const char *text)
{
	fputc('"', out);
	const unsigned char *end = (const unsigned char *)text + strlen(text);
	for (const unsigned char *at = (const unsigned char *)text; *at;) {
		size_t n = cprof_utf8_length((const char *)at, (size_t)(end - at));
		if (n == 0) {
			fputs("\\ufffd", out);
			at++;
		} else if (*at == '"' || *at == '\\') {
			fprintf(out, "\\%c", *at++);
		} else if (*at < 0x20 || *at == '<' || *at == 0x7f) {
			fprintf(out, "\\u%04x", *at++);
		} else {
			fwrite(at, 1, n, out);
			at += n;
		}
	}
	fputc('"', out);
}

void cprof_json_put_member(FILE *out, const char *key, const char *value)
{
	fprintf(out, "\"%s\":", key);
	cprof_json_put_string(out, value);
}
