/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/session_prefetch.h - what naming a session's addresses will take, prepared by a child
 * while the window is open.
 *
 * Debug packages are compressed: of 70 ms that the names of a Python program took, 50 went into decompressing two debug
 * files. Only that, and reading /proc/kallsyms, is done ahead for a profile that is made once: its names are looked up after the window.
 * Of what goes on while profiles are asked for, names are looked up ahead, too (names_ahead.h).
 */
#ifndef CPROF_ATTACH_RUN_SESSION_PREFETCH_H
#define CPROF_ATTACH_RUN_SESSION_PREFETCH_H

#include "attach/run/mapping_numbers.h"
#include "attach/run/names_ahead.h"
#include "attach/run/run.h"
#include "base/prefetch.h"

/* Of all sessions that share modules (run->prefetch). */
struct cprof_session_prefetch {
	struct cprof_prefetch prefetch;
	struct cprof_names_ahead ahead;
	uint64_t taken; /* bytes asked for */
	bool kernel_asked;
	struct cprof_prefetch_piece
		*kernel; /* owned; text of /proc/kallsyms; NULL: not asked for */
};

/* How far one session has come. */
struct cprof_session_prefetch_turn {
	uint32_t n_seen; /* frames of the stack table looked at so far */
	struct cprof_names_ahead_turn names;
};

/* Look at the locations that are new, and start a child where they will need anything. Microseconds where nothing is new. */
void cprof_session_prefetch_start(struct cprof_session_prefetch *prefetch,
				  struct cprof_session_prefetch_turn *turn,
				  const struct cprof_run *run,
				  const struct cprof_mapping_numbers *numbers);

/* No more of it: names are wanted now. What was made by then is used. */
void cprof_session_prefetch_stop(struct cprof_session_prefetch *prefetch,
				 struct cprof_modules *modules, struct cprof_run_log *log);

void cprof_session_prefetch_deinit(struct cprof_session_prefetch *prefetch);

#endif
