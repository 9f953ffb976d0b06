/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/process/debug_file.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cprof/module.h"
#include "tests/unit/test.h"

/* Of one without debuglink, by its name. Behind its path there is nothing that could be read. */
TEST(debug_file_of_a_program_in_the_root_directory_is_looked_for_beside_it)
{
	static const char program[] = "/a"; /* shorter than "/usr" */
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *pages =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(pages != MAP_FAILED && mprotect(pages + page, page, PROT_NONE) == 0);
	char *path = pages + page - sizeof(program);
	memcpy(path, program, sizeof(program));
	CPROF_AUTO(buffer) struct cprof_buffer trail = { 0 };
	const struct cprof_debug_roots roots = { .target_root = "", .module_path = path };
	struct cprof_modules modules;
	struct cprof_module *module;
	struct cprof_elf *elf, *debug = NULL;
	cprof_modules_init(&modules);
	CHECK(!cprof_modules_open(&modules, "/proc/self/exe", &module));
	CHECK(!cprof_elf_open(module->image, true, &elf));
	CHECK(!cprof_debug_file_find(elf, &roots, &trail, &debug));
	CHECK(!debug);
	CHECK(!module->build_id_len || strstr(cprof_buffer_text(&trail), "/a.debug: not there"));
	cprof_elf_free(elf);
	cprof_modules_deinit(&modules);
	munmap(pages, 2 * page);
}
