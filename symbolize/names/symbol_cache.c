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
#include "base/search.h"
#include "cprof/buffer.h"

/* Its last digit changes with the layout, and when answers that were kept so far may be wrong. */
#define MAGIC       "cprofnm4"
#define FILE_MAX    (64u << 20)
#define DIR_MAX     (512ull << 20) /* all files together */
#define DIR_KEEP    (384ull << 20) /* what stays when that was reached */
#define FILES_MAX   16384
#define FILES_KEEP  12288
#define ANSWERS_MAX (1u << 19) /* of one file; a binary has fewer hot addresses */
#define SUFFIX      ".names"
#define NEAR_MAX    8          /* frames of a neighbour whose texts are compared */
#define STRING_MAX  (1u << 14) /* a longer symbol is shown as it is, cut */

/* In the byte order of this machine: the cache never leaves it, and a foreign file fails the checksum. */
struct header {
	char magic[8];
	uint64_t fingerprint;
	uint64_t checksum; /* of everything after the header */
	uint32_t n_answers, n_frames, text_size, unused;
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
	cprof_buffer_deinit(&cache->kept.bytes);
	cprof_intern_deinit(&cache->strings);
	cprof_map64_deinit(&cache->by_addr);
	free(cache->answers);
	free(cache->frames);
	*cache = (struct cprof_symbol_cache){ 0 };
}

/* ---- answers from disk ---- */

/* "" for what is not in the text, which ends with a zero byte. */
static const char *kept_text(const struct cprof_symbol_cache_file *kept, uint32_t at)
{
	return at < kept->text_size ? kept->text + at : "";
}

/* The first answer at `addr` or beyond it. */
static uint32_t kept_place(const struct cprof_symbol_cache_file *kept, uint64_t addr)
{
	return (uint32_t)CPROF_SEARCH(i, kept->n_answers, kept->answers[i].addr < addr);
}

/* Frames of that answer; 0: there are none such. */
static uint32_t kept_frames(const struct cprof_symbol_cache_file *kept, uint32_t at)
{
	if (at >= kept->n_answers)
		return 0;
	const struct cprof_cached_answer *answer = &kept->answers[at];
	const bool inside =
		answer->first <= kept->n_frames && answer->n <= kept->n_frames - answer->first;
	return inside ? answer->n : 0;
}

static size_t get_kept(const struct cprof_symbol_cache_file *kept, uint64_t addr,
		       struct cprof_dwarf_frame *frames, size_t cap)
{
	const uint32_t at = kept_place(kept, addr), all = kept_frames(kept, at);
	if (!all || kept->answers[at].addr != addr)
		return 0;
	size_t n = all < cap ? all : cap;
	for (size_t i = 0; i < n; i++) {
		const struct cprof_cached_frame *frame = &kept->frames[kept->answers[at].first + i];
		frames[i] = (struct cprof_dwarf_frame){
			kept_text(kept, frame->name),
			kept_text(kept, frame->linkage_name),
			kept_text(kept, frame->file),
			frame->line,
			frame->column,
			frame->start_line,
		};
	}
	return n;
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
	struct cprof_dwarf_frame known;
	if (cache->n_answers + cache->kept.n_answers >= ANSWERS_MAX ||
	    get_kept(&cache->kept, addr, &known, 1))
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
		return get_kept(&cache->kept, addr, frames, cap);
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

/*
 * Sizes first, then the checksum: nothing inside is looked at before both agree. Nor is it then: a file of a large library has
 * 50,000 answers, of which a profile asks for ten.
 */
static bool check_file(const struct cprof_buffer *bytes, uint64_t fingerprint,
		       struct cprof_symbol_cache_file *file)
{
	struct header header;
	if (bytes->len < sizeof(header))
		return false;
	memcpy(&header, bytes->data, sizeof(header));
	if (memcmp(header.magic, MAGIC, sizeof(header.magic)) != 0 ||
	    header.fingerprint != fingerprint || header.unused || header.n_answers > ANSWERS_MAX)
		return false;
	const uint8_t *at = bytes->data + sizeof(header);
	uint64_t answers = (uint64_t)header.n_answers * sizeof(*file->answers);
	uint64_t frames = (uint64_t)header.n_frames * sizeof(*file->frames);
	if (bytes->len - sizeof(header) != answers + frames + header.text_size)
		return false;
	*file = (struct cprof_symbol_cache_file){
		.answers = (const void *)at,
		.frames = (const void *)(at + answers),
		.text = (const char *)(at + answers + frames),
		.n_answers = header.n_answers,
		.n_frames = header.n_frames,
		.text_size = header.text_size,
	};
	if (header.text_size && file->text[header.text_size - 1])
		return false;
	return cprof_hash_long(at, bytes->len - sizeof(header)) == header.checksum;
}

/* Takes the bytes where they are sound. */
static bool take(struct cprof_symbol_cache *cache, struct cprof_buffer *bytes, uint64_t fingerprint)
{
	struct cprof_symbol_cache_file kept;
	struct cprof_symbol_cache empty;
	struct cprof_error *err = cprof_symbol_cache_init(&empty);
	const bool sound = !err && check_file(bytes, fingerprint, &kept);
	cprof_error_free(err);
	if (!sound) {
		cprof_symbol_cache_deinit(&empty);
		return false;
	}
	kept.bytes = *bytes;
	*bytes = (struct cprof_buffer){ 0 };
	cprof_symbol_cache_deinit(cache);
	*cache = empty;
	cache->kept = kept;
	return true;
}

bool cprof_symbol_cache_parse(struct cprof_symbol_cache *cache, const uint8_t *bytes, size_t len,
			      uint64_t fingerprint)
{
	CPROF_AUTO(buffer) struct cprof_buffer copy = { 0 };
	cprof_buffer_append(&copy, bytes, len);
	return !copy.failed && take(cache, &copy, fingerprint);
}

static bool file_name(const char *key, char *name, size_t size)
{
	int n = snprintf(name, size, "%s" SUFFIX, key);
	return n > 0 && (size_t)n < size;
}

int cprof_symbol_cache_open_file(const char *dir, const char *key)
{
	char name[NAME_MAX + 1];
	return file_name(key, name, sizeof(name)) ? cprof_cache_dir_open(dir, name) : -1;
}

bool cprof_symbol_cache_read_head(const char *dir, const char *key, void *room, size_t n)
{
	char name[NAME_MAX + 1];
	return file_name(key, name, sizeof(name)) && cprof_cache_dir_read_head(dir, name, room, n);
}

struct cprof_error *cprof_symbol_cache_load(struct cprof_symbol_cache *cache, const char *dir,
					    const char *key, uint64_t fingerprint)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	char name[NAME_MAX + 1];
	if (!file_name(key, name, sizeof(name)))
		return NULL;
	struct cprof_error *err = cprof_cache_dir_read(dir, name, FILE_MAX, &bytes);
	if (err && err->code == CPROF_ERR_NO_MEMORY)
		return err;
	if (!err)
		take(cache, &bytes, fingerprint);
	cprof_error_free(err);
	return NULL;
}

/* ---- writing ---- */

struct composed {
	const struct cprof_symbol_cache *cache;
	struct cprof_buffer answers, frames, text;
	uint32_t *places; /* by string number: where it is in the text + 1; 0: nowhere yet */
	uint32_t n_frames;
};

static void composed_deinit(struct composed *out)
{
	cprof_buffer_deinit(&out->answers);
	cprof_buffer_deinit(&out->frames);
	cprof_buffer_deinit(&out->text);
	free(out->places);
}

static int by_addr(const void *a_, const void *b_)
{
	const struct cprof_cached_answer *a = a_, *b = b_;
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

/* The answers before and behind tell of the same function, or of one in the same file: its text need not be there twice. */
static bool find_near(const struct cprof_symbol_cache_file *kept, uint32_t place, const char *text,
		      uint32_t *ret_at)
{
	for (uint32_t at = place ? place - 1 : 0; at <= place; at++) {
		const uint32_t n = kept_frames(kept, at);
		for (uint32_t i = 0; i < n && i < NEAR_MAX; i++) {
			const struct cprof_cached_frame *frame =
				&kept->frames[kept->answers[at].first + i];
			const uint32_t texts[] = { frame->name, frame->linkage_name, frame->file };
			for (size_t j = 0; j < 3; j++) {
				*ret_at = texts[j];
				if (strcmp(kept_text(kept, texts[j]), text) == 0)
					return true;
			}
		}
	}
	return false;
}

static uint32_t put_text(struct composed *out, uint32_t place, uint32_t string)
{
	const char *text = cprof_intern_get(&out->cache->strings, string);
	uint32_t at;
	if (!*text)
		return UINT32_MAX; /* beyond every text, and so nothing */
	if (out->places[string])
		return out->places[string] - 1;
	if (!find_near(&out->cache->kept, place, text, &at)) {
		at = (uint32_t)out->text.len;
		cprof_buffer_append(&out->text, text, strlen(text) + 1);
	}
	out->places[string] = at + 1;
	return at;
}

static void put_answer(struct composed *out, uint32_t place, const struct cprof_cached_answer *from)
{
	const struct cprof_cached_answer answer = { from->addr, out->n_frames, from->n };
	cprof_buffer_append(&out->answers, &answer, sizeof(answer));
	for (uint32_t i = 0; i < from->n; i++) {
		struct cprof_cached_frame frame = out->cache->frames[from->first + i];
		frame.name = put_text(out, place, frame.name);
		frame.linkage_name = put_text(out, place, frame.linkage_name);
		frame.file = put_text(out, place, frame.file);
		cprof_buffer_append(&out->frames, &frame, sizeof(frame));
	}
	out->n_frames += from->n;
}

static void put_kept(struct composed *out, uint32_t from, uint32_t until)
{
	const struct cprof_cached_answer *answers = out->cache->kept.answers;
	if (from < until)
		cprof_buffer_append(&out->answers, answers + from,
				    (until - from) * sizeof(*answers));
}

/* What was kept stays as it is, and what is new comes between its answers and behind its frames and its text. */
static void put_all(struct composed *out, const struct cprof_cached_answer *sorted)
{
	const struct cprof_symbol_cache_file *kept = &out->cache->kept;
	uint32_t done = 0;
	cprof_buffer_append(&out->frames, kept->frames, kept->n_frames * sizeof(*kept->frames));
	cprof_buffer_append(&out->text, kept->text, kept->text_size);
	out->n_frames = kept->n_frames;
	for (size_t i = 0; i < out->cache->n_answers; i++) {
		const uint32_t place = kept_place(kept, sorted[i].addr);
		put_kept(out, done, place);
		done = place;
		put_answer(out, place, &sorted[i]);
	}
	put_kept(out, done, kept->n_answers);
}

static struct cprof_error *compose(struct composed *out)
{
	const struct cprof_symbol_cache *cache = out->cache;
	const size_t n = cache->n_answers;
	CPROF_AUTO(free) struct cprof_cached_answer *sorted = calloc(n + 1, sizeof(*sorted));
	out->places = calloc(cache->strings.len, sizeof(*out->places));
	if (!sorted || !out->places)
		return cprof_error_no_memory();
	if (n) {
		memcpy(sorted, cache->answers, n * sizeof(*sorted));
		qsort(sorted, n, sizeof(*sorted), by_addr);
	}
	put_all(out, sorted);
	struct cprof_error *err = cprof_buffer_error(&out->answers);
	err = err ? err : cprof_buffer_error(&out->frames);
	return err ? err : cprof_buffer_error(&out->text);
}

static struct cprof_error *put_file(const struct composed *parts, uint64_t fingerprint,
				    struct cprof_buffer *out)
{
	struct header header = {
		.fingerprint = fingerprint,
		.n_answers = (uint32_t)(parts->answers.len / sizeof(struct cprof_cached_answer)),
		.n_frames = parts->n_frames,
		.text_size = (uint32_t)parts->text.len,
	};
	const size_t start = out->len;
	memcpy(header.magic, MAGIC, sizeof(header.magic));
	cprof_buffer_append(out, &header, sizeof(header));
	cprof_buffer_append(out, parts->answers.data, parts->answers.len);
	cprof_buffer_append(out, parts->frames.data, parts->frames.len);
	cprof_buffer_append(out, parts->text.data, parts->text.len);
	struct cprof_error *err = cprof_buffer_error(out);
	if (err)
		return err;
	uint8_t *file = out->data + start;
	header.checksum = cprof_hash_long(file + sizeof(header), out->len - start - sizeof(header));
	memcpy(file, &header, sizeof(header));
	return NULL;
}

struct cprof_error *cprof_symbol_cache_compose(const struct cprof_symbol_cache *cache,
					       uint64_t fingerprint, struct cprof_buffer *out)
{
	struct composed parts = { .cache = cache };
	struct cprof_error *err = compose(&parts);
	if (!err)
		err = put_file(&parts, fingerprint, out);
	composed_deinit(&parts);
	return err;
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
