/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/pfm_api.h - libpfm4, loaded when an event's name must be looked up and not before.
 *
 * Its tables of every processor's events are a megabyte of pointers that the loader adjusts one by one at each start:
 * 0.9 ms, and 1.6 ms more until it knows this machine. The default event needs none of that.
 */
#ifndef CPROF_ATTACH_PERF_PFM_API_H
#define CPROF_ATTACH_PERF_PFM_API_H

#include <perfmon/pfmlib_perf_event.h>

#include "cprof/error.h"

/* A row per function: X(member, function). */
#define CPROF_PFM_FUNCTIONS(X)                                                                     \
	X(initialize, pfm_initialize)                                                              \
	X(strerror, pfm_strerror)                                                                  \
	X(get_os_event_encoding, pfm_get_os_event_encoding)                                        \
	X(get_pmu_info, pfm_get_pmu_info)                                                          \
	X(get_event_next, pfm_get_event_next)                                                      \
	X(get_event_info, pfm_get_event_info)

struct cprof_pfm_api {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): the name of a member */
#define CPROF_PFM_MEMBER(member, function) __typeof__(function) *member;
	CPROF_PFM_FUNCTIONS(CPROF_PFM_MEMBER)
#undef CPROF_PFM_MEMBER
};

/* The library, initialized; stays loaded. Errors: UNSUPPORTED. Not for several threads at once. */
struct cprof_error *cprof_pfm_api_load(const struct cprof_pfm_api **ret_api);

#endif
