/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attach/cli/cli_options_impl.h"
#include "base/cleanup.h"

#define TARGETS_MAX 64

static struct cprof_error *add_pid(struct cprof_attach_options *options, const char *text,
				   size_t len)
{
	CPROF_AUTO(free) char *copy = strndup(text, len);
	if (!copy)
		return cprof_error_no_memory();
	char *end;
	errno = 0;
	long pid = strtol(copy, &end, 10);
	if (!isdigit((unsigned char)copy[0]) || *end || errno || pid <= 0 || pid > INT32_MAX) {
		struct cprof_error *err =
			cprof_error_new(CPROF_ERR_USAGE, "-p: \"%s\" is not a process id", copy);
		if (!*copy || *copy == '-')
			return cprof_error_hint(err, "where it comes of a command such as pgrep, "
						     "that has found no process");
		return cprof_error_hint(err, "to choose a process by its name use -n %s", copy);
	}
	for (size_t i = 0; i < options->n_pids; i++) {
		if (options->pids[i] == pid)
			return NULL;
	}
	if (options->n_pids == TARGETS_MAX)
		return cprof_error_new(CPROF_ERR_USAGE, "-p: more than %d processes", TARGETS_MAX);
	options->pids[options->n_pids++] = (pid_t)pid;
	return NULL;
}

#define BLANKS " \t\r\n"

/* Ids between two commas. Several with blanks between them are what pgrep and pidof print. */
static struct cprof_error *add_pids(struct cprof_attach_options *options, const char *text,
				    size_t len)
{
	struct cprof_error *err = NULL;
	const char *end = text + len;
	text += strspn(text, BLANKS);
	do {
		size_t word = strcspn(text, "," BLANKS);
		err = add_pid(options, text, word);
		text += word;
		text += strspn(text, BLANKS);
	} while (!err && text < end);
	return err;
}

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

/* One of the numbers that stand right behind -p PID: pgrep's lines, which the shell has made words of. */
static bool follows_pid(int argc, char *const argv[], const char *text)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "-p") != 0 && strcmp(argv[i], "--p") != 0)
			continue;
		for (int k = i + 2; k < argc && is_number(argv[k]); k++) {
			if (strcmp(argv[k], text) == 0)
				return true;
		}
	}
	return false;
}

/* Whether something else than numbers by themselves says what to profile. */
static bool names_target(const struct cprof_attach_options *options)
{
	return options->pid_lists.len || options->names.len || options->groups.len ||
	       options->units.len || options->all || options->command.len || options->repair_pid ||
	       options->requests.threads.core;
}

/* What is left when those ids are taken, and numbers where nothing else is named; NULL: nothing. */
struct cprof_error *cli_options_take_more_pids(int argc, char *const argv[],
					       const struct cprof_strings *rest,
					       struct cprof_attach_options *options,
					       const char **ret_left)
{
	bool alone = !names_target(options);
	*ret_left = NULL;
	for (size_t i = 0; i < rest->len && !*ret_left; i++) {
		if (!(alone && is_number(rest->items[i])) &&
		    !follows_pid(argc, argv, rest->items[i]))
			*ret_left = rest->items[i];
		else {
			struct cprof_error *err =
				cprof_strings_add(&options->pid_lists, rest->items[i]);
			if (err)
				return err;
		}
	}
	return NULL;
}

struct cprof_error *cli_options_parse_pids(struct cprof_attach_options *options)
{
	options->pids = calloc(TARGETS_MAX, sizeof(*options->pids));
	if (!options->pids)
		return cprof_error_no_memory();
	for (size_t i = 0; i < options->pid_lists.len; i++) {
		for (const char *at = options->pid_lists.items[i];; at++) {
			size_t len = strcspn(at, ",");
			struct cprof_error *err = add_pids(options, at, len);
			if (err)
				return err;
			at += len;
			if (!*at)
				break;
		}
	}
	return NULL;
}

struct cprof_error *cli_options_check_target(const struct cprof_attach_options *options)
{
	int ways = (options->n_pids > 0) + (options->names.len > 0) + (options->command.len > 0) +
		   (options->requests.threads.core != NULL);
	const bool sets = options->groups.len || options->units.len || options->all;
	if ((options->http || options->continuous.on) && !options->command.len &&
	    !options->requests.threads.core && (ways || sets))
		return NULL;
	if (sets || options->names.len > 1)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "%s with -http or -push only",
					options->names.len > 1 ? "-n is repeatable"
							       : "-cgroup, -unit and -all go"),
			"otherwise processes are named: -p PID, or several as -p PID,PID");
	if (ways == 1 || (ways == 0 && (options->repair_pid || options->doctor)) ||
	    (ways == 0 && strcmp(options->requests.cpu.event, "list") == 0))
		return NULL;
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_USAGE, ways ? "-p, -n, -core and -- COMMAND exclude each other"
				      : "nothing to profile: give -p PID, -n NAME or -- COMMAND");
	return cprof_error_hint(err, "for example cprof-attach -p $(pidof -s redis-server) "
				     "-seconds 10");
}
