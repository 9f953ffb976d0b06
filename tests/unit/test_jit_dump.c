/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/jit_dump.h"
#include "tests/unit/test.h"

#include <stdlib.h>

struct bytes {
	uint8_t data[2048];
	size_t n;
};

static void put(struct bytes *to, uint64_t value, size_t size)
{
	memcpy(to->data + to->n, &value, size);
	to->n += size;
}

static void put_header(struct bytes *to, uint32_t magic)
{
	put(to, magic, 4);
	put(to, 1, 4);
	put(to, 40, 4);
	put(to, 62, 8);
	put(to, 42, 4);
	put(to, 0, 8);
	put(to, 0, 8);
}

static void put_load(struct bytes *to, uint64_t addr, uint64_t size, uint64_t index,
		     const char *name)
{
	put(to, 0, 4);
	put(to, 56 + strlen(name) + 1 + 3, 4);
	put(to, 7, 8);
	put(to, 42ull << 32 | 42, 8);
	put(to, addr, 8);
	put(to, addr, 8);
	put(to, size, 8);
	put(to, index, 8);
	memcpy(to->data + to->n, name, strlen(name) + 1);
	to->n += strlen(name) + 1;
	put(to, 0xc3c3c3, 3);
}

static void put_move(struct bytes *to, uint64_t from, uint64_t addr, uint64_t size, uint64_t index)
{
	put(to, 1, 4);
	put(to, 64, 4);
	put(to, 7, 8);
	put(to, 42ull << 32 | 42, 8);
	put(to, addr, 8);
	put(to, from, 8);
	put(to, addr, 8);
	put(to, size, 8);
	put(to, index, 8);
}

static struct cprof_error *parse(const struct bytes *from, size_t n, struct cprof_jit_dump *dump)
{
	struct cprof_image *image;
	uint8_t *copy = malloc(n + 1);
	CHECK(copy);
	memcpy(copy, from->data, n);
	CHECK(!cprof_image_from_bytes(copy, n, &image));
	struct cprof_error *err = cprof_jit_dump_parse(dump, image);
	cprof_image_free(image);
	return err;
}

TEST(jit_dump_names_code_that_was_loaded_replaced_and_moved)
{
	struct bytes file = { 0 };
	struct cprof_jit_dump dump;
	put_header(&file, 0x4a695444);
	put_load(&file, 0x1000, 0x100, 1, "first");
	put_load(&file, 0x2000, 0x10, 2, "Lsome/Class;.run()V");
	put(&file, 4, 4); /* unwind tables of no concern */
	put(&file, 24, 4);
	put(&file, 0, 8);
	put(&file, 0, 8);
	put_load(&file, 0x1080, 0x10, 3, "in its place");
	put_move(&file, 0x2000, 0x3000, 0x20, 2);
	put_move(&file, 0x9000, 0x4000, 0x20, 99);
	CHECK(!parse(&file, file.n, &dump));
	CHECK_STR(cprof_jit_dump_find(&dump, 0x1000), "first");
	CHECK_STR(cprof_jit_dump_find(&dump, 0x10ff), "first");
	CHECK(!cprof_jit_dump_find(&dump, 0x1100));
	CHECK_STR(cprof_jit_dump_find(&dump, 0x1081), "in its place");
	CHECK_STR(cprof_jit_dump_find(&dump, 0x301f), "Lsome/Class;.run()V");
	CHECK(!cprof_jit_dump_find(&dump, 0x3020));
	CHECK(!cprof_jit_dump_find(&dump, 0x4000));
	cprof_jit_dump_deinit(&dump);
}

TEST(jit_dump_that_is_cut_anywhere_keeps_the_names_before)
{
	struct bytes file = { 0 };
	struct cprof_jit_dump dump;
	put_header(&file, 0x4a695444);
	put_load(&file, 0x1000, 0x100, 1, "first");
	size_t first = file.n;
	put_load(&file, 0x2000, 0x100, 2, "second");
	for (size_t n = 0; n < file.n; n++) {
		struct cprof_error *err = parse(&file, n, &dump);
		CHECK(!err == (n >= 40));
		cprof_error_free(err);
		if (n >= first)
			CHECK_STR(cprof_jit_dump_find(&dump, 0x1000), "first");
		/* The name is there when its code is still to come. */
		CHECK(!cprof_jit_dump_find(&dump, 0x2000) == (n < file.n - 3));
		cprof_jit_dump_deinit(&dump);
	}
}

TEST(jit_dump_refuses_what_is_none_and_survives_what_lies)
{
	struct cprof_jit_dump dump;
	struct bytes swapped = { 0 }, lies = { 0 };
	put_header(&swapped, 0x4454694a);
	struct cprof_error *err = parse(&swapped, swapped.n, &dump);
	CHECK(err && err->code == CPROF_ERR_BAD_DATA);
	cprof_error_free(err);
	cprof_jit_dump_deinit(&dump);

	put_header(&lies, 0x4a695444);
	put_load(&lies, 0x1000, 0, 1, "no size");
	put_load(&lies, UINT64_MAX - 8, 0x100, 2, "past the end");
	put_load(&lies, 0x1000, UINT64_MAX, 3, "all of it");
	put_load(&lies, 0x5000, 0x10, 4, "");
	put_load(&lies, 0x6000, 0x10, 5, "good");
	put(&lies, 0, 4); /* a record of no length: nothing can be read behind it */
	put(&lies, 0, 4);
	put(&lies, 0, 8);
	put_load(&lies, 0x7000, 0x10, 6, "behind");
	CHECK(!parse(&lies, lies.n, &dump));
	CHECK(!cprof_jit_dump_find(&dump, 0x1000));
	CHECK(!cprof_jit_dump_find(&dump, UINT64_MAX - 4));
	CHECK(!cprof_jit_dump_find(&dump, 0x5000));
	CHECK_STR(cprof_jit_dump_find(&dump, 0x6000), "good");
	CHECK(!cprof_jit_dump_find(&dump, 0x7000));
	cprof_jit_dump_deinit(&dump);
}

TEST(jit_dump_is_known_by_the_last_part_of_its_path)
{
	CHECK(cprof_jit_dump_is("/tmp/jit-42.dump"));
	CHECK(cprof_jit_dump_is("/root/.debug/jit/java-jit-20260101.XX/jit-7.dump"));
	CHECK(!cprof_jit_dump_is("/tmp/jit-.dump"));
	CHECK(!cprof_jit_dump_is("/tmp/jit-42.dump.so"));
	CHECK(!cprof_jit_dump_is("/tmp/jit-42.dump/lib.so"));
	CHECK(!cprof_jit_dump_is(""));
}
