/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/doctor/doctor_child.h - a process of our own that may be stopped and changed: it sleeps until we end or let it go.
 *
 * It is nobody's child that we could trace for that reason alone: kernel.yama.ptrace_scope 1 treats it as it treats any other
 * process of the same user.
 */
#ifndef CPROF_ATTACH_DOCTOR_DOCTOR_CHILD_H
#define CPROF_ATTACH_DOCTOR_DOCTOR_CHILD_H

#include <sys/types.h>

#include "cprof/error.h"

struct cprof_doctor_child {
	pid_t pid;   /* 0: none */
	int hold_fd; /* owned; it lives as long as this is open */
};

/* Into zeros. Only one thread may be running. Errors: OS. */
struct cprof_error *cprof_doctor_child_start(struct cprof_doctor_child *child);
void cprof_doctor_child_end(struct cprof_doctor_child *child);

#endif
