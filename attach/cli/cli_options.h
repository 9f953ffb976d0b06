/* SPDX-License-Identifier: Apache-2.0 */
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
#include "attach/modes/mode.h"
#include "attach/ring/trigger.h"
#include "attach/run/run.h"
#include "base/option_file.h"
#include "base/options.h"
#include "convert/net/tls.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

struct cprof_attach_options {
	/* what to profile */
	struct cprof_strings pid_lists;     /* each "PID[,PID...]" */
	struct cprof_strings names;         /* with a server patterns, else one name */
	struct cprof_strings groups, units; /* of a server: control groups, and units of systemd */
	bool all;                           /* of a server: whoever may be profiled */
	struct cprof_strings command;       /* after "--" */
	pid_t *pids;                        /* owned; from pid_lists, without doubles */
	size_t n_pids;
	bool children; /* and what they start */

	/* how: what every mode is asked for, whichever it will be; filled by the rows as far as they say it outright */
	const char *mode;
	uint64_t length_ns; /* 0: until stopped */
	struct cprof_mode_requests requests;
	struct cprof_run_naming naming;
	struct cprof_thread_choice *threads; /* owned; NULL: all */
	struct cprof_run_timeline timeline;  /* where it was asked for */
	bool no_timeline;                    /* it was asked that there be none */
	struct cprof_run_request_labels request_labels;

	/* as typed; what they mean is in `requests` and `naming` */
	const char *rate; /* what it is depends on the mode: heap.period_bytes or waits.rate_ns */
	const char *overhead;    /* "1%" */
	const char *block;       /* "contention" or "all" */
	const char *wall;        /* "active" or "all" */
	const char *text_format; /* "threads" or "goroutines" */
	const char *demangle, *symbolizer;
	const char *thread_pattern, *thread_ids; /* "io-.*", "12,13" */
	const char *timeline_text;               /* "", "100ms", "off" */
	const char *request_labels_text;         /* "auto", "attributes" */
	bool no_cache;
	struct cprof_strings heap_hook_texts;
	const char *heap_size;              /* "4080:4096" */
	struct cprof_pool_specs heap_hooks; /* the same, taken apart */
	char *cache_dir;                    /* owned */

	/* other than profiling */
	uint64_t repair_pid;        /* 0: nothing to repair */
	bool why;                   /* explain names in place of profiling */
	bool doctor;                /* try what works, in place of profiling */
	bool doctor_table;          /* print what there is to be granted */
	struct cprof_strings files; /* what -why is asked about, besides processes */
	bool text;                  /* of the threads mode, on stdout */
	bool deadlock_status;       /* a deadlock that was found is told by the exit status */

	const char *
		on_oom; /* a file for the heap profile of a process that runs out of memory; NULL: none */

	/* where to */
	const char *output; /* NULL: a name of our own; "-": stdout */
	bool force;
	struct cprof_strings labels;         /* "key=value" */
	struct cprof_run_label *label_pairs; /* owned, and each key; the same, taken apart */
	struct cprof_strings push_urls;
	const char *push_auth_file;
	bool insecure_auth; /* over http:// to another machine */
	const char *push_tenant;
	struct cprof_tls push_tls; /* its auth stays NULL */
	struct {
		const char *dir; /* NULL: none; "default" */
		uint64_t bytes, age_ns;
	} spool;
	bool dry_run; /* print what would be pushed */
	const char *service;
	bool no_context;          /* what processes say of themselves is not looked at */
	const char *push_backend; /* "auto", or one row of the push back ends */

	/* as what */
	struct {
		bool top, tree, traces, folded, leaks;
		const char *peek, *list; /* expressions */
	} report;                        /* on stdout */
	const char *format;              /* of the file; NULL: as its name says */

	/* one after the other, without end (cli_options_continuous.c) */
	struct {
		bool on;
		uint64_t every_ns;
		const char *modes; /* "cpu,heap" */
	} continuous;

	/* the last seconds kept in memory, and a file of them at each trigger (cli_options_ring.c) */
	struct {
		uint64_t length_ns; /* 0: no ring */
		struct cprof_strings until;
		struct cprof_trigger triggers[CPROF_TRIGGERS_MAX]; /* the same, taken apart */
		size_t n_triggers;
		uint64_t before_ns, after_ns;
		uint64_t keep;  /* files */
		uint64_t bytes; /* of memory */
	} ring;

	bool live; /* a table of what happens now, until somebody ends it (cli_options_live.c) */

	/* or to a server's clients */
	const char *http;            /* where to listen; NULL: no server */
	const char *http_token_file; /* NULL: none is needed */
	const char *modes;
	bool lazy;

	/* talk */
	const char *completion; /* a script for this shell */
	bool quiet, verbose, help, version, man;
	const char *help_topic; /* of -help; NULL: none */

	/* where all of this comes from besides the command line */
	const char *config; /* a file of options */
	bool show_config;   /* print what is set, and from where */
	struct cprof_option_values
		below; /* what the file and the environment say; others borrow of it */
	struct cprof_option_layers layers; /* what each row has, and from where */
};

extern const struct cprof_option_table cprof_cli_option_table;

/*
 * Fill zeroed `options` from the file that -config names, the environment and argv, the requests included. Errors: USAGE; those
 * of cprof_option_file_read(). Strings are borrowed from argv, others live as long as the options.
 */
struct cprof_error *cprof_cli_options_parse(int argc, char *const argv[],
					    struct cprof_attach_options *options);
void cprof_cli_options_deinit(struct cprof_attach_options *options);

/* Whether `now` differs from `before` in nothing but which processes are meant (-p, -n, -cgroup, -unit, -all, -children). */
bool cprof_cli_options_same(const struct cprof_attach_options *before,
			    const struct cprof_attach_options *now);

/*
 * The command line as one line for the profile's comments: user, password and query of URLs and the value
 * of everything called token, password, secret or key are replaced by "...". What follows "--" is left out
 * but for the program's name: other people's command lines hold secrets too.
 */
void cprof_cli_options_describe(int argc, char *const argv[], struct cprof_buffer *out);

/* Of one profile: a line of warning for each option that was typed and does nothing in this mode; no newline at the end. */
void cprof_cli_options_unused(const struct cprof_attach_options *options, struct cprof_buffer *out);

#endif
