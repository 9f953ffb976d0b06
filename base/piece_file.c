/* SPDX-License-Identifier: Apache-2.0 */
#include "base/piece_file.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cprof/hash.h"

#define MAGIC    "cprofpf1"
#define PIECE    CPROF_PIECE_FILE_PIECE
#define FILE_MAX ((uint64_t)1 << 30)

/* At the end of the file, behind the sums; in the byte order of this machine. */
struct foot {
	char magic[8];
	uint64_t len; /* of the content */
	uint64_t sum; /* of the sums */
};
static_assert(sizeof(struct foot) == 24, "layout of the file");

enum state { UNREAD, GOOD, BAD };

struct cprof_piece_file {
	int fd;                     /* owned; -1: all of it is in `memory` */
	struct cprof_buffer memory; /* owned */
	uint8_t *
		content; /* owned where there is a descriptor: a mapping of `len` bytes, empty where nothing was read yet */
	size_t len, n_pieces;
	uint64_t *sums; /* owned */
	uint8_t *state; /* owned; of each piece */
	bool broken;
};

static size_t pieces_of(uint64_t len)
{
	return (size_t)((len + PIECE - 1) / PIECE);
}

static uint64_t sum_of(const uint64_t *sums, size_t n, uint64_t len)
{
	return cprof_hash_mix(cprof_hash_long(sums, n * sizeof(*sums)), len);
}

void cprof_piece_file_seal(struct cprof_buffer *bytes)
{
	const size_t len = bytes->len, n = pieces_of(len);
	struct foot foot = { .len = len };
	CPROF_AUTO(free) uint64_t *sums = calloc(n + 1, sizeof(*sums));
	if (!sums) {
		bytes->failed = true;
		return;
	}
	for (size_t i = 0; i < n; i++)
		sums[i] = cprof_hash_long(bytes->data + i * PIECE,
					  i + 1 < n ? PIECE : len - i * PIECE);
	memcpy(foot.magic, MAGIC, sizeof(foot.magic));
	foot.sum = sum_of(sums, n, len);
	cprof_buffer_append(bytes, sums, n * sizeof(*sums));
	cprof_buffer_append(bytes, &foot, sizeof(foot));
}

/* ---- reading ---- */

static bool read_at(const struct cprof_piece_file *file, uint64_t offset, void *room, size_t n)
{
	if (file->fd < 0) {
		if (offset > file->memory.len || n > file->memory.len - offset)
			return false;
		if (n)
			memmove(room, file->memory.data + offset, n);
		return true;
	}
	for (size_t done = 0; done < n;) {
		ssize_t got =
			pread(file->fd, (uint8_t *)room + done, n - done, (off_t)(offset + done));
		if (got == 0 || (got < 0 && errno != EINTR))
			return false;
		done += got > 0 ? (size_t)got : 0;
	}
	return true;
}

/* The sums of a file of `size` bytes, and room for its content. */
static bool open_in(struct cprof_piece_file *file, uint64_t size)
{
	struct foot foot;
	if (size < sizeof(foot) || size > FILE_MAX ||
	    !read_at(file, size - sizeof(foot), &foot, sizeof(foot)) ||
	    memcmp(foot.magic, MAGIC, sizeof(foot.magic)) != 0 || !foot.len || foot.len > size)
		return false;
	file->len = (size_t)foot.len;
	file->n_pieces = pieces_of(foot.len);
	if (size - sizeof(foot) - foot.len != file->n_pieces * sizeof(*file->sums))
		return false;
	file->sums = calloc(file->n_pieces, sizeof(*file->sums));
	file->state = calloc(file->n_pieces, sizeof(*file->state));
	if (!file->sums || !file->state ||
	    !read_at(file, foot.len, file->sums, file->n_pieces * sizeof(*file->sums)) ||
	    sum_of(file->sums, file->n_pieces, foot.len) != foot.sum)
		return false;
	file->content = file->memory.data;
	if (file->fd >= 0) {
		void *room = mmap(NULL, file->len, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		file->content = room == MAP_FAILED ? NULL : room;
	}
	return file->content;
}

struct cprof_piece_file *cprof_piece_file_open(int fd)
{
	struct stat st;
	struct cprof_piece_file *file = calloc(1, sizeof(*file));
	if (!file) {
		close(fd);
		return NULL;
	}
	file->fd = fd;
	if (fstat(fd, &st) < 0 || st.st_size < 0 || !open_in(file, (uint64_t)st.st_size)) {
		cprof_piece_file_free(file);
		return NULL;
	}
	return file;
}

struct cprof_piece_file *cprof_piece_file_of(struct cprof_buffer *bytes)
{
	struct cprof_piece_file *file = calloc(1, sizeof(*file));
	if (!file) {
		cprof_buffer_deinit(bytes);
		return NULL;
	}
	file->fd = -1;
	file->memory = *bytes;
	*bytes = (struct cprof_buffer){ 0 };
	if (!open_in(file, file->memory.len)) {
		cprof_piece_file_free(file);
		return NULL;
	}
	return file;
}

void cprof_piece_file_free(struct cprof_piece_file *file)
{
	if (!file)
		return;
	if (file->fd >= 0) {
		close(file->fd);
		if (file->content)
			munmap(file->content, file->len);
	}
	cprof_buffer_deinit(&file->memory);
	free(file->sums);
	free(file->state);
	free(file);
}

size_t cprof_piece_file_len(const struct cprof_piece_file *file)
{
	return file->len;
}

static bool need(struct cprof_piece_file *file, size_t piece)
{
	const size_t at = piece * PIECE, left = file->len - at, n = left < PIECE ? left : PIECE;
	if (file->state[piece] == UNREAD) {
		const bool good = read_at(file, at, file->content + at, n) &&
				  cprof_hash_long(file->content + at, n) == file->sums[piece];
		file->state[piece] = good ? GOOD : BAD;
		file->broken |= !good;
	}
	return file->state[piece] == GOOD;
}

const void *cprof_piece_file_at(struct cprof_piece_file *file, uint64_t offset, size_t n)
{
	if (!n || offset >= file->len || n > file->len - offset)
		return NULL;
	for (size_t i = (size_t)offset / PIECE; i <= (size_t)(offset + n - 1) / PIECE; i++) {
		if (!need(file, i))
			return NULL;
	}
	return file->content + offset;
}

const char *cprof_piece_file_text(struct cprof_piece_file *file, uint64_t offset)
{
	for (uint64_t at = offset; at < file->len; at = (at / PIECE + 1) * PIECE) {
		const uint64_t end = (at / PIECE + 1) * PIECE;
		if (!need(file, (size_t)at / PIECE))
			return NULL;
		if (memchr(file->content + at, 0,
			   (size_t)((end < file->len ? end : file->len) - at)))
			return (const char *)file->content + offset;
	}
	return NULL;
}

bool cprof_piece_file_is_broken(const struct cprof_piece_file *file)
{
	return file->broken;
}
