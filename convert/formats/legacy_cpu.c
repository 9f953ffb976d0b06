/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/formats/legacy_cpu.c - gperftools' binary CPU profiles, and the Java agent's profiles.
 *
 * "CPU Profile Format" in gperftools' documentation: words of the writing machine's size and byte order,
 * 0 3 KIND PERIOD_US 0, then COUNT N ADDRESS*N until 0 1 0; a memory map or Java's names as text follow.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/formats/input_format.h"
#include "convert/formats/legacy.h"
#include "convert/formats/legacy_java.h"

struct words {
	const uint8_t *at, *end, *start;
	unsigned bytes;
	bool big_endian;
};

static bool next_word(struct words *words, uint64_t *ret)
{
	if ((size_t)(words->end - words->at) < words->bytes)
		return false;
	*ret = 0;
	for (unsigned i = 0; i < words->bytes; i++) {
		unsigned shift = words->big_endian ? words->bytes - 1 - i : i;
		*ret |= (uint64_t)words->at[i] << (8 * shift);
	}
	words->at += words->bytes;
	return true;
}

/* Try one size and byte order on the header: 0 3 KIND PERIOD 0. */
static bool read_header(struct words *words, uint64_t *ret_kind, uint64_t *ret_period_us)
{
	uint64_t header[5];
	for (size_t i = 0; i < 5; i++) {
		if (!next_word(words, &header[i]))
			return false;
	}
	*ret_kind = header[2];
	*ret_period_us = header[3];
	return header[0] == 0 && header[1] == 3 && header[2] <= 1 && header[3] > 0 &&
	       header[3] < INT64_MAX / 1000 && header[4] == 0;
}

static struct cprof_error *bad(const struct words *words, const char *why)
{
	return cprof_error_new(CPROF_ERR_BAD_DATA, "byte %zu: %s",
			       (size_t)(words->at - words->start), why);
}

static struct cprof_error *read_stack(struct cprof_legacy *legacy, struct words *words, uint64_t n,
				      unsigned caller_less)
{
	for (uint64_t i = 0; i < n; i++) {
		uint64_t address;
		if (!next_word(words, &address))
			return bad(words, "a stack is cut off");
		struct cprof_error *err =
			cprof_legacy_push(legacy, address - (i ? caller_less : 0));
		if (err)
			return err;
	}
	return NULL;
}

static struct cprof_error *read_samples(struct cprof_legacy *legacy, struct words *words,
					int64_t period_ns, unsigned caller_less)
{
	while (words->at < words->end) {
		uint64_t count, n;
		if (!next_word(words, &count) || !next_word(words, &n) ||
		    n > (uint64_t)(words->end - words->at) / words->bytes)
			return bad(words, "a sample is cut off");
		struct words before = *words;
		uint64_t only;
		if (count == 0 && n == 1 && next_word(&before, &only) && only == 0) {
			words->at = before.at;
			return NULL;
		}
		struct cprof_error *err = read_stack(legacy, words, n, caller_less);
		int64_t values[] = { (int64_t)count, (int64_t)(count * (uint64_t)period_ns) };
		if (!err)
			err = cprof_legacy_add(legacy, values, NULL);
		if (err)
			return err;
	}
	return NULL;
}

static uint32_t second_frame(const struct cprof_profile *p, uint32_t sample)
{
	const struct cprof_sample *s = &p->samples[sample];
	return s->n_locations > 1 ? p->stacks[s->first_location + 1] : UINT32_MAX;
}

/*
 * Where nearly all samples (all but one in 32) have the same second frame, it is the signal handler's, and
 * nobody wants it. The leaf itself comes from the signal's own record and is right.
 */
static struct cprof_error *drop_handler(struct cprof_profile *p)
{
	CPROF_AUTO(free) uint32_t *counts = calloc((size_t)p->n_locations + 1, sizeof(*counts));
	if (!counts)
		return cprof_error_no_memory();
	uint32_t common = UINT32_MAX;
	for (uint32_t i = 0; i < p->n_samples; i++) {
		uint32_t frame = second_frame(p, i);
		if (frame != UINT32_MAX && ++counts[frame] >= p->n_samples - p->n_samples / 32)
			common = frame;
	}
	for (uint32_t i = 0; common != UINT32_MAX && i < p->n_samples; i++) {
		struct cprof_sample *s = &p->samples[i];
		if (second_frame(p, i) != common)
			continue;
		p->stacks[s->first_location + 1] = p->stacks[s->first_location];
		s->first_location++;
		s->n_locations--;
	}
	return NULL;
}

static struct cprof_error *finish_native(struct cprof_legacy *legacy, struct cprof_lines *lines)
{
	struct cprof_error *err = drop_handler(legacy->profile);
	if (!err)
		err = drop_handler(legacy->profile);
	if (!err)
		err = cprof_legacy_finish(legacy, lines);
	if (!err)
		cprof_legacy_drop_doubles(legacy->profile);
	return err;
}

static struct cprof_error *read_profile(struct words *words, bool java, uint64_t period_us,
					struct cprof_profile **ret_profile)
{
	CPROF_AUTO(legacy) struct cprof_legacy legacy = { 0 };
	int64_t period_ns = (int64_t)period_us * 1000;
	struct cprof_error *err = cprof_legacy_init(&legacy);
	if (!err)
		err = cprof_profile_add_type(legacy.profile, "samples", "count");
	if (!err)
		err = cprof_profile_add_type(legacy.profile, "cpu", "nanoseconds");
	if (!err)
		err = cprof_profile_set_period(legacy.profile, "cpu", "nanoseconds", period_ns);
	if (!err)
		err = read_samples(&legacy, words, period_ns, java ? 0 : 1);
	CPROF_AUTO(lines)
	struct cprof_lines lines = { .at = (const char *)words->at,
				     .end = (const char *)words->end,
				     .start = (const char *)words->start,
				     .line_start = (const char *)words->at };
	if (!err)
		err = java ? cprof_legacy_java_names(&legacy, &lines, NULL)
			   : finish_native(&legacy, &lines);
	if (!err)
		*ret_profile = cprof_take_ptr(&legacy.profile);
	return err;
}

static struct cprof_error *read_cpu(const char *bytes, size_t n, struct cprof_profile **ret_profile)
{
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *start = (const uint8_t *)bytes;
		struct words words = { start, start + n, start, i < 2 ? 4 : 8, i & 1 };
		uint64_t kind, period_us;
		if (read_header(&words, &kind, &period_us))
			return read_profile(&words, kind == 1, period_us, ret_profile);
	}
	return NULL;
}

const struct cprof_input_format cprof_input_cpu = { "binary CPU profile", read_cpu };
