/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/choice_again.h - which processes are meant, read again from the file of options while a server runs.
 *
 * Only that: what else the file says counts from the next start on.
 */
#ifndef CPROF_ATTACH_CLI_CHOICE_AGAIN_H
#define CPROF_ATTACH_CLI_CHOICE_AGAIN_H

#include "attach/cli/cli_options.h"
#include "attach/cli/target_choice.h"

struct cprof_choice_again {
	int argc;
	char *const *argv;
	const struct cprof_attach_options *options; /* borrowed; those that it was started with */
	const struct cprof_target_rules *rules; /* that count now; at first those of `options` */
	void (*say)(void *ctx, const char *text);
	void *ctx;
	struct cprof_choice_again_read {
		struct cprof_attach_options options;
		struct cprof_target_choice choice;
	} reads[2]; /* owned; the one that counts, and the one before; zeros at first */
	unsigned last;
};

/* For cprof_serve_options.again; `ctx` is the struct. What is wrong with the file is said, and the rules stay as they are. */
const struct cprof_target_rules *cprof_choice_again(void *ctx);
void cprof_choice_again_deinit(struct cprof_choice_again *again);

#endif
