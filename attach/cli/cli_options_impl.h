/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/cli_options_impl.h - the inside of cli_options: which processes are named (cli_options_targets.c), and when a
 * command line means profiles for ever (cli_options_continuous.c) a live table (cli_options_live.c) or a ring (cli_options_ring.c), which samples are kept and
 * how (cli_options_samples.c), and heap profiles over time (cli_options_growth.c). The rows stand in
 * cli_options_table.c.
 */
#ifndef CPROF_ATTACH_CLI_CLI_OPTIONS_IMPL_H
#define CPROF_ATTACH_CLI_CLI_OPTIONS_IMPL_H

#include "attach/cli/cli_options.h"
#include "cprof/error.h"

/* -push with -every, -modes or a set of processes: fill options->continuous. Errors: USAGE for what does not go with it. */
struct cprof_error *cli_options_settle_continuous(struct cprof_attach_options *options);

/* The word "top" in front of all others is -live: it is taken out of `rest`. */
void cli_options_take_top(int argc, char *const argv[], struct cprof_strings *rest,
			  struct cprof_attach_options *options);

/* -live alone. Errors: USAGE for what does not go with it. */
struct cprof_error *cli_options_check_live(const struct cprof_attach_options *options);

/* What is asked of a heap profile about time, into its request: -leaks, -heap-age, -heap-since. After -rate. Errors: USAGE. */
struct cprof_error *cli_options_settle_growth(struct cprof_attach_options *options);

/* -ring and what goes with it: first of all what is not given; then check, and fill options->ring. Errors: USAGE. */
void cli_options_init_ring(struct cprof_attach_options *options);
struct cprof_error *cli_options_check_ring(struct cprof_attach_options *options);

/* Said by anybody but the default. */
bool cli_options_is_given(const struct cprof_attach_options *options, const char *name);

/* How long a window is, or lies between two. Errors: USAGE. */
struct cprof_error *cli_options_check_every(uint64_t every_ns);

/* Fill options->pids from pid_lists: ids with commas or blanks between them. Errors: USAGE for what is no id, and for too many. */
struct cprof_error *cli_options_parse_pids(struct cprof_attach_options *options);

/*
 * Words of `rest` that are ids: those behind -p, which a shell has made of pgrep's lines, and numbers where nothing else is
 * named. They are appended to pid_lists. *ret_left: the first word that is none, borrowed; NULL.
 */
struct cprof_error *cli_options_take_more_pids(int argc, char *const argv[],
					       const struct cprof_strings *rest,
					       struct cprof_attach_options *options,
					       const char **ret_left);

/* The first option that is given, and says what becomes of one profile: "-o"; NULL: none. */
const char *cli_options_for_one_profile(const struct cprof_attach_options *options);

/* -threads, -tid and -timeline. Errors: USAGE. */
struct cprof_error *cli_options_parse_samples(struct cprof_attach_options *options);

/* One way to say what is to be profiled, and one only. Errors: USAGE. */
struct cprof_error *cli_options_check_target(const struct cprof_attach_options *options);

#endif
