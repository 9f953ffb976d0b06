/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/foreign_pid.h - a process as another PID namespace names it, looked for among those that are seen from here.
 *
 * What a process wrote about itself (its id, when it started, its PID namespace) outlives it, and can be read by others who
 * know the process by another id, or whose /proc does not show it. Owns the search, and two questions about a process that
 * decide whether it may be named to somebody who would end it: has it this target open, and is it a cprof-attach?
 *
 * Sources: pid_namespaces(7), time_namespaces(7), proc(5) "NSpid", pidfd_open(2) (the "Pid" line of its fdinfo);
 * include/linux/proc_ns.h for the number of the first PID namespace.
 */
#ifndef CPROF_ATTACH_TARGET_FOREIGN_PID_H
#define CPROF_ATTACH_TARGET_FOREIGN_PID_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cprof_foreign_pid {
	uint64_t pid;         /* in its own namespace */
	uint64_t start_ticks; /* field 22 of /proc/PID/stat */
	uint64_t pidns;       /* inode of /proc/PID/ns/pid */
};

enum cprof_foreign {
	CPROF_FOREIGN_GONE,   /* it has ended */
	CPROF_FOREIGN_HERE,   /* it lives */
	CPROF_FOREIGN_UNSEEN, /* our /proc does not show such processes: nobody can say from here */
};

/* Ourselves, for others who come later. */
struct cprof_foreign_pid cprof_foreign_pid_self(void);

/* Whether our /proc numbers processes as the kernel itself does, in tracepoints and to BPF programs. */
bool cprof_foreign_pid_in_first_namespace(void);

/* *ret_pid: its id in our /proc; 0 unless it is HERE. Reads a few small files of each process, where namespaces differ. */
enum cprof_foreign cprof_foreign_pid_find(const struct cprof_foreign_pid *foreign, pid_t *ret_pid);

/* Its state as in proc(5), 'T' for one that was stopped; 0: we cannot see it. */
char cprof_foreign_pid_state(pid_t pid);

/* Has process `pid` a pidfd of process `target`? True as well where we are not permitted to look. */
bool cprof_foreign_pid_holds(pid_t pid, pid_t target);

/*
 * Is `pid` this program or one of its name, and does it belong to root, to us or to the owner of `target`? Anybody can have a
 * process of some name, but ending one of his own gains him nothing.
 */
bool cprof_foreign_pid_is_ours(pid_t pid, pid_t target);

/* The parsers. The last number of the line "NSpid:", 0 if there is none; a pidfd's "Pid:", 0 if it is no pidfd's text. */
uint64_t cprof_foreign_pid_ns_pid(const char *status);
pid_t cprof_foreign_pid_of_fdinfo(const char *fdinfo);

#endif
