/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/shared_page.h - a byte of memory that processes share, and which thread of which of them has a given id.
 *
 * A lock in shared memory names its owner by the id that the owner has in its own PID namespace, which need not be the one
 * of whom the lock was read from. So the owner is a thread of a process that maps the very same page of the same file (an
 * inode also where memory has no name) and calls itself so. Owns the search; what a lock's word says is lock_word.h's.
 *
 * Sources: proc(5) "/proc/pid/maps" and "/proc/pid/status" (NSpid), futex(2) on shared futexes, pid_namespaces(7).
 */
#ifndef CPROF_ATTACH_TARGET_SHARED_PAGE_H
#define CPROF_ATTACH_TARGET_SHARED_PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/target/foreign_pid.h"
#include "attach/target/thread_proc.h"

struct cprof_shared_page {
	uint64_t dev; /* major << 32 | minor */
	uint64_t inode;
	uint64_t offset; /* of the byte, in the file */
};

/* False: nothing is mapped there, or what is there is private to the process, or we may not look. */
bool cprof_shared_page_at(pid_t pid, uint64_t addr, struct cprof_shared_page *ret);

/* Whether `pid` maps it too. */
bool cprof_shared_page_is_mapped(pid_t pid, const struct cprof_shared_page *page);

struct cprof_shared_page_thread {
	pid_t tid, pid;                   /* in our /proc */
	char name[CPROF_THREAD_NAME_MAX]; /* of the process, made printable */
};

/*
 * The living thread that calls itself `ns_tid`, of a process other than `but` that shares the page. HERE: `*ret` is it.
 * UNSEEN: there may be one that we may not look at, or there are several of that number in different namespaces. Reads
 * /proc of those processes only that come into question.
 */
enum cprof_foreign cprof_shared_page_thread(const struct cprof_shared_page *page, pid_t but,
					    pid_t ns_tid, struct cprof_shared_page_thread *ret);

/* The parser: a line of /proc/PID/maps. True where it is a shared mapping of a file; `*ret` is its first byte then. */
bool cprof_shared_page_parse(const char *line, uint64_t *ret_start, uint64_t *ret_end,
			     struct cprof_shared_page *ret);

#endif
