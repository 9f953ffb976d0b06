/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_intake.h"

#include <stdio.h>
#include <unistd.h>

#include "attach/locks/futex.h"
#include "attach/locks/wait_kind.h"

#define STACKS_MAX 131072 /* distinct ones; waits beyond are added up without a stack */

void cprof_wait_intake_find_owner(struct cprof_wait *wait)
{
	enum cprof_wait_kind kind = cprof_wait_kind_by_number(wait);
	if (kind == CPROF_WAIT_JOIN)
		wait->owner_tid = wait->futex_val;
	else if (kind == CPROF_WAIT_ROBUST_MUTEX)
		wait->owner_tid = cprof_futex_word_owner(wait->futex_val);
}

/*
 * An owner is a number that stood where owners stand, and one only if it is a
 * thread's of the target: asked while it lives. Its name is asked for then too.
 */
static void check_owner(struct cprof_wait_intake *intake, const struct cprof_wait *wait)
{
	char path[64];
	bool is_new;
	uint64_t *known = cprof_map64_put(&intake->threads, wait->owner_tid, &is_new);
	if (!known || !is_new)
		return;
	snprintf(path, sizeof(path), "/proc/%d/task/%u", (int)intake->process->target->pid,
		 wait->owner_tid);
	*known = access(path, F_OK) == 0;
	if (*known)
		cprof_process_thread_name(intake->process, (pid_t)wait->owner_tid);
}

struct cprof_error *cprof_wait_intake_walk(struct cprof_wait_intake *intake,
					   const struct cprof_session_sample *sample,
					   struct cprof_session_stack *ret_stack)
{
	struct cprof_error *err = NULL;
	/* A launched command: nobody told of its exec, but before that it waits for us and not for locks. */
	if (!intake->process->started)
		err = cprof_session_exec(intake->session, intake->process);
	return err ? err : cprof_session_walk(intake->session, sample, ret_stack);
}

/* ---- when it was ---- */

static struct cprof_error *note(struct cprof_wait_intake *intake, uint32_t row, size_t what,
				uint64_t from_ns, uint64_t to_ns, double value)
{
	double values[CPROF_WAIT_VALUES] = { 0 };
	values[what] = value;
	return value == 0 ? NULL
			  : cprof_time_spans_add(&intake->times, row, from_ns, to_ns, values,
						 CPROF_WAIT_VALUES);
}

/* It counts where it ends, and its delays count where they were: `sign` -1 takes it away again. */
static struct cprof_error *note_times(struct cprof_wait_intake *intake, uint32_t row,
				      const struct cprof_wait *wait, double sign)
{
	const uint64_t start_ns = intake->run->window->start_mono_ns;
	/* What a release is charged with is all of the moment that it was made: it may come to more than there was of time before. */
	const bool charged = intake->request->releases;
	const uint64_t began_ns = !charged && wait->began_ns > start_ns ? wait->began_ns : start_ns;
	const uint64_t woken_ns = wait->woken_ns > began_ns ? wait->woken_ns : began_ns;
	const uint64_t last_ns = woken_ns > began_ns ? woken_ns - 1 : woken_ns;
	if (!intake->timed)
		return NULL;
	struct cprof_error *err = note(intake, row, CPROF_WAIT_DELAY, charged ? woken_ns : began_ns,
				       woken_ns, sign * wait->delay_ns);
	if (!err)
		err = note(intake, row, CPROF_WAIT_COUNT, last_ns, last_ns, sign * wait->count);
	return err ? err
		   : note(intake, row, CPROF_WAIT_QUEUE, woken_ns, wait->ran_ns,
			  sign * wait->queue_ns);
}

struct cprof_error *cprof_wait_intake_more(struct cprof_wait_intake *intake, uint32_t row,
					   const struct cprof_wait *wait)
{
	intake->table.rows[row].count += wait->count;
	intake->table.rows[row].delay_ns += wait->delay_ns;
	intake->table.rows[row].queue_ns += wait->queue_ns;
	return note_times(intake, row, wait, 1);
}

struct cprof_error *cprof_wait_intake_open(struct cprof_wait_intake *intake, uint32_t row,
					   const struct cprof_wait *wait)
{
	uint32_t open_row;
	struct cprof_error *err =
		cprof_wait_table_open(&intake->table, row, wait->count, wait->delay_ns, &open_row);
	if (!err)
		err = note_times(intake, row, wait, -1);
	return err ? err : note_times(intake, open_row, wait, 1);
}

/* Its number in the session. */
static struct cprof_error *number_stack(struct cprof_wait_intake *intake,
					const struct cprof_session_stack *stack, uint32_t *ret)
{
	struct cprof_session_stack kept = *stack;
	if (cprof_session_stacks(intake->session)->n_stacks >= STACKS_MAX)
		kept.n = 0;
	return cprof_session_stack(intake->session, &kept, ret);
}

static struct cprof_error *add_number(struct cprof_wait_intake *intake,
				      const struct cprof_wait *wait, uint32_t number,
				      uint32_t *ret_row)
{
	uint32_t row;
	struct cprof_error *err = cprof_wait_evidence_note(&intake->evidences, wait);
	if (!err)
		err = cprof_wait_table_add(&intake->table, wait, number, &row);
	if (!err)
		err = note_times(intake, row, wait, 1);
	if (err)
		return err;
	if (ret_row)
		*ret_row = row;
	/* Names are asked for while the threads live; from then on they are known. */
	cprof_process_thread_name(intake->process, (pid_t)wait->tid);
	if (wait->owner_tid && cprof_wait_kind_has_owner(cprof_wait_kind_by_number(wait)))
		check_owner(intake, wait);
	intake->records++;
	if (cprof_session_wants(intake->session, intake->process, (pid_t)wait->tid))
		intake->run->log->counts.samples++;
	return NULL;
}

struct cprof_error *cprof_wait_intake_add(struct cprof_wait_intake *intake,
					  const struct cprof_wait *wait,
					  const struct cprof_session_stack *stack,
					  uint32_t *ret_row)
{
	uint32_t number;
	struct cprof_error *err = number_stack(intake, stack, &number);
	return err ? err : add_number(intake, wait, number, ret_row);
}

struct cprof_error *cprof_wait_intake_keep(struct cprof_wait_intake *intake,
					   const struct cprof_wait *wait,
					   const struct cprof_session_stack *stack,
					   uint32_t *ret_row)
{
	struct cprof_wait none = *wait;
	uint32_t number;
	none.count = none.delay_ns = none.queue_ns = 0;
	struct cprof_error *err = number_stack(intake, stack, &number);
	return err ? err : cprof_wait_table_add(&intake->table, &none, number, ret_row);
}

struct cprof_error *cprof_wait_intake_take_alike(struct cprof_wait_intake *intake,
						 const struct cprof_wait *wait, uint32_t row)
{
	if (row < intake->table.n_rows)
		return add_number(intake, wait, intake->table.rows[row].stack, NULL);
	struct cprof_stack_frame cut = cprof_session_marker(intake->session, "[truncated]");
	const struct cprof_session_stack unknown = { .frames = &cut, .n = 1 };
	intake->run->log->counts.truncated++;
	return cprof_wait_intake_add(intake, wait, &unknown, NULL);
}

struct cprof_error *cprof_wait_intake_take(struct cprof_wait_intake *intake,
					   const struct cprof_wait *wait,
					   const struct cprof_session_sample *sample,
					   uint32_t *ret_row)
{
	struct cprof_session_stack stack;
	struct cprof_error *err = cprof_wait_intake_walk(intake, sample, &stack);
	return err ? err : cprof_wait_intake_add(intake, wait, &stack, ret_row);
}

struct cprof_symbolizer_options cprof_wait_intake_symbolizer(const struct cprof_wait_intake *intake)
{
	/* Kinds go by the names that pprof shows, whatever the profile itself is to carry, and symbols have them all. */
	return (struct cprof_symbolizer_options){
		.way = CPROF_SYMBOLIZER_INDEX,
		.demangle = CPROF_DEMANGLE_SHORT,
		.no_lines = true,
		.debuginfod = intake->run->naming.debuginfod,
		.cache_dir = intake->run->naming.cache_dir,
	};
}

uint64_t cprof_wait_intake_end_ns(const struct cprof_wait_intake *intake)
{
	const struct cprof_window *window = intake->run->window;
	return window->end == CPROF_WINDOW_OPEN ? UINT64_MAX : window->end_mono_ns;
}
