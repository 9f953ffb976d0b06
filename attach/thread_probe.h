/*
 * attach/thread_probe.h - does a file of /proc answer at all?
 *
 * A thread that hangs in the kernel holding the lock of its address space makes everybody hang who reads the mappings or
 * the memory of that process (it is what makes ps hang on a machine with a dead NFS server). So it is tried first,
 * by a thread of our own that may be left behind.
 */
#ifndef CPROF_ATTACH_THREAD_PROBE_H
#define CPROF_ATTACH_THREAD_PROBE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * True once a byte of `path` could be read, or an error came back; false if neither happened within `wait_ns`. The thread
 * that tried then stays behind, in a wait that a fatal signal or our exit ends.
 */
bool cprof_thread_probe_answers(const char *path, uint64_t wait_ns);

#endif
