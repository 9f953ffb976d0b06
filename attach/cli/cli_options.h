/*
 * attach/cli/cli_options.h - the command line of cprof-attach: what the user asked for, from one table of rows.
 *
 * The rows give parsing, -help and the man page. Checks that need more than one value are in
 * cprof_cli_options_parse(); whether a process exists or a file can be written is seen elsewhere.
 */
#ifndef CPROF_ATTACH_CLI_CLI_OPTIONS_H
#define CPROF_ATTACH_CLI_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/heap/alloc/pool_spec.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/options.h"

struct cprof_attach_options {
	/* what to profile */
	struct cprof_strings pid_lists; /* each "PID[,PID...]" */
	const char *name;
	struct cprof_strings command; /* after "--" */
	pid_t *pids;                  /* owned; from pid_lists, without doubles */
	size_t n_pids;

	/* how */
	const char *mode;
	uint64_t length_ns; /* 0: until stopped */
	double rate_hz;
	const char *event;
	uint64_t stack_bytes;
	bool user_only;
	const char *strategy; /* "auto", or one row of the opening strategies */
	const char *
		rate; /* as given: what it is depends on the mode, see heap_rate and block_rate_ns */
	uint64_t repair_pid;  /* 0: nothing to repair */
	const char *overhead; /* "1%"; NULL: the rate stays as it is */
	double heap_overhead; /* the same as a share, 0.01; 0 */
	bool heap_baseline;
	struct cprof_strings heap_hook_texts;
	struct cprof_pool_specs heap_hooks; /* the same, taken apart */
	const char *heap_method;            /* "auto", or one row of the methods */
	uint64_t heap_rate; /* mean bytes between two samples; 1: every allocation */

	/* block and mutex */
	const char *block;        /* "contention" or "all" */
	uint64_t block_rate_ns;   /* 0: adaptive */
	const char *block_method; /* "auto", or one row of the tiers */

	/* threads mode */
	bool text, group, consistent;
	const char *text_format; /* "threads" or "goroutines" */
	bool deadlock_status;    /* a deadlock that was found is told by the exit status */
	uint64_t repeat;
	uint64_t every_ns;
	const char *core, *exe; /* a core file in place of a process, and its program */
	const char *means;      /* "auto", or the only means to be used */

	/* names */
	const char *demangle;
	bool no_inlines, debuginfod, no_cache;
	bool why;                   /* explain names in place of profiling */
	struct cprof_strings files; /* what -why is asked about, besides processes */

	/* where to */
	const char *output; /* NULL: a name of our own; "-": stdout */
	bool force;
	struct cprof_strings labels; /* "key=value" */
	const char *push_url;
	const char *service;
	const char *push_backend; /* "auto", or one row of the push back ends */

	/* talk */
	bool quiet, verbose, help, version, man;
};

extern const struct cprof_option_table cprof_cli_option_table;

/* Fill zeroed `options` from argv. Errors: USAGE. Strings are borrowed from argv. */
struct cprof_error *cprof_cli_options_parse(int argc, char *const argv[],
					    struct cprof_attach_options *options);
void cprof_cli_options_deinit(struct cprof_attach_options *options);

/*
 * The command line as one line for the profile's comments: user, password and query of URLs and the value
 * of everything called token, password, secret or key are replaced by "...". What follows "--" is left out
 * but for the program's name: other people's command lines hold secrets too.
 */
void cprof_cli_options_describe(int argc, char *const argv[], struct cprof_buffer *out);

/* "key=value" taken apart; USAGE if there is no key. `key` has room for n bytes. */
struct cprof_error *cprof_cli_label_split(const char *text, char *key, size_t n,
					  const char **ret_value);

#endif
