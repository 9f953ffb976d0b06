/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/target.h - one process to be profiled: that it is the one meant, and that it can be.
 *
 * Owns a pidfd, so that a reused process id is never mistaken for the target, and the facts that do not change.
 * Mappings and memory are the session's (cprof/maps.h, target_mem.h). Nothing here stops the target.
 *
 * Sources: pidfd_open(2), proc(5) "/proc/pid/stat" and "/proc/pid/status", pid_namespaces(7).
 */
#ifndef CPROF_ATTACH_TARGET_TARGET_H
#define CPROF_ATTACH_TARGET_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

#define CPROF_COMM_MAX 64 /* the kernel's own are 16; of worker threads more is shown */

struct cprof_target {
	pid_t pid;            /* thread group, as seen in our /proc */
	int pidfd;            /* owned */
	uint64_t start_ticks; /* of the leader, in clock ticks after boot */
	char comm[CPROF_COMM_MAX];
	char service
		[128]; /* what it calls itself to who looks from outside (attach/run/process_context.h), where somebody asked; "" */
	uid_t uid;
	bool one_uid;     /* real, effective, saved and of files: what a setuid program has not */
	bool leader_gone; /* pthread_exit in main: other threads run on, /proc/PID/maps is empty */
	bool exited;
	uint64_t
		exited_mono_ns; /* when we saw it; whoever has its id after that is somebody else */
	bool launched;          /* by us, for -- COMMAND; samples count from its exec on */

	/* What it is called in its own PID namespace, and which that is (dev, inode of /proc/PID/ns/pid). */
	pid_t ns_pid;
	uint64_t pidns_dev, pidns_inode;
};

/*
 * Make sure that `pid` can be profiled and hold on to it. Errors: NO_TARGET (no such process, a zombie),
 * UNSUPPORTED (kernel thread, 32-bit program), DENIED, USAGE (a thread of another process; the hint says which).
 */
struct cprof_error *cprof_target_open(pid_t pid, struct cprof_target **ret_target);
void cprof_target_close(struct cprof_target *target);

/* False once the last thread has ended; remembered in target->exited. */
bool cprof_target_alive(struct cprof_target *target);

/* Its pidfd has become readable. */
void cprof_target_ended(struct cprof_target *target);

/* A new process got its id at `mono_ns`: it had ended by then, whenever we see that. */
void cprof_target_replaced(struct cprof_target *target, uint64_t mono_ns);

/*
 * A thread of it that runs: its pid, unless the leader is gone. /proc/TID and process_vm_readv work with it
 * where they would not with the pid. The pid if none is found.
 */
pid_t cprof_target_living_tid(const struct cprof_target *target);

/* CPROF_ERR_UNSUPPORTED if the program it runs is not one for this CPU (32-bit). Also after an exec. */
struct cprof_error *cprof_target_check_program(const struct cprof_target *target);

/* Its CPU time so far, of threads that have ended too, to the kernel's tick. False: it has ended and is gone. */
bool cprof_target_cpu_time(const struct cprof_target *target, uint64_t *ret_user_ns,
			   uint64_t *ret_system_ns);

/*
 * The thread ids, ascending as the kernel lists them. `*ret_tids` is the caller's to free. A process that
 * ended meanwhile: NO_TARGET.
 */
struct cprof_error *cprof_target_threads(const struct cprof_target *target, pid_t **ret_tids,
					 size_t *ret_n);

/*
 * The one process called `name` (its comm, or the base name of its program), ourselves excluded. None: NO_TARGET.
 * Several: USAGE, with a line for each of them in the hint.
 */
struct cprof_error *cprof_target_find(const char *name, pid_t *ret_pid);

#endif
