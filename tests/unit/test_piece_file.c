/* SPDX-License-Identifier: Apache-2.0 */
#include "base/piece_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/unit/test.h"

#define PIECE CPROF_PIECE_FILE_PIECE
#define LEN   (3 * PIECE + 100)

/* Texts of 30 characters, each 31 bytes on. */
static void fill(struct cprof_buffer *bytes)
{
	char text[32];
	for (unsigned i = 0; bytes->len < LEN; i++) {
		snprintf(text, sizeof(text), "text number %018u", i);
		cprof_buffer_append(bytes, text, 31);
	}
	bytes->len = LEN;
	bytes->data[LEN - 1] = 0;
	cprof_piece_file_seal(bytes);
	CHECK(!bytes->failed);
}

/* The bytes in a file that has no name. */
static int in_file(const struct cprof_buffer *bytes)
{
	char path[] = "/tmp/cprof-unit-XXXXXX";
	int fd = mkstemp(path);
	CHECK(fd >= 0 && unlink(path) == 0);
	CHECK(write(fd, bytes->data, bytes->len) == (ssize_t)bytes->len);
	return fd;
}

static struct cprof_piece_file *open_it(const struct cprof_buffer *bytes, bool from_disk)
{
	struct cprof_buffer copy = { 0 };
	if (from_disk)
		return cprof_piece_file_open(in_file(bytes));
	cprof_buffer_append(&copy, bytes->data, bytes->len);
	return cprof_piece_file_of(&copy);
}

TEST(piece_file_gives_what_was_sealed_from_disk_and_memory)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	fill(&bytes);
	for (int from_disk = 0; from_disk < 2; from_disk++) {
		struct cprof_piece_file *file = open_it(&bytes, from_disk);
		CHECK(file);
		CHECK_UINT(cprof_piece_file_len(file), LEN);
		/* A text that crosses from one piece into the next, and one that ends in the last byte. */
		const uint64_t across = PIECE / 31 * 31, last = LEN / 31 * 31;
		CHECK_STR(cprof_piece_file_text(file, across), (const char *)bytes.data + across);
		CHECK_STR(cprof_piece_file_text(file, last), (const char *)bytes.data + last);
		const void *all = cprof_piece_file_at(file, 0, LEN);
		CHECK(all && memcmp(all, bytes.data, LEN) == 0);
		CHECK(!cprof_piece_file_at(file, 0, LEN + 1));
		CHECK(!cprof_piece_file_at(file, LEN, 1));
		CHECK(!cprof_piece_file_at(file, UINT64_MAX, 2));
		CHECK(!cprof_piece_file_at(file, 1, SIZE_MAX));
		CHECK(!cprof_piece_file_text(file, LEN));
		CHECK(!cprof_piece_file_text(file, UINT64_MAX));
		CHECK(!cprof_piece_file_is_broken(file));
		cprof_piece_file_free(file);
	}
}

TEST(piece_file_has_no_piece_that_was_changed_and_all_others)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	fill(&bytes);
	bytes.data[PIECE + 7] ^= 1;
	for (int from_disk = 0; from_disk < 2; from_disk++) {
		struct cprof_piece_file *file = open_it(&bytes, from_disk);
		CHECK(file);
		CHECK(cprof_piece_file_at(file, 0, PIECE));
		CHECK(cprof_piece_file_at(file, 2 * PIECE, LEN - 2 * PIECE));
		CHECK(!cprof_piece_file_is_broken(file));
		CHECK(!cprof_piece_file_text(file, PIECE / 31 * 31));
		CHECK(!cprof_piece_file_at(file, PIECE - 1, 2));
		CHECK(cprof_piece_file_is_broken(file));
		CHECK(cprof_piece_file_at(file, 0, PIECE));
		cprof_piece_file_free(file);
	}
}

TEST(piece_file_that_was_cut_or_changed_at_its_end_is_none)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	fill(&bytes);
	const size_t whole = bytes.len;
	for (size_t at = LEN; at < whole; at++) {
		bytes.data[at] ^= 0x10;
		CHECK(!open_it(&bytes, false));
		bytes.data[at] ^= 0x10;
	}
	for (size_t len = 0; len < whole; len += len < LEN - 50 ? 1000 : 1) {
		bytes.len = len;
		CHECK(!open_it(&bytes, false));
	}
	/* It is cut when it is open already. */
	bytes.len = whole;
	int fd = in_file(&bytes);
	struct cprof_piece_file *file = cprof_piece_file_open(dup(fd));
	CHECK(file && cprof_piece_file_at(file, 0, 1));
	CHECK(ftruncate(fd, PIECE + 5) == 0);
	CHECK(!cprof_piece_file_at(file, PIECE, 1));
	CHECK(cprof_piece_file_is_broken(file));
	cprof_piece_file_free(file);
	close(fd);
}
