/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/locks/wait.h - one wait of one thread, and Go's law for keeping and weighing waits.
 *
 * Whoever sees waits makes these (attach/waits/wait_tier.h); wait_kind.h says what was waited for. In mutex mode the same
 * struct carries a release: then `tid` is the releasing thread, and `delay_ns` what it made others wait.
 */
#ifndef CPROF_ATTACH_LOCKS_WAIT_H
#define CPROF_ATTACH_LOCKS_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* `syscall` of a wait that happened outside any system call: a page fault. */
#define CPROF_WAIT_NO_SYSCALL (-1)

struct cprof_wait {
	uint32_t tid;
	int32_t syscall;   /* number on this CPU, or CPROF_WAIT_NO_SYSCALL */
	uint32_t futex_op; /* of a futex call, flags included */
	uint32_t futex_val;
	uint64_t addr;      /* of the futex word; first argument of other calls */
	uint32_t owner_tid; /* who held it when the wait began; 0 unknown */
	uint32_t waker_tid; /* whose futex call ended it; 0: nobody's, or not known */
	bool woken;         /* somebody's call has ended it, also where it is not known whose */
	uint32_t word;      /* the futex word after it, if `has_word` */
	bool has_word;
	uint32_t
		request; /* labels that the program has for it (attach/context/contexts.h); 0: none */
	bool disk;       /* until a disk answers, where the kernel tells */
	bool requeued; /* the thread lay down elsewhere, a condition variable, and was moved to this lock */
	bool open; /* not over yet: the time is that until the window's end */

	/* Estimates: this wait stands for `count` waits that took `delay_ns` together. */
	double count;
	double delay_ns; /* until the wake-up */
	double queue_ns; /* from the wake-up until it ran again */

	/* When it was, CLOCK_MONOTONIC: asleep from began_ns to woken_ns, and in a run queue until ran_ns. A release is at woken_ns. */
	uint64_t began_ns, woken_ns, ran_ns;
};

/*
 * Go's block profile keeps a wait of d ns with p = min(1, d / rate). One that was kept stands for 1/p waits:
 * where d < rate that is rate/d waits of together `rate` ns. Both sums are then unbiased whatever the rate,
 * so the rate may change from one wait to the next.
 */
struct cprof_wait_weight {
	double count;
	double delay_ns;
};
struct cprof_wait_weight cprof_wait_weigh(uint64_t delay_ns, uint64_t rate_ns);

/*
 * The same for a wait of `delay_ns` of which only `part_ns` lie in the window: it was kept for its whole length, so
 * that alone says how many waits it stands for, and `part_ns` how long they count.
 */
struct cprof_wait_weight cprof_wait_weigh_part(uint64_t delay_ns, uint64_t part_ns,
					       uint64_t rate_ns);

/* How much of the wait from began_ns to woken_ns lies between from_ns and to_ns; 0 where it lies beside it. */
uint64_t cprof_wait_part_ns(uint64_t began_ns, uint64_t woken_ns, uint64_t from_ns, uint64_t to_ns);

/* Whether the law keeps it; `random` is uniform over 64 bits. What the BPF program computes in 32 bits. */
bool cprof_wait_keeps(uint64_t delay_ns, uint64_t rate_ns, uint64_t random);

/*
 * The adaptive rate. Called once per control period with the records that came in it; gives the rate for
 * the next. Doubles above the target and halves below a quarter of it, inside [floor, ceiling].
 */
struct cprof_wait_pace {
	uint64_t rate_ns;
	uint64_t floor_ns, ceiling_ns;
	uint64_t target_per_s;
};
uint64_t cprof_wait_pace_next(struct cprof_wait_pace *pace, uint64_t records, uint64_t period_ns,
			      uint64_t lost);

#endif
