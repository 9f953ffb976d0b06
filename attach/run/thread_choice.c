/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/thread_choice.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/target/thread_proc.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/shell_word.h"
#include "convert/report/regex.h"

#define TIDS_MAX  4096
#define NAMES_MAX 8 /* in a remark */

struct cprof_thread_choice {
	struct cprof_regex *regex; /* owned; NULL: by id only */
	pid_t *tids;               /* owned */
	size_t n_tids, cap_tids;
	bool met;
};

static struct cprof_error *no_tid(const char *text)
{
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_USAGE, "-tid: \"%s\" is no list of thread ids", text),
		"for example -tid 4711,4712; cprof-attach -p PID -mode threads "
		"-text prints the ids");
}

static struct cprof_error *read_tids(struct cprof_thread_choice *choice, const char *text)
{
	for (const char *at = text;; at++) {
		char *end;
		errno = 0;
		const long long tid = strtoll(at, &end, 10);
		if (errno || end == at || *at < '0' || *at > '9' || tid < 1 || tid > INT_MAX ||
		    (*end && *end != ','))
			return no_tid(text);
		if (choice->n_tids >= TIDS_MAX)
			return cprof_error_new(CPROF_ERR_USAGE, "-tid: more than %d threads",
					       TIDS_MAX);
		if (!CPROF_ARRAY_ROOM(choice->tids, choice->n_tids, choice->cap_tids, 1))
			return cprof_error_no_memory();
		choice->tids[choice->n_tids++] = (pid_t)tid;
		if (!*end)
			return NULL;
		at = end;
	}
}

struct cprof_error *cprof_thread_choice_new(const char *pattern, const char *tids,
					    struct cprof_thread_choice **ret_choice)
{
	struct cprof_thread_choice *choice = calloc(1, sizeof(*choice));
	struct cprof_error *err = choice ? NULL : cprof_error_no_memory();
	if (!err && pattern && !*pattern)
		err = cprof_error_new(CPROF_ERR_USAGE,
				      "-threads: the expression is empty; leave it out for all");
	if (!err && pattern) {
		err = cprof_regex_new(pattern, &choice->regex);
		err = err ? cprof_error_wrap(err, "-threads") : NULL;
	}
	if (!err && tids)
		err = read_tids(choice, tids);
	if (err)
		cprof_thread_choice_free(choice);
	else
		*ret_choice = choice;
	return err;
}

void cprof_thread_choice_free(struct cprof_thread_choice *choice)
{
	if (!choice)
		return;
	cprof_regex_free(choice->regex);
	free(choice->tids);
	free(choice);
}

static bool has(const struct cprof_thread_choice *choice, pid_t tid, const char *name)
{
	for (size_t i = 0; i < choice->n_tids; i++) {
		if (choice->tids[i] == tid)
			return true;
	}
	return choice->regex && cprof_regex_match(choice->regex, name);
}

bool cprof_thread_choice_has(struct cprof_thread_choice *choice, pid_t tid, const char *name)
{
	if (!choice)
		return true;
	const bool yes = has(choice, tid, name);
	choice->met = choice->met || yes;
	return yes;
}

bool cprof_thread_choice_was_met(const struct cprof_thread_choice *choice)
{
	return !choice || choice->met;
}

void cprof_thread_choice_describe(const struct cprof_thread_choice *choice,
				  struct cprof_buffer *out)
{
	if (choice->regex) {
		cprof_buffer_puts(out, "-threads ");
		cprof_shell_word_put(out, cprof_regex_pattern(choice->regex));
	}
	for (size_t i = 0; i < choice->n_tids; i++)
		cprof_buffer_printf(out, "%s%d",
				    i               ? ","
				    : choice->regex ? " -tid "
						    : "-tid ",
				    (int)choice->tids[i]);
}

/* ---- what there is ---- */

struct there {
	struct cprof_thread_choice *choice;
	bool *seen; /* owned; by place in choice->tids */
	bool any;
	char names[NAMES_MAX][CPROF_COMM_MAX]; /* distinct */
	size_t n_names, n_more;
};

static void note_name(struct there *there, const char *name)
{
	for (size_t i = 0; i < there->n_names; i++) {
		if (strcmp(there->names[i], name) == 0)
			return;
	}
	if (there->n_names == NAMES_MAX) {
		there->n_more++;
		return;
	}
	snprintf(there->names[there->n_names], CPROF_COMM_MAX, "%s", name);
	cprof_thread_name_clean(there->names[there->n_names++]);
}

static bool read_name(pid_t pid, pid_t tid, char *name, size_t n)
{
	if (cprof_thread_read(pid, tid, "comm", name, n) <= 0)
		return false;
	name[strcspn(name, "\n")] = 0;
	return true;
}

/* A process that has ended is told of by whoever samples it. */
static void look_at(struct there *there, struct cprof_target *target)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	cprof_error_free(cprof_target_threads(target, &tids, &n));
	for (size_t i = 0; i < n; i++) {
		char name[CPROF_COMM_MAX];
		if (!read_name(target->pid, tids[i], name, sizeof(name)))
			continue;
		there->any = there->any || has(there->choice, tids[i], name);
		note_name(there, name);
		for (size_t t = 0; t < there->choice->n_tids; t++)
			there->seen[t] = there->seen[t] || there->choice->tids[t] == tids[i];
	}
}

static struct cprof_error *tell(const struct there *there, struct cprof_target *const *targets,
				size_t n, struct cprof_buffer *ret_remark)
{
	const struct cprof_thread_choice *choice = there->choice;
	for (size_t i = 0; i < choice->n_tids; i++) {
		if (!there->seen[i])
			return cprof_error_hint(
				cprof_error_new(CPROF_ERR_NO_TARGET,
						"-tid: %s %d has no thread %d%s", targets[0]->comm,
						(int)targets[0]->pid, (int)choice->tids[i],
						n > 1 ? ", nor has any other of them" : ""),
				"cprof-attach -p %d -mode threads -text prints the ids",
				(int)targets[0]->pid);
	}
	if (there->any)
		return NULL;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_thread_choice_describe(choice, &text);
	cprof_buffer_printf(
		ret_remark,
		"%s matches no thread of %s now, only of those that may come: there are ",
		cprof_buffer_text(&text), targets[0]->comm);
	for (size_t i = 0; i < there->n_names; i++)
		cprof_buffer_printf(ret_remark, "%s%s", i ? ", " : "", there->names[i]);
	if (there->n_more)
		cprof_buffer_printf(ret_remark, " and %zu threads more", there->n_more);
	return cprof_buffer_error(ret_remark);
}

struct cprof_error *cprof_thread_choice_check(struct cprof_thread_choice *choice,
					      struct cprof_target *const *targets, size_t n,
					      struct cprof_buffer *ret_remark)
{
	if (!choice || !n || targets[0]->launched)
		return NULL; /* what a command will have is not known yet */
	struct there *there = calloc(1, sizeof(*there));
	if (!there)
		return cprof_error_no_memory();
	there->choice = choice;
	there->seen = calloc(choice->n_tids + 1, sizeof(*there->seen));
	struct cprof_error *err = there->seen ? NULL : cprof_error_no_memory();
	for (size_t i = 0; !err && i < n; i++)
		look_at(there, targets[i]);
	if (!err)
		err = tell(there, targets, n, ret_remark);
	free(there->seen);
	free(there);
	return err;
}
