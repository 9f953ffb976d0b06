/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/kernel_debug.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/printable_text.h"
#include "symbolize/dwfl/kernel_files.h"
#include "symbolize/elf/elf_file.h"

#define NOTES         "/sys/kernel/notes"
#define NOTES_MAX     (1u << 20)
#define BUILD_ID_DIR  "/usr/lib/debug/.build-id"
#define PATH_TEXT_MAX 4096

struct finding {
	struct cprof_kernel_debug *debug;
	struct cprof_buffer *trail;
	struct cprof_error *err; /* NO_MEMORY */
	bool any;                /* a file was there */
};

static void note(const struct finding *finding, const char *path, const char *what)
{
	if (finding->trail)
		cprof_printable_put_line(finding->trail, path, what);
}

/* ---- which kernel ---- */

static struct cprof_error *read_build_id(struct cprof_kernel_debug *debug)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_section notes = { .name = "" };
	struct cprof_error *err = cprof_file_read(NOTES, NOTES_MAX, &bytes);
	if (!err)
		err = cprof_image_borrow(bytes.data, bytes.len, &notes.image);
	if (!err) {
		notes.size = bytes.len;
		debug->build_id_len = cprof_elf_build_id_in(&notes, debug->build_id);
		cprof_image_free(notes.image);
	}
	if (err && err->code == CPROF_ERR_NO_MEMORY)
		return err;
	cprof_error_free(err);
	return NULL;
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

/* What speaks against the file; NULL: it is this kernel's. */
static const char *refusal(const struct cprof_kernel_debug *debug,
			   const struct cprof_module *module, uint64_t *ret_text)
{
	if (!module->build_id_len)
		return "has no build-id to prove that it is of the running kernel";
	if (module->build_id_len != debug->build_id_len ||
	    memcmp(module->build_id, debug->build_id, debug->build_id_len) != 0)
		return "is of another kernel (its build-id differs)";
	return find_text(module, ret_text) ? NULL : "has no code";
}

/* `name` is for the trail. */
static void try_file(struct finding *finding, const char *path, const char *name)
{
	struct cprof_kernel_debug *debug = finding->debug;
	struct cprof_module *module;
	if (access(path, F_OK) != 0)
		return note(finding, name, "not there");
	finding->any = true;
	struct cprof_error *err = cprof_modules_open(debug->modules, path, &module);
	if (err && err->code == CPROF_ERR_NO_MEMORY) {
		finding->err = err;
		return;
	}
	if (err) {
		note(finding, name, err->message);
		cprof_error_free(err);
		return;
	}
	const char *why_not = refusal(debug, module, &debug->text);
	note(finding, name, why_not ? why_not : "taken");
	if (!why_not)
		debug->module = module;
}

/* ---- where to look ---- */

static void by_build_id(struct finding *finding)
{
	char hex[2 * CPROF_BUILD_ID_MAX + 1], path[PATH_TEXT_MAX];
	cprof_build_id_hex(finding->debug->build_id, finding->debug->build_id_len, hex);
	snprintf(path, sizeof(path), BUILD_ID_DIR "/%.2s/%s.debug", hex, hex + 2);
	try_file(finding, path, path);
}

static bool on_file(void *ctx, const char *module, const char *path)
{
	struct finding *finding = ctx;
	(void)module; /* the kernel's: no other was asked for */
	try_file(finding, path, path);
	return false;
}

static void by_release(struct finding *finding, const char *release)
{
	char path[PATH_TEXT_MAX];
	struct cprof_error *err = cprof_kernel_files_each(release, false, on_file, finding);
	if (err) {
		note(finding, "vmlinux", err->message);
		cprof_error_free(err);
	} else if (!finding->any) {
		snprintf(path, sizeof(path),
			 "/boot/vmlinux-%s and /lib/modules/%s/vmlinux, also below /usr/lib/debug",
			 release, release);
		note(finding, path, "not there");
	}
	if (finding->err || finding->debug->module)
		return;
	/* One's own build: make modules_install leaves a link to it. */
	snprintf(path, sizeof(path), "/lib/modules/%s/build/vmlinux", release);
	try_file(finding, path, path);
}

static void by_debuginfod(struct finding *finding)
{
	struct cprof_kernel_debug *debug = finding->debug;
	char why[160], path[64];
	if (!debug->debuginfod)
		return;
	CPROF_AUTO(close)
	int fd = cprof_debuginfod_find(debug->debuginfod, "the kernel", debug->build_id,
				       debug->build_id_len, why, sizeof(why));
	if (fd < 0)
		return note(finding, "debuginfod", why);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	try_file(finding, path, "debuginfod");
}

struct cprof_error *cprof_kernel_debug_find(struct cprof_kernel_debug *debug,
					    struct cprof_buffer *trail)
{
	struct finding finding = { .debug = debug, .trail = trail };
	struct utsname host;
	if (debug->tried || !debug->modules || uname(&host) != 0)
		return NULL;
	debug->tried = true;
	struct cprof_error *err = read_build_id(debug);
	if (err)
		return err;
	if (debug->build_id_len < 2) {
		note(&finding, NOTES, "tells no build-id by which a debug file could be proved");
		return NULL;
	}
	by_build_id(&finding);
	if (!finding.err && !debug->module)
		by_release(&finding, host.release);
	if (!finding.err && !debug->module)
		by_debuginfod(&finding);
	return finding.err;
}

uint64_t cprof_kernel_debug_file_addr(const struct cprof_kernel_debug *debug, uint64_t start,
				      uint64_t addr)
{
	return addr - start + debug->text;
}
