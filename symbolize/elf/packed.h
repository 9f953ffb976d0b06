/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/elf/packed.h - the bytes of a large zlib stream in a file, made a span at a time and each again when it is wanted again.
 *
 * Owns the way through the stream (inflater.h) and a mark at the start of each span, from where it can be made once more. So that a
 * compressed section of hundreds of megabytes can be read from end to end in a few. Leaves what is kept, and where, to image.c.
 *
 * Source of truth: RFC 1950 "ZLIB Compressed Data Format Specification".
 */
#ifndef CPROF_SYMBOLIZE_ELF_PACKED_H
#define CPROF_SYMBOLIZE_ELF_PACKED_H

#include "base/content_hash.h"
#include "symbolize/elf/inflater.h"

#define CPROF_PACKED_SHIFT 20
#define CPROF_PACKED_SPAN  (1ull << CPROF_PACKED_SHIFT)

struct cprof_packed_mark {
	struct cprof_inflater_place place;
	uint8_t *
		window; /* owned; what is in front of the span; NULL: it is still where it was made */
};

struct cprof_packed {
	cprof_inflater_read_fn *read; /* with `file`, borrowed: the bytes as they are there now */
	void *file;
	uint64_t start, end; /* of the stream in the file */
	uint64_t size;       /* of what it makes */

	struct cprof_inflater front; /* makes what was never made */
	struct cprof_inflater again; /* the others */
	bool again_open;
	uint64_t n_made;                 /* spans that have been made once */
	struct cprof_packed_mark *marks; /* owned; [span], n_made + 1 are known */
	uint32_t check;                  /* Adler-32 of what has been made */

	const struct cprof_content_key *key; /* borrowed; NULL: no hash is wanted */
	struct cprof_content_hash hash; /* of what was read for `front` so far, and all before */
};

/*
 * The stream of [start, end) of what `read` reads, which says that it makes `size` bytes. With a `key` what is really read is hashed, `header_start`
 * to `start` first. NULL: it is none, or no memory.
 */
struct cprof_packed *cprof_packed_new(cprof_inflater_read_fn *read, void *file,
				      uint64_t header_start, uint64_t start, uint64_t end,
				      uint64_t size, const struct cprof_content_key *key);
void cprof_packed_free(struct cprof_packed *packed);

/*
 * Make a span where it belongs in `copy`, which has room for `size` bytes. `span` is at most n_made. `before`: the span in front of it is
 * there; else its last bytes are overwritten with what they were, and may be given back. False: the stream is broken or ends before.
 */
bool cprof_packed_make(struct cprof_packed *packed, uint8_t *copy, uint64_t span, bool before);

/* Before the span goes from `copy`: keep what the one behind it takes. False: no memory, and then it must stay. */
bool cprof_packed_leave(struct cprof_packed *packed, const uint8_t *copy, uint64_t span);

/* Whether the bytes from header_start to the end, as far as they were not read as they are now, have this hash. */
bool cprof_packed_has_digest(const struct cprof_packed *packed, uint64_t digest);

#endif
