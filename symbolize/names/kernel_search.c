/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/kernel_search.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/printable_text.h"
#include "symbolize/elf/elf_headers.h"

#define NOTES_MAX     (1u << 20)
#define BUILD_ID_DIR  "/usr/lib/debug/.build-id"
#define PATH_TEXT_MAX 4096

static bool is_over(const struct cprof_kernel_search *search)
{
	return search->module || search->err;
}

void cprof_kernel_search_note(const struct cprof_kernel_search *search, const char *path,
			      const char *what)
{
	if (search->trail)
		cprof_printable_put_line(search->trail, path, what);
}

/* What speaks against the file; NULL: it is this kernel's. */
static const char *refusal(const struct cprof_kernel_search *search,
			   const struct cprof_module *module)
{
	if (!module->build_id_len)
		return "has no build-id to prove that it is of the running kernel";
	if (module->build_id_len != search->build_id_len ||
	    memcmp(module->build_id, search->build_id, search->build_id_len) != 0)
		return "is of another kernel (its build-id differs)";
	return NULL;
}

/* Several symbolizers share one set of modules, and reading a vmlinux again is dear. */
static void find_open(struct cprof_kernel_search *search)
{
	for (size_t i = 0; i < search->modules->n && !search->module; i++) {
		struct cprof_module *module = search->modules->all[i];
		if (module->kind == CPROF_MODULE_FILE && !refusal(search, module)) {
			cprof_kernel_search_note(search, module->path, "taken");
			search->module = module;
		}
	}
}

bool cprof_kernel_search_begin(struct cprof_kernel_search *search, const char *notes_path)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_image *notes;
	struct cprof_error *err = cprof_file_read(notes_path, NOTES_MAX, &bytes);
	if (!err)
		err = cprof_image_borrow(bytes.data, bytes.len, &notes);
	if (!err) {
		search->build_id_len =
			cprof_elf_headers_build_id_in(notes, 0, bytes.len, search->build_id);
		cprof_image_free(notes);
	}
	if (err && err->code == CPROF_ERR_NO_MEMORY)
		search->err = err;
	else
		cprof_error_free(err);
	if (search->err)
		return false;
	if (search->build_id_len >= 2) {
		find_open(search);
		return true;
	}
	cprof_kernel_search_note(search, notes_path,
				 "tells no build-id by which a debug file could be proved");
	return false;
}

void cprof_kernel_search_try(struct cprof_kernel_search *search, const char *path, const char *name)
{
	struct cprof_module *module;
	if (is_over(search))
		return;
	if (access(path, F_OK) != 0) {
		cprof_kernel_search_note(search, name, "not there");
		return;
	}
	search->any = true;
	struct cprof_error *err = cprof_modules_open(search->modules, path, &module);
	if (err && err->code == CPROF_ERR_NO_MEMORY) {
		search->err = err;
		return;
	}
	if (err) {
		cprof_kernel_search_note(search, name, err->message);
		cprof_error_free(err);
		return;
	}
	const char *why_not = refusal(search, module);
	cprof_kernel_search_note(search, name, why_not ? why_not : "taken");
	if (!why_not)
		search->module = module;
}

void cprof_kernel_search_by_build_id(struct cprof_kernel_search *search)
{
	char hex[2 * CPROF_BUILD_ID_MAX + 1], path[PATH_TEXT_MAX];
	cprof_build_id_hex(search->build_id, search->build_id_len, hex);
	snprintf(path, sizeof(path), BUILD_ID_DIR "/%.2s/%s.debug", hex, hex + 2);
	cprof_kernel_search_try(search, path, path);
}

void cprof_kernel_search_by_debuginfod(struct cprof_kernel_search *search, const char *what)
{
	char why[160], path[64];
	if (!search->debuginfod || is_over(search))
		return;
	CPROF_AUTO(close)
	int fd = cprof_debuginfod_find(search->debuginfod, what, search->build_id,
				       search->build_id_len, why, sizeof(why));
	if (fd < 0) {
		cprof_kernel_search_note(search, "debuginfod", why);
		return;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	cprof_kernel_search_try(search, path, "debuginfod");
}
