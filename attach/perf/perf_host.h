/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/perf_host.h - what this machine and our own limits leave room for: CPUs to open events on, and descriptors.
 *
 * Source of truth: Documentation/ABI/testing/sysfs-devices-system-cpu "online", setrlimit(2) RLIMIT_NOFILE.
 */
#ifndef CPROF_ATTACH_PERF_PERF_HOST_H
#define CPROF_ATTACH_PERF_PERF_HOST_H

#include <stdbool.h>
#include <stddef.h>

#include "cprof/error.h"

/* The CPUs that are on, ascending; the caller frees `*ret_cpus`. */
struct cprof_error *cprof_perf_host_cpus(int **ret_cpus, size_t *ret_n);

/* Raise our own limit of open files so that `n` more fit, as far as we may. */
void cprof_perf_host_raise_files(size_t n);

/* Raise it likewise; whether `n` more fit then, beside what a run opens later. */
bool cprof_perf_host_has_files(size_t n);

/*
 * With `fd` just opened, are there enough descriptors left for what a run opens later (mappings, modules, its own file)? The
 * kernel hands out the lowest free number, so a number near the limit says that few are.
 */
bool cprof_perf_host_leaves_files(int fd);

/*
 * Whether our clock is the one that events go by (CLOCK_MONOTONIC of the machine), which in a time namespace of our own it need not be: then
 * nothing that they tell would lie in our window. Errors: UNSUPPORTED. Source: time_namespaces(7) "/proc/pid/timens_offsets".
 */
struct cprof_error *cprof_perf_host_check_clock(void);

#endif
