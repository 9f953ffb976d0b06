/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/choice_again.h - which processes are meant, read again from the file of options while something goes on for long.
 *
 * Owns the readings: the one that counts, and the one before, which those who look for processes let go of a moment later only. What
 * becomes of other options is the caller's.
 */
#ifndef CPROF_ATTACH_CLI_CHOICE_AGAIN_H
#define CPROF_ATTACH_CLI_CHOICE_AGAIN_H

#include "attach/cli/cli_options.h"
#include "attach/cli/target_choice.h"

/* One reading. Parts of it point to each other: it stays where it is. */
struct cprof_choice_reading {
	struct cprof_attach_options options;
	struct cprof_target_choice choice;
};

/* NULL is a no-op. */
void cprof_choice_reading_free(struct cprof_choice_reading *reading);

struct cprof_choice_again {
	int argc;
	char *const *argv;
	const struct cprof_attach_options *options; /* borrowed; those that it was started with */
	const struct cprof_target_rules *rules; /* that count now; at first those of `options` */
	/* Why what was read cannot be taken up; it is no usage error by itself. */
	struct cprof_error *(*check)(const struct cprof_attach_options *options);
	void (*say)(void *ctx, const char *text);
	void *ctx;
	struct cprof_choice_reading
		*readings[2]; /* owned; the one that counts, and the one before */
};

/* Read; NULL: something is wrong with it, which has been said, and all stays as it is. The caller's. */
struct cprof_choice_reading *cprof_choice_again_read(const struct cprof_choice_again *again);

/* Whether it says nothing new but which processes are meant. */
bool cprof_choice_again_is_choice(const struct cprof_choice_again *again,
				  const struct cprof_choice_reading *reading);

/* From now on its rules count; those of the one before stay until the next. Takes it. */
const struct cprof_target_rules *cprof_choice_again_adopt(struct cprof_choice_again *again,
							  struct cprof_choice_reading *reading);

void cprof_choice_again_deinit(struct cprof_choice_again *again);

#endif
