/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/pprof_read.h"

#include <stdio.h>
#include <zlib.h>

#include "convert/formats/input_format.h"
#include "cprof/merge.h"
#include "cprof/pprof_write.h"
#include "cprof/profile_scale.h"
#include "tests/unit/test.h"

static void ok(struct cprof_error *err)
{
	if (err)
		TEST_FAIL("%s", err->message);
}

/* Bytes of a message, put together field by field. */
struct message {
	uint8_t bytes[512];
	size_t n;
};

static void put(struct message *m, const void *bytes, size_t n)
{
	CHECK(m->n + n <= sizeof(m->bytes));
	memcpy(m->bytes + m->n, bytes, n);
	m->n += n;
}

static void varint(struct message *m, uint64_t x)
{
	for (; x >= 0x80; x >>= 7)
		put(m, &(uint8_t){ (uint8_t)(x | 0x80) }, 1);
	put(m, &(uint8_t){ (uint8_t)x }, 1);
}

static void number(struct message *m, unsigned field, uint64_t x)
{
	varint(m, field << 3);
	varint(m, x);
}

static void bytes(struct message *m, unsigned field, const void *at, size_t n)
{
	varint(m, field << 3 | 2);
	varint(m, n);
	put(m, at, n);
}

static void nested(struct message *m, unsigned field, const struct message *inner)
{
	bytes(m, field, inner->bytes, inner->n);
}

static void pair(struct message *m, unsigned field, uint64_t a, uint64_t b)
{
	struct message inner = { 0 };
	number(&inner, 1, a);
	number(&inner, 2, b);
	nested(m, field, &inner);
}

/* What a good profile has before its samples: a type, two locations of one function, strings. */
static void tables(struct message *m)
{
	static const char *const strings[] = { "", "samples", "count", "main", "main.c" };
	struct message function = { 0 }, line = { 0 };
	for (size_t i = 0; i < 5; i++)
		bytes(m, 6, strings[i], strlen(strings[i]));
	pair(m, 1, 1, 2);
	number(&function, 1, 7);
	number(&function, 2, 3);
	number(&function, 4, 4);
	nested(m, 5, &function);
	number(&line, 1, 7);
	number(&line, 2, 42);
	for (uint64_t id = 100; id <= 101; id++) {
		struct message location = { 0 };
		number(&location, 1, id);
		number(&location, 3, 0x1000 + id);
		nested(&location, 4, &line);
		nested(m, 4, &location);
	}
}

static void sample(struct message *m, uint64_t location, uint64_t value)
{
	pair(m, 2, location, value);
}

TEST(pprof_read_takes_packed_and_single_numbers_and_ids_of_any_size)
{
	struct message m = { 0 }, packed = { 0 }, inner = { 0 };
	sample(&m, 101, 5);
	varint(&packed, 100);
	varint(&packed, 101);
	bytes(&inner, 1, packed.bytes, packed.n);
	number(&inner, 2, (uint64_t)-3);
	nested(&m, 2, &inner);
	number(&m, 99, 12345); /* a field of a later version */
	tables(&m);
	struct cprof_profile *profile;
	ok(cprof_pprof_decode(m.bytes, m.n, &profile));
	CHECK_UINT(profile->n_samples, 2);
	CHECK_UINT(profile->stacks[0], 1);
	CHECK_UINT(profile->samples[1].n_locations, 2);
	CHECK_UINT(profile->values[1], -3);
	CHECK_STR(cprof_profile_text(profile, profile->functions[0].name), "main");
	CHECK_UINT(profile->lines[0].line, 42);
	cprof_profile_free(profile);
}

static void empty(struct message *m)
{
	(void)m;
}
static void unknown_location(struct message *m)
{
	tables(m);
	sample(m, 99, 1);
}
static void missing_value(struct message *m)
{
	struct message inner = { 0 };
	tables(m);
	number(&inner, 1, 100);
	nested(m, 2, &inner);
}
static void no_types(struct message *m)
{
	struct message none = { 0 };
	bytes(m, 6, "", 0);
	nested(m, 2, &none);
}
static void string_0_not_empty(struct message *m)
{
	bytes(m, 6, "x", 1);
}
static void string_out_of_range(struct message *m)
{
	tables(m);
	number(m, 14, 55);
}
static void negative_string(struct message *m)
{
	tables(m);
	number(m, 7, (uint64_t)-1);
}
static void function_id_0(struct message *m)
{
	struct message inner = { 0 };
	tables(m);
	number(&inner, 2, 3);
	nested(m, 5, &inner);
}
static void location_id_twice(struct message *m)
{
	struct message inner = { 0 };
	tables(m);
	number(&inner, 1, 100);
	nested(m, 4, &inner);
}
static void huge_id_twice(struct message *m)
{
	for (int i = 0; i < 2; i++) {
		struct message inner = { 0 };
		number(&inner, 1, UINT64_MAX);
		nested(m, 3, &inner);
	}
}
static void line_without_function(struct message *m)
{
	struct message line = { 0 }, inner = { 0 };
	number(&line, 1, 8);
	number(&inner, 1, 5);
	nested(&inner, 4, &line);
	tables(m);
	nested(m, 4, &inner);
}
static void time_twice(struct message *m)
{
	tables(m);
	number(m, 9, 1);
	number(m, 9, 2);
}
static void wrong_wire_type(struct message *m)
{
	tables(m);
	bytes(m, 12, "abc", 3);
}
static void group_wire_type(struct message *m)
{
	varint(m, 1 << 3 | 3);
}
static void length_beyond_end(struct message *m)
{
	varint(m, 2 << 3 | 2);
	varint(m, UINT64_MAX);
}
static void endless_varint(struct message *m)
{
	uint8_t ones[11];
	memset(ones, 0xff, sizeof(ones));
	put(m, ones, sizeof(ones));
}
static void packed_cut_off(struct message *m)
{
	struct message inner = { 0 };
	tables(m);
	bytes(&inner, 1, "\x80", 1);
	nested(m, 2, &inner);
}
static void field_number_0(struct message *m)
{
	number(m, 0, 1);
}

TEST(pprof_read_refuses_every_kind_of_damage_with_its_place_and_reason)
{
	static const struct {
		const char *what;
		void (*make)(struct message *);
		const char *want;
	} rows[] = {
		{ "empty", empty, "empty input file" },
		{ "a location that is not there", unknown_location, "a sample names location 99" },
		{ "no value", missing_value, "a sample has 0 values, the profile 1 types" },
		{ "no sample type", no_types, "samples, but no sample type" },
		{ "string 0", string_0_not_empty, "at byte 0: string_table[0] must be ''" },
		{ "string out of range", string_out_of_range, "string 55 of a table of 5" },
		{ "negative string", negative_string, "string -1 of a table of 5" },
		{ "id 0", function_id_0, "function with the reserved id 0" },
		{ "id twice", location_id_twice, "a second location with id 100" },
		{ "huge id twice", huge_id_twice, "a second mapping with id 18446744073709551615" },
		{ "line without function", line_without_function, "names function 8" },
		{ "two profiles in one file", time_twice, "concatenated profiles detected" },
		{ "wrong wire type", wrong_wire_type, "Profile.period has wire type 2" },
		{ "groups", group_wire_type, "at byte 0: unknown wire type" },
		{ "length beyond the end", length_beyond_end, "runs past the end" },
		{ "endless number", endless_varint, "longer than 10 bytes" },
		{ "packed numbers cut off", packed_cut_off, "a packed number is cut off" },
		{ "field 0", field_number_0, "a field number is 0" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message m = { 0 };
		struct cprof_profile *profile = NULL;
		rows[i].make(&m);
		struct cprof_error *err = cprof_pprof_decode(m.bytes, m.n, &profile);
		if (!err || err->code != CPROF_ERR_BAD_DATA || !strstr(err->message, rows[i].want))
			TEST_FAIL("%s: \"%s\", want \"%s\"", rows[i].what,
				  err ? err->message : "accepted", rows[i].want);
		cprof_error_free(err);
	}
}

TEST(pprof_read_survives_truncation_at_every_byte)
{
	struct message m = { 0 };
	sample(&m, 100, 5);
	tables(&m);
	size_t refused = 0;
	for (size_t n = 0; n < m.n; n++) {
		struct cprof_profile *profile = NULL;
		struct cprof_error *err = cprof_pprof_decode(m.bytes, n, &profile);
		refused += err != NULL;
		cprof_error_free(err);
		cprof_profile_free(profile);
	}
	CHECK(refused >= m.n - 3); /* only cuts between the last fields can leave a whole profile */
}

static struct cprof_buffer gzip(const void *at, size_t n)
{
	struct cprof_buffer out = { 0 };
	z_stream stream = { .next_in = (Bytef *)(uintptr_t)at, .avail_in = (uInt)n };
	CHECK(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) == Z_OK);
	CHECK(cprof_buffer_reserve(&out, deflateBound(&stream, n)));
	stream.next_out = out.data;
	stream.avail_out = (uInt)out.cap;
	CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
	out.len = stream.total_out;
	deflateEnd(&stream);
	return out;
}

TEST(pprof_read_stops_decompressing_a_bomb)
{
	size_t n = 200u << 20;
	uint8_t *zeroes = calloc(1, n);
	struct cprof_buffer bomb = gzip(zeroes, n);
	free(zeroes);
	struct cprof_profile *profile;
	struct cprof_error *err = cprof_pprof_decode(bomb.data, bomb.len, &profile);
	CHECK(err && err->code == CPROF_ERR_UNSUPPORTED &&
	      strstr(err->message, "not a profile but a bomb"));
	cprof_error_free(err);
	cprof_buffer_deinit(&bomb);
}

TEST(pprof_read_tells_where_a_compressed_file_is_cut_or_damaged)
{
	struct message m = { 0 };
	tables(&m);
	struct cprof_buffer packed = gzip(m.bytes, m.n);
	for (size_t n = 2; n < packed.len; n++) {
		struct cprof_profile *profile = NULL;
		struct cprof_error *err = cprof_pprof_decode(packed.data, n, &profile);
		if (!err || !strstr(err->message, "at byte"))
			TEST_FAIL("cut at %zu: %s", n, err ? err->message : "accepted");
		cprof_error_free(err);
	}
	packed.data[packed.len - 6] ^= 1; /* the checksum */
	struct cprof_profile *profile;
	struct cprof_error *err = cprof_pprof_decode(packed.data, packed.len, &profile);
	CHECK(err && strstr(err->message, "incorrect data check"));
	cprof_error_free(err);
	cprof_buffer_deinit(&packed);
}

TEST(pprof_read_gives_back_what_the_writer_wrote)
{
	struct message m = { 0 };
	sample(&m, 101, 5);
	tables(&m);
	struct cprof_profile *first, *second;
	struct cprof_buffer one = { 0 }, two = { 0 };
	ok(cprof_pprof_decode(m.bytes, m.n, &first));
	ok(cprof_pprof_encode(first, 6, &one));
	ok(cprof_pprof_decode(one.data, one.len, &second));
	ok(cprof_pprof_encode(second, 6, &two));
	CHECK_UINT(one.len, two.len);
	CHECK(memcmp(one.data, two.data, one.len) == 0);
	cprof_buffer_deinit(&one);
	cprof_buffer_deinit(&two);
	cprof_profile_free(first);
	cprof_profile_free(second);
}

TEST(source_reads_what_jemalloc_dumps)
{
	static const struct {
		const char *what, *text;
		uint32_t n_types, n_samples;
		int64_t values[4]; /* of the first sample */
	} rows[] = {
		{ "in use only, scaled",
		  "heap_v2/1024\n  t*: 3: 3072 [0: 0]\n  t0: 3: 3072 [0: 0] worker: [x]\n@ 0x11 0x21\n"
		  "  t*: 2: 2048 [0: 0]\n  t0: 2: 2048 [0: 0]\n@ 0x31\n  t*: 1: 1024 [0: 0]\n",
		  2,
		  2,
		  { 3, 3239 } }, /* 2048 / (1 - exp(-1)) */
		{ "with what was allocated, each block sampled",
		  "heap_v2/1\r\n  t*: 0: 0 [5: 500]\r\n@ 0x11\r\n  t*: 0: 0 [5: 500]\r\n  t1: 0: 0 [5: 500]\r\n",
		  4,
		  1,
		  { 5, 500, 0, 0 } },
		{ "a stack that nobody counts, and one without frames",
		  "heap_v2/1\n  t*: 1: 10 [0: 0]\n@ 0x99\n@\n  t*: 1: 10 [0: 0]\n\nMAPPED_LIBRARIES:\n",
		  2,
		  1,
		  { 1, 10 } },
		{ "nothing", "heap_v2/524288\n  t*: 0: 0 [0: 0]\n", 2, 0, { 0 } },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_profile *p = NULL;
		struct cprof_error *err =
			cprof_input_decode((const uint8_t *)rows[i].text, strlen(rows[i].text), &p);
		if (err || !p || p->n_types != rows[i].n_types || p->n_samples != rows[i].n_samples)
			TEST_FAIL("%s: %s", rows[i].what, err ? err->message : "other numbers");
		for (uint32_t v = 0; p && p->n_samples && v < p->n_types; v++) {
			if (p->values[v] != rows[i].values[v])
				TEST_FAIL("%s: value %u is %lld", rows[i].what, v,
					  (long long)p->values[v]);
		}
		cprof_error_free(err);
		cprof_profile_free(p);
	}
}

TEST(source_names_the_format_and_the_line_of_what_is_wrong_in_old_files)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "heap profile: 1: 2 [1: 2] @ heap_v2/4\nnonsense\n",
		  "heap profile as text: byte 38: not a heap sample: nonsense" },
		{ "heap profile: 1: 2 [1: 2] @ heap_v2/4\n0: 8 [0: 0] @ 0x1\n",
		  "bytes without objects" },
		{ "heap_v2/4\n  t*: 1: 8 [0: 0]\nnonsense\n",
		  "heap dump of jemalloc: byte 28: neither a stack" },
		{ "heap_v2/4\n  t*: 1: 8 [0: 0]\n@ 0x1\n  t*: 1: 8 [0\n",
		  "byte 34: not a count of objects" },
		{ "threads profile: total 3\nx @ 0x10\n", "byte 25: not \"COUNT @ ADDRESSES\"" },
		{ "threads profile: total 3\n1 @ 0x11111111111111111\n", "hex 64-bit number" },
		{ "--- contention:\ncycles/second = 1000\nabc @ 0x1\n", "not \"CYCLES COUNT" },
		{ "--- heapz 1 ---\nformat = cobol\n", "unknown attribute" },
		{ "--- threadz 1 ---\n\n--- what ---\n", "not the header of a thread" },
		{ "a 1\na 2x\n", "no profile: text of no known kind: a 1" },
		{ " \n\r\n\n", "no profile: nothing but blanks up to byte 5" },
		{ "\xfd"
		  "7zXZ\nmain;b 3\n",
		  "no profile: from byte 0 on it is compressed with xz" },
		{ "a;b 99999999999999999999\n", "folded stacks: byte 0: the count is beyond 64" },
		{ "just some text\n", "no profile: text of no known kind: just some text" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_profile *profile = NULL;
		struct cprof_error *err = cprof_input_decode((const uint8_t *)rows[i].text,
							     strlen(rows[i].text), &profile);
		if (!err || !strstr(err->message, rows[i].want))
			TEST_FAIL("%s: \"%s\", want \"%s\"", rows[i].text,
				  err ? err->message : "accepted", rows[i].want);
		cprof_error_free(err);
	}
}

TEST(input_that_is_a_tar_archive_is_no_folded_stack)
{
	uint8_t archive[1024] = "f.folded";
	struct cprof_profile *profile = NULL;
	memcpy(archive + 257, "ustar", 5);
	memcpy(archive + 512, "main;a 12\n", 10);
	struct cprof_error *err = cprof_input_decode(archive, sizeof(archive), &profile);
	CHECK(err && strstr(err->message, "it is a tar archive"));
	cprof_error_free(err);
}

TEST(merge_adds_equal_stacks_and_forgets_what_cancels_out)
{
	struct cprof_profile *pair[2], *sum;
	struct message m = { 0 };
	sample(&m, 100, 5);
	sample(&m, 101, 2);
	tables(&m);
	ok(cprof_pprof_decode(m.bytes, m.n, &pair[0]));
	ok(cprof_pprof_decode(m.bytes, m.n, &pair[1]));
	pair[1]->values[1] = 7;
	cprof_profile_scale(pair[1], -1);
	ok(cprof_merge(pair, 2, &sum));
	CHECK(!pair[0] && !pair[1]);
	CHECK_UINT(sum->n_samples, 1);
	CHECK_UINT(sum->n_locations, 1);
	CHECK_UINT(sum->values[0], -5);
	CHECK_UINT(sum->locations[0].address, 0x1000 + 101);
	cprof_profile_free(sum);
}
