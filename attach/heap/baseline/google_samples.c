/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/google_samples.h"

#include <string.h>

#include "attach/heap/baseline/baseline_data.h"
#include "attach/heap/baseline/baseline_stacks.h"

#define USER_SPACE  (1ull << 47)
#define PAGE        CPROF_BASELINE_PAGE
#define ASKED_MAX   (1u << 16) /* records in search of the list, in all */
#define HEADS       5 /* of those in the list that prove it: so many of the first ones at most */
#define LISTS_MAX   8 /* that are read to their ends in search of the one */
#define SIZE_MAX_   (1ull << 46)
#define RECORD_HEAD 24 /* lock, next, dead */
#define RECORD_MAX  640

/* ---- records ---- */

/* Offsets behind a record's head; 0: there is none. Lengths of records go with them. */
static const struct form {
	uint16_t handle, requested, bytes, weight, time, depth, stack, length;
} forms[] = {
	/* 2024 on */
	{ 1, 16, 32, 48, 56, 80, 88, 600 },
	/* for a while with data of the program's own */
	{ 1, 16, 32, 48, 64, 88, 96, 608 },
	/* 2023: the stack in the middle */
	{ 1, 16, 32, 568, 576, 48, 56, 600 },
	{ 1, 16, 40, 576, 584, 56, 64, 608 },
	/* 2022: without handles and times */
	{ 0, 8, 24, 560, 0, 40, 48, 576 },
};
#define N_FORMS (sizeof(forms) / sizeof(forms[0]))

struct head {
	uint64_t lock, next, dead;
};

static bool can_be(uint64_t addr)
{
	return addr >= PAGE && addr < USER_SPACE && addr % 8 == 0;
}

static uint64_t word(const uint8_t *record, size_t at)
{
	uint64_t value;
	memcpy(&value, record + RECORD_HEAD + at, sizeof(value));
	return value;
}

/* absl::Time: seconds, and quarters of nanoseconds. */
static uint64_t time_of(const uint8_t *record, size_t at)
{
	const uint64_t seconds = word(record, at);
	const uint64_t quarters = word(record, at + 8) & UINT32_MAX;
	return seconds < (1ull << 34) ? seconds * 1000000000ull + quarters / 4 : 0;
}

static bool decode(const struct cprof_google *google, unsigned number, const uint8_t *record,
		   struct cprof_google_sample *sample)
{
	const struct form *form = &forms[number];
	const uint64_t depth = word(record, form->depth);
	*sample = (struct cprof_google_sample){
		.requested = word(record, form->requested),
		.bytes = word(record, form->bytes),
		.weight = word(record, form->weight),
		.handle = form->handle ? word(record, 0) : 0,
		.born_ns = form->time ? time_of(record, form->time) : 0,
	};
	if (!depth || depth > CPROF_GOOGLE_DEPTH || !sample->bytes || sample->bytes > SIZE_MAX_ ||
	    sample->requested > sample->bytes || !sample->weight || sample->weight > SIZE_MAX_)
		return false;
	for (; sample->n < depth; sample->n++) {
		sample->addrs[sample->n] = word(record, form->stack + 8 * sample->n);
		/* The outermost may be anything: code that is no more, the end of a walk by frame pointers. */
		if (sample->n < 2 &&
		    !cprof_baseline_is_code(google->maps, sample->addrs[sample->n]))
			return false;
	}
	return true;
}

static bool read_record(struct cprof_baseline_memory *memory, uint64_t at, unsigned form,
			uint8_t record[RECORD_MAX])
{
	memset(record, 0, RECORD_MAX);
	return can_be(at) && cprof_baseline_memory_read(memory, at, record,
							RECORD_HEAD + (size_t)forms[form].length);
}

static struct head head_of(const uint8_t *record)
{
	struct head head;
	memcpy(&head, record, sizeof(head));
	return head;
}

/* ---- finding ---- */

/* Records from `at` on that are such by this form, of the first ones; 0: not even one. */
static unsigned proves(struct cprof_baseline_memory *memory, struct cprof_google *google,
		       unsigned form, uint64_t at)
{
	uint8_t record[RECORD_MAX];
	struct cprof_google_sample sample;
	unsigned good = 0;
	while (at && good < HEADS && google->asked < ASKED_MAX) {
		google->asked++;
		if (!read_record(memory, at, form, record) ||
		    !decode(google, form, record, &sample) || head_of(record).lock >> 32)
			return 0;
		good++;
		at = head_of(record).next;
	}
	return good;
}

/* Do the dead ones lead back to where their ring begins? */
static bool is_ring(struct cprof_baseline_memory *memory, struct cprof_google *google,
		    uint64_t begin, uint64_t at)
{
	struct head head;
	while (at != begin && google->asked < ASKED_MAX) {
		google->asked++;
		if (!can_be(at) || !cprof_baseline_memory_read(memory, at, &head, sizeof(head)))
			return false;
		at = head.dead;
	}
	return at == begin;
}

/* ---- all ---- */

struct cprof_error *cprof_google_samples_each(struct cprof_baseline_memory *memory,
					      const struct cprof_google *google,
					      cprof_google_sample_fn *fn, void *ctx,
					      uint64_t *ret_broken)
{
	uint8_t record[RECORD_MAX];
	struct cprof_google_sample sample;
	struct cprof_error *err = NULL;
	uint64_t at = google->first, passed = 0;
	*ret_broken = 0;
	for (unsigned i = 0; at && !err && i < CPROF_BASELINE_SAMPLED; i++) {
		/* One that is passed again is in a ring: this list has none. */
		if (at == passed) {
			++*ret_broken;
			break;
		}
		if ((i & (i - 1)) == 0)
			passed = at;
		if (!read_record(memory, at, google->form, record)) {
			++*ret_broken;
			break;
		}
		const struct head head = head_of(record);
		if (decode(google, google->form, record, &sample)) {
			sample.record = at;
			sample.lives = !head.dead;
			err = fn(ctx, &sample);
		} else {
			*ret_broken += !head.dead;
		}
		at = head.next;
	}
	return err;
}

/* ---- which ---- */

static struct cprof_error *count(void *ctx, const struct cprof_google_sample *sample)
{
	struct cprof_google *google = ctx;
	const uint64_t age = sample->handle ? sample->handle : sample->born_ns;
	google->newest = age > google->newest ? age : google->newest;
	google->living += sample->lives ? sample->bytes : 0;
	return NULL;
}

/* Is what this one has newer, or the same and less? */
static bool is_better(const struct cprof_google *one, const struct cprof_google *other)
{
	if (!other->first || one->newest != other->newest)
		return !other->first || one->newest > other->newest;
	return one->living < other->living;
}

/* words: the list's first record, and the ring's head, which is at `at`. */
static void try_at(struct cprof_baseline_memory *memory, struct cprof_google *google, uint64_t at,
		   const uint64_t words[4])
{
	uint64_t broken;
	if (!can_be(words[0]) || words[1] >> 32 || words[2] || !can_be(words[3]) ||
	    words[0] == words[3] || google->lists >= LISTS_MAX)
		return;
	for (unsigned form = 0; form < N_FORMS; form++) {
		struct cprof_google found = { .maps = google->maps,
					      .first = words[0],
					      .form = form };
		if (!proves(memory, google, form, words[0]) ||
		    !is_ring(memory, google, at, words[3]))
			continue;
		cprof_error_free(cprof_google_samples_each(memory, &found, count, &found, &broken));
		google->lists++;
		found.lists = google->lists;
		found.asked = google->asked;
		if (is_better(&found, google))
			*google = found;
		return;
	}
}

void cprof_google_find(struct cprof_baseline_memory *memory, uint64_t start, uint64_t end,
		       struct cprof_google *google)
{
	start = (start + 7) & ~7ull;
	end &= ~7ull;
	for (uint64_t at = cprof_baseline_memory_next(memory, start, end); at + 32 <= end;
	     at += 8) {
		uint64_t words[4];
		const uint8_t *bytes = cprof_baseline_memory_at(memory, at, sizeof(words), end);
		if (!bytes) {
			at = cprof_baseline_memory_next(memory, (at | (PAGE - 1)) + 1, end) - 8;
			continue;
		}
		memcpy(words, bytes, sizeof(words));
		try_at(memory, google, at + 8, words);
	}
}
