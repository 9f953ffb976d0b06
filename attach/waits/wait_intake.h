/*
 * attach/waits/wait_intake.h - one run of the block or mutex mode: choose a tier, take its waits, make the profile.
 *
 * The tiers find waits, in three different ways; each is a row of cprof_wait_tiers and hands every wait it
 * kept to cprof_wait_intake_take(), weighed already. What is common is here: the walk of the stack, the sum
 * (wait_table.h), the rate that follows the load, and at the end kinds, labels and sample types.
 * docs/block.md says what each tier sees and how exact it is.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_INTAKE_H
#define CPROF_ATTACH_WAITS_WAIT_INTAKE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "attach/run/run.h"
#include "attach/run/session.h"
#include "attach/locks/wait.h"
#include "attach/waits/wait_request.h"
#include "attach/waits/wait_table.h"
#include "base/error.h"
#include "symbolize/names/symbolizer.h"

struct cprof_wait_intake {
	const struct cprof_run *run; /* borrowed, as all pointers here */
	const struct cprof_wait_request *request;
	struct cprof_session *session;
	struct cprof_process *process;

	bool adaptive;
	uint64_t rate_ns; /* of Go's law, now; the tier follows it */
	struct cprof_wait_pace pace;
	uint64_t lost; /* waits that the tier knows it missed; it adds to this */

	/* Releases of mutexes that had named an owner, and those by that very thread: the tier's, at its end. */
	uint64_t owned, agreed;

	uint64_t records; /* waits taken so far */
	struct cprof_wait_table table;
	struct cprof_map64 threads; /* numbers seen as owners -> 1 where that was a thread then */
};

#define CPROF_WAIT_TIER_FDS_MAX 1024

struct cprof_wait_tier {
	const char *name; /* -block-method NAME, and in the profile's comments */
	const char
		*exactly; /* one line on what its numbers mean, for the summary and the comments */
	bool tells_releases, tells_all;
	bool thins;        /* keeps waits by Go's law at block->rate_ns; else every one */
	uint64_t drain_ns; /* how often drain() wants to be called at least */
	uint64_t (*pause_ns)(
		const void *state); /* instead of drain_ns, where that changes; may be NULL */

	/*
	 * Put the events in place; from then on waits are seen. Errors decide whether the next tier is tried:
	 * DENIED, UNSUPPORTED and OS do, others end the run.
	 */
	struct cprof_error *(*open)(struct cprof_wait_intake *intake, void **ret_state);
	/* Undo everything, also after an error of drain(). The kernel does the same if we are killed. */
	void (*close)(void *state);

	/* Fill `fds` with what makes drain() worth calling; returns how many. May be NULL. */
	size_t (*fds)(void *state, struct pollfd *fds, size_t cap);
	struct cprof_error *(*drain)(void *state);

	/*
	 * At the end, where waits that are not over yet are in the sums already: label them. NULL: they are not, and
	 * wait_edges.h looks for them.
	 */
	struct cprof_error *(*mark_open)(void *state);
	/* When thread `tid` began the wait it is in, CLOCK_MONOTONIC; false where the tier did not see that. */
	bool (*since)(void *state, uint32_t tid, uint64_t *ret_mono_ns);
	/* Notes about the run as a whole, at its end; may be NULL. */
	void (*tell)(void *state);
};

extern const struct cprof_wait_tier cprof_wait_tier_bpf;
extern const struct cprof_wait_tier cprof_wait_tier_perf;
extern const struct cprof_wait_tier cprof_wait_tier_proc;

/*
 * A wait (or in mutex mode a release) that the tier kept, with the sample taken of its thread there. Walks the
 * stack and adds it up; errors: NO_MEMORY. `*ret_row` is where it went, in block->table; may be NULL.
 */
struct cprof_error *cprof_wait_intake_take(struct cprof_wait_intake *intake,
					   const struct cprof_wait *wait,
					   const struct cprof_session_sample *sample,
					   uint32_t *ret_row);

/* The two halves of it: where there is something to be done about the stack in between. */
struct cprof_error *cprof_wait_intake_walk(struct cprof_wait_intake *intake,
					   const struct cprof_session_sample *sample,
					   struct cprof_session_stack *ret_stack);
struct cprof_error *cprof_wait_intake_add(struct cprof_wait_intake *intake,
					  const struct cprof_wait *wait,
					  const struct cprof_session_stack *stack,
					  uint32_t *ret_row);

/*
 * How names are looked up while the mode needs them itself: as at the end of the session, since a module's files are
 * opened once, by whoever asks first.
 */
struct cprof_symbolizer_options
cprof_wait_intake_symbolizer(const struct cprof_wait_intake *intake);

/* The owner that the call itself tells, where it does: who is joined, and who holds a robust mutex. */
void cprof_wait_intake_find_owner(struct cprof_wait *wait);

/* Where the window ended; UINT64_MAX while it is open. What happens after it is not counted. */
uint64_t cprof_wait_intake_end_ns(const struct cprof_wait_intake *intake);

/* The run function of both modes. */
struct cprof_error *cprof_wait_run(const struct cprof_run *run,
				   const struct cprof_wait_request *request,
				   struct cprof_profile **ret_profile);

#endif
