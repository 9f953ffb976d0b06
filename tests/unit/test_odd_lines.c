/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/test_odd_lines.c - other programs' texts with lines in them that are none of theirs: read, counted, told once.
 */
#include <stdio.h>

#include "convert/formats/input_format.h"
#include "convert/formats/utf16.h"
#include "tests/unit/test.h"

#define FOLDED_ODD "not \"FRAME;FRAME COUNT\""

/* A sample of perf script. */
#define SAMPLE "a 1 1.0: 100 cycles: \n\t 10 f+0x1 (/a)\n\n"
#define HEAP   "heap profile: 1: 2 [1: 2] @ heapprofile\n"

static struct cprof_profile *read(const char *text, size_t n, uint32_t *ret_notes)
{
	struct cprof_profile *profile = NULL;
	struct cprof_error *err = cprof_input_read((const uint8_t *)text, n, ret_notes, &profile);
	if (err)
		TEST_FAIL("%s: %s", text, err->message);
	return profile;
}

static int64_t sum(const struct cprof_profile *p, uint32_t type)
{
	int64_t all = 0;
	for (uint32_t i = 0; i < p->n_samples; i++)
		all += p->values[(size_t)i * p->n_types + type];
	return all;
}

TEST(odd_lines_are_left_out_counted_and_told)
{
	static const struct {
		const char *what, *text;
		uint32_t n_samples;
		int64_t sum; /* of the first type */
		const char *note;
	} rows[] = {
		{ "no count", "main;a 12\nmain;b 3\nmain;c\n", 2, 15,
		  "1 line was left out, at byte 19: " FOLDED_ODD ": main;c" },
		{ "cut off in the second line", "a;b 1\na;c", 1, 1, "byte 6: " FOLDED_ODD },
		{ "warnings first", "WARNING: no symbols\nerror: 3 lost\na;b 1\na;c 2\na;d 3\n", 3,
		  6, "2 lines were left out, the first at byte 0: " },
		{ "a count that is too large", "a;b 1\na;c 99999999999999999999\na;d 3\n", 2, 4,
		  "the count is beyond 64 bits" },
		{ "a frame without an address", SAMPLE "a 1 1.1: 50 cycles:\n\t zz foo (bar)\n", 2,
		  2, "byte 59: not a frame: " },
		{ "words among samples", SAMPLE "lost 3 chunks\n" SAMPLE, 2, 2,
		  "not the header of a sample: lost 3 chunks" },
		{ "words before samples",
		  "Warning:\nProcessed 900 events and lost 2 chunks!\n\n" SAMPLE SAMPLE, 2, 2,
		  "2 lines were left out, the first at byte 0: not the header of a sample" },
		{ "a heap sample", HEAP "1: 2 [1: 2] @ 0x10\nnonsense\n1: 2 [1: 2] @ 0x20\n", 2, 2,
		  "byte 59: not a heap sample: nonsense" },
		{ "an address of a heap sample",
		  HEAP "1: 2 [1: 2] @ 0x30 0x11111111111111111\n1: 2 [1: 2] @ 0x20\n", 1, 1,
		  "hex 64-bit number" },
		{ "words before a heap profile", "Fetching ...\n\n" HEAP "1: 2 [1: 2] @ 0x10\n", 1,
		  1, "2 lines before the profile were left out, the first is: Fetching ..." },
		{ "a count", "threads profile: total 3\n1 @ 0x10\nx @ 0x10\n2 @ 0x10\n", 2, 3,
		  "byte 34: not \"COUNT @ ADDRESSES\"" },
		{ "a wait", "--- contention:\ncycles/second = 1000\n5 1 @ 0x1\nabc @ 0x1\n", 1, 1,
		  "not \"CYCLES COUNT" },
		{ "a message in the head of waits",
		  "--- contentionz 1 ---\ncycles/second = 1000000000\nW1129 x.cc:5] a = b\n"
		  "sampling period = 10\n5 1 @ 0x1\n",
		  1, 10, "byte 49: not \"CYCLES COUNT @ ADDRESSES\": W1129" },
		{ "an attribute of Java's that is none",
		  "--- contentionz 1 ---\nformat = java\nresolution = microseconds\nW1129 a = b\n"
		  "5 1 @ 0x1\n",
		  1, 1, "byte 62: unknown attribute: W1129 a = b" },
		{ "a heap profile that is cut off", HEAP "1: 2 [1: 2] @ 0x10", 1, 1,
		  "the line at byte 40 has no end: it may be cut off" },
		{ "a count that is cut off", "threads profile: total 3\n1 @ 0x10", 1, 1,
		  "the line at byte 25 has no end: it may be cut off" },
		{ "a frame of perf that is cut off", SAMPLE "a 1 2.0: 100 cycles: \n\t 20", 2, 2,
		  "1 line was left out, at byte 61: the file ends within this line" },
		{ "a header of perf that is cut off", SAMPLE "a 1 2.0: 100 cyc", 1, 1,
		  "1 line was left out, at byte 39: the file ends within this line" },
		{ "a thread",
		  "--- Thread 1 (name: a/1) stack: ---\n  0x10\n--- what ---\n"
		  "--- Thread 2 (name: b/2) stack: ---\n  0x20\n",
		  2, 2, "not the header of a thread" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t n_notes = 0;
		struct cprof_profile *p = read(rows[i].text, strlen(rows[i].text), &n_notes);
		const char *note = n_notes ? cprof_profile_text(p, p->comments[0]) : "none";
		if (p->n_samples != rows[i].n_samples || sum(p, 0) != rows[i].sum || n_notes != 1 ||
		    !strstr(note, rows[i].note))
			TEST_FAIL("%s: %u samples of %" PRId64 ", %u notes: %s", rows[i].what,
				  p->n_samples, sum(p, 0), n_notes, note);
		cprof_profile_free(p);
	}
}

TEST(odd_habits_of_those_who_fold_stacks_are_read)
{
	static const struct {
		const char *text;
		uint32_t n_samples, n_types;
		int64_t sum;      /* of the type that is shown */
		const char *leaf; /* of the first sample; NULL where it has no frames */
		const char *note; /* NULL: none */
	} rows[] = {
		{ " 4\nmain;a 12\nmain;b 3\n", 3, 1, 19, NULL, NULL },
		{ "\xef\xbb\xbfmain;a 12\r\nmain;b 3\r\n", 2, 1, 15, "a", NULL },
		{ "main;a 12.5\nmain;b 3.25\nmain;c 0.5\nmain;d 0.75\n", 4, 1, 17, "a",
		  "fractions were rounded so that their sum is kept, in 4 counts" },
		{ "a;b 0.4\na;c 0.4\na;d 0.4\na;e 0.4\na;f 0.4\n", 5, 1, 2, "b", "in 5 counts" },
		{ "a;b 1e3\na;c 2\n", 2, 1, 1002, "b", "in 1 count" },
		{ "main;a\033[0m 12\nmain;b 3\n", 2, 1, 15, "a\033[0m", NULL },
		{ "main;a 5 7\nmain;b 2 9\nmain;c 0 4\n", 3, 2, 20, "a",
		  "2 counts a line: the last one, \"after\", is shown; \"before\"" },
		{ "main;a 1 2 3\nmain;b 4 5 6\n", 2, 3, 9, "a", "\"count_3\", is shown" },
		{ "main;worker 1 5\nmain;b 2\nmain;c 3\n", 3, 1, 10, "worker 1",
		  "in 1 line a number before the count was taken for a part of the name" },
		{ "worker 1 5\nworker 2 3\nworker 3 1\nmain;b 7\nmain;c 9\n", 5, 1, 25, "worker 1",
		  "in 3 lines a number before the count was taken for a part of the name" },
		{ "FLRunner;a 5\n", 1, 1, 5, "a", NULL },
		{ "BZhandler;a 5\n", 1, 1, 5, "a", NULL },
		{ "main;a 12\rmain;b 3\r", 2, 1, 15, "a", NULL },
		{ "a;b 1\r\na;c 2\ra;d 3", 3, 1, 6, "b", NULL },
		{ "a;b 1\n\xef\xbb\xbfg;c 2\n\t a;d 3\n", 3, 1, 6, "b", NULL },
		{ "m;a 5 7\nm;b 2 9\nm;c 0", 2, 2, 16, "a", "\"after\", is shown" },
		{ "main;a 5 7\nmain;b 9\nmain;c 0 4\n", 2, 2, 11, "a", "\"after\", is shown" },
		{ "main;;a 3\n;b 4\nc; 5\n", 3, 1, 12, "a", NULL },
		{ "# by hand\nmain;a -3\n\nmain;b 4", 2, 1, 1, "a", NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t n_notes = 0;
		struct cprof_profile *p = read(rows[i].text, strlen(rows[i].text), &n_notes);
		const struct cprof_sample *first = &p->samples[0];
		const char *leaf = NULL, *note = NULL;
		if (first->n_locations) {
			const struct cprof_location *l =
				&p->locations[p->stacks[first->first_location]];
			leaf = cprof_profile_text(
				p, p->functions[p->lines[l->first_line].function].name);
		}
		if (n_notes)
			note = cprof_profile_text(p, p->comments[0]);
		if (p->n_samples != rows[i].n_samples || p->n_types != rows[i].n_types ||
		    sum(p, cprof_profile_default_type(p)) != rows[i].sum ||
		    !leaf != !rows[i].leaf || (leaf && strcmp(leaf, rows[i].leaf) != 0) ||
		    !note != !rows[i].note || (note && !strstr(note, rows[i].note)))
			TEST_FAIL("row %zu: %u samples, %u types, sum %" PRId64 ", leaf %s, %s", i,
				  p->n_samples, p->n_types, sum(p, cprof_profile_default_type(p)),
				  leaf ? leaf : "none", note ? note : "no note");
		cprof_profile_free(p);
	}
}

TEST(odd_encodings_of_text_are_read)
{
	static const char little[] = "\xff\xfe"
				     "m\0;\0\xe9\0 \0007\0\n\0";
	static const char big[] = "\xfe\xff\0m\0;\xd8\x3d\xde\x00\0 \0008\0\n";
	static const char cut[] = "\xff\xfe"
				  "m\0;\0\x3d\xd8 \0009\0\n";
	static const char bare[] = "m\0a\0i\0n\0;\0a\0 \0005\0\n";
	static const char bare_big[] = "\0m\0a\0i\0n\0;\0a\0 \0006\0\n";
	static const char zeroes[] = "\0\0\0\0m;a 4\n\0\0\0";
	static const char within[] = "m;a\0\0\0b 3\n";
	static const struct {
		const char *text;
		size_t n;
		int64_t sum;
		const char *leaf;
	} rows[] = {
		{ little, sizeof(little) - 1, 7, "\xc3\xa9" },
		{ big, sizeof(big) - 1, 8, "\xf0\x9f\x98\x80" },
		{ cut, sizeof(cut) - 1, 9, "\xef\xbf\xbd" },
		{ bare, sizeof(bare), 5, "a" },
		{ bare_big, sizeof(bare_big) - 1, 6, "a" },
		{ zeroes, sizeof(zeroes) - 1, 4, "a" },
		{ within, sizeof(within) - 1, 3,
		  "a\xef\xbf\xbd"
		  "b" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_profile *p = read(rows[i].text, rows[i].n, NULL);
		const struct cprof_location *l = &p->locations[p->stacks[0]];
		CHECK_UINT(sum(p, 0), rows[i].sum);
		CHECK_STR(
			cprof_profile_text(p, p->functions[p->lines[l->first_line].function].name),
			rows[i].leaf);
		cprof_profile_free(p);
	}
}
