/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/kernel_search.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/foreign_file.h"
#include "base/printable_text.h"
#include "symbolize/elf/elf_headers.h"
#include "symbolize/elf/unpack.h"

#define NOTES_MAX     (1u << 20)
#define BUILD_ID_DIR  "/usr/lib/debug/.build-id"
#define PATH_TEXT_MAX 4096
#define PACKED_MAX    (64u << 20)
#define UNPACKED_MAX                                                                               \
	(256u << 20) /* the largest module of Debian 12 has 43 MB with its debug information */

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

/* ---- opening ---- */

/* As distributions pack modules (CONFIG_MODULE_COMPRESS). */
static bool is_packed(const char *path)
{
	static const char *const ends[] = { ".ko.xz", ".ko.zst", ".ko.gz" };
	const size_t len = strlen(path);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (len > strlen(ends[i]) && strcmp(path + len - strlen(ends[i]), ends[i]) == 0)
			return true;
	}
	return false;
}

static bool unpack(struct cprof_image *image, struct cprof_buffer *out)
{
	const uint8_t *bytes =
		image->size <= PACKED_MAX ? cprof_image_at(image, 0, image->size) : NULL;
	return bytes && cprof_unpack(bytes, image->size, UNPACKED_MAX, image->account, out) &&
	       !out->failed && out->len;
}

/* It is unpacked in this process before its build-id is known, so it has to be root's. */
static struct cprof_error *open_packed(struct cprof_modules *modules, const char *path,
				       struct cprof_module **ret_module)
{
	CPROF_AUTO(buffer) struct cprof_buffer out = { 0 };
	CPROF_AUTO(close) int fd = cprof_foreign_file_open(path);
	struct cprof_image *image;
	if (fd < 0)
		return cprof_error_os(errno, "open %s", path);
	if (!cprof_foreign_file_is_of(fd, 0, 0))
		return cprof_error_new(CPROF_ERR_BAD_DATA,
				       "it is packed, and others than root can have written it");
	struct cprof_error *err = cprof_image_open(fd, path, &modules->budget, &image);
	if (err)
		return err;
	const bool unpacked = unpack(image, &out);
	struct cprof_account *account = image->account;
	cprof_image_free(image);
	if (!unpacked)
		return cprof_error_new(
			CPROF_ERR_BAD_DATA,
			"it cannot be unpacked: it is broken, holds more than 256 MB, "
			"or takes more than the budget allows");
	const size_t n = out.len;
	uint8_t *bytes = cprof_take_ptr(&out.data);
	out = (struct cprof_buffer){ 0 };
	return cprof_modules_open_bytes(modules, path, bytes, n, account, ret_module);
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
	struct cprof_error *err = is_packed(path)
					  ? open_packed(search->modules, path, &module)
					  : cprof_modules_open(search->modules, path, &module);
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
