/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "attach/threads/thread_words.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/printable_text.h"
#include "cprof/hash.h"

#define NS_PER_MS 1000000ull
#define GROUP_IDS 24 /* members of a group that are named; the rest is counted */

/* ---- header ---- */

static void put_times(const struct cprof_thread *thread, struct cprof_buffer *out)
{
	char text[32];
	if (thread->idle_ns >= NS_PER_MS)
		cprof_buffer_printf(out, ", %s",
				    cprof_thread_words_duration(thread->idle_ns, text));
	if (thread->state)
		cprof_buffer_printf(out, ", %c", thread->state);
	if (thread->cpu >= 0)
		cprof_buffer_printf(out, ", cpu %d", thread->cpu);
	if (thread->cpu_ns)
		cprof_buffer_printf(out, ", %.2fs CPU", (double)thread->cpu_ns / 1e9);
	if (thread->stuck_ns)
		cprof_buffer_printf(out, ", stuck for %s",
				    cprof_thread_words_duration(thread->stuck_ns, text));
	if (thread->waiters)
		cprof_buffer_printf(out, ", %zu waiting for it", thread->waiters);
}

/* As runtime.goroutineheader writes it: minutes, and only whole ones. */
static void put_go_header(const struct cprof_thread *thread, struct cprof_buffer *out)
{
	cprof_buffer_printf(out, "goroutine %d [%s", (int)thread->tid,
			    cprof_thread_words_reason(thread));
	if (thread->idle_ns >= 60 * CPROF_NS_PER_S)
		cprof_buffer_printf(out, ", %llu minutes", thread->idle_ns / (60 * CPROF_NS_PER_S));
	cprof_buffer_puts(out, "]:\n");
}

static void put_header(const struct cprof_thread_snapshot *snapshot,
		       const struct cprof_thread *thread, struct cprof_buffer *out)
{
	cprof_buffer_printf(out, "thread %d \"%s\" [", (int)thread->tid, thread->name);
	cprof_thread_words_put_reason(snapshot, thread, out);
	put_times(thread, out);
	if (thread->cycle)
		cprof_buffer_printf(out, ", deadlock %zu", thread->cycle);
	cprof_buffer_puts(out, "]:\n");
}

/* ---- stack ---- */

static void put_source(const struct cprof_thread_name *name, const struct cprof_symbol_frame *frame,
		       bool physical, uint64_t addr, struct cprof_buffer *out)
{
	cprof_buffer_putc(out, '\t');
	cprof_printable_puts(out, *frame->file ? frame->file : *name->module ? name->module : "?");
	if (*frame->file && frame->line)
		cprof_buffer_printf(out, ":%" PRId64, frame->line);
	if (physical && name->function_start && addr >= name->function_start)
		cprof_buffer_printf(out, " +0x%" PRIx64, addr - name->function_start);
	cprof_buffer_putc(out, '\n');
}

/* `caller`: 1 where the look-up address is one before the return address, which is what people expect to see. */
static struct cprof_error *put_frame(struct cprof_thread_names *names, uint64_t lookup,
				     unsigned caller, struct cprof_buffer *out)
{
	struct cprof_thread_name name;
	struct cprof_error *err = cprof_thread_names_get(names, lookup, &name);
	if (err)
		return err;
	for (size_t i = 0; i < name.n; i++) {
		cprof_printable_puts(out, name.frames[i].name);
		cprof_buffer_puts(out, "(...)\n");
		put_source(&name, &name.frames[i], i + 1 == name.n, lookup + caller, out);
	}
	return NULL;
}

static const char *stop_words(enum cprof_stop stop)
{
	switch (stop) {
	case CPROF_STOP_ROOT:
	case CPROF_STOP_N:
		break;
	case CPROF_STOP_DEPTH:
		return "it is deeper than we follow";
	case CPROF_STOP_COPY_END:
	case CPROF_STOP_UNREADABLE:
		return "its memory cannot be read there";
	case CPROF_STOP_NOT_ADVANCING:
		return "the next frame is not further out";
	case CPROF_STOP_NO_MAP:
		return "the return address is in no code";
	case CPROF_STOP_NO_RULE:
		return "no unwind information";
	}
	return "";
}

static struct cprof_error *put_stack(const struct cprof_thread *thread,
				     struct cprof_thread_names *names, struct cprof_buffer *out)
{
	for (size_t i = 0; i < thread->n_frames; i++) {
		const struct cprof_stack_frame *frame = &thread->frames[i];
		if (!frame->addr && !frame->mapping) /* the marker of a stack that is cut */
			continue;
		struct cprof_error *err = put_frame(names, frame->addr, i > 0, out);
		if (err)
			return err;
	}
	bool whole = thread->means != CPROF_MEANS_NONE && thread->stop == CPROF_STOP_ROOT;
	if (thread->why)
		cprof_buffer_printf(out, "(%s: %s)\n",
				    !thread->n_frames ? "no stack"
				    : whole           ? "not stopped with the others"
						      : "the stack ends here",
				    thread->why);
	else if (thread->means != CPROF_MEANS_NONE && thread->stop != CPROF_STOP_ROOT)
		cprof_buffer_printf(out, "(the stack ends here: %s)\n", stop_words(thread->stop));
	cprof_buffer_putc(out, '\n');
	return NULL;
}

struct cprof_error *cprof_thread_text_thread(const struct cprof_thread_snapshot *snapshot,
					     size_t at, struct cprof_thread_names *names,
					     struct cprof_buffer *out)
{
	put_header(snapshot, &snapshot->threads[at], out);
	return put_stack(&snapshot->threads[at], names, out);
}

/* ---- groups ---- */

static bool same_stack(const struct cprof_thread *a, const struct cprof_thread *b)
{
	if (a->n_frames != b->n_frames || !a->n_frames || a->cycle || b->cycle ||
	    strcmp(cprof_thread_words_reason(a), cprof_thread_words_reason(b)) != 0)
		return false;
	for (size_t i = 0; i < a->n_frames; i++) {
		if (a->frames[i].addr != b->frames[i].addr)
			return false;
	}
	return true;
}

/* Of all that same_stack() compares; threads of a deadlock stay by themselves. */
static uint64_t stack_hash(const struct cprof_thread *thread)
{
	const char *reason = cprof_thread_words_reason(thread);
	uint64_t hash = cprof_hash_bytes(reason, strlen(reason));
	if (thread->cycle)
		hash = cprof_hash_mix(hash, (uint64_t)thread->tid);
	for (size_t i = 0; i < thread->n_frames; i++)
		hash = cprof_hash_mix(hash, thread->frames[i].addr);
	return hash;
}

/* next[i]: the following member of i's group, n at its end; first[i]: i begins a group. */
static struct cprof_error *group(const struct cprof_thread_snapshot *snapshot, size_t *next,
				 bool *first)
{
	struct cprof_map64 groups = { 0 }; /* hash of the stack -> its last member + 1 */
	struct cprof_error *err = NULL;
	for (size_t i = 0; i < snapshot->n; i++) {
		const struct cprof_thread *thread = &snapshot->threads[i];
		if (thread->left_out)
			continue;
		uint64_t *last = cprof_map64_put(&groups, stack_hash(thread), NULL);
		if (!last) {
			err = cprof_error_no_memory();
			break;
		}
		next[i] = snapshot->n;
		first[i] = !*last || !same_stack(&snapshot->threads[*last - 1], thread);
		if (!first[i])
			next[*last - 1] = i;
		*last = i + 1;
	}
	cprof_map64_deinit(&groups);
	return err;
}

static void put_group_header(const struct cprof_thread_snapshot *snapshot, size_t at,
			     const size_t *next, struct cprof_buffer *out)
{
	size_t members = 0, longest = at;
	for (size_t i = at; i < snapshot->n; i = next[i]) {
		members++;
		if (snapshot->threads[i].idle_ns > snapshot->threads[longest].idle_ns)
			longest = i;
	}
	char text[32];
	cprof_buffer_printf(out, "%zu threads [", members);
	cprof_thread_words_put_reason(snapshot, &snapshot->threads[at], out);
	if (snapshot->threads[longest].idle_ns >= NS_PER_MS)
		cprof_buffer_printf(
			out, ", up to %s",
			cprof_thread_words_duration(snapshot->threads[longest].idle_ns, text));
	cprof_buffer_puts(out, "]: ");
	size_t shown = 0;
	for (size_t i = at; i < snapshot->n && shown < GROUP_IDS; i = next[i]) {
		cprof_buffer_printf(out, "%s%d \"%s\"", shown ? ", " : "",
				    (int)snapshot->threads[i].tid, snapshot->threads[i].name);
		shown++;
	}
	if (shown < members)
		cprof_buffer_printf(out, " and %zu more", members - shown);
	cprof_buffer_puts(out, ":\n");
}

static struct cprof_error *put_groups(const struct cprof_thread_snapshot *snapshot,
				      struct cprof_thread_names *names, struct cprof_buffer *out)
{
	CPROF_AUTO(free) size_t *next = calloc(snapshot->n + 1, sizeof(*next));
	CPROF_AUTO(free) bool *first = calloc(snapshot->n + 1, sizeof(*first));
	if (!next || !first)
		return cprof_error_no_memory();
	struct cprof_error *err = group(snapshot, next, first);
	for (size_t i = 0; !err && i < snapshot->n; i++) {
		if (!first[i])
			continue;
		if (next[i] == snapshot->n)
			put_header(snapshot, &snapshot->threads[i], out);
		else
			put_group_header(snapshot, i, next, out);
		err = put_stack(&snapshot->threads[i], names, out);
	}
	return err;
}

/* ---- deadlocks ---- */

static size_t waiting_behind(const struct cprof_thread_snapshot *snapshot, size_t cycle)
{
	size_t n = 0;
	for (size_t i = 0; i < snapshot->n; i++) {
		if (snapshot->threads[i].cycle == cycle)
			n += snapshot->threads[i].waiters;
	}
	return n;
}

static size_t first_of(const struct cprof_thread_snapshot *snapshot, size_t cycle)
{
	size_t i = 0;
	while (i < snapshot->n && snapshot->threads[i].cycle != cycle)
		i++;
	return i;
}

static void put_deadlock(const struct cprof_thread_snapshot *snapshot, size_t cycle,
			 struct cprof_buffer *out)
{
	size_t start = first_of(snapshot, cycle), n = 0, i = start;
	if (start == snapshot->n)
		return;
	do {
		n++;
		i = snapshot->threads[i].owner;
	} while (i != start);
	if (n == 1)
		cprof_buffer_puts(out,
				  "deadlock: a thread waits for a lock that it holds itself\n");
	else
		cprof_buffer_printf(out, "deadlock: %zu threads wait for each other\n", n);
	do {
		const struct cprof_thread *thread = &snapshot->threads[i];
		cprof_buffer_printf(out, "  thread %d \"%s\" waits for ", (int)thread->tid,
				    thread->name);
		cprof_thread_words_put_reason(snapshot, thread, out);
		cprof_buffer_putc(out, '\n');
		i = thread->owner;
	} while (i != start);
	size_t behind = waiting_behind(snapshot, cycle);
	if (behind)
		cprof_buffer_printf(out, "  %zu more wait behind them\n", behind);
}

void cprof_thread_text_deadlocks(const struct cprof_thread_snapshot *snapshot,
				 struct cprof_buffer *out)
{
	for (size_t cycle = 1; cycle <= snapshot->n_cycles; cycle++)
		put_deadlock(snapshot, cycle, out);
}

/* A deadlock once more, with the stacks of its threads together. */
static struct cprof_error *put_deadlocks(const struct cprof_thread_snapshot *snapshot,
					 struct cprof_thread_names *names, struct cprof_buffer *out)
{
	struct cprof_error *err = NULL;
	for (size_t cycle = 1; !err && cycle <= snapshot->n_cycles; cycle++) {
		put_deadlock(snapshot, cycle, out);
		cprof_buffer_putc(out, '\n');
		size_t start = first_of(snapshot, cycle), i = start;
		do {
			put_header(snapshot, &snapshot->threads[i], out);
			err = put_stack(&snapshot->threads[i], names, out);
			i = snapshot->threads[i].owner;
		} while (!err && i != start);
	}
	return err;
}

struct cprof_error *cprof_thread_text_write(const struct cprof_thread_snapshot *snapshot,
					    struct cprof_thread_names *names,
					    const struct cprof_thread_text_options *options,
					    struct cprof_buffer *out)
{
	struct cprof_error *err = NULL;
	if (options->group && !options->go_words) {
		err = put_groups(snapshot, names, out);
	} else {
		for (size_t i = 0; !err && i < snapshot->n; i++) {
			if (snapshot->threads[i].left_out)
				continue;
			if (options->go_words)
				put_go_header(&snapshot->threads[i], out);
			else
				put_header(snapshot, &snapshot->threads[i], out);
			err = put_stack(&snapshot->threads[i], names, out);
		}
	}
	if (!err && !options->go_words)
		err = put_deadlocks(snapshot, names, out);
	return err ? err : cprof_buffer_error(out);
}
