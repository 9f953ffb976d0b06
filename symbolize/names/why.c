/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/why.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/printable_text.h"
#include "symbolize/names/jit_dump.h"
#include "symbolize/names/kernel.h"
#include "symbolize/names/kernel_debug.h"
#include "symbolize/names/package.h"
#include "symbolize/names/perf_map.h"

#define INDENT "  "

/* Lines of `text`, the first after `head`, the others below it. */
static void put_lines(struct cprof_buffer *out, const char *head, const char *text)
{
	for (const char *at = text; *at;) {
		size_t len = strcspn(at, "\n");
		cprof_buffer_printf(out, INDENT "%-9s %.*s\n", at == text ? head : "", (int)len,
				    at);
		at += len + (at[len] == '\n');
	}
}

static void put_build_id(struct cprof_buffer *out, const struct cprof_module *module)
{
	char hex[2 * CPROF_BUILD_ID_MAX + 1];
	cprof_build_id_hex(module->build_id, module->build_id_len, hex);
	cprof_buffer_printf(out, INDENT "build-id  %s\n",
			    *hex ? hex
				 : "none (link with -Wl,--build-id: only with one can a separate "
				   "debug file be found and trusted)");
}

/* ---- what was found ---- */

static void put_symbols(struct cprof_buffer *out, const struct cprof_names *names)
{
	if (names->n_symtab)
		cprof_buffer_printf(out, INDENT "functions %zu, from .symtab%s\n", names->n_symtab,
				    names->debug && cprof_elf_has_section(names->debug, ".symtab")
					    ? " of the debug file"
					    : "");
	else if (names->n_mini)
		cprof_buffer_printf(out, INDENT "functions %zu, from mini debug info and .dynsym\n",
				    names->n_mini + names->n_dynsym);
	else if (names->go)
		cprof_buffer_puts(out, INDENT "functions from Go's own table\n");
	else if (names->n_dynsym)
		cprof_buffer_printf(
			out, INDENT "functions %zu, from .dynsym: exported ones only%s\n",
			names->n_dynsym,
			names->module->kind == CPROF_MODULE_MAPPED ? "" : " (stripped)");
	else
		cprof_buffer_puts(out, INDENT "functions none (stripped)\n");
}

static void put_dwarf(struct cprof_buffer *out, const struct cprof_names *names)
{
	if (names->go)
		cprof_buffer_puts(out, INDENT "lines     from Go's own table; no inlined calls "
					      "(linked with -w)\n");
	else if (!names->dwarf)
		cprof_buffer_puts(out, INDENT "lines     none, and no inlined calls: no debug "
					      "information\n");
	else
		cprof_buffer_printf(out,
				    INDENT "lines     and inlined calls from the DWARF of %s%s\n",
				    names->debug ? "the debug file" : "the file itself",
				    names->alt ? " and dwz's common file" : "");
	if (names->dwarf && cprof_dwarf_missing_split(names->dwarf))
		cprof_buffer_puts(
			out,
			INDENT "          parts are in .dwo files that were found neither where it "
			       "was compiled\n" INDENT
			       "          nor beside it, nor in a .dwp beside it: no inlined calls "
			       "there\n");
}

/* Files of which not all was read, as that costs more than they may. */
static void put_left_out(struct cprof_buffer *out, const struct cprof_names *names)
{
	const struct cprof_image *images[] = { names->module->image,
					       names->debug ? names->debug->image : NULL,
					       names->alt ? names->alt->image : NULL };
	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
		const struct cprof_account *account = images[i] ? images[i]->account : NULL;
		if (!account || !account->over)
			continue;
		cprof_buffer_printf(out, INDENT "left out  what takes ");
		cprof_account_describe(account, out);
		cprof_buffer_puts(out, "\n");
	}
}

/* ---- what would be better ---- */

static bool tells_functions(const struct cprof_names *names)
{
	return names->n_symtab || names->n_mini || names->go;
}

static struct cprof_error *advise(const struct cprof_names *names,
				  const struct cprof_why_options *options,
				  struct cprof_buffer *advice)
{
	const struct cprof_module *module = names->module;
	struct cprof_error *err =
		cprof_package_advise(module->root, module->path, options->ask_servers, advice);
	if (err)
		return err;
	if (!options->names.debuginfod && module->build_id_len)
		cprof_buffer_printf(advice,
				    "run with %s, if DEBUGINFOD_URLS names a server "
				    "that knows this build\n",
				    options->ask_servers);
	cprof_buffer_puts(
		advice,
		module->kind == CPROF_MODULE_MAPPED
			? "let the file be opened, as said above, or restart the process\n"
			: "your own build: compile with -g (and -O2 as before), do not strip "
			  "the file or keep its debug file beside it\n");
	return cprof_buffer_error(advice);
}

static struct cprof_error *put_advice(struct cprof_buffer *out, const struct cprof_names *names,
				      const struct cprof_why_options *options)
{
	CPROF_AUTO(buffer) struct cprof_buffer advice = { 0 };
	if (names->dwarf && (names->n_symtab || names->n_mini))
		return NULL;
	if (names->module->kind == CPROF_MODULE_VDSO) {
		put_lines(out, "better",
			  "nothing: the kernel's own code, its functions have names\n");
		return NULL;
	}
	struct cprof_error *err = advise(names, options, &advice);
	if (!err)
		put_lines(out, "better", cprof_buffer_text(&advice));
	return err;
}

struct cprof_error *cprof_why_lacks(struct cprof_module *module,
				    const struct cprof_why_options *options,
				    struct cprof_why_lacks *ret_lacks, struct cprof_buffer *advice)
{
	struct cprof_names *names;
	*ret_lacks = (struct cprof_why_lacks){ 0 };
	if (module->kind == CPROF_MODULE_VDSO)
		return NULL;
	if (module->kind == CPROF_MODULE_OPAQUE) {
		*ret_lacks =
			(struct cprof_why_lacks){ .what = module->why ? module->why
								      : "it could not be opened",
						  .functions = true };
		return NULL;
	}
	struct cprof_error *err = cprof_names_get(module, &options->names, &names);
	if (!err)
		err = cprof_names_need(names);
	if (err || (tells_functions(names) && (names->dwarf || names->go)))
		return err;
	ret_lacks->functions = !tells_functions(names);
	ret_lacks->what = !ret_lacks->functions ? "lines and inlined calls"
			  : names->n_dynsym     ? "functions that are not exported"
						: "all functions";
	return advise(names, options, advice);
}

struct cprof_error *cprof_why_module(struct cprof_module *module,
				     const struct cprof_why_options *options,
				     struct cprof_buffer *out)
{
	struct cprof_names *names;
	cprof_printable_puts(out, *module->path ? module->path : "[anonymous memory]");
	cprof_buffer_putc(out, '\n');
	if (module->kind == CPROF_MODULE_OPAQUE) {
		put_lines(out, "no names", module->why ? module->why : "could not be opened");
		return cprof_buffer_error(out);
	}
	struct cprof_error *err = cprof_names_get(module, &options->names, &names);
	if (!err)
		err = cprof_names_need(names);
	if (err)
		return err;
	put_build_id(out, module);
	if (module->kind == CPROF_MODULE_MAPPED)
		put_lines(out, "no file", module->why);
	put_symbols(out, names);
	put_dwarf(out, names);
	put_left_out(out, names);
	put_lines(out, "looked", cprof_buffer_text(&names->trail));
	err = put_advice(out, names, options);
	return err ? err : cprof_buffer_error(out);
}

/* ---- a process ---- */

static void put_jit_names(struct cprof_buffer *out, const struct cprof_perf_map *map,
			  const struct cprof_jit_dump *dump)
{
	if (map->n)
		cprof_buffer_printf(out, INDENT "functions %zu, from its perf map\n", map->n);
	if (dump->n)
		cprof_buffer_printf(out, INDENT "functions %zu, from its jitdump\n", dump->n);
	if (!map->n && !dump->n)
		put_lines(
			out, "no names",
			"it writes no /tmp/perf-PID.map, and no jitdump that it has mapped\n"
			"Node: --perf-basic-prof; Python 3.12: -X perf; Java: a perf-map agent, or "
			"perf's libperf-jvmti.so\n");
}

static struct cprof_error *put_jit(const struct cprof_maps *maps, struct cprof_budget *budget,
				   size_t n, uint64_t bytes, struct cprof_buffer *out)
{
	struct cprof_perf_map map;
	struct cprof_jit_dump dump;
	if (!n)
		return NULL;
	cprof_buffer_printf(out,
			    "[anonymous memory] (%zu executable areas, %llu KB: code made at run "
			    "time)\n",
			    n, (unsigned long long)(bytes >> 10));
	struct cprof_error *errs[] = { cprof_perf_map_read(&map, maps, budget),
				       cprof_jit_dump_read(&dump, maps, budget) };
	struct cprof_error *no_memory = NULL;
	for (size_t i = 0; i < sizeof(errs) / sizeof(errs[0]); i++) {
		if (errs[i] && errs[i]->code == CPROF_ERR_NO_MEMORY && !no_memory) {
			no_memory = errs[i];
			continue;
		}
		if (errs[i])
			put_lines(out, "not read", errs[i]->message);
		cprof_error_free(errs[i]);
	}
	put_jit_names(out, &map, &dump);
	cprof_perf_map_deinit(&map);
	cprof_jit_dump_deinit(&dump);
	return no_memory;
}

struct cprof_error *cprof_why_each(struct cprof_modules *modules, struct cprof_maps *maps,
				   cprof_why_fn *fn, void *ctx, struct cprof_why_jit *jit)
{
	struct cprof_error *err = cprof_maps_refresh(maps);
	size_t before = modules->n;
	for (size_t i = 0; i < maps->n_sorted && !err; i++) {
		struct cprof_map *map = maps->sorted[i];
		struct cprof_module *module;
		if (!(map->prot & PROT_EXEC) || strcmp(map->path, "[vsyscall]") == 0 ||
		    cprof_jit_dump_is(map->path))
			continue;
		err = cprof_modules_get(modules, maps, map, &module);
		if (err)
			break;
		if (module->kind == CPROF_MODULE_ANONYMOUS) {
			jit->n++;
			jit->bytes += map->end - map->start;
		} else if (module->id >= before) {
			before = module->id + 1;
			err = fn(ctx, module);
		}
	}
	return err;
}

struct telling {
	const struct cprof_why_options *options;
	struct cprof_buffer *out;
};

static struct cprof_error *tell_module(void *ctx, struct cprof_module *module)
{
	const struct telling *telling = ctx;
	return cprof_why_module(module, telling->options, telling->out);
}

struct cprof_error *cprof_why_process(struct cprof_modules *modules, struct cprof_maps *maps,
				      const struct cprof_why_options *options,
				      struct cprof_buffer *out)
{
	struct telling telling = { options, out };
	struct cprof_why_jit jit = { 0 };
	struct cprof_error *err = cprof_why_each(modules, maps, tell_module, &telling, &jit);
	return err ? err : put_jit(maps, &modules->budget, jit.n, jit.bytes, out);
}

/* ---- the kernel ---- */

static struct cprof_error *put_kernel_functions(struct cprof_buffer *out)
{
	struct cprof_kernel kernel = { 0 };
	struct cprof_error *err = cprof_kernel_read(&kernel, NULL);
	if (err && err->code == CPROF_ERR_NO_MEMORY) {
		cprof_kernel_deinit(&kernel);
		return err;
	}
	if (err)
		put_lines(out, "no names", err->message);
	else if (kernel.restricted)
		put_lines(
			out, "no names",
			"/proc/kallsyms hides its addresses\nrun as root, or set kernel.kptr_restrict "
			"to 0 and kernel.perf_event_paranoid to 1\n");
	else
		cprof_buffer_printf(out, INDENT "functions %zu, from /proc/kallsyms\n", kernel.n);
	cprof_error_free(err);
	cprof_kernel_deinit(&kernel);
	return cprof_buffer_error(out);
}

/* A package of another release would be refused. */
static void put_kernel_advice(struct cprof_buffer *out)
{
	struct utsname host;
	if (uname(&host) != 0)
		return;
	cprof_buffer_printf(out,
			    INDENT "%-9s the debug package of this very kernel: "
				   "linux-image-%s-dbg on Debian, linux-image-%s-dbgsym on Ubuntu, "
				   "kernel-debuginfo-%s on Fedora\n",
			    "better", host.release, host.release, host.release);
}

static struct cprof_error *put_kernel_lines(struct cprof_modules *modules,
					    const struct cprof_why_options *options,
					    struct cprof_buffer *out)
{
	struct cprof_kernel_debug debug = { .modules = modules,
					    .debuginfod = options->names.debuginfod };
	struct cprof_names *names = NULL;
	CPROF_AUTO(buffer) struct cprof_buffer trail = { 0 };
	struct cprof_error *err = cprof_kernel_debug_find(&debug, &trail);
	if (!err && debug.module)
		err = cprof_names_get(debug.module, &options->names, &names);
	if (!err && names)
		err = cprof_names_need(names);
	if (err)
		return err;
	if (names)
		put_dwarf(out, names);
	else
		cprof_buffer_puts(out, INDENT "lines     none, and no inlined calls: no debug "
					      "information\n");
	put_lines(out, "looked", cprof_buffer_text(&trail));
	if (names)
		put_lines(out, "", cprof_buffer_text(&names->trail));
	if (!names || !names->dwarf)
		put_kernel_advice(out);
	return cprof_buffer_error(out);
}

struct cprof_error *cprof_why_kernel(struct cprof_modules *modules,
				     const struct cprof_why_options *options,
				     struct cprof_buffer *out)
{
	cprof_buffer_puts(out, "[kernel]\n");
	struct cprof_error *err = put_kernel_functions(out);
	return err ? err : put_kernel_lines(modules, options, out);
}
