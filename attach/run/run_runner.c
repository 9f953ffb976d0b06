/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/run_runner.h"

#include "attach/target/runner.h"

static struct cprof_error *refuse(const struct cprof_target *target, const char *name,
				  const char *why)
{
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_UNSUPPORTED, "process %d is run by %s: %s", (int)target->pid, name, why);
	return cprof_error_hint(err,
				"start the program without %s; -mode cpu can be had, of what the "
				"processor does then",
				name);
}

static struct cprof_error *check_emulated(const struct cprof_run *run,
					  const struct cprof_target *target, const char *name,
					  enum cprof_run_effect effect)
{
	if (effect == CPROF_RUN_CHANGES)
		return refuse(target, name,
			      "the program's code is data to it, in which nothing can be changed");
	if (effect == CPROF_RUN_LOOKS)
		return refuse(target, name, "the stacks that can be seen are the tool's own");
	cprof_run_log_note(run->log, CPROF_NOTE_WARNING,
			   "process %d is run by %s: names and stacks are those of %s, not of the "
			   "program that it runs",
			   (int)target->pid, name, name);
	return NULL;
}

static struct cprof_error *check_minded(const struct cprof_run *run,
					const struct cprof_target *target, const char *name,
					enum cprof_run_effect effect)
{
	if (effect == CPROF_RUN_CHANGES)
		return refuse(target, name, "it relies on each instruction of the program");
	cprof_run_log_note(run->log, CPROF_NOTE_WARNING,
			   "process %d is run by %s: times and waits are as they are under it",
			   (int)target->pid, name);
	return NULL;
}

struct cprof_error *cprof_run_check_runner(const struct cprof_run *run,
					   enum cprof_run_effect effect)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < run->n_targets; i++) {
		const struct cprof_target *target = run->targets[i];
		struct cprof_runner runner;
		if (target->launched || target->pidfd < 0)
			continue;
		err = cprof_runner_find(target->pid, &runner);
		if (!err && runner.kind == CPROF_RUNNER_EMULATES)
			err = check_emulated(run, target, runner.name, effect);
		else if (!err && runner.kind == CPROF_RUNNER_MINDS)
			err = check_minded(run, target, runner.name, effect);
	}
	return err;
}
