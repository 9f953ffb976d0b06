/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/image.h - the bytes of a file that others may change or truncate while we read it.
 *
 * Owns a lazily filled private copy: a piece that was read once never changes under its reader, what nobody
 * asks for is never read, and a file cut short is an answer (NULL), not a SIGBUS. The file stays reachable
 * after it was deleted, and costs address space instead of a descriptor (ten thousand modules, 256 descriptors).
 *
 * What it reads and holds it charges to the file's account (budget.h), and what that does not allow cannot be read.
 * Leaves the meaning of the bytes to elf_file.h.
 */
#ifndef CPROF_IMAGE_H
#define CPROF_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/budget.h"
#include "cprof/error.h"

struct cprof_content_key;
struct cprof_packed;

#ifdef __cplusplus
extern "C" {
#endif

struct cprof_image {
	uint64_t size; /* when it was opened */

	/* Private; cprof_image_at() is the way in. */
	uint8_t *copy;         /* owned; `size` bytes, zero where not read yet */
	const uint8_t *source; /* owned; the file, mapped; never dereferenced (it may shrink) */
	int fd;              /* owned; instead of `source` where copying from it is not permitted */
	uint8_t *chunks;     /* owned; what became of each piece; NULL: all are there */
	uint8_t chunk_shift; /* a piece has 2 to the power of this bytes */
	struct cprof_packed *packed; /* owned; makes them; NULL: they are read from the file */
	uint64_t *sums; /* owned; [piece]: hash of one that was given back; NULL: none was */
	const struct cprof_content_key *key; /* borrowed; of these; NULL: they are not kept */
	uint64_t had_again;                  /* bytes of pieces that were wanted again after that */
	bool heap;                           /* copy came from malloc */
	bool borrowed;                       /* copy is somebody else's */
	struct cprof_account *account; /* borrowed; pays for the file; NULL: nothing to be paid */
	bool is_file;                  /* counted there as an open one */
};

/*
 * The file behind `fd`, which stays the caller's and may be closed afterwards. `name` is for messages; `budget` pays, and
 * may be NULL for files of our own. Errors: OS, BAD_DATA (no regular file, empty, larger than 64 GiB, over the budget), NO_MEMORY.
 */
struct cprof_error *cprof_image_open(int fd, const char *name, struct cprof_budget *budget,
				     struct cprof_image **ret_image);

/* Who pays for it, so that he can pay for what it leads to; NULL: nobody. */
static inline struct cprof_budget *cprof_image_budget(const struct cprof_image *image)
{
	return image->account ? image->account->budget : NULL;
}

/* From bytes in memory; takes `bytes` (malloc), also on error. */
struct cprof_error *cprof_image_from_bytes(uint8_t *bytes, size_t size,
					   struct cprof_image **ret_image);

/* The same from bytes that stay the caller's, and live as long as the image. */
struct cprof_error *cprof_image_borrow(uint8_t *bytes, size_t size, struct cprof_image **ret_image);

/* From what `packed` makes; takes it, also on error. */
struct cprof_error *cprof_image_from_packed(struct cprof_packed *packed, uint64_t size,
					    struct cprof_image **ret_image);

void cprof_image_free(struct cprof_image *image);

/*
 * `len` bytes at `offset`; NULL where any of them is outside the file or could not be read (any more).
 * Borrowed until the image is freed, and constant from now on.
 */
const uint8_t *cprof_image_at(struct cprof_image *image, uint64_t offset, uint64_t len);

/*
 * The bytes as they are in the file now, past the copy: for what is read once and then held by nobody. False where
 * any of them is outside the file or could not be read.
 */
bool cprof_image_copy(struct cprof_image *image, uint64_t offset, uint8_t *buf, uint64_t len);

/* The same, but what is in the copy already comes from there: what cprof_image_at() has said, or would say now. */
bool cprof_image_look(struct cprof_image *image, uint64_t offset, uint8_t *buf, uint64_t len);

/* Like cprof_image_at for a zero-terminated string that ends before `limit`; NULL where it does not. */
const char *cprof_image_string(struct cprof_image *image, uint64_t offset, uint64_t limit);

/*
 * Give back the memory of what lies in [start, end): nothing that was borrowed from there is used any more. It is read again when it is
 * wanted again; where there is a key, and it is not what it was, it counts as unreadable. Images in which that happens too often, and those of
 * bytes in memory, keep what they have.
 */
void cprof_image_forget(struct cprof_image *image, uint64_t start, uint64_t end);

/* Bytes of the copy that were really read: what the image costs in memory. */
uint64_t cprof_image_resident(const struct cprof_image *image);

#ifdef __cplusplus
}
#endif

#endif
