/* SPDX-License-Identifier: Apache-2.0 */
/* What would give names to code made at run time. */
#include "attach/run/jit_hint.h"

#include <sys/mman.h>

#include "base/cleanup.h"
#include "cprof/module.h"
#include "symbolize/names/jit_names.h"
#include "tests/unit/test.h"

static struct cprof_module generated = { .kind = CPROF_MODULE_ANONYMOUS };
static struct cprof_module file = { .kind = CPROF_MODULE_FILE };
static struct cprof_map library = { .path = "", .module = &file };
static struct cprof_map code = { .path = "", .module = &generated };
static struct cprof_map missing = { .path = "/opt/lib.so", .module = &generated };
static struct cprof_map *all[] = { &library, &code };
static struct cprof_maps maps = { .pid = 42, .all = all, .n_all = 2 };

static void check(const char *path, const struct cprof_jit_hint *hint, const char *want)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	library.path = path;
	cprof_jit_hint_put(hint, 20, &text);
	if (want ? !strstr(cprof_buffer_text(&text), want) : text.len > 0)
		TEST_FAIL("%s: \"%s\", want \"%s\"", path, cprof_buffer_text(&text),
			  want ? want : "");
}

TEST(jit_hint_is_the_command_of_the_run_time)
{
	struct cprof_jit_hint hint = { 0 };
	cprof_jit_hint_see(&hint, &maps, &code, "[JIT]", false);
	check("/opt/jdk/lib/server/libjvm.so", &hint, "5 % of the addresses");
	check("/opt/jdk/lib/server/libjvm.so", &hint, "jcmd 42 Compiler.perfmap");
	check("/usr/bin/node", &hint, "node --perf-basic-prof");
	check("/usr/share/dotnet/libcoreclr.so", &hint, "DOTNET_PerfMapEnabled=1");
	check("/usr/bin/python3.13", &hint, "python3 -X perf");
	check("/usr/bin/ruby3.3", &hint, "3.3 or newer");
	check("/usr/bin/php8.2", &hint, "opcache.jit_debug=0x10");
	check("/usr/bin/luajit", &hint, "/tmp/perf-42.map");
}

TEST(jit_hint_is_given_for_code_in_shared_memory)
{
	static struct cprof_map shared = { .path = "/dev/zero", .module = &generated };
	struct cprof_jit_hint hint = { 0 };
	cprof_jit_hint_see(&hint, &maps, &shared, "[JIT]", false);
	check("/usr/bin/php8.2", &hint, "5 % of the addresses");
}

TEST(jit_hint_is_given_where_names_would_change_the_picture)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_jit_hint hint = { 0 };
	check("/usr/bin/node", &hint, NULL);
	cprof_jit_hint_see(&hint, &maps, &code, "hot", true);
	cprof_jit_hint_see(&hint, &maps, &library, "node+0x10", false);
	cprof_jit_hint_see(&hint, &maps, NULL, "[unknown]+0x0", false);
	cprof_jit_hint_see(&hint, &maps, &missing, "lib.so+0x10", false);
	check("/usr/bin/node", &hint, NULL);
	cprof_jit_hint_see(&hint, &maps, &code, "[JIT]", false);
	cprof_jit_hint_put(&hint, 21, &text);
	CHECK_UINT(text.len, 0);
}

TEST(jit_hint_for_python_is_given_until_its_functions_have_names)
{
	struct cprof_jit_hint hint = { 0 };
	cprof_jit_hint_see(&hint, &maps, &library, "_PyEval_EvalFrameDefault", true);
	check("/usr/bin/python3.11", &hint, "python3 -X perf (3.12 or newer)");
	cprof_jit_hint_see(&hint, &maps, &code, "py::work:/srv/app.py", true);
	check("/usr/bin/python3.13", &hint, NULL);
}

TEST(jit_regions_are_memory_that_no_file_was_loaded_into)
{
	static const struct {
		const char *path, *want; /* NULL: none */
	} cases[] = {
		{ "", "[JIT]" },
		{ "/dev/zero", "[JIT]" },
		{ "/SYSV00000000", "[JIT]" },
		{ "/anon_hugepage", "[JIT]" },
		{ "/memfd:doublemapper", "[anon: memfd:doublemapper]" },
		{ "[anon:v8]", "[anon: v8]" },
		{ "/usr/lib/libc.so.6", NULL },
		{ "/home/dev/zero", NULL },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_map map = { .path = cases[i].path, .prot = PROT_READ | PROT_EXEC };
		char text[CPROF_JIT_REGION_MAX] = "";
		bool is = cprof_jit_names_region(&map, text);
		if (is != (cases[i].want != NULL) || (is && strcmp(text, cases[i].want) != 0))
			TEST_FAIL("%s: \"%s\"", cases[i].path, text);
		map.prot = PROT_READ;
		CHECK(!cprof_jit_names_region(&map, text));
	}
}
