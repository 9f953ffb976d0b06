/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/test.h - the whole unit-test framework: TEST() registers itself, CHECK_* stop the test.
 * Each test runs in a child process, so a crash is one failed test and not a lost run.
 */
#ifndef CPROF_TESTS_TEST_H
#define CPROF_TESTS_TEST_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

void test_register(struct test *test);
_Noreturn void test_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* For what this machine cannot run; the reason is printed. */
_Noreturn void test_skip(const char *reason);

#define TEST(id)                                                                                   \
	static void id(void);                                                                      \
	__attribute__((constructor)) static void register_##id(void)                               \
	{                                                                                          \
		static struct test self = { .name = #id, .run = id };                              \
		test_register(&self);                                                              \
	}                                                                                          \
	static void id(void)

#define TEST_FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK(cond) ((cond) ? (void)0 : TEST_FAIL("false: %s", #cond))

#define CHECK_UINT(got, want)                                                                      \
	do {                                                                                       \
		uint64_t got_ = (uint64_t)(got), want_ = (uint64_t)(want);                         \
		if (got_ != want_)                                                                 \
			TEST_FAIL("%s = 0x%" PRIx64 ", want 0x%" PRIx64, #got, got_, want_);       \
	} while (0)

#define CHECK_STR(got, want)                                                                       \
	do {                                                                                       \
		const char *got_ = (got), *want_ = (want);                                         \
		if (!got_ || strcmp(got_, want_) != 0)                                             \
			TEST_FAIL("%s = \"%s\", want \"%s\"", #got, got_ ? got_ : "(null)",        \
				  want_);                                                          \
	} while (0)

#endif
