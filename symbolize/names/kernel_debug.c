/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/kernel_debug.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/foreign_file.h"
#include "symbolize/dwfl/kernel_files.h"
#include "symbolize/dwfl/kernel_module.h"
#include "symbolize/names/kernel_search.h"
#include "symbolize/names/names.h"

#define NOTES         "/sys/kernel/notes"
#define PATH_TEXT_MAX 4096
#define LIST_MAX      (8u << 20) /* Debian 12: 0.6 MB */

void cprof_kernel_debug_deinit(struct cprof_kernel_debug *debug)
{
	for (size_t i = 0; i < debug->n_loaded; i++)
		free(debug->loaded[i].name);
	free(debug->loaded);
	*debug = (struct cprof_kernel_debug){ 0 };
}

static struct cprof_kernel_search search_of(const struct cprof_kernel_debug *debug,
					    struct cprof_buffer *trail)
{
	return (struct cprof_kernel_search){ .modules = debug->modules,
					     .debuginfod = debug->debuginfod,
					     .trail = trail };
}

/* ---- vmlinux ---- */

static bool on_vmlinux(void *ctx, const char *module, const char *path)
{
	(void)module; /* the kernel's: no other was asked for */
	cprof_kernel_search_try(ctx, path, path);
	return false;
}

static void by_release(struct cprof_kernel_search *search, const char *release)
{
	char path[PATH_TEXT_MAX];
	if (search->module || search->err)
		return;
	struct cprof_error *err = cprof_kernel_files_each(release, false, on_vmlinux, search);
	if (err) {
		cprof_kernel_search_note(search, "vmlinux", err->message);
		cprof_error_free(err);
	} else if (!search->any) {
		snprintf(path, sizeof(path),
			 "/boot/vmlinux-%s and /lib/modules/%s/vmlinux, also below /usr/lib/debug",
			 release, release);
		cprof_kernel_search_note(search, path, "not there");
	}
	/* One's own build: make modules_install leaves a link to it. */
	snprintf(path, sizeof(path), "/lib/modules/%s/build/vmlinux", release);
	cprof_kernel_search_try(search, path, path);
}

/* The lowest code of the file, which is what kallsyms calls _text. */
static bool find_text(const struct cprof_module *module, uint64_t *ret_text)
{
	bool found = false;
	for (size_t i = 0; i < module->n_segments; i++) {
		const struct cprof_segment *segment = &module->segments[i];
		if ((segment->flags & PF_X) && (!found || segment->file_addr < *ret_text)) {
			*ret_text = segment->file_addr;
			found = true;
		}
	}
	return found;
}

struct cprof_error *cprof_kernel_debug_find(struct cprof_kernel_debug *debug,
					    struct cprof_buffer *trail)
{
	struct cprof_kernel_search search = search_of(debug, trail);
	struct utsname host;
	if (debug->tried || !debug->modules || uname(&host) != 0)
		return NULL;
	debug->tried = true;
	if (!cprof_kernel_search_begin(&search, NOTES))
		return search.err;
	cprof_kernel_search_by_build_id(&search);
	by_release(&search, host.release);
	cprof_kernel_search_by_debuginfod(&search, "the kernel");
	if (search.module && find_text(search.module, &debug->text))
		debug->module = search.module;
	return search.err;
}

uint64_t cprof_kernel_debug_file_addr(const struct cprof_kernel_debug *debug, uint64_t start,
				      uint64_t addr)
{
	return addr - start + debug->text;
}

/* ---- kernel modules ---- */

struct wanted {
	struct cprof_kernel_search *search;
	const char *name;
};

static bool on_file(void *ctx, const char *module, const char *path)
{
	const struct wanted *wanted = ctx;
	if (strcmp(module, wanted->name) == 0)
		cprof_kernel_search_try(wanted->search, path, path);
	return !wanted->search->module && !wanted->search->err;
}

/* libdwfl is given its bytes in this process, so it has to be root's. */
static bool is_roots(const struct cprof_module *module)
{
	CPROF_AUTO(close) int fd = cprof_foreign_file_open(module->path);
	return fd >= 0 && cprof_foreign_file_is_of(fd, 0, 0);
}

static struct cprof_error *relocate(struct cprof_module *module, const char *name, bool *ret_done)
{
	/* No cache on disk: the addresses are those of this boot. */
	const struct cprof_names_options options = { 0 };
	struct cprof_names *names;
	/* It was relocated for another symbolizer of these modules: nobody else opens it. */
	*ret_done = module->names.data != NULL;
	if (*ret_done || !is_roots(module))
		return NULL;
	struct cprof_error *err = cprof_names_get(module, &options, &names);
	if (err || !names->self || !cprof_elf_has_section(names->self, ".debug_info"))
		return err;
	err = cprof_kernel_module_relocate(names->self, name);
	*ret_done = !err;
	if (!err && !(names->loaded = strdup(name)))
		err = cprof_error_no_memory();
	if (err && err->code == CPROF_ERR_NO_MEMORY)
		return err;
	cprof_error_free(err);
	return NULL;
}

/* "kernel/fs/xfs/my-xfs.ko.zst: ..." is the module my_xfs. */
static bool is_line_of(const char *line, size_t len, const char *name)
{
	static const char end[] = ".ko.zst";
	const char *slash = memrchr(line, '/', len), *base = slash ? slash + 1 : line;
	const size_t n = strlen(name);
	if ((size_t)(line + len - base) != n + strlen(end) ||
	    memcmp(base + n, end, strlen(end)) != 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		if ((base[i] == '-' ? '_' : base[i]) != name[i])
			return false;
	}
	return true;
}

/* What is packed with zstd libdwfl does not find; the kernel's own list of its modules has it. */
static void by_list(struct cprof_kernel_search *search, const char *dir, const char *name)
{
	char path[2 * PATH_TEXT_MAX];
	CPROF_AUTO(buffer) struct cprof_buffer list = { 0 };
	snprintf(path, sizeof(path), "%s/modules.dep", dir);
	cprof_error_free(cprof_file_read(path, LIST_MAX, &list));
	for (const char *line = cprof_buffer_text(&list); *line; line += strcspn(line, "\n")) {
		line += *line == '\n';
		const size_t len = strcspn(line, ":\n");
		if (len >= PATH_TEXT_MAX || !is_line_of(line, len, name))
			continue;
		if (*line == '/')
			snprintf(path, sizeof(path), "%.*s", (int)len, line);
		else
			snprintf(path, sizeof(path), "%s/%.*s", dir, (int)len, line);
		cprof_kernel_search_try(search, path, path);
	}
}

static struct cprof_error *find_loaded(struct cprof_kernel_debug *debug, const char *name,
				       struct cprof_module **ret_module)
{
	static const char *const places[] = { "/usr/lib/debug/lib/modules", "/lib/modules" };
	struct cprof_kernel_search search = search_of(debug, NULL);
	struct wanted wanted = { &search, name };
	struct utsname host;
	char path[PATH_TEXT_MAX];
	bool done = false;
	snprintf(path, sizeof(path), "/sys/module/%s/notes/.note.gnu.build-id", name);
	if (uname(&host) != 0 || !cprof_kernel_search_begin(&search, path))
		return search.err;
	cprof_kernel_search_by_build_id(&search);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		/* What is loaded has debug information in one's own build only. */
		if (i == 1)
			cprof_kernel_search_by_debuginfod(&search, name);
		snprintf(path, sizeof(path), "%s/%s", places[i], host.release);
		if (!search.module && !search.err)
			cprof_error_free(cprof_kernel_files_each(path, true, on_file, &wanted));
		if (!search.module && !search.err)
			by_list(&search, path, name);
	}
	if (search.err || !search.module)
		return search.err;
	struct cprof_error *err = relocate(search.module, name, &done);
	*ret_module = done ? search.module : NULL;
	return err;
}

struct cprof_error *cprof_kernel_debug_loaded(struct cprof_kernel_debug *debug, const char *name,
					      struct cprof_module **ret_module)
{
	*ret_module = NULL;
	if (!debug->modules || strchr(name, '/'))
		return NULL;
	for (size_t i = 0; i < debug->n_loaded; i++) {
		if (strcmp(debug->loaded[i].name, name) == 0) {
			*ret_module = debug->loaded[i].module;
			return NULL;
		}
	}
	char *copy = strdup(name);
	if (!copy || !CPROF_ARRAY_ROOM(debug->loaded, debug->n_loaded, debug->cap_loaded, 1)) {
		free(copy);
		return cprof_error_no_memory();
	}
	struct cprof_error *err = find_loaded(debug, name, ret_module);
	debug->loaded[debug->n_loaded++] = (struct cprof_kernel_loaded){ copy, *ret_module };
	return err;
}
