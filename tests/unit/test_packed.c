/* SPDX-License-Identifier: Apache-2.0 */
/* Streams that are made piece by piece, and again: what zlib packed must come out, whatever way they are gone. */
#include "cprof/image.h"
#include "symbolize/elf/packed.h"
#include "tests/unit/test.h"

#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#define SIZE (5u << 20) /* five spans */

struct stream {
	uint8_t *plain, *packed; /* owned */
	size_t size, n_packed;
	bool unreadable;
};

static uint64_t next_number(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 33;
}

/* Text with copies from near and far, long runs, and places that nothing can be said of. */
static uint8_t *make_plain(size_t size, uint64_t seed)
{
	uint8_t *bytes = malloc(size);
	CHECK(bytes);
	for (size_t at = 0; at < size;) {
		size_t n = 1 + next_number(&seed) % 700, kind = next_number(&seed) % 4;
		size_t back = 1 + next_number(&seed) % (kind == 1 ? 12 : 32768);
		for (size_t i = 0; i < n && at < size; i++, at++)
			bytes[at] = kind < 2 && back <= at ? bytes[at - back]
				    : kind == 2            ? (uint8_t)next_number(&seed)
						: (uint8_t)('a' + next_number(&seed) % 7);
	}
	return bytes;
}

static struct stream pack(size_t size, int level, int strategy)
{
	struct stream stream = { make_plain(size, (uint64_t)level + 1), malloc(2 * size + 1000),
				 size, 0, false };
	z_stream z = { 0 };
	CHECK(stream.packed && deflateInit2(&z, level, Z_DEFLATED, 15, 9, strategy) == Z_OK);
	z.next_in = stream.plain;
	z.avail_in = (uInt)size;
	z.next_out = stream.packed;
	z.avail_out = (uInt)(2 * size + 1000);
	CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
	stream.n_packed = z.total_out;
	deflateEnd(&z);
	return stream;
}

static void free_stream(struct stream *stream)
{
	free(stream->plain);
	free(stream->packed);
}

static bool read_stream(void *ctx, uint64_t offset, uint8_t *buf, size_t n)
{
	const struct stream *stream = ctx;
	CHECK(offset <= stream->n_packed && n <= stream->n_packed - offset);
	memcpy(buf, stream->packed + offset, n);
	return !stream->unreadable;
}

/* In pieces of `step` bytes; with `seeks` each from the place where the one before ended, by a decoder that knows nothing else. */
static bool comes_out(struct stream *stream, size_t step, bool seeks)
{
	struct cprof_inflater inflater;
	struct cprof_inflater_place place;
	uint8_t *out = calloc(1, stream->size + 1);
	bool good = true;
	CHECK(out && cprof_inflater_init(&inflater, read_stream, stream, 2, stream->n_packed - 4));
	for (size_t at = 0; good && at < stream->size; at += step) {
		size_t n = stream->size - at < step ? stream->size - at : step;
		good = cprof_inflater_make(&inflater, out, out + at, out + at + n);
		CHECK(out[at + n] == 0); /* not one byte more */
		cprof_inflater_tell(&inflater, &place);
		if (seeks)
			good = good && cprof_inflater_seek(&inflater, &place);
	}
	good = good && memcmp(out, stream->plain, stream->size) == 0;
	cprof_inflater_deinit(&inflater);
	free(out);
	return good;
}

TEST(inflater_makes_what_was_packed_in_pieces_of_any_size)
{
	static const struct {
		size_t size;
		int level, strategy;
	} cases[] = {
		{ 1, 6, Z_DEFAULT_STRATEGY },      { 300, 9, Z_FIXED },
		{ 200000, 0, Z_DEFAULT_STRATEGY }, { 200000, 1, Z_DEFAULT_STRATEGY },
		{ 200000, 6, Z_DEFAULT_STRATEGY }, { 200000, 9, Z_FIXED },
		{ 200000, 9, Z_HUFFMAN_ONLY },     { 200000, 9, Z_RLE },
		{ 700000, 9, Z_DEFAULT_STRATEGY },
	};
	static const size_t steps[] = { 1u << 30, 65536, 1009, 277 };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stream stream = pack(cases[i].size, cases[i].level, cases[i].strategy);
		for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
			CHECK(comes_out(&stream, steps[k], false));
			CHECK(comes_out(&stream, steps[k], true));
		}
		if (cases[i].size <= 300)
			CHECK(comes_out(&stream, 1, true));
		free_stream(&stream);
	}
}

/* Bytes of one value, of which each takes one bit as does the end of the block, then others. */
static struct stream pack_short_codes(size_t n_stored, size_t n_short)
{
	const size_t size = n_stored + n_short + 2000, room = size + 10000;
	struct stream stream = { make_plain(size, 5), malloc(room), size, 0, false };
	z_stream z = { 0 };
	CHECK(stream.packed && deflateInit2(&z, 0, Z_DEFLATED, 15, 9, Z_HUFFMAN_ONLY) == Z_OK);
	memset(stream.plain + n_stored, 'a', n_short);
	z.next_in = stream.plain;
	z.next_out = stream.packed;
	z.avail_out = (uInt)room;
	z.avail_in = (uInt)n_stored;
	CHECK(deflate(&z, Z_BLOCK) == Z_OK);
	CHECK(deflateParams(&z, 9, Z_HUFFMAN_ONLY) == Z_OK);
	z.avail_in = (uInt)n_short;
	CHECK(deflate(&z, Z_BLOCK) == Z_OK);
	z.avail_in = 2000;
	CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
	stream.n_packed = z.total_out;
	deflateEnd(&z);
	return stream;
}

TEST(inflater_goes_on_where_its_input_ended_in_the_middle_of_bits_that_it_had_taken)
{
	for (size_t i = 0; i < 48 * 8; i++) {
		const size_t n_short = 2400 + i % 8;
		const size_t n_stored = CPROF_INFLATER_INPUT - 376 + i / 8;
		struct stream stream = pack_short_codes(n_stored, n_short);
		CHECK(comes_out(&stream, n_stored + n_short, false));
		free_stream(&stream);
	}
}

TEST(inflater_stops_at_streams_that_are_cut_broken_or_unreadable)
{
	struct stream stream = pack(60000, 6, Z_DEFAULT_STRATEGY);
	size_t whole = stream.n_packed;
	uint64_t seed = 7;
	for (stream.n_packed = 7; stream.n_packed < whole; stream.n_packed += 997)
		CHECK(!comes_out(&stream, 4096, false));
	stream.n_packed = whole;
	for (int i = 0; i < 400; i++) {
		/* Anything may come out, but nothing may happen. */
		size_t at = 2 + next_number(&seed) % (whole - 6);
		uint8_t was = stream.packed[at];
		stream.packed[at] ^= (uint8_t)(1u << i % 8);
		comes_out(&stream, 4096, i % 2 != 0);
		stream.packed[at] = was;
	}
	stream.unreadable = true;
	CHECK(!comes_out(&stream, 4096, false));
	free_stream(&stream);
}

TEST(inflater_refuses_codes_that_cannot_be)
{
	static const struct {
		const char *what;
		uint8_t bytes[12];
		size_t n;
	} cases[] = {
		{ "a block of the kind that does not exist", { 0x07 }, 1 },
		{ "a stored block whose length is not confirmed", { 0x01, 5, 0, 0xfb, 0xff }, 5 },
		{ "a distance before the start", { 0x4b, 0x04, 0x12, 0x00 }, 4 },
		{ "too many codes of length 1",
		  { 0x05, 0xe0, 0x81, 0x92, 0x24, 0x49, 0x92, 0x24 },
		  8 },
		{ "no input at all", { 0 }, 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stream stream = { .size = 100, .n_packed = 2 + cases[i].n + 4 };
		stream.packed = calloc(1, stream.n_packed);
		stream.plain = calloc(1, 100);
		CHECK(stream.packed && stream.plain);
		memcpy(stream.packed + 2, cases[i].bytes, cases[i].n);
		if (comes_out(&stream, 10, false))
			TEST_FAIL("%s was read", cases[i].what);
		free_stream(&stream);
	}
}

/* ---- an image of spans ---- */

static struct cprof_content_key key;

static int file_of(const uint8_t *bytes, size_t n)
{
	int fd = memfd_create("bytes", MFD_CLOEXEC);
	CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	for (size_t i = 0; i < CPROF_CONTENT_HASH_WORDS; i++)
		key.words[i] = i * 0x9e3779b97f4a7c15ull + 12345;
	key.point = 99991;
	return fd;
}

static bool read_file(void *ctx, uint64_t offset, uint8_t *buf, size_t n)
{
	return cprof_image_copy(ctx, offset, buf, n);
}

static struct cprof_image *image_of(int fd, const struct stream *stream,
				    struct cprof_image **ret_file)
{
	struct cprof_image *image;
	CHECK(!cprof_image_open(fd, "packed", NULL, ret_file));
	struct cprof_packed *packed =
		cprof_packed_new(read_file, *ret_file, 0, 0, stream->n_packed, stream->size, &key);
	CHECK(packed && !cprof_image_from_packed(packed, stream->size, &image));
	return image;
}

static bool says(struct cprof_image *image, const struct stream *stream, uint64_t at, uint64_t n)
{
	const uint8_t *bytes = cprof_image_at(image, at, n);
	return bytes && memcmp(bytes, stream->plain + at, n) == 0;
}

TEST(packed_image_makes_a_span_when_it_is_asked_for_and_again_after_it_was_forgotten)
{
	struct stream stream = pack(SIZE + 12345, 6, Z_DEFAULT_STRATEGY);
	int fd = file_of(stream.packed, stream.n_packed);
	struct cprof_image *file, *image = image_of(fd, &stream, &file);
	CHECK(says(image, &stream, 0, 10));
	CHECK_UINT(cprof_image_resident(image), CPROF_PACKED_SPAN);
	CHECK(says(image, &stream, CPROF_PACKED_SPAN - 5, 10));
	CHECK_UINT(cprof_image_resident(image), 2 * CPROF_PACKED_SPAN);
	/* Only whole spans go: the second one has bytes that were not given back. */
	cprof_image_forget(image, 0, 2 * CPROF_PACKED_SPAN - 1);
	CHECK_UINT(cprof_image_resident(image), CPROF_PACKED_SPAN);
	CHECK(says(image, &stream, 4 * CPROF_PACKED_SPAN, 1000));
	cprof_image_forget(image, 0, stream.size);
	CHECK_UINT(cprof_image_resident(image), 0);
	/* Backwards, where none has the one before it in memory, and the end, which was never made. */
	for (uint64_t span = 4; span-- > 0;)
		CHECK(says(image, &stream, span << CPROF_PACKED_SHIFT, CPROF_PACKED_SPAN));
	CHECK(says(image, &stream, SIZE, 12345));
	CHECK(!cprof_image_at(image, SIZE, 12346));
	CHECK(says(image, &stream, 0, stream.size));
	cprof_image_free(image);
	cprof_image_free(file);
	close(fd);
	free_stream(&stream);
}

TEST(packed_image_takes_no_span_that_says_something_else_the_second_time)
{
	struct stream stream =
		pack(SIZE, 0, Z_DEFAULT_STRATEGY); /* stored: a byte changes a byte */
	int fd = file_of(stream.packed, stream.n_packed);
	struct cprof_image *file, *image = image_of(fd, &stream, &file);
	struct cprof_content_hash hash;
	cprof_content_hash_init(&hash, &key);
	cprof_content_hash_add(&hash, stream.packed, stream.n_packed);
	uint64_t digest = cprof_content_hash_end(&hash);
	CHECK(says(image, &stream, 0, 3 * CPROF_PACKED_SPAN));
	CHECK(cprof_packed_has_digest(image->packed, digest));
	cprof_image_forget(image, 0, stream.size);
	CHECK(pwrite(fd, "changed", 7, 1000) == 7);
	CHECK(!cprof_image_at(image, 0, 10));
	CHECK(says(image, &stream, CPROF_PACKED_SPAN, 10));
	/* What was read when it counted is what the digest is of; what is still to be read is looked at now. */
	CHECK(cprof_packed_has_digest(image->packed, digest));
	CHECK(pwrite(fd, "changed", 7, (off_t)stream.n_packed - 1000) == 7);
	CHECK(!cprof_packed_has_digest(image->packed, digest));
	cprof_image_free(image);
	cprof_image_free(file);
	close(fd);
	free_stream(&stream);
}

TEST(packed_image_has_nothing_behind_the_place_where_its_stream_breaks)
{
	struct stream stream = pack(SIZE, 6, Z_DEFAULT_STRATEGY);
	stream.packed[stream.n_packed / 2] ^= 0x55;
	stream.packed[stream.n_packed - 1] ^=
		1; /* and should it be read to its end: the sum is not that of its bytes */
	int fd = file_of(stream.packed, stream.n_packed);
	struct cprof_image *file, *image = image_of(fd, &stream, &file);
	CHECK(says(image, &stream, 0, CPROF_PACKED_SPAN));
	CHECK(!cprof_image_at(image, SIZE - 1, 1));
	CHECK(!cprof_image_at(image, SIZE - 1, 1));
	cprof_image_free(image);
	cprof_image_free(file);
	close(fd);
	free_stream(&stream);
}

TEST(packed_stream_must_have_the_header_of_one)
{
	struct stream stream = pack(1000, 6, Z_DEFAULT_STRATEGY);
	stream.packed[0] = 0x79;
	int fd = file_of(stream.packed, stream.n_packed);
	struct cprof_image *file;
	CHECK(!cprof_image_open(fd, "packed", NULL, &file));
	CHECK(!cprof_packed_new(read_file, file, 0, 0, stream.n_packed, 1000, NULL));
	CHECK(!cprof_packed_new(read_file, file, 0, 0, 3, 1000, NULL));
	cprof_image_free(file);
	close(fd);
	free_stream(&stream);
}

/* ---- an image of a file ---- */

TEST(image_forgets_pieces_of_a_file_and_takes_none_that_changed_meanwhile)
{
	struct cprof_image *image;
	struct stream stream = { make_plain(300000, 3), NULL, 300000, 0, false };
	int fd = file_of(stream.plain, stream.size);
	CHECK(!cprof_image_open(fd, "test", NULL, &image));
	image->key = &key;
	CHECK(says(image, &stream, 0, 300000));
	cprof_image_forget(image, 10, 300000);
	CHECK_UINT(cprof_image_resident(image), 65536);
	CHECK(says(image, &stream, 0, 100000));
	uint8_t byte = (uint8_t)~stream.plain[200000];
	CHECK(pwrite(fd, &byte, 1, 200000) == 1);
	CHECK(!cprof_image_at(image, 200001, 1));
	CHECK(!cprof_image_look(image, 196608, (uint8_t[8]){ 0 }, 8));
	CHECK(says(image, &stream, 262144, 300000 - 262144));
	cprof_image_free(image);
	close(fd);
	free_stream(&stream);
}
