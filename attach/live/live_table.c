/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/live/live_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "convert/profile/measure.h"

void cprof_live_table_init(struct cprof_live_table *table, size_t max)
{
	*table = (struct cprof_live_table){ .max = max, .secret = cprof_hash_secret() };
}

void cprof_live_table_deinit(struct cprof_live_table *table)
{
	for (size_t i = 0; i < table->n; i++)
		free(table->rows[i].name);
	free(table->rows);
	cprof_map64_deinit(&table->index);
	*table = (struct cprof_live_table){ 0 };
}

void cprof_live_table_begin(struct cprof_live_table *table)
{
	for (size_t i = 0; i < table->n; i++)
		memset(table->rows[i].values, 0,
		       CPROF_LIVE_OWN_ALL * sizeof(table->rows[i].values[0]));
}

void cprof_live_table_next_sample(struct cprof_live_table *table)
{
	table->sample++;
}

/* ---- rows ---- */

static uint64_t key_of(const struct cprof_live_table *table, const char *name)
{
	return cprof_hash_bytes_from(table->secret, name, strlen(name));
}

static struct cprof_error *new_row(struct cprof_live_table *table, uint64_t key, const char *name,
				   uint64_t *place)
{
	if (!CPROF_ARRAY_ROOM(table->rows, table->n, table->cap, 1))
		return cprof_error_no_memory();
	struct cprof_live_row *row = &table->rows[table->n];
	*row = (struct cprof_live_row){ .key = key,
					.name = strndup(name, CPROF_LIVE_NAME_MAX),
					.unknown = table->folded };
	if (!row->name)
		return cprof_error_no_memory();
	*place = ++table->n;
	return NULL;
}

/* Where one window alone has more names than can be kept, its last ones have no row of their own from the start. */
struct cprof_error *cprof_live_table_find(struct cprof_live_table *table, const char *name,
					  size_t *ret_row)
{
	uint64_t key = key_of(table, name), *place = cprof_map64_get(&table->index, key);
	if (!place && table->n >= 2 * table->max) {
		table->folded = true;
		name = CPROF_LIVE_REST;
		key = key_of(table, name);
	}
	place = cprof_map64_put(&table->index, key, NULL);
	if (!place)
		return cprof_error_no_memory();
	struct cprof_error *err = *place ? NULL : new_row(table, key, name, place);
	if (!err)
		*ret_row = *place - 1;
	return err;
}

static void add_up(int64_t *to, const int64_t *from, size_t n)
{
	for (size_t t = 0; t < n; t++)
		to[t] = cprof_measure_add(to[t], from[t]);
}

void cprof_live_table_count(struct cprof_live_table *table, size_t index, const int64_t *values,
			    size_t n_types, bool own)
{
	struct cprof_live_row *row = &table->rows[index];
	if (own)
		add_up(row->values[CPROF_LIVE_OWN_NOW], values, n_types);
	if (row->sample != table->sample)
		add_up(row->values[CPROF_LIVE_TOTAL_NOW], values, n_types);
	row->sample = table->sample;
}

/* ---- the bound ---- */

struct weight {
	double weight; /* the sum of its shares of the largest row, type by type */
	size_t row;
};

static int heaviest_first(const void *a, const void *b)
{
	const struct weight *one = a, *other = b;
	if (one->weight != other->weight)
		return one->weight > other->weight ? -1 : 1;
	return one->row < other->row ? -1 : one->row > other->row;
}

static double size_of(const struct cprof_live_row *row, size_t type)
{
	return (double)cprof_measure_abs(row->values[CPROF_LIVE_TOTAL_ALL][type]);
}

static struct weight *weigh(const struct cprof_live_table *table)
{
	double largest[CPROF_LIVE_TYPES] = { 0 };
	struct weight *weights = calloc(table->n, sizeof(*weights));
	for (size_t i = 0; i < table->n; i++) {
		for (size_t t = 0; t < CPROF_LIVE_TYPES; t++) {
			const double size = size_of(&table->rows[i], t);
			largest[t] = size > largest[t] ? size : largest[t];
		}
	}
	for (size_t i = 0; weights && i < table->n; i++) {
		weights[i].row = i;
		for (size_t t = 0; t < CPROF_LIVE_TYPES; t++)
			weights[i].weight +=
				largest[t] > 0 ? size_of(&table->rows[i], t) / largest[t] : 0;
	}
	return weights;
}

/* Stacks may have several of the rows that become one, so its total cannot be known: it is what they had of their own. */
static void fold_row(struct cprof_live_row *rest, const struct cprof_live_row *row)
{
	for (size_t c = 0; c < CPROF_LIVE_COLUMNS; c++) {
		const size_t own = c - c % 2;
		add_up(rest->values[c], row->values[own], CPROF_LIVE_TYPES);
	}
}

/* The rows that stay, and the rest as one. */
static struct cprof_error *keep(struct cprof_live_table *table, const bool *stays)
{
	struct cprof_live_table kept;
	size_t to = 0;
	cprof_live_table_init(&kept, table->max);
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < table->n; i++) {
		const struct cprof_live_row *row = &table->rows[i];
		const bool own = stays[i] && strcmp(row->name, CPROF_LIVE_REST) != 0;
		err = cprof_live_table_find(&kept, own ? row->name : CPROF_LIVE_REST, &to);
		if (err)
			break;
		if (own)
			memcpy(kept.rows[to].values, row->values, sizeof(row->values));
		else
			fold_row(&kept.rows[to], row);
		kept.rows[to].unknown = !own;
	}
	if (err) {
		cprof_live_table_deinit(&kept);
		return err;
	}
	kept.folded = true;
	kept.sample = table->sample + 1;
	cprof_live_table_deinit(table);
	*table = kept;
	return NULL;
}

/* A quarter less than may be, so that it does not have to be done in each window. */
static struct cprof_error *fold(struct cprof_live_table *table)
{
	CPROF_AUTO(free) struct weight *weights = weigh(table);
	CPROF_AUTO(free) bool *stays = calloc(table->n, sizeof(*stays));
	if (!weights || !stays)
		return cprof_error_no_memory();
	qsort(weights, table->n, sizeof(*weights), heaviest_first);
	for (size_t i = 0; i < table->max - table->max / 4; i++)
		stays[weights[i].row] = true;
	return keep(table, stays);
}

static void settle(struct cprof_live_row *row, enum cprof_live_column now, const bool *states)
{
	const enum cprof_live_column all = now + CPROF_LIVE_OWN_ALL;
	for (size_t t = 0; t < CPROF_LIVE_TYPES; t++) {
		const int64_t value = row->values[now][t];
		if (states[t])
			row->values[now][t] = row->unknown ? 0 : value - row->values[all][t];
		row->values[all][t] =
			states[t] ? value : cprof_measure_add(row->values[all][t], value);
	}
}

struct cprof_error *cprof_live_table_end(struct cprof_live_table *table, const bool *states)
{
	for (size_t i = 0; i < table->n; i++) {
		settle(&table->rows[i], CPROF_LIVE_OWN_NOW, states);
		settle(&table->rows[i], CPROF_LIVE_TOTAL_NOW, states);
		table->rows[i].unknown = false;
	}
	return table->n > table->max ? fold(table) : NULL;
}
