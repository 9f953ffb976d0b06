/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/glibc_rows.h"

#include <stdio.h>
#include <string.h>

#define ROWS_MAX (1u << 18)

void cprof_glibc_rows_deinit(struct cprof_glibc_rows *rows)
{
	cprof_map64_deinit(&rows->typed);
}

struct cprof_error *cprof_glibc_rows_enter(struct cprof_glibc_rows *rows,
					   const struct cprof_glibc_arena *arena)
{
	char text[32] = "mapped by itself";
	const uint64_t addr = arena ? arena->addr : 0;
	if (rows->entered && rows->arena == addr)
		return NULL;
	if (arena && arena->main)
		snprintf(text, sizeof(text), "main arena");
	else if (arena)
		snprintf(text, sizeof(text), "arena %u", arena->number);
	memset(rows->by_class, 0, sizeof(rows->by_class));
	memset(rows->by_word, 0, sizeof(rows->by_word));
	cprof_map64_deinit(&rows->typed);
	rows->arena = addr;
	rows->entered = true;
	return cprof_intern_text(&rows->account->texts, text, &rows->arena_text);
}

static void class_of(uint64_t usable, struct cprof_baseline_class *class)
{
	class->low = class->high = usable;
	if (usable <= CPROF_GLIBC_SMALL)
		return;
	const unsigned shift = 63 - (unsigned)__builtin_clzll(usable) - 3;
	class->low = usable >> shift << shift;
	class->high = class->low + (1ull << shift) - 1;
}

static struct cprof_error *new_row(struct cprof_glibc_rows *rows, uint64_t usable, const char *type,
				   uint32_t *ret_row)
{
	struct cprof_baseline_class class = { .allocator = rows->allocator,
					      .arena = rows->arena_text };
	class_of(usable, &class);
	/* Who has so many arenas and classes sees the rest of them by size alone. */
	const bool many = rows->account->n_rows >= ROWS_MAX;
	if (many)
		class.arena = 0;
	struct cprof_error *err =
		type && !many ? cprof_intern_text(&rows->account->texts, type, &class.type) : NULL;
	return err ? err : cprof_baseline_account_row(rows->account, &class, ret_row);
}

static struct cprof_error *typed_row(struct cprof_glibc_rows *rows, uint64_t usable, uint64_t word,
				     const char *type, uint32_t *ret_row)
{
	uint64_t *row = cprof_map64_put(&rows->typed,
					cprof_hash_mix(word, cprof_glibc_class(usable)), NULL);
	if (!row)
		return cprof_error_no_memory();
	if (!*row) {
		struct cprof_error *err = new_row(rows, usable, type, ret_row);
		if (err)
			return err;
		*row = *ret_row + 1ull;
	}
	*ret_row = (uint32_t)(*row - 1);
	return NULL;
}

static struct cprof_error *plain_row(struct cprof_glibc_rows *rows, uint64_t usable,
				     uint32_t *ret_row)
{
	uint32_t *row = &rows->by_class[cprof_glibc_class(usable)];
	if (!*row) {
		struct cprof_error *err = new_row(rows, usable, NULL, ret_row);
		if (err)
			return err;
		*row = *ret_row + 1;
	}
	*ret_row = *row - 1;
	return NULL;
}

struct cprof_error *cprof_glibc_rows_row(struct cprof_glibc_rows *rows, uint64_t usable,
					 uint64_t word, uint32_t *ret_row)
{
	const char *type = NULL;
	const uint32_t known = cprof_glibc_rows_known(rows, usable, word);
	if (known) {
		*ret_row = known - 1;
		return NULL;
	}
	if (!rows->types || !cprof_baseline_types_may(rows->types, word))
		return plain_row(rows, usable, ret_row);
	struct cprof_error *err = cprof_baseline_types_find(rows->types, word, &type);
	if (!err)
		err = type ? typed_row(rows, usable, word, type, ret_row)
			   : plain_row(rows, usable, ret_row);
	if (err)
		return err;
	const uint32_t class = cprof_glibc_class(usable);
	*cprof_glibc_rows_of_word(rows, word, class) =
		(struct cprof_glibc_word_row){ word, class, *ret_row + 1 };
	return NULL;
}
