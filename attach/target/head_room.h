/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/head_room.h - what a process may still take: memory, address space, mappings. And: is it enough?
 *
 * What is put into a target counts as its own, against every limit that it has. The kernel's answer at a limit is an error for
 * whoever asks next, which may be the target, or somebody's death; so the limits are looked at first, and more than enough must
 * be left. Owns the limits of the process and of the machine; those of its control groups are memory_cgroup.h's.
 *
 * Sources: getrlimit(2), proc(5) "limits", "status", "meminfo", "/proc/sys/vm/overcommit_memory", "/proc/sys/vm/max_map_count",
 * mmap(2) "ERRORS", mlockall(2).
 */
#ifndef CPROF_ATTACH_TARGET_HEAD_ROOM_H
#define CPROF_ATTACH_TARGET_HEAD_ROOM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/target/memory_cgroup.h"
#include "cprof/error.h"

/* Of each limit so many times what is needed must be free: the target goes on living, and so do its neighbours. */
#define CPROF_HEAD_ROOM_TIMES 4

/* A limit and what counts against it. limit UINT64_MAX: there is none. */
struct cprof_limit {
	uint64_t limit, used;
};

struct cprof_head_room {
	pid_t pid;
	struct cprof_memory_room cgroup;
	uint64_t available_bytes;  /* of the machine */
	struct cprof_limit commit; /* of the machine, where vm.overcommit_memory is 2 */
	struct cprof_limit address_space, data,
		locked;          /* RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK; in bytes */
	struct cprof_limit maps; /* vm.max_map_count */
	uint64_t stack_bytes;    /* RLIMIT_STACK */
	uint64_t start_brk;      /* where the heap of brk(2) begins; 0: we may not know */
};

/* What is wanted of it over the whole time. */
struct cprof_need {
	const char *what;        /* "a heap profile"; borrowed */
	uint64_t resident_bytes; /* pages that will be touched */
	uint64_t mapped_bytes;   /* address space */
	uint64_t data_bytes;     /* of that private and writable */
	uint64_t locked_bytes;   /* of that locked; 0 where the process does not lock what comes */
	uint64_t maps;           /* mappings more */
};

/* `n_maps`: how many it has. Does not stop the target. Errors: NO_TARGET, DENIED (a cgroup that cannot be seen), NO_MEMORY. */
struct cprof_error *cprof_head_room_read(pid_t pid, uint64_t n_maps,
					 struct cprof_head_room *ret_room);

/* NULL if there is enough of everything. Else DENIED, with the limit, what is used of it, and what is needed. Pure. */
struct cprof_error *cprof_head_room_check(const struct cprof_head_room *room,
					  const struct cprof_need *need);

/* Can memory run out for the process before it does for the machine? */
bool cprof_head_room_is_limited(const struct cprof_head_room *room);

/* VmLck of /proc/PID/status, in bytes. What grows it though nobody locked it is mlockall(MCL_FUTURE)'s. */
uint64_t cprof_head_room_locked(pid_t pid);

/*
 * The kernel refused a mapping of `bytes` in process `pid` with `os_errno` all the same: an error that says that it is the
 * process's limit, and which there are. For errors that are no limit's: an OS error.
 */
struct cprof_error *cprof_head_room_refused(pid_t pid, const char *call, uint64_t bytes,
					    int os_errno);

/* The parsers: the soft limit of a line of /proc/PID/limits; the kB of a line of status or meminfo, in bytes, 0: no such line. */
uint64_t cprof_head_room_limit_of(const char *limits, const char *name);
uint64_t cprof_head_room_bytes_of(const char *text, const char *key);

#endif
