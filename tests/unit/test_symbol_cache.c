/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/symbol_cache.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

#define KEY   "0123456789abcdef"
#define PRINT 77

static const struct cprof_dwarf_frame frames[] = {
	{ "inner", "_Z5inneri", "/src/a.cc", 3, 4, 1 },
	{ "outer", "", "/src/b.cc", 30, 0, 28 },
};

static char dir[64];

static void save(void)
{
	struct cprof_symbol_cache cache;
	CHECK(!cprof_symbol_cache_init(&cache));
	CHECK(!cprof_symbol_cache_put(&cache, 0x1000, frames, 2));
	CHECK(!cprof_symbol_cache_put(&cache, 0x2000, frames + 1, 1));
	CHECK(!cprof_symbol_cache_put(&cache, 0x1000, frames + 1, 1)); /* the first answer stays */
	CHECK(!cprof_symbol_cache_save(&cache, dir, KEY, PRINT));
	cprof_symbol_cache_deinit(&cache);
}

static size_t load(uint64_t fingerprint, uint64_t addr, struct cprof_dwarf_frame *found)
{
	static struct cprof_symbol_cache cache; /* the strings are looked at after this returns */
	cprof_symbol_cache_deinit(&cache);
	CHECK(!cprof_symbol_cache_init(&cache));
	CHECK(!cprof_symbol_cache_load(&cache, dir, KEY, fingerprint));
	return cprof_symbol_cache_get(&cache, addr, found, 4);
}

static void make_dir(void)
{
	strcpy(dir, "/tmp/cprof-test-XXXXXX");
	CHECK(mkdtemp(dir));
	strcat(dir, "/deep/er");
}

static void remove_dir(void)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %.22s", dir);
	CHECK(system(command) == 0);
}

TEST(symbol_cache_gives_back_what_was_saved_for_the_same_files_only)
{
	struct cprof_dwarf_frame found[4];
	make_dir();
	save();
	CHECK_UINT(load(PRINT, 0x1000, found), 2);
	CHECK_STR(found[0].name, "inner");
	CHECK_STR(found[0].linkage_name, "_Z5inneri");
	CHECK_STR(found[0].file, "/src/a.cc");
	CHECK_UINT(found[0].line, 3);
	CHECK_UINT(found[0].column, 4);
	CHECK_UINT(found[1].start_line, 28);
	CHECK_UINT(load(PRINT, 0x2000, found), 1);
	CHECK_UINT(load(PRINT, 0x3000, found), 0);
	CHECK_UINT(load(PRINT + 1, 0x1000, found), 0);
	remove_dir();
}

TEST(symbol_cache_takes_no_answer_from_a_file_that_is_broken_anywhere)
{
	struct cprof_buffer good = { 0 };
	char path[128];
	make_dir();
	save();
	snprintf(path, sizeof(path), "%s/" KEY ".names", dir);
	CHECK(!cprof_file_read(path, 1 << 20, &good));
	for (size_t i = 0; i < good.len; i++) {
		struct cprof_symbol_cache cache;
		CHECK(!cprof_symbol_cache_init(&cache));
		good.data[i] ^= 0x40;
		CHECK(!cprof_symbol_cache_parse(&cache, good.data, good.len, PRINT));
		CHECK(!cprof_symbol_cache_parse(&cache, good.data, i, PRINT));
		CHECK_UINT(cache.kept.n_answers, 0);
		good.data[i] ^= 0x40;
		CHECK(cprof_symbol_cache_parse(&cache, good.data, good.len, PRINT));
		cprof_symbol_cache_deinit(&cache);
	}
	cprof_buffer_deinit(&good);
	remove_dir();
}

static void put_one(struct cprof_symbol_cache *cache, uint64_t addr, const char *file)
{
	char name[32];
	snprintf(name, sizeof(name), "at_%llx", (unsigned long long)addr);
	const struct cprof_dwarf_frame frame = { name, "", file, (uint32_t)addr, 1, 2 };
	CHECK(!cprof_symbol_cache_put(cache, addr, &frame, 1));
}

static void check_one(const struct cprof_symbol_cache *cache, uint64_t addr, const char *file)
{
	struct cprof_dwarf_frame found[4];
	char name[32];
	snprintf(name, sizeof(name), "at_%llx", (unsigned long long)addr);
	CHECK_UINT(cprof_symbol_cache_get(cache, addr, found, 4), 1);
	CHECK_STR(found[0].name, name);
	CHECK_STR(found[0].linkage_name, "");
	CHECK_STR(found[0].file, file);
	CHECK_UINT(found[0].line, addr);
}

TEST(symbol_cache_puts_what_is_new_between_what_was_there)
{
	static const char file[] = "/a/file/whose/name/is/long/enough/to/count.c";
	struct cprof_symbol_cache cache;
	struct cprof_buffer bytes = { 0 };
	size_t before = 0;
	CHECK(!cprof_symbol_cache_init(&cache));
	/* Each round has new answers before, between and behind the old ones, and in no order. */
	for (uint64_t round = 0; round < 4; round++) {
		for (uint64_t addr = 64; addr; addr--) {
			if (addr % 4 == round)
				put_one(&cache, addr, file);
		}
		put_one(&cache, 1,
			"first wins"); /* from the second round on: it is there already */
		CHECK(!cprof_symbol_cache_compose(&cache, PRINT, &bytes));
		CHECK(cprof_symbol_cache_parse(&cache, bytes.data, bytes.len, PRINT));
		CHECK_UINT(cache.n_answers, 0);
		/* The file's name came with the first: its neighbours have it as well. */
		if (round > 1)
			CHECK(bytes.len - before < 16 * (16 + 24 + 6));
		before = bytes.len;
		bytes.len = 0;
	}
	CHECK_UINT(cache.kept.n_answers, 64);
	for (uint64_t addr = 1; addr <= 64; addr++)
		check_one(&cache, addr, addr == 1 ? "first wins" : file);
	struct cprof_dwarf_frame found[4];
	CHECK_UINT(cprof_symbol_cache_get(&cache, 0, found, 4), 0);
	CHECK_UINT(cprof_symbol_cache_get(&cache, 65, found, 4), 0);
	cprof_symbol_cache_deinit(&cache);
	cprof_buffer_deinit(&bytes);
}

TEST(symbol_cache_survives_many_writers_at_once)
{
	struct cprof_dwarf_frame found[4];
	make_dir();
	for (int i = 0; i < 8; i++) {
		if (fork() == 0) {
			for (int j = 0; j < 50; j++) {
				save();
				if (load(PRINT, 0x1000, found) != 2)
					_exit(1);
			}
			_exit(0);
		}
	}
	int status, bad = 0;
	while (wait(&status) > 0)
		bad += status != 0;
	CHECK_UINT(bad, 0);
	remove_dir();
}

TEST(symbol_cache_refuses_a_directory_of_somebody_else)
{
	struct cprof_symbol_cache cache;
	if (geteuid() != 0)
		test_skip("only root can make a directory of somebody else");
	make_dir();
	save();
	CHECK(chown(dir, 12345, 12345) == 0);
	CHECK(!cprof_symbol_cache_init(&cache));
	struct cprof_error *err = cprof_symbol_cache_save(&cache, dir, KEY, PRINT);
	CHECK(err);
	CHECK_UINT(err->code, CPROF_ERR_DENIED);
	cprof_error_free(err);
	cprof_symbol_cache_deinit(&cache);
	remove_dir();
}

static void make_old_file(const char *name, off_t size, time_t used)
{
	char path[128];
	const struct timespec times[2] = { { used, 0 }, { used, 0 } };
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && ftruncate(fd, size) == 0 && futimens(fd, times) == 0);
	close(fd);
}

static bool is_there(const char *name)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

TEST(symbol_cache_drops_what_was_not_used_for_longest)
{
	make_dir();
	save();
	/* What else lies there: profiles that were fetched, and a key. They are neither counted nor touched. */
	make_old_file("pprof.cpu.001.pb.gz", 600 << 20, 10);
	make_old_file("key", 600 << 20, 10);
	make_old_file("oldest.names", 200 << 20, 1000);
	make_old_file("newest.names", 200 << 20, 3000);
	make_old_file("middle.names", 100 << 20, 2000);
	cprof_symbol_cache_trim(dir);
	CHECK(is_there("oldest.names") && is_there("middle.names") && is_there("newest.names"));
	make_old_file("straw.names", 20 << 20, 2500);
	cprof_symbol_cache_trim(dir);
	CHECK(!is_there("oldest.names") && is_there("middle.names") && is_there("newest.names"));
	CHECK(is_there("straw.names"));
	for (int i = 0; i < 16384; i++) {
		char name[32];
		snprintf(name, sizeof(name), "small%d.names", i);
		make_old_file(name, 1, 4000 + i);
	}
	cprof_symbol_cache_trim(dir);
	CHECK(!is_there("newest.names") && !is_there("small0.names") &&
	      is_there("small16383.names"));
	CHECK(is_there("pprof.cpu.001.pb.gz") && is_there("key"));
	remove_dir();
}

TEST(symbol_cache_trims_nothing_through_a_link)
{
	char other[96], path[128];
	make_dir();
	save();
	make_old_file("a.names", 300 << 20, 1000);
	make_old_file("b.names", 300 << 20, 1000);
	snprintf(other, sizeof(other), "%.22s/link", dir);
	CHECK(symlink(dir, other) == 0);
	cprof_symbol_cache_trim(other);
	CHECK(is_there("a.names") && is_there("b.names"));
	snprintf(path, sizeof(path), "%s/c.names", dir); /* a link is nothing of ours either */
	CHECK(symlink("/etc/passwd", path) == 0);
	cprof_symbol_cache_trim(dir);
	CHECK(is_there("c.names") && !is_there("a.names"));
	remove_dir();
}

TEST(symbol_cache_believes_no_file_that_others_can_write)
{
	struct cprof_dwarf_frame found[4];
	char path[128];
	make_dir();
	save();
	snprintf(path, sizeof(path), "%s/" KEY ".names", dir);
	CHECK_UINT(load(PRINT, 0x1000, found), 2);
	CHECK(chmod(path, 0620) == 0);
	CHECK_UINT(load(PRINT, 0x1000, found), 0);
	CHECK(chmod(path, 0600) == 0 && chmod(dir, 0770) == 0);
	CHECK_UINT(load(PRINT, 0x1000, found), 0);
	CHECK(chmod(dir, 0700) == 0);
	CHECK_UINT(load(PRINT, 0x1000, found), 2);
	remove_dir();
}
