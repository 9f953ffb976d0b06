/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/kernel_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/test.h"

#define BOOT 42u

static const char kallsyms[] = "0000000000000000 A fixed_percpu_data\n"
			       "ffffffff81000000 T _text\n"
			       "ffffffff81000000 T startup\n"
			       "ffffffff81000040 t twin_one\n"
			       "ffffffff81000040 t twin_two\n"
			       "ffffffff81000100 T last\n"
			       "ffffffff82000000 T _etext\n"
			       "ffffffffc0000000 t in_module\t[nf]\n";

static void whole_table(struct cprof_kernel *kernel)
{
	struct cprof_buffer text = { 0 };
	cprof_buffer_puts(&text, kallsyms);
	CHECK(!cprof_kernel_parse(kernel, &text));
}

static struct cprof_buffer composed(void)
{
	struct cprof_kernel kernel;
	struct cprof_buffer bytes = { 0 };
	whole_table(&kernel);
	CHECK(cprof_kernel_cache_compose(&kernel, BOOT, &bytes));
	cprof_kernel_deinit(&kernel);
	return bytes;
}

TEST(kernel_cache_gives_back_the_kernels_own_functions_and_no_modules)
{
	struct cprof_buffer bytes = composed();
	struct cprof_kernel kernel, whole;
	whole_table(&whole);
	CHECK(cprof_kernel_cache_parse(&kernel, &bytes, BOOT));
	CHECK_UINT(kernel.n, 4);
	CHECK_UINT(kernel.start, 0xffffffff81000000);
	CHECK_UINT(kernel.end, 0xffffffff82000000);
	for (uint64_t addr = kernel.start; addr < kernel.start + 0x200; addr++) {
		struct cprof_kernel_symbol found, wanted;
		CHECK(cprof_kernel_find(&kernel, addr, &found));
		CHECK(cprof_kernel_find(&whole, addr, &wanted));
		CHECK_STR(found.name, wanted.name);
		CHECK_UINT(found.addr, wanted.addr);
	}
	cprof_kernel_deinit(&kernel);
	cprof_kernel_deinit(&whole);
}

TEST(kernel_cache_of_another_boot_or_a_changed_byte_counts_for_nothing)
{
	struct cprof_kernel kernel;
	struct cprof_buffer bytes = composed();
	size_t len = bytes.len;
	CHECK(!cprof_kernel_cache_parse(&kernel, &bytes, BOOT + 1));
	CHECK_UINT(kernel.n, 0);
	for (size_t i = 0; i < len; i++) {
		bytes = composed();
		bytes.data[i] ^= 0x40;
		CHECK(!cprof_kernel_cache_parse(&kernel, &bytes, BOOT));
	}
	for (size_t i = 0; i < len; i++) {
		bytes = composed();
		bytes.len = i;
		CHECK(!cprof_kernel_cache_parse(&kernel, &bytes, BOOT));
	}
}

TEST(kernel_cache_is_kept_in_a_file_that_only_we_may_read)
{
	char dir[] = "/tmp/cprof-unit-XXXXXX", path[64];
	struct cprof_kernel kernel, loaded;
	struct stat st;
	CHECK(mkdtemp(dir));
	CHECK(!cprof_kernel_cache_load(&loaded, dir, BOOT));
	whole_table(&kernel);
	cprof_kernel_cache_save(&kernel, dir, BOOT);
	CHECK(cprof_kernel_cache_load(&loaded, dir, BOOT));
	CHECK_UINT(loaded.n, 4);
	cprof_kernel_deinit(&loaded);
	CHECK(!cprof_kernel_cache_load(&loaded, dir, BOOT + 1));
	CHECK(!cprof_kernel_cache_load(&loaded, dir, 0));
	snprintf(path, sizeof(path), "%s/kernel.names", dir);
	CHECK(stat(path, &st) == 0);
	CHECK_UINT(st.st_mode & 0777, 0600);
	CHECK(unlink(path) == 0 && rmdir(dir) == 0);
	cprof_kernel_deinit(&kernel);
}

TEST(kernel_cache_without_bounds_is_not_made)
{
	struct cprof_kernel kernel;
	struct cprof_buffer text = { 0 }, bytes = { 0 };
	cprof_buffer_puts(&text, "ffffffff81000040 t lonely\n");
	CHECK(!cprof_kernel_parse(&kernel, &text));
	CHECK(!cprof_kernel_cache_compose(&kernel, BOOT, &bytes));
	cprof_buffer_deinit(&bytes);
	cprof_kernel_deinit(&kernel);
}

TEST(kernel_cache_tells_this_boot)
{
	uint64_t boot = cprof_kernel_cache_boot();
	CHECK_UINT(cprof_kernel_cache_boot(), boot);
	CHECK(boot || access("/proc/sys/kernel/random/boot_id", R_OK) != 0);
}
