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

#define CHUNK_SHIFT 16
#define CHUNK       (1ull << CHUNK_SHIFT)
#define PAGE        4096ull
#define MANY_CHUNKS 64
#define LONG_STRING 1024 /* looking for the end of a longer one costs a step for so many bytes */
#define OPEN_STEPS  1000 /* what opening a file costs */
#define SIZE_MAX_   (64ull << 30)

enum chunk_state { CHUNK_ABSENT, CHUNK_READ, CHUNK_FAILED };

static uint64_t n_chunks(const struct cprof_image *image)
{
	return (image->size + CHUNK - 1) >> CHUNK_SHIFT;
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
	/* The copy is what counts from now on; the file's pages need not count as ours too. */
	uint64_t skip = offset & (PAGE - 1);
	if (image->source)
		madvise((void *)(uintptr_t)(image->source + offset - skip), len + skip,
			MADV_DONTNEED);
	return true;
}

static bool read_chunk(struct cprof_image *image, uint64_t chunk)
{
	uint64_t start = chunk << CHUNK_SHIFT;
	uint64_t end = start + CHUNK < image->size ? start + CHUNK : image->size;
	return cprof_account_charge(image->account, CPROF_BUDGET_READ, end - start) &&
	       cprof_account_charge(image->account, CPROF_BUDGET_HELD, end - start) &&
	       read_all(image, start, image->copy + start, end - start);
}

const uint8_t *cprof_image_at(struct cprof_image *image, uint64_t offset, uint64_t len)
{
	if (offset > image->size || len > image->size - offset)
		return NULL;
	if (image->chunks && len) {
		uint64_t first = offset >> CHUNK_SHIFT, last = (offset + len - 1) >> CHUNK_SHIFT;
		/* A large part, asked for again and again, costs each time. */
		if (last - first > MANY_CHUNKS &&
		    !cprof_account_charge(image->account, CPROF_BUDGET_STEPS,
					  (last - first) / MANY_CHUNKS))
			return NULL;
		for (uint64_t i = first; i <= last; i++) {
			if (image->chunks[i] == CHUNK_ABSENT)
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
	if (!image->chunks) {
		memcpy(buf, image->copy + offset, len);
		return true;
	}
	return cprof_account_charge(image->account, CPROF_BUDGET_READ, len) &&
	       read_all(image, offset, buf, len);
}

bool cprof_image_look(struct cprof_image *image, uint64_t offset, uint8_t *buf, uint64_t len)
{
	if (offset > image->size || len > image->size - offset)
		return false;
	for (uint64_t at = offset, end = offset + len; at < end;) {
		uint64_t chunk = at >> CHUNK_SHIFT, stop = (chunk + 1) << CHUNK_SHIFT;
		uint64_t n = (stop < end ? stop : end) - at;
		if (image->chunks && image->chunks[chunk] == CHUNK_READ)
			memcpy(buf + (at - offset), image->copy + at, n);
		else if (!cprof_image_copy(image, at, buf + (at - offset), n))
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
		n += image->chunks[i] == CHUNK_READ ? CHUNK : 0;
	return n < image->size ? n : image->size;
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
	*image = (struct cprof_image){ .size = (uint64_t)st.st_size, .fd = -1 };
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
	free(image->chunks);
	free(image);
}
