/* SPDX-License-Identifier: Apache-2.0 */
#include "base/printable_text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/printable.h"

#define STREAM_BYTES 65536

void cprof_printable_put(struct cprof_buffer *out, const char *text, size_t n, const char *keep)
{
	char shown[CPROF_PRINTABLE_MAX];
	size_t at = 0;
	while (at < n) {
		size_t clean = cprof_printable_span(text + at, n - at, keep);
		cprof_buffer_append(out, text + at, clean);
		at += clean;
		if (at == n)
			break;
		at += cprof_printable_show(text + at, n - at, shown);
		cprof_buffer_puts(out, shown);
	}
}

void cprof_printable_puts(struct cprof_buffer *out, const char *text)
{
	cprof_printable_put(out, text, strlen(text), "");
}

void cprof_printable_put_line(struct cprof_buffer *out, const char *subject, const char *text)
{
	cprof_printable_puts(out, subject);
	cprof_buffer_puts(out, ": ");
	cprof_printable_puts(out, text);
	cprof_buffer_putc(out, '\n');
}

bool cprof_printable_write(FILE *out, const char *text, size_t n)
{
	CPROF_AUTO(buffer) struct cprof_buffer fitted = { 0 };
	if (cprof_printable_span(text, n, "\n\t") != n) {
		cprof_printable_put(&fitted, text, n, "\n\t");
		if (fitted.failed)
			return false;
		text = (const char *)fitted.data;
		n = fitted.len;
	}
	return fwrite(text, 1, n, out) == n;
}

void cprof_printable_printf(FILE *out, const char *fmt, ...)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	va_list ap;
	va_start(ap, fmt);
	cprof_buffer_vprintf(&text, fmt, ap);
	va_end(ap);
	cprof_printable_write(out, cprof_buffer_text(&text), text.len);
}

/* ---- a stream ---- */

struct passage {
	FILE *out;
	char begun[4]; /* of a character whose other bytes have not come yet */
	size_t n_begun;
};

/* How many bytes at the end of `text` begin a character that is not whole. */
static size_t unfinished(const char *text, size_t n)
{
	for (size_t back = 1; back <= 3 && back <= n; back++) {
		unsigned char c = (unsigned char)text[n - back];
		if ((c & 0xc0) == 0x80)
			continue;
		size_t wants = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
		return wants > back ? back : 0;
	}
	return 0;
}

static ssize_t pass(void *cookie, const char *text, size_t n)
{
	struct passage *passage = cookie;
	if (!passage->n_begun && cprof_printable_span(text, n, "\n\t") == n)
		return fwrite(text, 1, n, passage->out) == n ? (ssize_t)n : 0;
	CPROF_AUTO(buffer) struct cprof_buffer all = { 0 };
	cprof_buffer_append(&all, passage->begun, passage->n_begun);
	cprof_buffer_append(&all, text, n);
	if (all.failed)
		return 0;
	passage->n_begun = unfinished((const char *)all.data, all.len);
	memcpy(passage->begun, all.data + all.len - passage->n_begun, passage->n_begun);
	bool ok = cprof_printable_write(passage->out, (const char *)all.data,
					all.len - passage->n_begun);
	return ok ? (ssize_t)n : 0;
}

static int end_passage(void *cookie)
{
	struct passage *passage = cookie;
	bool ok = cprof_printable_write(passage->out, passage->begun, passage->n_begun);
	free(passage);
	return ok ? 0 : -1;
}

FILE *cprof_printable_open(FILE *out)
{
	struct passage *passage = calloc(1, sizeof(*passage));
	if (!passage)
		return NULL;
	passage->out = out;
	FILE *file = fopencookie(passage, "w",
				 (cookie_io_functions_t){ .write = pass, .close = end_passage });
	if (!file)
		free(passage);
	else
		setvbuf(file, NULL, _IOFBF, STREAM_BYTES);
	return file;
}
