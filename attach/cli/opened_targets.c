/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/opened_targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/run/process_context.h"
#include "attach/target/target_children.h"
#include "attach/threads/core_file.h"
#include "base/cleanup.h"

/* What a core file is of takes a target's place for names and messages. */
static struct cprof_error *open_core(struct cprof_opened_targets *opened, const char *core)
{
	opened->all = calloc(1, sizeof(*opened->all));
	if (!opened->all)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_core_file_target(core, &opened->all[0]);
	if (!err)
		opened->n = 1;
	return err;
}

static bool is_target(const struct cprof_opened_targets *opened, pid_t pid)
{
	for (size_t i = 0; i < opened->n; i++) {
		if (opened->all[i]->pid == pid)
			return true;
	}
	return false;
}

/* One that cannot be looked at is left out, and told; one that has ended meanwhile is left out. */
static struct cprof_error *open_child(struct cprof_opened_targets *opened, pid_t pid,
				      struct cprof_run_log *log)
{
	struct cprof_target **more = realloc(opened->all, (opened->n + 1) * sizeof(*more));
	if (!more)
		return cprof_error_no_memory();
	opened->all = more;
	struct cprof_error *err = cprof_target_open(pid, &opened->all[opened->n]);
	if (!err)
		opened->n++;
	else if (err->code != CPROF_ERR_NO_TARGET)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "a process it has started is left out: %s", err->message);
	cprof_error_free(err);
	return NULL;
}

/* What the processes that were named have started so far; what they start from now on is the mode's to find. */
static struct cprof_error *open_children(struct cprof_opened_targets *opened,
					 struct cprof_run_log *log)
{
	size_t named = opened->n;
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < named; i++) {
		CPROF_AUTO(free) pid_t *pids = NULL;
		size_t n;
		cprof_target_children_list(opened->all[i]->pid, &pids, &n);
		for (size_t k = 0; !err && k < n; k++) {
			if (!is_target(opened, pids[k]) && pids[k] != getpid())
				err = open_child(opened, pids[k], log);
		}
	}
	return err;
}

/* Asked while it lives: who is to be told may be told after its end. */
static void note_service(struct cprof_target *target)
{
	struct cprof_process_context context;
	if (cprof_process_context_of(target, &context))
		snprintf(target->service, sizeof(target->service), "%s", context.service);
}

struct cprof_error *cprof_opened_targets_open(struct cprof_opened_targets *opened,
					      struct cprof_attach_options *options,
					      struct cprof_run_log *log)
{
	pid_t named;
	const pid_t *pids = options->pids;
	size_t n = options->n_pids;
	struct cprof_error *err = NULL;
	if (options->requests.threads.core)
		return open_core(opened, options->requests.threads.core);
	if (options->names.len) {
		err = cprof_target_find(options->names.items[0], &named);
		pids = &named;
		n = 1;
	} else if (options->command.len) {
		err = cprof_launch_start(&options->command, &opened->launch);
		pids = &opened->launch.pid;
		n = 1;
	}
	if (err)
		return err;
	opened->all = calloc(n, sizeof(*opened->all));
	if (!opened->all)
		return cprof_error_no_memory();
	for (size_t i = 0; i < n; i++) {
		err = cprof_target_open(pids[i], &opened->all[i]);
		if (err)
			return err;
		if (!options->no_context)
			note_service(opened->all[i]);
		opened->n++;
	}
	if (options->children && !opened->launch.pid)
		return open_children(opened, log);
	if (opened->launch.pid) {
		const char *name = strrchr(options->command.items[0], '/');
		opened->all[0]->launched = true;
		snprintf(opened->all[0]->comm, sizeof(opened->all[0]->comm), "%s",
			 name ? name + 1 : options->command.items[0]);
	}
	return NULL;
}

void cprof_opened_targets_close(struct cprof_opened_targets *opened)
{
	for (size_t i = 0; i < opened->n; i++)
		cprof_target_close(opened->all[i]);
	free(opened->all);
	cprof_launch_deinit(&opened->launch);
	*opened = (struct cprof_opened_targets){ 0 };
}
