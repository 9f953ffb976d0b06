/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/content_hash.h"
#include "symbolize/elf/packed.h"

#define CHUNK_SHIFT 16
#define PAGE        4096ull
#define AROUND                                                                                     \
	(512ull << 10) /* of a mapped file, up to so much comes with a page that is touched */
#define MANY_CHUNKS 64
#define LONG_STRING 1024 /* looking for the end of a longer one costs a step for so many bytes */
#define OPEN_STEPS  1000 /* what opening a file costs */
#define SIZE_MAX_   (64ull << 30)

#define AGAIN_STEP 32 /* bytes of a piece that is made or read again cost a step */

enum chunk_state { CHUNK_ABSENT, CHUNK_READ, CHUNK_FAILED, CHUNK_GONE };

static uint64_t chunk_size(const struct cprof_image *image)
{
	return 1ull << image->chunk_shift;
}

static uint64_t n_chunks(const struct cprof_image *image)
{
	return (image->size + chunk_size(image) - 1) >> image->chunk_shift;
}

/*
 * Copying out of our own mapping by a system call gives EFAULT where touching it would give SIGBUS. Sandboxes
 * may forbid the call; then the descriptor is kept and read with pread.
 */
static ssize_t read_at(const struct cprof_image *image, uint64_t offset, void *buf, size_t len)
{
	if (image->fd >= 0)
		return pread(image->fd, buf, len, (off_t)offset);
	struct iovec local = { buf, len };
	struct iovec remote = { (void *)(uintptr_t)(image->source + offset), len };
	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
}

static bool read_all(const struct cprof_image *image, uint64_t offset, uint8_t *buf, uint64_t len)
{
	for (uint64_t done = 0; done < len;) {
		ssize_t n = read_at(image, offset + done, buf + done, (size_t)(len - done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (uint64_t)n;
	}
	/* The copy is what counts from now on; the file's pages, and those that came with them, need not count as ours too. */
	uint64_t first = offset > AROUND ? (offset - AROUND) & ~(PAGE - 1) : 0;
	uint64_t end = image->size - offset - len > AROUND ? offset + len + AROUND : image->size;
	if (image->source)
		madvise((void *)(uintptr_t)(image->source + first), end - first, MADV_DONTNEED);
	return true;
}

/* ---- pieces ---- */

static uint64_t chunk_end(const struct cprof_image *image, uint64_t chunk)
{
	uint64_t end = (chunk + 1) << image->chunk_shift;
	return end < image->size ? end : image->size;
}

static void give_back(const struct cprof_image *image, uint64_t start, uint64_t end)
{
	/* Up to the next page, but for the last piece there is another one behind. */
	madvise(image->copy + start, end - start, MADV_DONTNEED);
}

static bool make_one(struct cprof_image *image, uint64_t chunk)
{
	bool before = chunk && image->chunks[chunk - 1] == CHUNK_READ;
	bool made = cprof_packed_make(image->packed, image->copy, chunk, before);
	uint64_t start = chunk << image->chunk_shift;
	if (chunk && !before)
		give_back(image, start - CPROF_INFLATER_WINDOW, start);
	return made;
}

/* What the stream makes before has to be made as well, the first time. */
static bool make_chunk(struct cprof_image *image, uint64_t chunk)
{
	for (uint64_t i; (i = image->packed->n_made) < chunk;) {
		image->chunks[i] = make_one(image, i) ? CHUNK_READ : CHUNK_FAILED;
		if (image->chunks[i] == CHUNK_FAILED)
			return false;
	}
	return make_one(image, chunk);
}

static uint64_t sum_of(const struct cprof_image *image, const uint8_t *bytes, uint64_t n)
{
	struct cprof_content_hash hash;
	cprof_content_hash_init(&hash, image->key);
	cprof_content_hash_add(&hash, bytes, n);
	return cprof_content_hash_end(&hash);
}

/* What was given back has been paid for, but not the work of having it again. */
static bool pay_for_chunk(struct cprof_image *image, uint64_t n, bool again)
{
	if (again) {
		image->had_again += n;
		return cprof_account_charge(image->account, CPROF_BUDGET_STEPS, n / AGAIN_STEP);
	}
	/* A stream's bytes were paid for as a whole, and what is read for them is paid where that is read. */
	return image->packed || (cprof_account_charge(image->account, CPROF_BUDGET_READ, n) &&
				 cprof_account_charge(image->account, CPROF_BUDGET_HELD, n));
}

static bool read_chunk(struct cprof_image *image, uint64_t chunk)
{
	uint64_t start = chunk << image->chunk_shift, n = chunk_end(image, chunk) - start;
	bool again = image->chunks[chunk] == CHUNK_GONE;
	if (!pay_for_chunk(image, n, again))
		return false;
	bool made = image->packed ? make_chunk(image, chunk)
				  : read_all(image, start, image->copy + start, n);
	return made && (!again || !image->sums ||
			image->sums[chunk] == sum_of(image, image->copy + start, n));
}

const uint8_t *cprof_image_at(struct cprof_image *image, uint64_t offset, uint64_t len)
{
	if (offset > image->size || len > image->size - offset)
		return NULL;
	if (image->chunks && len) {
		uint64_t first = offset >> image->chunk_shift;
		uint64_t last = (offset + len - 1) >> image->chunk_shift;
		/* A large part, asked for again and again, costs each time. */
		if (last - first > MANY_CHUNKS &&
		    !cprof_account_charge(image->account, CPROF_BUDGET_STEPS,
					  (last - first) / MANY_CHUNKS))
			return NULL;
		for (uint64_t i = first; i <= last; i++) {
			if (image->chunks[i] == CHUNK_ABSENT || image->chunks[i] == CHUNK_GONE)
				image->chunks[i] = read_chunk(image, i) ? CHUNK_READ : CHUNK_FAILED;
			if (image->chunks[i] == CHUNK_FAILED)
				return NULL;
		}
	}
	return image->copy + offset;
}

bool cprof_image_copy(struct cprof_image *image, uint64_t offset, uint8_t *buf, uint64_t len)
{
	if (offset > image->size || len > image->size - offset)
		return false;
	if (!image->chunks || image->packed) { /* made of bytes in memory, or of another file's */
		const uint8_t *bytes = cprof_image_at(image, offset, len);
		if (bytes)
			memcpy(buf, bytes, len);
		return bytes != NULL;
	}
	return cprof_account_charge(image->account, CPROF_BUDGET_READ, len) &&
	       read_all(image, offset, buf, len);
}

/* Of a piece that was given back what it says must be what it said; it is not kept for that. */
static bool look_again(struct cprof_image *image, uint64_t chunk, uint64_t offset, uint8_t *buf,
		       uint64_t n)
{
	uint64_t start = chunk << image->chunk_shift, size = chunk_end(image, chunk) - start;
	CPROF_AUTO(free) uint8_t *piece = malloc(size);
	if (!piece || !cprof_image_copy(image, start, piece, size) ||
	    (image->sums && image->sums[chunk] != sum_of(image, piece, size)))
		return false;
	memcpy(buf, piece + (offset - start), n);
	return true;
}

bool cprof_image_look(struct cprof_image *image, uint64_t offset, uint8_t *buf, uint64_t len)
{
	if (offset > image->size || len > image->size - offset)
		return false;
	for (uint64_t at = offset, end = offset + len; at < end;) {
		uint64_t chunk = image->chunks ? at >> image->chunk_shift : 0;
		uint64_t stop = image->chunks ? chunk_end(image, chunk) : end;
		uint64_t n = (stop < end ? stop : end) - at;
		uint8_t *to = buf + (at - offset);
		uint8_t state = image->chunks ? image->chunks[chunk] : (uint8_t)CHUNK_READ;
		if (state == CHUNK_FAILED)
			return false;
		if (state == CHUNK_READ)
			memcpy(to, image->copy + at, n);
		else if (state == CHUNK_GONE ? !look_again(image, chunk, at, to, n)
					     : !cprof_image_copy(image, at, to, n))
			return false;
		at += n;
	}
	return true;
}

const char *cprof_image_string(struct cprof_image *image, uint64_t offset, uint64_t limit)
{
	if (limit > image->size)
		limit = image->size;
	for (uint64_t at = offset; at < limit;) {
		uint64_t end = ((at >> CHUNK_SHIFT) + 1) << CHUNK_SHIFT;
		if (end > limit)
			end = limit;
		const uint8_t *bytes = cprof_image_at(image, at, end - at);
		if (!bytes)
			return NULL;
		const uint8_t *zero = memchr(bytes, 0, (size_t)(end - at));
		uint64_t len = (zero ? at + (uint64_t)(zero - bytes) : end) - offset;
		if (len > LONG_STRING &&
		    !cprof_account_charge(image->account, CPROF_BUDGET_STEPS, len / LONG_STRING))
			return NULL;
		if (zero)
			return (const char *)image->copy + offset;
		at = end;
	}
	return NULL;
}

uint64_t cprof_image_resident(const struct cprof_image *image)
{
	uint64_t n = 0;
	if (!image->chunks)
		return image->size;
	for (uint64_t i = 0; i < n_chunks(image); i++)
		n += image->chunks[i] == CHUNK_READ ? chunk_size(image) : 0;
	return n < image->size ? n : image->size;
}

static bool forget_chunk(struct cprof_image *image, uint64_t chunk)
{
	uint64_t start = chunk << image->chunk_shift, end = chunk_end(image, chunk);
	if (image->key && !image->sums) {
		image->sums = calloc(n_chunks(image), sizeof(*image->sums));
		if (!image->sums)
			return false;
	}
	if (image->packed && !cprof_packed_leave(image->packed, image->copy, chunk))
		return false;
	if (image->sums)
		image->sums[chunk] = sum_of(image, image->copy + start, end - start);
	image->chunks[chunk] = CHUNK_GONE;
	give_back(image, start, end);
	return true;
}

void cprof_image_forget(struct cprof_image *image, uint64_t start, uint64_t end)
{
	if (!image->chunks || start >= end || image->had_again > image->size)
		return;
	uint64_t first = (start + chunk_size(image) - 1) >> image->chunk_shift;
	uint64_t after = end >= image->size ? n_chunks(image) : end >> image->chunk_shift;
	for (uint64_t i = first; i < after; i++) {
		if (image->chunks[i] == CHUNK_READ && !forget_chunk(image, i))
			return;
	}
}

/* ---- opening ---- */

/* That there is no room for a file of any size which somebody else made is no lack of memory of ours. */
static struct cprof_error *reserve(struct cprof_image *image)
{
	void *copy = mmap(NULL, image->size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (copy == MAP_FAILED)
		return cprof_error_new(CPROF_ERR_BAD_DATA,
				       "no room to map its %" PRIu64 " bytes: %s", image->size,
				       strerror(errno));
	image->copy = copy;
	image->chunks = calloc(n_chunks(image), 1);
	return image->chunks ? NULL : cprof_error_no_memory();
}

static struct cprof_error *hold(struct cprof_image *image, int fd, const char *name)
{
	uint8_t probe;
	void *source = mmap(NULL, image->size, PROT_READ, MAP_SHARED, fd, 0);
	if (source != MAP_FAILED) {
		image->source = source;
		if (read_at(image, 0, &probe, 1) == 1)
			return NULL;
		munmap(source, image->size);
		image->source = NULL;
	}
	image->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return image->fd < 0 ? cprof_error_os(errno, "keep %s open", name) : NULL;
}

static struct cprof_error *pay(struct cprof_image *image, int fd, const char *name,
			       struct cprof_budget *budget)
{
	struct cprof_error *err = cprof_budget_account(budget, fd, name, &image->account);
	if (err)
		return err;
	/* Over the budget are steps already spent, and too many open files. */
	bool allowed = cprof_account_charge(image->account, CPROF_BUDGET_STEPS, OPEN_STEPS) &&
		       cprof_account_charge(image->account, CPROF_BUDGET_OPEN, 1);
	if (allowed && !cprof_account_charge(image->account, CPROF_BUDGET_MAPPED, image->size)) {
		cprof_account_release(image->account, CPROF_BUDGET_OPEN, 1);
		allowed = false;
	}
	image->is_file = allowed;
	return allowed ? NULL
		       : cprof_error_new(CPROF_ERR_BAD_DATA,
					 "reading it would take more than the budget allows");
}

struct cprof_error *cprof_image_open(int fd, const char *name, struct cprof_budget *budget,
				     struct cprof_image **ret_image)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return cprof_error_os(errno, "stat %s", name);
	if (!S_ISREG(st.st_mode))
		return cprof_error_new(CPROF_ERR_BAD_DATA, "%s is no regular file", name);
	if (st.st_size <= 0 || (uint64_t)st.st_size > SIZE_MAX_)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "%s is %s", name,
				       st.st_size ? "larger than 64 GiB" : "empty");
	struct cprof_image *image = calloc(1, sizeof(*image));
	if (!image)
		return cprof_error_no_memory();
	*image = (struct cprof_image){ .size = (uint64_t)st.st_size,
				       .chunk_shift = CHUNK_SHIFT,
				       .fd = -1 };
	struct cprof_error *err = budget ? pay(image, fd, name, budget) : NULL;
	if (!err)
		err = reserve(image);
	if (!err)
		err = hold(image, fd, name);
	if (err) {
		cprof_image_free(image);
		return err;
	}
	*ret_image = image;
	return NULL;
}

struct cprof_error *cprof_image_from_bytes(uint8_t *bytes, size_t size,
					   struct cprof_image **ret_image)
{
	struct cprof_image *image = calloc(1, sizeof(*image));
	if (!image) {
		free(bytes);
		return cprof_error_no_memory();
	}
	*image = (struct cprof_image){ .size = size, .copy = bytes, .fd = -1, .heap = true };
	*ret_image = image;
	return NULL;
}

struct cprof_error *cprof_image_borrow(uint8_t *bytes, size_t size, struct cprof_image **ret_image)
{
	struct cprof_image *image = calloc(1, sizeof(*image));
	if (!image)
		return cprof_error_no_memory();
	*image = (struct cprof_image){ .size = size, .copy = bytes, .fd = -1, .borrowed = true };
	*ret_image = image;
	return NULL;
}

struct cprof_error *cprof_image_from_packed(struct cprof_packed *packed, uint64_t size,
					    struct cprof_image **ret_image)
{
	struct cprof_image *image = calloc(1, sizeof(*image));
	if (!image) {
		cprof_packed_free(packed);
		return cprof_error_no_memory();
	}
	*image = (struct cprof_image){
		.size = size, .chunk_shift = CPROF_PACKED_SHIFT, .fd = -1, .packed = packed
	};
	image->key = packed->key;
	struct cprof_error *err = reserve(image);
	if (err) {
		cprof_image_free(image);
		return err;
	}
	*ret_image = image;
	return NULL;
}

void cprof_image_free(struct cprof_image *image)
{
	if (!image)
		return;
	if (image->heap)
		free(image->copy);
	else if (image->copy && !image->borrowed)
		munmap(image->copy, image->size);
	if (image->source)
		munmap((void *)(uintptr_t)image->source, image->size);
	if (image->fd >= 0)
		close(image->fd);
	if (image->is_file) {
		cprof_account_release(image->account, CPROF_BUDGET_OPEN, 1);
		cprof_account_release(image->account, CPROF_BUDGET_MAPPED, image->size);
	}
	cprof_packed_free(image->packed);
	free(image->sums);
	free(image->chunks);
	free(image);
}
