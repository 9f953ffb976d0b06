/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/live/live_cells.h"

#include <stdint.h>
#include <string.h>
#include <wchar.h>

#include "base/cleanup.h"
#include "base/printable.h"
#include "base/printable_text.h"

/* A character: its bytes, and the columns that it takes. */
struct character {
	size_t bytes, columns;
};

static wchar_t decode(const char *at, size_t n)
{
	static const unsigned char first[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t c = (unsigned char)at[0] & first[n];
	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((unsigned char)at[i] & 0x3f);
	return (wchar_t)c;
}

static struct character next(const char *at, size_t n, bool utf8)
{
	const size_t bytes = cprof_utf8_length(at, n);
	if (bytes <= 1 || !utf8)
		return (struct character){ bytes ? bytes : 1, 1 };
	const int columns = wcwidth(decode(at, bytes));
	return (struct character){ bytes, columns < 0 ? 1 : (size_t)columns };
}

static size_t width(const char *text, size_t n, bool utf8)
{
	size_t columns = 0;
	for (size_t i = 0; i < n;) {
		const struct character one = next(text + i, n - i, utf8);
		columns += one.columns;
		i += one.bytes;
	}
	return columns;
}

size_t cprof_live_cells_width(const char *text, bool utf8)
{
	return width(text, strlen(text), utf8);
}

/* As many bytes from the start as fit into `columns`. */
static size_t head(const char *text, size_t n, size_t columns, bool utf8)
{
	size_t i = 0;
	while (i < n) {
		const struct character one = next(text + i, n - i, utf8);
		if (one.columns > columns)
			break;
		columns -= one.columns;
		i += one.bytes;
	}
	return i;
}

/* Where the end begins that fits into `columns`. */
static size_t tail(const char *text, size_t n, size_t columns, bool utf8)
{
	size_t wide = width(text, n, utf8), i = 0;
	while (i < n && wide > columns) {
		const struct character one = next(text + i, n - i, utf8);
		wide -= one.columns;
		i += one.bytes;
	}
	return i;
}

static void put(struct cprof_live_cells *cells, const char *text, size_t n)
{
	for (size_t i = 0; i < n;) {
		const struct character one = next(text + i, n - i, cells->utf8);
		if (cells->utf8 || (unsigned char)text[i] < 0x80)
			cprof_buffer_append(cells->out, text + i, one.bytes);
		else
			cprof_buffer_putc(cells->out, '?');
		cells->left -= one.columns < cells->left ? one.columns : cells->left;
		i += one.bytes;
	}
}

static size_t room(const struct cprof_live_cells *cells, size_t columns)
{
	return columns < cells->left ? columns : cells->left;
}

void cprof_live_cells_name(struct cprof_live_cells *cells, const char *text, size_t columns)
{
	CPROF_AUTO(buffer) struct cprof_buffer fit = { 0 };
	cprof_printable_puts(&fit, text);
	const char *name = cprof_buffer_text(&fit);
	columns = room(cells, columns);
	if (!columns)
		return;
	if (width(name, fit.len, cells->utf8) <= columns) {
		put(cells, name, fit.len);
		return;
	}
	const char *mark = cells->utf8 ? "\u2026" : "~";
	const size_t before = columns / 2, after = columns - before - 1;
	put(cells, name, head(name, fit.len, before, cells->utf8));
	put(cells, mark, strlen(mark));
	const size_t from = tail(name, fit.len, after, cells->utf8);
	put(cells, name + from, fit.len - from);
}

void cprof_live_cells_text(struct cprof_live_cells *cells, const char *text, size_t columns,
			   bool right)
{
	columns = room(cells, columns);
	const size_t n = head(text, strlen(text), columns, cells->utf8);
	for (size_t wide = width(text, n, cells->utf8); right && wide < columns; wide++)
		put(cells, " ", 1);
	put(cells, text, n);
}

void cprof_live_cells_fill(struct cprof_live_cells *cells)
{
	while (cells->left)
		put(cells, " ", 1);
}
