/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/target_choice.h - the processes that a command line means, as rules for attach/targets/target_set.h.
 */
#ifndef CPROF_ATTACH_CLI_TARGET_CHOICE_H
#define CPROF_ATTACH_CLI_TARGET_CHOICE_H

#include "attach/cli/cli_options.h"
#include "attach/targets/target_rules.h"
#include "cprof/error.h"

struct cprof_target_choice {
	struct cprof_target_rules rules;
	char **groups; /* owned, and each; what rules.groups points to */
};

/* `options` are borrowed. Errors: NO_MEMORY; it can be deinitialised all the same. */
struct cprof_error *cprof_target_choice_init(struct cprof_target_choice *choice,
					     const struct cprof_attach_options *options);
void cprof_target_choice_deinit(struct cprof_target_choice *choice);

#endif
