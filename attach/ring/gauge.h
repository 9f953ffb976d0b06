/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/ring/gauge.h - a process looked at from outside, several times a second: what triggers go by (trigger.h).
 *
 * Reads /proc and control groups, and of those only what some trigger wants; never the process's memory, and stops nobody. Waits
 * take a file for each thread, so they are looked at so seldom that it costs 2 % of a processor at most.
 *
 * Sources: proc(5) "/proc/pid/stat", "/proc/pid/statm"; Documentation/accounting/psi.rst.
 */
#ifndef CPROF_ATTACH_RING_GAUGE_H
#define CPROF_ATTACH_RING_GAUGE_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/ring/trigger.h"
#include "attach/target/target.h"
#include "cprof/error.h"

struct cprof_gauge;

/* `wants`: by enum cprof_trigger_what. `target` is borrowed. Errors: DENIED, UNSUPPORTED (a value that cannot be had here), NO_MEMORY. */
struct cprof_error *cprof_gauge_open(const struct cprof_target *target,
				     const bool wants[CPROF_TRIGGER_VALUES],
				     struct cprof_gauge **ret_gauge);
void cprof_gauge_close(struct cprof_gauge *gauge); /* takes NULL */

/* When it is to be read next, CLOCK_MONOTONIC; UINT64_MAX: never. */
uint64_t cprof_gauge_due_mono_ns(const struct cprof_gauge *gauge);

/* Read, if it is due. True: *ret_values are new. What is wanted by nobody, or not known yet, is NAN. */
bool cprof_gauge_read(struct cprof_gauge *gauge, struct cprof_trigger_values *ret_values);

#endif
