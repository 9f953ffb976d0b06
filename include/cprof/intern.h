/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/intern.h - each distinct string once, known by a small number.
 *
 * Id 0 is always "". Ids count up without gaps in the order of first appearance, so the table can be
 * written out as it stands (a pprof string_table does exactly that).
 */
#ifndef CPROF_INTERN_H
#define CPROF_INTERN_H

#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/hash.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cprof_intern {
	struct cprof_map64 by_hash; /* hash -> id + 1 of the first string with it; see `next` */
	struct cprof_intern_entry {
		const char *
			text; /* borrowed from a block; ends with a zero byte, may contain others */
		size_t len;
		uint32_t next; /* id + 1 of another string with the same hash, 0 ends the chain */
	} * entries;           /* owned */
	uint32_t len;
	uint32_t cap;
	uint64_t secret;                   /* makes hashes that others cannot foresee */
	struct cprof_intern_block *blocks; /* owned; text lives here and never moves */
};

struct cprof_error *cprof_intern_init(struct cprof_intern *table);
void cprof_intern_deinit(struct cprof_intern *table);

/* The id of these `n` bytes (copied on first sight). */
struct cprof_error *cprof_intern_bytes(struct cprof_intern *table, const char *text, size_t n,
				       uint32_t *ret_id);
struct cprof_error *cprof_intern_text(struct cprof_intern *table, const char *text,
				      uint32_t *ret_id);

/* The text of `id`, which must be < table->len. Stays where it is until deinit. */
static inline const char *cprof_intern_get(const struct cprof_intern *table, uint32_t id)
{
	return table->entries[id].text;
}

#ifdef __cplusplus
}
#endif

#endif
