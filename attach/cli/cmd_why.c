/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cmd_why.h"

#include <errno.h>
#include <stdio.h>

#include "attach/target/target_modules.h"
#include "base/cleanup.h"
#include "base/printable_text.h"
#include "symbolize/names/why.h"

static struct cprof_error *print(const struct cprof_buffer *out)
{
	struct cprof_error *err = cprof_buffer_error(out);
	if (err)
		return err;
	if (!cprof_printable_write(stdout, cprof_buffer_text(out), out->len) ||
	    fflush(stdout) == EOF)
		return cprof_error_os(errno, "write to stdout");
	return NULL;
}

/* The cache would hide what is found and what is not, so it is left alone. */
static struct cprof_why_options why_options(const struct cprof_attach_options *options,
					    struct cprof_debuginfod *debuginfod)
{
	return (struct cprof_why_options){
		.names = { .debuginfod = options->naming.debuginfod ? debuginfod : NULL },
		.ask_servers = "-debuginfod",
	};
}

struct cprof_error *cprof_cmd_why_process(struct cprof_target *target,
					  const struct cprof_attach_options *options)
{
	struct cprof_debuginfod debuginfod = { 0 };
	const struct cprof_why_options from = why_options(options, &debuginfod);
	CPROF_AUTO(buffer) struct cprof_buffer out = { 0 };
	struct cprof_target_modules all;
	cprof_target_modules_init(&all, target, options->naming.budget);
	struct cprof_error *err = cprof_why_process(&all.modules, &all.maps, &from, &out);
	if (!err && !options->requests.cpu.user_only)
		err = cprof_why_kernel(&all.modules, &from, &out);
	if (!err)
		err = print(&out);
	cprof_target_modules_deinit(&all);
	cprof_debuginfod_deinit(&debuginfod);
	return err;
}

struct cprof_error *cprof_cmd_why_files(const struct cprof_attach_options *options)
{
	struct cprof_debuginfod debuginfod = { 0 };
	const struct cprof_why_options from = why_options(options, &debuginfod);
	struct cprof_error *err = NULL;
	for (size_t i = 0; i < options->files.len && !err; i++) {
		CPROF_AUTO(buffer) struct cprof_buffer out = { 0 };
		struct cprof_modules modules;
		struct cprof_module *module;
		cprof_modules_init(&modules);
		modules.budget.factor = options->naming.budget;
		err = cprof_modules_open(&modules, options->files.items[i], &module);
		if (!err)
			err = cprof_why_module(module, &from, &out);
		if (!err)
			err = print(&out);
		cprof_modules_deinit(&modules);
	}
	cprof_debuginfod_deinit(&debuginfod);
	return err;
}
