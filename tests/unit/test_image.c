/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/image.h"
#include "cprof/module.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (300u * 1024)

static int make_file(const char *fill)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	CHECK(fd >= 0 && ftruncate(fd, SIZE) == 0);
	for (size_t at = 0; at < SIZE; at += 1024)
		CHECK(pwrite(fd, fill, strlen(fill), (off_t)at) == (ssize_t)strlen(fill));
	return fd;
}

TEST(image_answers_null_for_what_was_cut_off_and_keeps_what_it_read)
{
	struct cprof_image *image;
	int fd = make_file("abc");
	CHECK(!cprof_image_open(fd, "test", NULL, &image));
	const uint8_t *first = cprof_image_at(image, 0, 3);
	CHECK(first && memcmp(first, "abc", 3) == 0);
	/* Somebody truncates the file while it is mapped: touching the mapping would be a SIGBUS now. */
	CHECK(ftruncate(fd, 1000) == 0);
	CHECK(!cprof_image_at(image, 200 * 1024, 3));
	CHECK(!cprof_image_at(image, 0, SIZE));
	CHECK(cprof_image_at(image, 0, 3) == first && memcmp(first, "abc", 3) == 0);
	close(fd);
	cprof_image_free(image);
}

TEST(image_never_changes_under_its_reader)
{
	struct cprof_image *image;
	int fd = make_file("abc");
	CHECK(!cprof_image_open(fd, "test", NULL, &image));
	const uint8_t *bytes = cprof_image_at(image, 1024, 3);
	CHECK(pwrite(fd, "xyz", 3, 1024) == 3);
	CHECK(memcmp(bytes, "abc", 3) == 0);
	CHECK(cprof_image_at(image, 1024, 3) == bytes);
	close(fd);
	cprof_image_free(image);
}

TEST(image_copies_out_without_keeping_anything)
{
	struct cprof_image *image;
	uint8_t bytes[8];
	int fd = make_file("abc");
	CHECK(!cprof_image_open(fd, "test", NULL, &image));
	CHECK(cprof_image_copy(image, 1023, bytes, 4) && memcmp(bytes, "\0abc", 4) == 0);
	CHECK_UINT(cprof_image_resident(image), 0);
	CHECK(!cprof_image_copy(image, SIZE - 3, bytes, 4));
	CHECK(!cprof_image_copy(image, UINT64_MAX, bytes, 4));
	CHECK(ftruncate(fd, 1000) == 0);
	CHECK(!cprof_image_copy(image, 200 * 1024, bytes, 4));
	close(fd);
	cprof_image_free(image);
}

TEST(image_reads_only_the_pieces_that_were_asked_for)
{
	struct cprof_image *image;
	int fd = make_file("abc");
	CHECK(!cprof_image_open(fd, "test", NULL, &image));
	close(fd);
	CHECK_UINT(cprof_image_resident(image), 0);
	CHECK(cprof_image_at(image, 70 * 1024, 1));
	CHECK_UINT(cprof_image_resident(image), 64 * 1024);
	CHECK(!cprof_image_at(image, SIZE - 1, 2));
	CHECK(!cprof_image_at(image, UINT64_MAX, 1));
	CHECK(!cprof_image_at(image, 1, UINT64_MAX));
	CHECK(cprof_image_at(image, SIZE, 0));
	cprof_image_free(image);
}

TEST(image_strings_end_inside_their_bounds)
{
	struct cprof_image *image;
	int fd = make_file("abc");
	CHECK(!cprof_image_open(fd, "test", NULL, &image));
	CHECK_STR(cprof_image_string(image, 1024, SIZE), "abc");
	CHECK(!cprof_image_string(image, 1024, 1027));
	CHECK(!cprof_image_string(image, SIZE, SIZE));
	CHECK(!cprof_image_string(image, SIZE + 1, UINT64_MAX));
	close(fd);
	cprof_image_free(image);
}

TEST(image_refuses_what_is_no_plain_file)
{
	static const char *const paths[] = { "/dev/null", "/proc/self/maps", "/tmp" };
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct cprof_image *image;
		int fd = open(paths[i], O_RDONLY);
		struct cprof_error *err = cprof_image_open(fd, paths[i], NULL, &image);
		if (!err)
			TEST_FAIL("opened %s", paths[i]);
		CHECK_UINT(err->code, CPROF_ERR_BAD_DATA);
		cprof_error_free(err);
		close(fd);
	}
}

/* Ten thousand mappings of as many files that do not exist: each is tried once, found again at once. */
TEST(modules_ten_thousand_are_found_without_looking_through_all_of_them)
{
	struct cprof_maps maps;
	struct cprof_modules modules;
	cprof_maps_init(&maps, getpid(), (struct cprof_memory){ 0 });
	cprof_modules_init(&modules);
	struct cprof_module *module, *first = NULL;
	const struct cprof_map *added;
	for (uint64_t i = 0; i < 10000; i++) {
		char path[64];
		snprintf(path, sizeof(path), "/no/such/lib%d.so", (int)i);
		const struct cprof_map map = { .start = (i + 1) << 16,
					       .end = ((i + 1) << 16) + 4096,
					       .prot = PROT_READ | PROT_EXEC,
					       .inode = i + 1,
					       .dev = 99,
					       .path = path };
		CHECK(!cprof_maps_add(&maps, &map, &added));
		CHECK(!cprof_modules_get(&modules, &maps, cprof_maps_find(&maps, map.start),
					 &module));
		CHECK_UINT(module->kind, CPROF_MODULE_OPAQUE);
		CHECK(module->why);
		first = first ? first : module;
	}
	CHECK_UINT(modules.n, 10000);
	/* The same file mapped once more is the same module. */
	const struct cprof_map again = { .start = 1ull << 40,
					 .end = (1ull << 40) + 4096,
					 .prot = PROT_READ | PROT_EXEC,
					 .inode = 1,
					 .dev = 99,
					 .path = "/another/name" };
	CHECK(!cprof_maps_add(&maps, &again, &added));
	CHECK(!cprof_modules_get(&modules, &maps, cprof_maps_find(&maps, again.start), &module));
	CHECK(module == first);
	cprof_modules_deinit(&modules);
	cprof_maps_deinit(&maps);
}
