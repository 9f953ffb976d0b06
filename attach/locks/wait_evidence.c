/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/locks/wait_evidence.h"

#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "attach/locks/wait_kind.h"
#include "base/array.h"

#define ROLES_MAX (4 * CPROF_WAIT_EVIDENCE_MAX)
#define ALL_ONES  0xffffffffu /* libgomp's "held and waited for" */

enum role { WAITED = 1, WOKE = 2 };

void cprof_wait_evidence_deinit(struct cprof_wait_evidences *all)
{
	cprof_map64_deinit(&all->by_addr);
	cprof_map64_deinit(&all->roles);
	free(all->words);
	*all = (struct cprof_wait_evidences){ 0 };
}

/* futex_wait(addr, value, ...) of Linux 6.7 has its arguments in another order. */
static uint32_t value_of(const struct cprof_wait *wait)
{
	return wait->syscall == SYS_futex ? wait->futex_val : wait->futex_op;
}

static struct cprof_error *find(struct cprof_wait_evidences *all, const struct cprof_wait *wait,
				struct cprof_wait_evidence **ret)
{
	const uint64_t *known = cprof_map64_get(&all->by_addr, wait->addr);
	*ret = known ? &all->words[*known] : NULL;
	if (known || all->n_words >= CPROF_WAIT_EVIDENCE_MAX)
		return NULL;
	uint64_t *index = NULL;
	if (CPROF_ARRAY_ROOM(all->words, all->n_words, all->cap_words, 1))
		index = cprof_map64_put(&all->by_addr, wait->addr, NULL);
	if (!index)
		return cprof_error_no_memory();
	*index = all->n_words;
	*ret = &all->words[all->n_words++];
	**ret = (struct cprof_wait_evidence){ .value = value_of(wait) };
	return NULL;
}

/* True: it is the first time that `tid` does this there. */
static bool take_role(struct cprof_wait_evidences *all, struct cprof_wait_evidence *evidence,
		      uint64_t addr, uint32_t tid, enum role role)
{
	const uint64_t key = cprof_hash_mix(addr, tid);
	uint64_t *roles = all->roles.len < ROLES_MAX ? cprof_map64_put(&all->roles, key, NULL)
						     : cprof_map64_get(&all->roles, key);
	if (!roles || *roles & role)
		return false;
	*roles |= role;
	if (*roles == (WAITED | WOKE))
		evidence->crossed = true;
	return true;
}

static bool is_state(uint32_t word)
{
	return word <= 3 || word == ALL_ONES;
}

/* Left as it was it says nothing: the lock has been taken again, or nobody woke the thread. */
static void note_word(struct cprof_wait_evidence *evidence, uint32_t value, uint32_t word)
{
	if (word == value)
		return;
	evidence->words++;
	if (!is_state(word) || (value != ALL_ONES && word == value + 1))
		evidence->odd++;
}

struct cprof_error *cprof_wait_evidence_note(struct cprof_wait_evidences *all,
					     const struct cprof_wait *wait)
{
	if (!wait->addr || !cprof_wait_is_futex(wait->syscall) || wait->syscall == SYS_futex_waitv)
		return NULL;
	struct cprof_wait_evidence *evidence;
	struct cprof_error *err = find(all, wait, &evidence);
	if (err || !evidence)
		return err;
	evidence->waits++;
	evidence->others += value_of(wait) != evidence->value;
	evidence->threads += take_role(all, evidence, wait->addr, wait->tid, WAITED);
	if (wait->waker_tid && wait->waker_tid != wait->tid) {
		evidence->wakes++;
		take_role(all, evidence, wait->addr, wait->waker_tid, WOKE);
	}
	evidence->untold += wait->woken && !wait->waker_tid;
	if (wait->has_word)
		note_word(evidence, value_of(wait), wait->word);
	return NULL;
}

const struct cprof_wait_evidence *cprof_wait_evidence_get(const struct cprof_wait_evidences *all,
							  uint64_t addr)
{
	static const struct cprof_wait_evidence none;
	const uint64_t *known = cprof_map64_get(&all->by_addr, addr);
	return known ? &all->words[*known] : &none;
}

/* Memory is used again for other things: a few exceptions make no counter of a lock. */
bool cprof_wait_evidence_counts(const struct cprof_wait_evidence *evidence)
{
	return evidence->others > evidence->waits / 4 || evidence->odd > evidence->words / 2;
}

bool cprof_wait_evidence_locks(const struct cprof_wait_evidence *evidence)
{
	if (!evidence->value || !is_state(evidence->value) || cprof_wait_evidence_counts(evidence))
		return false;
	const bool waited_for = evidence->value == 2 || evidence->value == 3;
	return evidence->crossed || (waited_for && evidence->words > 0);
}
