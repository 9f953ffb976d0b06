/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/doctor/doctor_check.h - what can be tried: a row for each means of each mode, and for names.
 *
 * A mode's means is tried by running the mode with it for a moment and throwing the profile away, so what is found is what the
 * mode itself would say. What stops or changes a process is tried on one of our own (doctor_child.h); of the process that was
 * named only the kernel's access check is asked then. The rest does to it what -mode cpu and -mode threads -means proc do: nothing.
 */
#ifndef CPROF_ATTACH_DOCTOR_DOCTOR_CHECK_H
#define CPROF_ATTACH_DOCTOR_DOCTOR_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/modes/mode.h"
#include "attach/run/run.h"
#include "attach/target/target.h"
#include "cprof/error.h"

/* Whom it is tried on. */
struct cprof_doctor_patient {
	struct cprof_target *target; /* borrowed; whom we were asked about, or `own` */
	struct cprof_target *own;    /* borrowed; ours to stop and to change */
	bool named;                  /* the two are not the same */
	struct cprof_run_naming naming;
};

struct cprof_doctor_check {
	const char *group; /* a mode's name, or "access", "names", "keep" */
	const char *means; /* as an option has it; what else it is called */
	const char *tells; /* what it gives, for people */
	bool whole;        /* of what the group can tell nothing is missing */
	bool extra;        /* more than the group promises: it works without */
	bool others;       /* of processes in general; left out where one is named */
	bool anyone;       /* the same whoever it is tried on */
	bool changes;      /* stops or changes the process, so it is tried on our own */
	bool stops;        /* by ptrace(2), which only one may do at a time */
	uint32_t needs;    /* enum cprof_doctor_grant_bit: what may be lacking */
	void (*choose)(struct cprof_mode_requests *requests, const char *means);
	/* NULL: by running the mode. `log` takes what it lacks as a warning. */
	struct cprof_error *(*try_it)(const struct cprof_doctor_patient *patient,
				      struct cprof_run_log *log);
};

/* Rows of a group stand together. */
extern const struct cprof_doctor_check cprof_doctor_checks[];
extern const size_t cprof_doctor_n_checks;

/* Errors are what is in the way. */
struct cprof_error *cprof_doctor_check_try(const struct cprof_doctor_check *check,
					   const struct cprof_doctor_patient *patient,
					   struct cprof_run_log *log);

/* May we look into its memory and stop it? Asks, and does neither. DENIED with a hint. */
struct cprof_error *cprof_doctor_check_access(const struct cprof_target *target);

#endif
