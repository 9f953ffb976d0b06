/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwfl/kernel_files.h"

#include <errno.h>
#include <string.h>

#include "symbolize/dwfl/libdw.h"

#define DEBUG_DIR "/usr/lib/debug"

struct visit {
	cprof_kernel_files_fn *fn;
	void *ctx;
	bool modules;
};

/* libdwfl hands its predicate nothing of ours. */
static _Thread_local const struct visit *visit;

static int stop(void)
{
	errno = ECANCELED; /* libdwfl goes on after an error that has no number */
	return -1;
}

/* libdwfl's predicate: never 1, so that it reports, and reads, nothing. */
static int look(const char *module, const char *path)
{
	bool is_kernel = strcmp(module, CPROF_KERNEL_FILES_KERNEL) == 0;
	/* Packed kernels have no names in them, and members of an archive cannot be opened by their path. */
	bool is_file = path && !strstr(path, "/vmlinuz") && !strchr(path, '(');
	if (is_file && (!is_kernel || !visit->modules) && !visit->fn(visit->ctx, module, path))
		return stop();
	return is_kernel && !visit->modules ? stop() : 0;
}

struct cprof_error *cprof_kernel_files_each(const char *release, bool modules,
					    cprof_kernel_files_fn *fn, void *ctx)
{
	/* Without the usual ":" in front, with which libdwfl leaves out /boot/vmlinux-RELEASE itself. */
	static char debug_dir[] = DEBUG_DIR;
	static char *debug_path = debug_dir;
	/* Nothing is reported, so nobody is called back. */
	static const Dwfl_Callbacks callbacks = { .debuginfo_path = &debug_path };
	const struct visit mine = { fn, ctx, modules };
	struct cprof_libdw libdw;
	struct cprof_error *err = cprof_libdw_load(&libdw);
	if (err)
		return err;
	Dwfl *dwfl = libdw.dwfl_begin(&callbacks);
	if (!dwfl)
		return cprof_error_no_memory();
	visit = &mine;
	libdw.dwfl_report_begin_add(dwfl);
	libdw.dwfl_linux_kernel_report_offline(dwfl, release, look);
	libdw.dwfl_report_end(dwfl, NULL, NULL);
	visit = NULL;
	libdw.dwfl_end(dwfl);
	return NULL;
}
