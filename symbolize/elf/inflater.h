/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/elf/inflater.h - a deflate stream that can be stopped after any byte, and gone on with from any place noted before.
 *
 * Owns decoding and its input. libdeflate, which we use where all of a stream is wanted, makes it only whole; zlib stops anywhere, but
 * takes twice as long and cannot go back. What has been made lies where the caller wants it, and what was made before lies in
 * front of it: the stream refers up to WINDOW bytes back. Any input is safe; where it is broken the stream ends.
 *
 * Source of truth: RFC 1951 "DEFLATE Compressed Data Format Specification".
 */
#ifndef CPROF_SYMBOLIZE_ELF_INFLATER_H
#define CPROF_SYMBOLIZE_ELF_INFLATER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPROF_INFLATER_WINDOW 32768u
#define CPROF_INFLATER_INPUT  (256u << 10) /* read at once */

/* Copy `n` packed bytes that start at `offset`; false: they cannot be read. */
typedef bool cprof_inflater_read_fn(void *ctx, uint64_t offset, uint8_t *buf, size_t n);

/* Where the decoder stands between two bytes of its output; all that it takes to go on but for the window. */
struct cprof_inflater_place {
	uint64_t bit; /* of the input, the next to be read */
	uint8_t block;
	bool last;
	uint32_t left; /* of a stored block, or of a copy from `distance` back */
	uint32_t distance;
	uint16_t n_litlens;     /* of code_lens; the rest are distances' */
	uint8_t code_lens[160]; /* of a coded block, two in a byte */
};

struct cprof_inflater {
	cprof_inflater_read_fn *read; /* with ctx */
	void *ctx;
	uint64_t size; /* of the input */

	/* Private. */
	uint8_t *input; /* owned */
	const uint8_t *at, *end;
	uint64_t next; /* offset of what follows `end` */
	uint64_t bits;
	unsigned n_bits;
	bool failed;
	struct cprof_inflater_place place;      /* `bit` is kept up only by cprof_inflater_tell() */
	uint32_t litlens[2400], distances[512]; /* decoding tables: see inflater.c */
};

/* False: no memory. `offset` is where the stream begins in what `read` reads, `size` where it ends. */
bool cprof_inflater_init(struct cprof_inflater *inflater, cprof_inflater_read_fn *read, void *ctx,
			 uint64_t offset, uint64_t size);
void cprof_inflater_deinit(struct cprof_inflater *inflater);

/*
 * Make the bytes [out, end) and not one more; those of [start, out) have been made, as far as WINDOW bytes back. False: the stream is broken,
 * ends before or could not be read, from now on.
 */
bool cprof_inflater_make(struct cprof_inflater *inflater, const uint8_t *start, uint8_t *out,
			 uint8_t *end);

void cprof_inflater_tell(const struct cprof_inflater *inflater,
			 struct cprof_inflater_place *ret_place);
bool cprof_inflater_seek(struct cprof_inflater *inflater, const struct cprof_inflater_place *place);

#endif
