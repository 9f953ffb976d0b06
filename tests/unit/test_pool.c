/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/alloc/pool_code.h"
#include "attach/heap/alloc/pool_spec.h"
#include "tests/unit/test.h"

TEST(pool_spec_says_which_argument_is_what)
{
	struct cprof_pool_spec spec;
	CHECK(!cprof_pool_spec_parse("alloc=take,size=arg2,free=give@libpool,ptr=arg3", &spec));
	CHECK(strcmp(spec.alloc.name, "take") == 0 && !spec.alloc.object);
	CHECK(strcmp(spec.free.name, "give") == 0 && strcmp(spec.free.object, "libpool") == 0);
	CHECK_UINT(spec.alloc_args.size.arg, 1);
	CHECK_UINT(spec.alloc_args.times.arg, CPROF_SHIM_NO_ARG);
	CHECK_UINT(spec.alloc_args.old.arg, CPROF_SHIM_NO_ARG);
	CHECK_UINT(spec.free_arg.arg, 2);
	cprof_pool_spec_deinit(&spec);

	CHECK(!cprof_pool_spec_parse("free=0x55d0c0ffee00", &spec));
	CHECK_UINT(spec.free.addr, 0x55d0c0ffee00);
	CHECK_UINT(spec.free_arg.arg, 0);
	CHECK(!cprof_pool_place_given(&spec.alloc));
	cprof_pool_spec_deinit(&spec);

	CHECK(!cprof_pool_spec_parse(
		"alloc=a<int, long>::take(int, long),size=arg1:32*arg6,old=arg2", &spec));
	CHECK(strcmp(spec.alloc.name, "a<int, long>::take(int, long)") == 0);
	CHECK_UINT(spec.alloc_args.size.low, 1);
	CHECK_UINT(spec.alloc_args.times.arg, 5);
	CHECK_UINT(spec.alloc_args.times.low, 0);
	CHECK_UINT(spec.alloc_args.old.arg, 1);
	cprof_pool_spec_deinit(&spec);

	CHECK(!cprof_pool_spec_parse("size=arg1*24,alloc=a,free=none", &spec));
	CHECK_UINT(spec.alloc_args.bytes, 24);
	CHECK_UINT(spec.alloc_args.untracked, 1);
	CHECK(!cprof_pool_place_given(&spec.free));
	cprof_pool_spec_deinit(&spec);

	CHECK(!cprof_pool_spec_parse("alloc=a,size=4k", &spec));
	CHECK_UINT(spec.alloc_args.bytes, 4096);
	cprof_pool_spec_deinit(&spec);
}

TEST(pool_spec_says_what_is_wrong)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "\"\" is not alloc=FUNCTION" },
		{ "alloc=a", "which argument is the size" },
		{ "size=arg1", "no alloc=" },
		{ "ptr=arg1", "no free=" },
		{ "alloc=,size=arg1", "names nothing" },
		{ "alloc=@b,size=arg1", "half of NAME@OBJECT" },
		{ "alloc=a@,size=arg1", "half of NAME@OBJECT" },
		{ "alloc=0x,size=arg1", "is no address" },
		{ "alloc=0x10z,size=arg1", "is no address" },
		{ "alloc=1234,size=arg1", "is no address" },
		{ "alloc=a,size=arg0", "out of range" },
		{ "alloc=a,size=arg7", "out of range" },
		{ "alloc=a,size=arg99999999999999999999", "out of range" },
		{ "alloc=a,size=arg", "no argument" },
		{ "alloc=a,size=arg1:64", "no argument" },
		{ "alloc=a,size=x", "neither an argument" },
		{ "alloc=a,size=0", "out of range" },
		{ "alloc=a,size=2G", "out of range" },
		{ "alloc=a,size=8*arg1", "first factor is an argument" },
		{ "alloc=a,size=arg1*", "neither an argument" },
		{ "alloc=a,size=arg1*arg2*arg3", "no argument" },
		{ "alloc=a,size=arg1,size=arg2", "is there twice" },
		{ "alloc=a,size=arg1,,free=b", "is not alloc=FUNCTION" },
		{ "alloc=a,size=arg1,fre=b", "\"fre=b\" is not alloc=FUNCTION" },
		{ "alloc=a,size=arg1,free=none,ptr=arg1", "free=none" },
		{ "free=none", "free=none" },
		{ "alloc=a,size=arg1,old=48", "no argument" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_pool_spec spec;
		struct cprof_error *err = cprof_pool_spec_parse(rows[i].text, &spec);
		if (!err)
			TEST_FAIL("took \"%s\"", rows[i].text);
		CHECK_UINT(err->code, CPROF_ERR_USAGE);
		CHECK(err->hint);
		if (!strstr(err->message, rows[i].says))
			TEST_FAIL("%s: says \"%s\"", rows[i].text, err->message);
		cprof_error_free(err);
	}
}

/* Bytes as objdump shows them. */
TEST(pool_code_is_what_an_assembler_makes_of_it)
{
	const struct cprof_shim_operand none = { .arg = CPROF_SHIM_NO_ARG };
	const struct {
		struct cprof_shim_pool pool;
		uint8_t code[CPROF_POOL_CODE_BYTES];
	} rows[] = {
		/* mov %rsi,%r10; test %r10,%r10 */
		{ { .size.arg = 1, .times = none, .old = none },
		  { 0x90, 0x90, 0x90, 0x49, 0x89, 0xf2, 0x4d, 0x85, 0xd2, 0x90, 0x90, 0x90,
		    0x90 } },
		/* mov %r9,%rax; mov %r8d,%r10d; mov %ecx,%r11d; imul %r11,%r10 */
		{ { .size = { 4, 1 }, .times = { 3, 1 }, .old.arg = 5 },
		  { 0x4c, 0x89, 0xc8, 0x45, 0x89, 0xc2, 0x41, 0x89, 0xcb, 0x4d, 0x0f, 0xaf,
		    0xd3 } },
		/* mov %rdi,%rax; mov %rdx,%r10; imul $24,%r10,%r10 */
		{ { .size.arg = 2, .times = none, .old.arg = 0, .bytes = 24 },
		  { 0x48, 0x89, 0xf8, 0x49, 0x89, 0xd2, 0x4d, 0x69, 0xd2, 24, 0, 0, 0 } },
		/* mov $4096,%r10; test %r10,%r10 */
		{ { .size = none, .times = none, .old = none, .bytes = 4096 },
		  { 0x90, 0x90, 0x90, 0x49, 0xc7, 0xc2, 0, 0x10, 0, 0, 0x4d, 0x85, 0xd2 } },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t code[CPROF_POOL_CODE_BYTES];
		cprof_pool_code_make(&rows[i].pool, code);
		CHECK(memcmp(code, rows[i].code, sizeof(code)) == 0);
	}
}
