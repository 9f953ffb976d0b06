/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/symbol_cache.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cache_dir.h"
#include "base/cleanup.h"
#include "cprof/buffer.h"

/* Its last digit changes with the layout, and when answers that were kept so far may be wrong. */
#define MAGIC       "cprofnm3"
#define FILE_MAX    (64u << 20)
#define DIR_MAX     (512ull << 20) /* all files together */
#define DIR_KEEP    (384ull << 20) /* what stays when that was reached */
#define FILES_MAX   16384
#define FILES_KEEP  12288
#define ANSWERS_MAX (1u << 19) /* of one file; a binary has fewer hot addresses */
#define SUFFIX      ".names"
#define STRING_MAX  (1u << 14) /* a longer symbol is shown as it is, cut */

/* In the byte order of this machine: the cache never leaves it, and a foreign file fails the checksum. */
struct header {
	char magic[8];
	uint64_t fingerprint;
	uint64_t checksum; /* of everything after the header */
	uint32_t n_answers, n_frames, n_strings, text_size;
};
static_assert(sizeof(struct header) == 40, "layout of the cache file");
static_assert(sizeof(struct cprof_cached_answer) == 16, "layout of the cache file");
static_assert(sizeof(struct cprof_cached_frame) == 24, "layout of the cache file");

struct cprof_error *cprof_symbol_cache_init(struct cprof_symbol_cache *cache)
{
	*cache = (struct cprof_symbol_cache){ 0 };
	return cprof_intern_init(&cache->strings);
}

void cprof_symbol_cache_deinit(struct cprof_symbol_cache *cache)
{
	cprof_intern_deinit(&cache->strings);
	cprof_map64_deinit(&cache->by_addr);
	free(cache->answers);
	free(cache->frames);
	*cache = (struct cprof_symbol_cache){ 0 };
}

/* ---- answers ---- */

static struct cprof_error *keep(struct cprof_symbol_cache *cache, const char *text,
				uint32_t *ret_id)
{
	size_t len = strnlen(text, STRING_MAX);
	return cprof_intern_bytes(&cache->strings, text, len, ret_id);
}

static struct cprof_error *convert(struct cprof_symbol_cache *cache,
				   const struct cprof_dwarf_frame *from,
				   struct cprof_cached_frame *to)
{
	*to = (struct cprof_cached_frame){ .line = from->line,
					   .column = from->column,
					   .start_line = from->start_line };
	struct cprof_error *err = keep(cache, from->name, &to->name);
	if (!err)
		err = keep(cache, from->linkage_name, &to->linkage_name);
	return err ? err : keep(cache, from->file, &to->file);
}

struct cprof_error *cprof_symbol_cache_put(struct cprof_symbol_cache *cache, uint64_t addr,
					   const struct cprof_dwarf_frame *frames, size_t n)
{
	bool is_new;
	if (cache->n_answers >= ANSWERS_MAX)
		return NULL;
	if (!CPROF_ARRAY_ROOM(cache->answers, cache->n_answers, cache->cap_answers, 1) ||
	    !CPROF_ARRAY_ROOM(cache->frames, cache->n_frames, cache->cap_frames, n))
		return cprof_error_no_memory();
	for (size_t i = 0; i < n; i++) {
		struct cprof_error *err =
			convert(cache, &frames[i], &cache->frames[cache->n_frames + i]);
		if (err)
			return err;
	}
	uint64_t *place = cprof_map64_put(&cache->by_addr, addr, &is_new);
	if (!place)
		return cprof_error_no_memory();
	if (!is_new)
		return NULL;
	cache->answers[cache->n_answers++] =
		(struct cprof_cached_answer){ addr, (uint32_t)cache->n_frames, (uint32_t)n };
	cache->n_frames += n;
	*place = cache->n_answers;
	return NULL;
}

size_t cprof_symbol_cache_get(const struct cprof_symbol_cache *cache, uint64_t addr,
			      struct cprof_dwarf_frame *frames, size_t cap)
{
	const uint64_t *place = cprof_map64_get(&cache->by_addr, addr);
	if (!place)
		return 0;
	const struct cprof_cached_answer *answer = &cache->answers[*place - 1];
	size_t n = answer->n < cap ? answer->n : cap;
	for (size_t i = 0; i < n; i++) {
		const struct cprof_cached_frame *frame = &cache->frames[answer->first + i];
		frames[i] = (struct cprof_dwarf_frame){
			cprof_intern_get(&cache->strings, frame->name),
			cprof_intern_get(&cache->strings, frame->linkage_name),
			cprof_intern_get(&cache->strings, frame->file),
			frame->line,
			frame->column,
			frame->start_line,
		};
	}
	return n;
}

/* ---- reading ---- */

struct file {
	struct header header;
	const uint8_t *answers, *frames, *text;
};

/* Sizes first, then the checksum: nothing inside is looked at before both agree. */
static bool check_file(const uint8_t *bytes, size_t len, uint64_t fingerprint, struct file *file)
{
	struct header *header = &file->header;
	if (len < sizeof(*header))
		return false;
	memcpy(header, bytes, sizeof(*header));
	if (memcmp(header->magic, MAGIC, sizeof(header->magic)) != 0 ||
	    header->fingerprint != fingerprint)
		return false;
	uint64_t answers = (uint64_t)header->n_answers * sizeof(struct cprof_cached_answer);
	uint64_t frames = (uint64_t)header->n_frames * sizeof(struct cprof_cached_frame);
	if (len - sizeof(*header) != answers + frames + header->text_size)
		return false;
	file->answers = bytes + sizeof(*header);
	file->frames = file->answers + answers;
	file->text = file->frames + frames;
	if (header->text_size && file->text[header->text_size - 1])
		return false;
	return header->n_answers <= ANSWERS_MAX &&
	       cprof_hash_bytes(file->answers, len - sizeof(*header)) == header->checksum;
}

/* The file's string numbers become ours: both count the same strings in order of first appearance. */
static bool take_strings(struct cprof_symbol_cache *cache, const struct file *file)
{
	const char *at = (const char *)file->text, *end = at + file->header.text_size;
	for (uint32_t i = 0; i < file->header.n_strings; i++) {
		uint32_t id;
		if (at >= end)
			return false;
		struct cprof_error *err = cprof_intern_text(&cache->strings, at, &id);
		cprof_error_free(err);
		if (err || id != i)
			return false;
		at += strlen(at) + 1;
	}
	return at == end;
}

static bool take_answers(struct cprof_symbol_cache *cache, const struct file *file)
{
	const struct header *header = &file->header;
	if (!CPROF_ARRAY_ROOM(cache->answers, 0, cache->cap_answers, header->n_answers) ||
	    !CPROF_ARRAY_ROOM(cache->frames, 0, cache->cap_frames, header->n_frames))
		return false;
	if (header->n_frames)
		memcpy(cache->frames, file->frames, header->n_frames * sizeof(*cache->frames));
	for (uint32_t i = 0; i < header->n_frames; i++) {
		const struct cprof_cached_frame *frame = &cache->frames[i];
		if (frame->name >= header->n_strings || frame->linkage_name >= header->n_strings ||
		    frame->file >= header->n_strings)
			return false;
	}
	if (header->n_answers)
		memcpy(cache->answers, file->answers, header->n_answers * sizeof(*cache->answers));
	for (uint32_t i = 0; i < header->n_answers; i++) {
		const struct cprof_cached_answer *answer = &cache->answers[i];
		if (!answer->n || answer->first > header->n_frames ||
		    answer->n > header->n_frames - answer->first)
			return false;
		uint64_t *place = cprof_map64_put(&cache->by_addr, answer->addr, NULL);
		if (!place)
			return false;
		*place = i + 1;
	}
	cache->n_answers = cache->n_loaded = header->n_answers;
	cache->n_frames = header->n_frames;
	return true;
}

bool cprof_symbol_cache_parse(struct cprof_symbol_cache *cache, const uint8_t *bytes, size_t len,
			      uint64_t fingerprint)
{
	struct file file;
	if (!check_file(bytes, len, fingerprint, &file))
		return false;
	if (take_strings(cache, &file) && take_answers(cache, &file))
		return true;
	/* Half of it was taken: start over with nothing. */
	cprof_symbol_cache_deinit(cache);
	cprof_error_free(cprof_symbol_cache_init(cache));
	return false;
}

static bool file_name(const char *key, char *name, size_t size)
{
	int n = snprintf(name, size, "%s" SUFFIX, key);
	return n > 0 && (size_t)n < size;
}

struct cprof_error *cprof_symbol_cache_read_file(const char *dir, const char *key,
						 struct cprof_buffer *ret_bytes)
{
	char name[NAME_MAX + 1];
	return file_name(key, name, sizeof(name))
		       ? cprof_cache_dir_read(dir, name, FILE_MAX, ret_bytes)
		       : NULL;
}

struct cprof_error *cprof_symbol_cache_load(struct cprof_symbol_cache *cache, const char *dir,
					    const char *key, uint64_t fingerprint)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_error *err = cprof_symbol_cache_read_file(dir, key, &bytes);
	if (err && err->code == CPROF_ERR_NO_MEMORY)
		return err;
	if (!err)
		cprof_symbol_cache_parse(cache, bytes.data, bytes.len, fingerprint);
	cprof_error_free(err);
	return NULL;
}

/* ---- writing ---- */

struct cprof_error *cprof_symbol_cache_compose(const struct cprof_symbol_cache *cache,
					       uint64_t fingerprint, struct cprof_buffer *out)
{
	struct header header = {
		.fingerprint = fingerprint,
		.n_answers = (uint32_t)cache->n_answers,
		.n_frames = (uint32_t)cache->n_frames,
		.n_strings = cache->strings.len,
	};
	memcpy(header.magic, MAGIC, sizeof(header.magic));
	cprof_buffer_append(out, &header, sizeof(header));
	cprof_buffer_append(out, cache->answers, cache->n_answers * sizeof(*cache->answers));
	cprof_buffer_append(out, cache->frames, cache->n_frames * sizeof(*cache->frames));
	size_t text = out->len;
	for (uint32_t i = 0; i < cache->strings.len; i++) {
		const char *string = cprof_intern_get(&cache->strings, i);
		cprof_buffer_append(out, string, strlen(string) + 1);
	}
	struct cprof_error *err = cprof_buffer_error(out);
	if (err)
		return err;
	header.text_size = (uint32_t)(out->len - text);
	header.checksum = cprof_hash_bytes(out->data + sizeof(header), out->len - sizeof(header));
	memcpy(out->data, &header, sizeof(header));
	return NULL;
}

struct cprof_error *cprof_symbol_cache_write_file(const char *dir, const char *key,
						  const struct cprof_buffer *bytes)
{
	char name[NAME_MAX + 1];
	/* As it is on disk it can be read; larger it could not. */
	if (bytes->len > FILE_MAX || !file_name(key, name, sizeof(name)))
		return NULL;
	return cprof_cache_dir_write(dir, name, bytes);
}

struct cprof_error *cprof_symbol_cache_save(const struct cprof_symbol_cache *cache, const char *dir,
					    const char *key, uint64_t fingerprint)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_error *err = cprof_symbol_cache_compose(cache, fingerprint, &bytes);
	return err ? err : cprof_symbol_cache_write_file(dir, key, &bytes);
}

/* ---- bounds ---- */

void cprof_symbol_cache_trim(const char *dir)
{
	static const struct cprof_cache_dir_bounds bounds = { SUFFIX, DIR_MAX, DIR_KEEP, FILES_MAX,
							      FILES_KEEP };
	cprof_cache_dir_trim(dir, &bounds);
}
