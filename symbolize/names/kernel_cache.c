/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/kernel_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/hash.h"
#include "symbolize/names/symbol_cache.h"

#define MAGIC      "cprofks3"
#define KEY        "kernel"
#define SYMBOL_MAX (1u << 22)

/* In the byte order of this machine, as in symbol_cache.c; the functions, then their text. A file of pieces: of 100,000 functions a profile asks for ten. */
struct header {
	char magic[8];
	uint64_t boot;
	uint64_t start, end;
	uint32_t n, text_size;
};
static_assert(sizeof(struct header) == 40, "layout of the cache file");
static_assert(sizeof(struct cprof_kernel_packed) == 8, "layout of the cache file");

uint64_t cprof_kernel_cache_boot(void)
{
	CPROF_AUTO(buffer) struct cprof_buffer id = { 0 };
	struct utsname name;
	struct cprof_error *err = cprof_file_read("/proc/sys/kernel/random/boot_id", 4096, &id);
	bool told = !err && id.len >= 32 && uname(&name) == 0;
	cprof_error_free(err);
	if (!told)
		return 0;
	uint64_t boot = cprof_hash_bytes(id.data, id.len);
	boot = cprof_hash_mix(boot, cprof_hash_bytes(name.release, strlen(name.release)));
	return boot ? boot : 1;
}

/* ---- reading ---- */

static bool is_of_boot(const struct header *header, uint64_t boot)
{
	return boot && memcmp(header->magic, MAGIC, sizeof(header->magic)) == 0 &&
	       header->boot == boot;
}

/* The sizes; the entries are looked at when they are asked for (kernel.c). */
static bool check(struct cprof_piece_file *file, uint64_t boot, struct header *header)
{
	const struct header *there = cprof_piece_file_at(file, 0, sizeof(*header));
	if (!there)
		return false;
	*header = *there;
	const uint64_t entries = (uint64_t)header->n * sizeof(struct cprof_kernel_packed);
	return is_of_boot(header, boot) && header->n && header->n <= SYMBOL_MAX &&
	       header->end > header->start && header->text_size &&
	       cprof_piece_file_len(file) - sizeof(*header) == entries + header->text_size;
}

/* Takes the file; NULL: there is none. */
static bool take(struct cprof_kernel *kernel, struct cprof_piece_file *file, uint64_t boot)
{
	struct header header;
	*kernel = (struct cprof_kernel){ 0 };
	if (!file || !check(file, boot, &header)) {
		cprof_piece_file_free(file);
		return false;
	}
	kernel->file = file;
	kernel->packed_at = sizeof(header);
	kernel->n = header.n;
	kernel->names_at = kernel->packed_at + kernel->n * sizeof(struct cprof_kernel_packed);
	kernel->names_size = header.text_size;
	kernel->start = header.start;
	kernel->end = header.end;
	return true;
}

bool cprof_kernel_cache_parse(struct cprof_kernel *kernel, struct cprof_buffer *bytes,
			      uint64_t boot)
{
	return take(kernel, cprof_piece_file_of(bytes), boot);
}

bool cprof_kernel_cache_load(struct cprof_kernel *kernel, const char *dir, uint64_t boot)
{
	*kernel = (struct cprof_kernel){ 0 };
	const int fd = boot ? cprof_symbol_cache_open_file(dir, KEY) : -1;
	return fd >= 0 && take(kernel, cprof_piece_file_open(fd), boot);
}

bool cprof_kernel_cache_is_there(const char *dir)
{
	struct header header;
	return dir && cprof_symbol_cache_read_head(dir, KEY, &header, sizeof(header)) &&
	       is_of_boot(&header, cprof_kernel_cache_boot());
}

/* ---- writing ---- */

bool cprof_kernel_cache_compose(const struct cprof_kernel *kernel, uint64_t boot,
				struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct header header = { .boot = boot, .start = kernel->start, .end = kernel->end };
	if (kernel->end <= kernel->start || kernel->end - kernel->start > UINT32_MAX)
		return false;
	memcpy(header.magic, MAGIC, sizeof(header.magic));
	cprof_buffer_append(out, &header, sizeof(header));
	for (size_t i = 0; i < kernel->n && header.n < SYMBOL_MAX; i++) {
		const struct cprof_kernel_symbol *symbol = &kernel->all[i];
		if (symbol->addr < kernel->start || symbol->addr >= kernel->end)
			continue;
		struct cprof_kernel_packed entry = { (uint32_t)(symbol->addr - kernel->start),
						     (uint32_t)text.len };
		cprof_buffer_append(out, &entry, sizeof(entry));
		cprof_buffer_append(&text, symbol->name, strlen(symbol->name) + 1);
		header.n++;
	}
	header.text_size = (uint32_t)text.len;
	cprof_buffer_append(out, text.data, text.len);
	struct cprof_error *err = cprof_buffer_error(&text);
	err = err ? err : cprof_buffer_error(out);
	bool good = !err && header.n;
	cprof_error_free(err);
	if (!good)
		return false;
	memcpy(out->data, &header, sizeof(header));
	cprof_piece_file_seal(out);
	return !out->failed;
}

void cprof_kernel_cache_save(const struct cprof_kernel *kernel, const char *dir, uint64_t boot)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	if (boot && cprof_kernel_cache_compose(kernel, boot, &bytes))
		cprof_error_free(cprof_symbol_cache_write_file(dir, KEY, &bytes));
}
