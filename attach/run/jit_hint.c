/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/jit_hint.h"

#include <string.h>

#include "cprof/module.h"

#define NAMELESS_PART 20 /* of so many addresses one without a name is worth a hint */

#define PYTHON_LOOP     "_PyEval_EvalFrameDefault"
#define PYTHON_FUNCTION "py::"

/* By a file that the process has mapped: its name begins with this. The pid stands for %d. */
static const struct {
	const char *file, *advice;
} run_times[] = {
	{ "libjvm.so", "jcmd %d Compiler.perfmap gives it names (JDK 17 or newer)" },
	{ "node", "start it with --perf-basic-prof, as in node --perf-basic-prof app.js" },
	{ "libnode.so", "start it with --perf-basic-prof" },
	{ "libcoreclr.so", "start it with DOTNET_PerfMapEnabled=1 in its environment" },
	{ "beam.smp", "start it with +JPperf true, as in erl +JPperf true" },
	{ "libruby", "start it as ruby --yjit --yjit-perf app.rb (3.3 or newer)" },
	{ "ruby", "start it as ruby --yjit --yjit-perf app.rb (3.3 or newer)" },
	{ "php", "start it with -d opcache.jit_debug=0x10, which writes /tmp/perf-%d.map" },
	{ "libpython3", "start it as python3 -X perf (3.12 or newer)" },
	{ "python3", "start it as python3 -X perf (3.12 or newer)" },
	{ "", "if what makes it can write a map for perf, /tmp/perf-%d.map, that gives it names" },
};

/* A file that a core file names, and that is not here, is no such code. */
static bool is_generated(const struct cprof_map *map)
{
	return map && map->module &&
	       ((map->module->kind == CPROF_MODULE_ANONYMOUS && map->path[0] != '/') ||
		cprof_maps_is_memory(map->path));
}

void cprof_jit_hint_see(struct cprof_jit_hint *hint, const struct cprof_maps *maps,
			const struct cprof_map *map, const char *name, bool named)
{
	if (!named && is_generated(map)) {
		if (!hint->maps)
			hint->maps = maps;
		hint->nameless += hint->maps == maps;
	}
	if (!named)
		return;
	if (!hint->python && strcmp(name, PYTHON_LOOP) == 0)
		hint->python = maps;
	if (strncmp(name, PYTHON_FUNCTION, strlen(PYTHON_FUNCTION)) == 0)
		hint->python_named = true;
}

static bool has_file(const struct cprof_maps *maps, const char *begin)
{
	for (size_t i = 0; i < maps->n_all; i++) {
		const char *path = maps->all[i]->path, *slash = strrchr(path, '/');
		if (!*begin || (slash && strncmp(slash + 1, begin, strlen(begin)) == 0))
			return true;
	}
	return false;
}

static const char *advice_for(const struct cprof_maps *maps)
{
	size_t i = 0;
	while (*run_times[i].file && !has_file(maps, run_times[i].file))
		i++;
	return run_times[i].advice;
}

/* With the process's id in the place of %d. */
static void put_advice(const struct cprof_maps *maps, struct cprof_buffer *out)
{
	const char *advice = advice_for(maps), *pid = strstr(advice, "%d");
	if (!pid) {
		cprof_buffer_puts(out, advice);
		return;
	}
	cprof_buffer_printf(out, "%.*s%d%s", (int)(pid - advice), advice, (int)maps->pid,
			    pid + strlen("%d"));
}

void cprof_jit_hint_put(const struct cprof_jit_hint *hint, uint64_t locations,
			struct cprof_buffer *out)
{
	if (hint->maps && hint->nameless * NAMELESS_PART >= locations) {
		cprof_buffer_printf(out,
				    "hint: %.0f %% of the addresses are of code made at run time "
				    "and have no name: ",
				    100.0 * (double)hint->nameless / (double)locations);
		put_advice(hint->maps, out);
	} else if (hint->python && !hint->python_named) {
		cprof_buffer_puts(out, "hint: Python's own functions have names if it is started "
				       "as python3 -X perf (3.12 or newer)");
	}
}
