/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/doctor/doctor.h - what works here, of every mode by every means, and what is in the way: found by trying.
 *
 * What is tried and how is doctor_check.h's, what would help doctor_grant.h's. doctor_text.h says it to people, doctor_json.h to
 * programs. The process that is named is neither stopped nor changed.
 */
#ifndef CPROF_ATTACH_DOCTOR_DOCTOR_H
#define CPROF_ATTACH_DOCTOR_DOCTOR_H

#include "attach/doctor/doctor_check.h"
#include "attach/doctor/doctor_files.h"
#include "attach/doctor/doctor_host.h"
#include "attach/target/target.h"
#include "cprof/error.h"

enum cprof_doctor_verdict { CPROF_DOCTOR_WORKS, CPROF_DOCTOR_PARTLY, CPROF_DOCTOR_NOT };

/* What came of a row. */
struct cprof_doctor_finding {
	const struct cprof_doctor_check *check;
	enum cprof_doctor_verdict verdict;
	char *why, *hint; /* owned; NULL: nothing is in the way */
	uint32_t grants;  /* which of them would help */
};

struct cprof_doctor {
	struct cprof_doctor_host host;
	pid_t pid;                             /* whom it is about; 0: a process of our own */
	char comm[CPROF_COMM_MAX];             /* its name */
	struct cprof_doctor_finding *findings; /* owned; one for each check */
	size_t n_findings;
	struct cprof_doctor_files files; /* of the process that was named */
};

struct cprof_doctor_request {
	pid_t pid; /* 0: nobody's in particular */
	struct cprof_run_naming naming;
};

/*
 * Try everything; a second or two. Only one thread may be running. Errors: NO_TARGET, UNSUPPORTED (of a process that cannot be
 * profiled at all), OS, NO_MEMORY; that we may not look at it is no error but what is found.
 */
struct cprof_error *cprof_doctor_examine(const struct cprof_doctor_request *request,
					 struct cprof_doctor **ret_doctor);
void cprof_doctor_free(struct cprof_doctor *doctor);

/* ---- the sum of it ---- */

/* The groups, one after the other: begin with *at 0. False: that was the last. */
bool cprof_doctor_next_group(const struct cprof_doctor *doctor, size_t *at, size_t *ret_first,
			     size_t *ret_end);
/* Of the rows [first, end), which are one group. */
enum cprof_doctor_verdict cprof_doctor_group_verdict(const struct cprof_doctor *doctor,
						     size_t first, size_t end);
enum cprof_doctor_verdict cprof_doctor_verdict(const struct cprof_doctor *doctor);

/* What makes all groups work that do not; one who grants wants to do so once. */
uint32_t cprof_doctor_all_grants(const struct cprof_doctor *doctor);

/* "works", "works partly", "does not work". */
const char *cprof_doctor_verdict_name(enum cprof_doctor_verdict verdict);

#endif
