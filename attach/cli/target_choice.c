/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/target_choice.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"

#define MOUNTINFO_MAX (4u << 20)

struct cprof_error *cprof_target_choice_init(struct cprof_target_choice *choice,
					     const struct cprof_attach_options *options)
{
	CPROF_AUTO(buffer) struct cprof_buffer mounts = { 0 };
	const size_t n = options->groups.len;
	*choice = (struct cprof_target_choice){
		.rules = { .pids = options->pids,
			   .n_pids = options->n_pids,
			   .names = options->names.items,
			   .n_names = options->names.len,
			   .units = options->units.items,
			   .n_units = options->units.len,
			   .all = options->all,
			   .children = options->children },
		.groups = calloc(n + 1, sizeof(*choice->groups)),
	};
	if (!choice->groups)
		return cprof_error_no_memory();
	if (n) /* without it the groups are taken as they are written */
		cprof_error_free(cprof_file_read("/proc/self/mountinfo", MOUNTINFO_MAX, &mounts));
	for (size_t i = 0; i < n; i++) {
		CPROF_AUTO(buffer) struct cprof_buffer group = { 0 };
		cprof_target_rules_group_path(cprof_buffer_text(&mounts), options->groups.items[i],
					      &group);
		choice->groups[i] = strdup(cprof_buffer_text(&group));
		if (!choice->groups[i])
			return cprof_error_no_memory();
	}
	choice->rules.groups = (const char *const *)choice->groups;
	choice->rules.n_groups = n;
	return NULL;
}

void cprof_target_choice_deinit(struct cprof_target_choice *choice)
{
	for (size_t i = 0; choice->groups && choice->groups[i]; i++)
		free(choice->groups[i]);
	free(choice->groups);
	*choice = (struct cprof_target_choice){ 0 };
}
