/*
 * attach/run/mode.h - what can be profiled: one const struct per mode, listed once in mode.c.
 *
 * A mode turns processes and a window of time into one finished profile. It knows how its samples come
 * about; from registers and stack bytes to the profile it uses session.h like every other mode. Choosing
 * the mode, naming and writing the file, pushing it and printing are main.c's.
 *
 * To add one: write mode_<name>.c with a `const struct cprof_mode cprof_mode_<name>`, add its row in mode.c and its
 * option rows in cli_options.c.
 */
#ifndef CPROF_ATTACH_RUN_MODE_H
#define CPROF_ATTACH_RUN_MODE_H

#include <stdbool.h>
#include <stddef.h>

#include "attach/cli/cli_options.h"
#include "attach/run/run_log.h"
#include "attach/target/target.h"
#include "attach/run/window.h"
#include "base/error.h"
#include "convert/profile/profile.h"

/* What a run is given. Everything is borrowed and outlives the run. */
struct cprof_mode_run {
	const struct cprof_attach_options *options;
	struct cprof_target **targets;
	size_t n_targets;
	struct cprof_window *window;
	const char *command_line; /* for the profile's comments, without secrets; may be NULL */
	struct cprof_run_log
		*log; /* counts and notes for people; filled by the mode and the session */

	/* -text: takes what the mode has to say on stdout, as it comes; NULL: not asked for. */
	struct cprof_error *(*print)(void *ctx, const char *text, size_t n);
	void *print_ctx;
	bool no_profile; /* only text was asked for: *ret_profile may stay NULL */
	int *exit_status; /* what the program ends with if all goes well; 0 unless the mode sets it */
};

struct cprof_mode {
	const char *name;    /* -mode NAME, and the part of the default file name */
	const char *summary; /* one line for -help */
	size_t max_targets;  /* 0: as many as asked for */
	bool instant;        /* looks at one moment: -seconds says nothing to it */
	bool has_text;       /* knows -text, and with it how to read a core file (-core) */
	bool alters_target; /* a second Ctrl-C waits until run() has returned and put things back */

	/*
	 * Sample until the window is over (cprof_window_start() once everything is in place, then
	 * cprof_window_wait() in a loop), and hand out the finished profile. A target that ends early ends
	 * the window; that is no error. On return, error or not, every target is as it was found.
	 */
	struct cprof_error *(*run)(const struct cprof_mode_run *run,
				   struct cprof_profile **ret_profile);
};

extern const struct cprof_mode *const cprof_modes[];
extern const size_t cprof_n_modes;

/* The mode called `name`; CPROF_ERR_USAGE naming the nearest one, or all of them. */
struct cprof_error *cprof_mode_find(const char *name, const struct cprof_mode **ret_mode);

#endif
