/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/thread_pool.h - which pool a thread belongs to, by its name: "worker-12" and "worker-13" are both of "worker-#".
 *
 * A number in a name is what tells the threads of a pool apart: digits at the name's end, or behind anything that is no letter. "C2 Compiler"
 * and "x264enc" keep theirs, which are part of a word.
 */
#ifndef CPROF_ATTACH_RUN_THREAD_POOL_H
#define CPROF_ATTACH_RUN_THREAD_POOL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Write the pool of a thread called `name` in a process called `process`. False, and `pool` is not touched: no number is in its
 * name, or the name is only the process's own (python3). `n` bytes are as many as the name has, or more.
 */
bool cprof_thread_pool_name(const char *name, const char *process, char *pool, size_t n);

#endif
