#include "convert/output/json.h"

#include <stddef.h>

/* How long the UTF-8 sequence at `at` is; 0 where it is none (RFC 3629, "UTF-8 definition"). */
static size_t sequence_length(const unsigned char *at)
{
	size_t n = at[0] < 0x80                    ? 1
		   : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
		   : (at[0] & 0xf0) == 0xe0        ? 3
		   : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
						   : 0;
	for (size_t i = 1; i < n; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((n == 3 && at[0] == 0xe0 && at[1] < 0xa0) ||
	    (n == 3 && at[0] == 0xed && at[1] >= 0xa0) ||
	    (n == 4 && at[0] == 0xf0 && at[1] < 0x90) || (n == 4 && at[0] == 0xf4 && at[1] >= 0x90))
		return 0;
	return n;
}

void cprof_json_put_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (const unsigned char *at = (const unsigned char *)text; *at;) {
		size_t n = sequence_length(at);
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
