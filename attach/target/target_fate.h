/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/target_fate.h - how a process that is no child of ours has ended, as far as that can be known.
 *
 * waitid(2) tells its parent only. What is left are: /proc/PID/stat while the parent has not waited for it yet; the process's pidfd
 * once it has, from Linux 6.15 on (PIDFD_GET_INFO); and whether the kernel's OOM killer has been at work in its memory group, which
 * is counted. Nothing here stops, traces or signals anybody.
 *
 * Sources: proc(5) "/proc/pid/stat", field 52; include/uapi/linux/pidfd.h of Linux 6.15; cgroups(7),
 * Documentation/admin-guide/cgroup-v2.rst "memory.events".
 */
#ifndef CPROF_ATTACH_TARGET_TARGET_FATE_H
#define CPROF_ATTACH_TARGET_TARGET_FATE_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/target/target.h"
#include "cprof/buffer.h"

/* Asked while it lives: what is counted then, to be held against later. */
struct cprof_target_fate {
	char events
		[4200]; /* the file memory.events of its memory group; "": there is none to be read */
	uint64_t killed; /* as it says */
	bool known;      /* how it ended, in `status` */
	int status;      /* as waitpid(2) has it */
	bool oom;        /* meanwhile somebody of its group was killed for memory */
};

void cprof_target_fate_start(struct cprof_target_fate *fate, const struct cprof_target *target);

/* It has ended: find out, which may take `most_ns` where its parent takes its time. */
void cprof_target_fate_end(struct cprof_target_fate *fate, const struct cprof_target *target,
			   uint64_t most_ns);

/* "was ended by signal 11 (SIGSEGV), with a core dump", "has ended; ..." */
void cprof_target_fate_describe(const struct cprof_target_fate *fate, struct cprof_buffer *out);

/* Field 52 of a process that waits for its parent; false: it does not, or nobody may know. For `text` as of /proc/PID/stat. */
bool cprof_target_fate_parse(const char *text, int *ret_status);

#endif
