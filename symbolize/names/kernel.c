/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/search.h"

#define KALLSYMS     "/proc/kallsyms"
#define KALLSYMS_MAX (256u << 20)
#define SYMBOL_MAX                                                                                 \
	(1u << 24) /* a function is no longer than this; beyond it an address has no name */

void cprof_kernel_deinit(struct cprof_kernel *kernel)
{
	cprof_buffer_deinit(&kernel->text);
	free(kernel->all);
	cprof_piece_file_free(kernel->file);
	*kernel = (struct cprof_kernel){ 0 };
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "ffffffff81000000 T name\t[module]"; cuts the line into its words. False: no function. */
static bool parse_line(char *line, struct cprof_kernel_symbol *symbol, char *ret_type)
{
	uint64_t addr = 0;
	char *at = line;
	for (; digit(*at) >= 0; at++) {
		if (at - line >= 16)
			return false;
		addr = addr << 4 | (uint64_t)digit(*at);
	}
	if (at == line || at[0] != ' ' || !at[1] || at[2] != ' ' || !at[3])
		return false;
	*ret_type = at[1];
	symbol->addr = addr;
	symbol->name = at + 3;
	symbol->module = "";
	char *tab = strchr(at + 3, '\t');
	if (tab) {
		*tab = 0;
		char *end = strchr(tab + 1, ']');
		if (tab[1] == '[' && end) {
			*end = 0;
			symbol->module = tab + 2;
		}
	}
	return symbol->name[0] != 0 && strchr("tTwW", *ret_type);
}

static int compare(const void *a_, const void *b_)
{
	const struct cprof_kernel_symbol *a = a_, *b = b_;
	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	/* The names were cut from one text: keep the table's own order. */
	return a->name < b->name ? -1 : a->name > b->name;
}

static void note_bounds(struct cprof_kernel *kernel, const struct cprof_kernel_symbol *symbol)
{
	if (strcmp(symbol->name, "_text") == 0 || strcmp(symbol->name, "_stext") == 0) {
		if (!kernel->start || symbol->addr < kernel->start)
			kernel->start = symbol->addr;
	} else if (strcmp(symbol->name, "_etext") == 0) {
		kernel->end = symbol->addr;
	}
}

static bool is_marker(const char *name)
{
	return strcmp(name, "_text") == 0 || strcmp(name, "_stext") == 0 ||
	       strcmp(name, "_etext") == 0;
}

struct cprof_error *cprof_kernel_parse(struct cprof_kernel *kernel, struct cprof_buffer *text)
{
	*kernel = (struct cprof_kernel){ .text = *text };
	*text = (struct cprof_buffer){ 0 };
	size_t cap = 0, nonzero = 0, lines = 0;
	char *save = NULL, type;
	char *first = kernel->text.data ? (char *)kernel->text.data : (char[]){ "" };
	for (char *line = strtok_r(first, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct cprof_kernel_symbol symbol;
		lines++;
		if (!parse_line(line, &symbol, &type))
			continue;
		nonzero += symbol.addr != 0;
		if (is_marker(symbol.name)) {
			note_bounds(kernel, &symbol);
			continue;
		}
		if (!CPROF_ARRAY_ROOM(kernel->all, kernel->n, cap, 1))
			return cprof_error_no_memory();
		kernel->all[kernel->n++] = symbol;
	}
	kernel->restricted = lines && !nonzero;
	if (kernel->restricted)
		kernel->n = 0;
	if (kernel->n)
		qsort(kernel->all, kernel->n, sizeof(*kernel->all), compare);
	return NULL;
}

static struct cprof_error *get_text(const struct cprof_prefetch_piece *made,
				    struct cprof_buffer *text)
{
	size_t n = 0;
	const uint8_t *bytes = made ? cprof_prefetch_piece_bytes(made, &n) : NULL;
	if (!bytes)
		return cprof_file_read(KALLSYMS, KALLSYMS_MAX, text);
	cprof_buffer_append(text, bytes, n);
	return cprof_buffer_error(text);
}

struct cprof_error *cprof_kernel_read(struct cprof_kernel *kernel,
				      const struct cprof_prefetch_piece *made)
{
	struct cprof_buffer text = { 0 };
	struct cprof_error *err = get_text(made, &text);
	if (err) {
		cprof_buffer_deinit(&text);
		return err;
	}
	return cprof_kernel_parse(kernel, &text);
}

size_t cprof_kernel_text(uint8_t *room, size_t cap)
{
	CPROF_AUTO(close) int fd = open(KALLSYMS, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	while (fd >= 0 && n < cap) {
		ssize_t got = read(fd, room + n, cap - n);
		if (got == 0)
			return n;
		if (got < 0 && errno != EINTR)
			return 0;
		n += got > 0 ? (size_t)got : 0;
	}
	return 0;
}

/* NULL: the file is broken there. */
static const struct cprof_kernel_packed *packed_of(const struct cprof_kernel *kernel, size_t i)
{
	return cprof_piece_file_at(kernel->file,
				   kernel->packed_at + i * sizeof(struct cprof_kernel_packed),
				   sizeof(struct cprof_kernel_packed));
}

static uint64_t addr_of(const struct cprof_kernel *kernel, size_t i)
{
	if (kernel->all)
		return kernel->all[i].addr;
	const struct cprof_kernel_packed *packed = packed_of(kernel, i);
	return kernel->start + (packed ? packed->offset : 0);
}

static bool find_packed(const struct cprof_kernel *kernel, size_t i,
			struct cprof_kernel_symbol *ret_symbol)
{
	const struct cprof_kernel_packed *packed = packed_of(kernel, i);
	if (!packed || packed->name >= kernel->names_size)
		return false;
	const char *name = cprof_piece_file_text(kernel->file, kernel->names_at + packed->name);
	if (!name || cprof_piece_file_is_broken(kernel->file))
		return false;
	*ret_symbol = (struct cprof_kernel_symbol){ kernel->start + packed->offset, name, "" };
	return true;
}

bool cprof_kernel_find(const struct cprof_kernel *kernel, uint64_t addr,
		       struct cprof_kernel_symbol *ret_symbol)
{
	size_t after = CPROF_SEARCH(i, kernel->n, addr_of(kernel, i) <= addr);
	if (!after || addr - addr_of(kernel, after - 1) > SYMBOL_MAX)
		return false;
	/* The first of several at this address. */
	size_t first = after - 1;
	while (first && addr_of(kernel, first - 1) == addr_of(kernel, first))
		first--;
	if (!kernel->all)
		return find_packed(kernel, first, ret_symbol);
	*ret_symbol = kernel->all[first];
	return true;
}
