/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/symbol_cache.h - answers of earlier profiles, on disk, a file for each build-id.
 *
 * Owns the file's layout, its checks and its bounds. What an answer was made from is its fingerprint, a number for the
 * content of all files that were asked (symbolize/elf/elf_digest.h): with another one, as after installing a debug package or for
 * a copy that says something else under the same build-id, the file counts for nothing. Whose the directory must be is
 * base/cache_dir.h. Files appear whole by rename(2), so parallel users never see a part; the last writer wins. A broken file is no
 * error but no answers, and is written anew.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_SYMBOL_CACHE_H
#define CPROF_SYMBOLIZE_NAMES_SYMBOL_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/hash.h"
#include "cprof/intern.h"
#include "symbolize/dwarf/dwarf.h"

struct cprof_cached_answer {
	uint64_t addr;
	uint32_t first, n; /* in frames */
};

/* Strings by number, or in a file by where they begin in its text. */
struct cprof_cached_frame {
	uint32_t name, linkage_name, file;
	uint32_t line, column, start_line;
};

struct cprof_symbol_cache {
	/* What came from disk, as it is there: answers by address. What it says is checked where it is looked at. */
	struct cprof_symbol_cache_file {
		struct cprof_buffer bytes;                 /* owned */
		const struct cprof_cached_answer *answers; /* these three: borrowed from `bytes` */
		const struct cprof_cached_frame *frames;
		const char *text;
		uint32_t n_answers, n_frames, text_size;
	} kept;
	/* What was learnt since, in that order. */
	struct cprof_intern strings;
	struct cprof_map64 by_addr;          /* file address -> index in answers + 1 */
	struct cprof_cached_answer *answers; /* owned */
	struct cprof_cached_frame *frames;   /* owned */
	size_t n_answers, cap_answers, n_frames, cap_frames;
	size_t n_saved; /* answers that are on disk meanwhile */
};

struct cprof_error *cprof_symbol_cache_init(struct cprof_symbol_cache *cache);
void cprof_symbol_cache_deinit(struct cprof_symbol_cache *cache);

/*
 * Take over what `dir` has for `key` (a build-id in hex) and `fingerprint`. Nothing there, or nothing usable, is no
 * error. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_symbol_cache_load(struct cprof_symbol_cache *cache, const char *dir,
					    const char *key, uint64_t fingerprint);

/* The same from bytes, in place of all answers so far: false where they are not a whole file for `fingerprint`; nothing is taken then. */
bool cprof_symbol_cache_parse(struct cprof_symbol_cache *cache, const uint8_t *bytes, size_t len,
			      uint64_t fingerprint);

/* The file's bytes, of all answers. Errors: NO_MEMORY. */
struct cprof_error *cprof_symbol_cache_compose(const struct cprof_symbol_cache *cache,
					       uint64_t fingerprint, struct cprof_buffer *out);

/*
 * Write all answers. Makes `dir`. Errors: OS, DENIED (the directory is somebody else's), NO_MEMORY; callers may well
 * ignore them. After the last one: cprof_symbol_cache_trim().
 */
struct cprof_error *cprof_symbol_cache_save(const struct cprof_symbol_cache *cache, const char *dir,
					    const char *key, uint64_t fingerprint);

/* Drop the least recently used files where `dir` has grown too large. Looks at every file: once a run, not once a module. */
void cprof_symbol_cache_trim(const char *dir);

/* The frames of `addr`, innermost first: at most `cap`; 0: not known. Strings are borrowed from the cache. */
size_t cprof_symbol_cache_get(const struct cprof_symbol_cache *cache, uint64_t addr,
			      struct cprof_dwarf_frame *frames, size_t cap);

/* Remember the frames of `addr`. Errors: NO_MEMORY. */
struct cprof_error *cprof_symbol_cache_put(struct cprof_symbol_cache *cache, uint64_t addr,
					   const struct cprof_dwarf_frame *frames, size_t n);

/*
 * The file `key` of `dir`, for others who keep something there: its descriptor, -1 where there is none, or it is not ours. Its first `n`
 * bytes alone: false where there are none.
 * Writing makes `dir`.
 */
int cprof_symbol_cache_open_file(const char *dir, const char *key);
bool cprof_symbol_cache_read_head(const char *dir, const char *key, void *room, size_t n);
struct cprof_error *cprof_symbol_cache_write_file(const char *dir, const char *key,
						  const struct cprof_buffer *bytes);

#endif
