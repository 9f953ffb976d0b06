/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/doctor/doctor_files.h"

#include <stdlib.h>
#include <string.h>

#include "attach/target/target_modules.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "symbolize/names/why.h"

struct search {
	struct cprof_doctor_files *files;
	struct cprof_why_options options;
};

/* The advice of -why, but its first line: a package, where there is one. */
static char *first_line(const struct cprof_buffer *advice)
{
	const char *text = cprof_buffer_text(advice);
	return strndup(text, strcspn(text, "\n"));
}

static struct cprof_error *add(void *ctx, struct cprof_module *module)
{
	struct search *search = ctx;
	struct cprof_doctor_files *files = search->files;
	CPROF_AUTO(buffer) struct cprof_buffer advice = { 0 };
	struct cprof_why_lacks lacks;
	struct cprof_error *err = cprof_why_lacks(module, &search->options, &lacks, &advice);
	if (err || !lacks.what)
		return err;
	if (!CPROF_ARRAY_ROOM(files->all, files->n, files->cap, 1))
		return cprof_error_no_memory();
	struct cprof_doctor_file *file = &files->all[files->n++];
	*file = (struct cprof_doctor_file){
		.path = strdup(module->path),
		.lacks = strdup(lacks.what),
		.advice = advice.len ? first_line(&advice) : NULL,
		.functions = lacks.functions,
	};
	return file->path && file->lacks && (!advice.len || file->advice) ? NULL
									  : cprof_error_no_memory();
}

struct cprof_error *cprof_doctor_files_find(struct cprof_doctor_files *files,
					    struct cprof_target *target, uint64_t budget)
{
	struct search search = { .files = files, .options = { .ask_servers = "-debuginfod" } };
	struct cprof_why_jit jit = { 0 };
	struct cprof_target_modules all;
	cprof_target_modules_init(&all, target, budget);
	struct cprof_error *err = cprof_why_each(&all.modules, &all.maps, add, &search, &jit);
	cprof_target_modules_deinit(&all);
	if (!err || err->code != CPROF_ERR_DENIED)
		return err;
	cprof_error_free(err); /* the row "access" has said so */
	return NULL;
}

void cprof_doctor_files_deinit(struct cprof_doctor_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		free(files->all[i].path);
		free(files->all[i].lacks);
		free(files->all[i].advice);
	}
	free(files->all);
	*files = (struct cprof_doctor_files){ 0 };
}
