/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"

void cprof_ledger_deinit(struct cprof_ledger *ledger)
{
	free(ledger->accounts);
	cprof_map64_deinit(&ledger->by_tid);
	cprof_map64_deinit(&ledger->by_name);
	cprof_time_spans_deinit(&ledger->times);
	*ledger = (struct cprof_ledger){ 0 };
}

uint64_t cprof_ledger_life_ns(const struct cprof_ledger_account *account)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < CPROF_LEDGER_STATES; i++)
		sum += account->ns[i];
	return sum;
}

bool cprof_ledger_never_ran(const struct cprof_ledger_account *account)
{
	return !account->runs && !account->ns[CPROF_LEDGER_ON_CPU];
}

size_t cprof_ledger_find(const struct cprof_ledger *ledger, pid_t tid)
{
	const uint64_t *index = cprof_map64_get(&ledger->by_tid, (uint64_t)tid);
	return index ? (size_t)*index : SIZE_MAX;
}

static void add_to(struct cprof_ledger_account *sum, const struct cprof_ledger_account *account)
{
	for (size_t i = 0; i < CPROF_LEDGER_STATES; i++)
		sum->ns[i] += account->ns[i];
	sum->runs += account->runs;
	sum->threads += account->threads;
	/* It has been told of bit by bit, and its last name comes with its end. */
	sum->ended = sum->ended || account->ended;
	if (!sum->name[0])
		memcpy(sum->name, account->name, sizeof(sum->name));
}

/* Where an account goes to: one that is there, or a new one, empty. */
static struct cprof_error *find_place(struct cprof_ledger *ledger,
				      const struct cprof_ledger_account *account, bool is_short,
				      size_t *ret_index)
{
	bool is_new;
	if (!CPROF_ARRAY_ROOM(ledger->accounts, ledger->n, ledger->cap, 1))
		return cprof_error_no_memory();
	struct cprof_map64 *map = is_short ? &ledger->by_name : &ledger->by_tid;
	const uint64_t key = is_short ? cprof_hash_bytes(account->name, strlen(account->name))
				      : (uint64_t)account->tid;
	uint64_t *index = cprof_map64_put(map, key, &is_new);
	if (!index)
		return cprof_error_no_memory();
	if (is_new) {
		*index = ledger->n;
		struct cprof_ledger_account *fresh = &ledger->accounts[ledger->n++];
		*fresh = (struct cprof_ledger_account){
			.tid = is_short ? 0 : account->tid,
			.ended = account->ended,
		};
		memcpy(fresh->name, account->name, sizeof(fresh->name));
	}
	*ret_index = (size_t)*index;
	return NULL;
}

struct cprof_error *cprof_ledger_add(struct cprof_ledger *ledger,
				     const struct cprof_ledger_account *account)
{
	const bool is_short = account->ended &&
			      cprof_ledger_find(ledger, account->tid) == SIZE_MAX &&
			      cprof_ledger_life_ns(account) < CPROF_LEDGER_SHORT_NS;
	size_t at;
	struct cprof_error *err = find_place(ledger, account, is_short, &at);
	if (err)
		return err;
	add_to(&ledger->accounts[at], account);
	uint64_t *index = cprof_map64_put(&ledger->by_tid, (uint64_t)account->tid, NULL);
	if (!index)
		return cprof_error_no_memory();
	*index = at;
	return NULL;
}

struct cprof_error *cprof_ledger_when(struct cprof_ledger *ledger, pid_t tid, uint64_t from_ns,
				      uint64_t to_ns, const uint64_t ns[CPROF_LEDGER_STATES])
{
	double values[CPROF_LEDGER_STATES], sum = 0;
	const size_t at = cprof_ledger_find(ledger, tid);
	for (size_t i = 0; i < CPROF_LEDGER_STATES; i++) {
		values[i] = (double)ns[i];
		sum += values[i];
	}
	if (!ledger->timed || at == SIZE_MAX || sum <= 0)
		return NULL;
	return cprof_time_spans_add(&ledger->times, (uint32_t)at, from_ns, to_ns, values,
				    CPROF_LEDGER_STATES);
}

/* ---- less of it ---- */

static uint32_t new_index(const void *ctx, uint32_t key)
{
	const uint32_t *to = ctx;
	return to[key] ? to[key] - 1 : UINT32_MAX;
}

/* Accounts that are marked go to the front, in their order; marks become their new indices + 1. */
static void move_marked(struct cprof_ledger *ledger, uint32_t *to)
{
	size_t n = 0;
	for (size_t i = 0; i < ledger->n; i++) {
		if (!to[i])
			continue;
		ledger->accounts[n] = ledger->accounts[i];
		to[i] = (uint32_t)++n;
	}
	ledger->n = n;
}

static bool put_index(struct cprof_map64 *map, uint64_t key, uint64_t value)
{
	uint64_t *place = cprof_map64_put(map, key, NULL);
	if (place)
		*place = value;
	return place != NULL;
}

static struct cprof_error *find_again(struct cprof_ledger *ledger, const uint32_t *to,
				      const struct cprof_map64 *tids)
{
	struct cprof_map64 by_tid = { 0 }, by_name = { 0 };
	bool fits = true;
	for (size_t i = 0; fits && i < ledger->by_tid.cap; i++) {
		const struct cprof_map64_slot *slot = &ledger->by_tid.slots[i];
		if (!slot->used || !to[slot->value])
			continue;
		const uint64_t at = to[slot->value] - 1;
		if (ledger->accounts[at].tid || cprof_map64_get(tids, slot->key))
			fits = put_index(&by_tid, slot->key, at);
	}
	for (size_t i = 0; fits && i < ledger->n; i++) {
		const char *name = ledger->accounts[i].name;
		if (!ledger->accounts[i].tid)
			fits = put_index(&by_name, cprof_hash_bytes(name, strlen(name)), i);
	}
	cprof_map64_deinit(&ledger->by_tid);
	cprof_map64_deinit(&ledger->by_name);
	ledger->by_tid = by_tid;
	ledger->by_name = by_name;
	return fits ? NULL : cprof_error_no_memory();
}

struct cprof_error *cprof_ledger_keep(struct cprof_ledger *ledger, const struct cprof_map64 *tids)
{
	CPROF_AUTO(free) uint32_t *to = calloc(ledger->n + 1, sizeof(*to));
	if (!to)
		return cprof_error_no_memory();
	for (size_t i = 0; i < ledger->times.n; i++)
		to[ledger->times.spans[i].key] = 1;
	move_marked(ledger, to);
	struct cprof_error *err = cprof_time_spans_keep(&ledger->times, 0, new_index, to);
	return err ? err : find_again(ledger, to, tids);
}
