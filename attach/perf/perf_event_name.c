/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_event_name.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach/perf/perf_tracepoint.h"
#include "attach/perf/pfm_api.h"
#include "base/cleanup.h"

/*
 * The kernel's own counters, as perf_event_open(2) numbers them, with the names of perf and libpfm4: most profiles are of one of these, and
 * should not wait for libpfm4, nor fail without it.
 */
static const struct {
	const char *name;
	uint64_t config;
} counters[] = {
	{ "cpu-clock", PERF_COUNT_SW_CPU_CLOCK },
	{ "task-clock", PERF_COUNT_SW_TASK_CLOCK },
	{ "page-faults", PERF_COUNT_SW_PAGE_FAULTS },
	{ "faults", PERF_COUNT_SW_PAGE_FAULTS },
	{ "minor-faults", PERF_COUNT_SW_PAGE_FAULTS_MIN },
	{ "major-faults", PERF_COUNT_SW_PAGE_FAULTS_MAJ },
	{ "context-switches", PERF_COUNT_SW_CONTEXT_SWITCHES },
	{ "cs", PERF_COUNT_SW_CONTEXT_SWITCHES },
	{ "cpu-migrations", PERF_COUNT_SW_CPU_MIGRATIONS },
	{ "migrations", PERF_COUNT_SW_CPU_MIGRATIONS },
	{ "alignment-faults", PERF_COUNT_SW_ALIGNMENT_FAULTS },
	{ "emulation-faults", PERF_COUNT_SW_EMULATION_FAULTS },
	{ "cgroup-switches", PERF_COUNT_SW_CGROUP_SWITCHES },
};
#define N_COUNTERS (sizeof(counters) / sizeof(counters[0]))

#define TRACEPOINT_PART 64 /* of a name; with its zero byte */

static pfm_err_t encode(const struct cprof_pfm_api *pfm, const char *name,
			struct perf_event_attr *attr)
{
	pfm_perf_encode_arg_t arg = { .attr = attr, .size = sizeof(arg) };
	memset(attr, 0, sizeof(*attr));
	attr->size = sizeof(*attr);
	return pfm->get_os_event_encoding(name, PFM_PLM0 | PFM_PLM3, PFM_OS_PERF_EVENT, &arg);
}

static bool is_clock(uint32_t type, uint64_t config)
{
	return type == PERF_TYPE_SOFTWARE &&
	       (config == PERF_COUNT_SW_CPU_CLOCK || config == PERF_COUNT_SW_TASK_CLOCK);
}

/* ---- tracepoints ---- */

static bool is_part(const char *text, size_t n)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	return n && n < TRACEPOINT_PART && strspn(text, allowed) >= n;
}

/* "sched:sched_switch", cut in two; false: no tracepoint can have that name. */
static bool cut_name(const char *name, char group[TRACEPOINT_PART], char point[TRACEPOINT_PART])
{
	const char *colon = strchr(name, ':');
	if (!colon || !is_part(name, (size_t)(colon - name)) ||
	    !is_part(colon + 1, strlen(colon + 1)))
		return false;
	memcpy(group, name, (size_t)(colon - name));
	group[colon - name] = 0;
	memcpy(point, colon + 1, strlen(colon + 1) + 1);
	return true;
}

/* False: there is none of that name, or it cannot be known; libpfm4's "cycles:u" has that form too. */
static bool find_tracepoint(const char *name, struct cprof_perf_event_name *ret)
{
	char group[TRACEPOINT_PART], point[TRACEPOINT_PART];
	const uint64_t id =
		cut_name(name, group, point) ? cprof_perf_tracepoint_id(group, point) : 0;
	if (id)
		*ret = (struct cprof_perf_event_name){ .type = PERF_TYPE_TRACEPOINT, .config = id };
	return id != 0;
}

static struct cprof_error *unknown(const char *name, const char *why)
{
	char group[TRACEPOINT_PART], point[TRACEPOINT_PART];
	struct cprof_error *err = cprof_error_new(CPROF_ERR_USAGE, "-event %s: %s", name, why);
	if (cut_name(name, group, point) && !cprof_perf_tracepoints_readable())
		return cprof_error_hint(
			err,
			"if it is a tracepoint: its number stands in /sys/kernel/tracing, which "
			"is not mounted or not ours to read; run as root");
	return cprof_error_hint(err,
				"-event list prints what this machine can open; tracepoints are "
				"GROUP:NAME, as below /sys/kernel/tracing/events");
}

/* ---- names ---- */

struct cprof_error *cprof_perf_event_name_ask(const char *name, struct cprof_perf_event_name *ret)
{
	const struct cprof_pfm_api *pfm;
	struct perf_event_attr attr;
	struct cprof_error *err = cprof_pfm_api_load(&pfm);
	if (err)
		return err;
	pfm_err_t code = encode(pfm, name, &attr);
	if (code != PFM_SUCCESS)
		return unknown(name, pfm->strerror(code));
	*ret = (struct cprof_perf_event_name){
		.type = attr.type,
		.config = attr.config,
		.config1 = attr.config1,
		.config2 = attr.config2,
		.is_clock = is_clock(attr.type, attr.config),
		.user_only = attr.exclude_kernel,
	};
	return NULL;
}

struct cprof_error *cprof_perf_event_name_find(const char *name, struct cprof_perf_event_name *ret)
{
	for (size_t i = 0; i < N_COUNTERS; i++) {
		if (strcasecmp(name, counters[i].name) != 0)
			continue;
		*ret = (struct cprof_perf_event_name){
			.type = PERF_TYPE_SOFTWARE,
			.config = counters[i].config,
			.is_clock = is_clock(PERF_TYPE_SOFTWARE, counters[i].config),
		};
		return NULL;
	}
	return find_tracepoint(name, ret) ? NULL : cprof_perf_event_name_ask(name, ret);
}

/* Opened on ourselves, without the kernel's share, which an ordinary user may not see. */
static bool can_open(const struct cprof_pfm_api *pfm, const char *name, bool *ret_hardware)
{
	struct perf_event_attr attr;
	if (encode(pfm, name, &attr) != PFM_SUCCESS)
		return false;
	attr.exclude_kernel = 1;
	attr.disabled = 1;
	*ret_hardware = attr.type == PERF_TYPE_HARDWARE || attr.type == PERF_TYPE_RAW;
	CPROF_AUTO(close)
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	return fd >= 0;
}

static void list_pmu(const struct cprof_pfm_api *pfm, pfm_pmu_t pmu, struct cprof_buffer *out,
		     bool *ret_hardware)
{
	pfm_pmu_info_t info = { .size = sizeof(info) };
	if (pfm->get_pmu_info(pmu, &info) != PFM_SUCCESS || !info.is_present)
		return;
	for (int i = info.first_event; i != -1; i = pfm->get_event_next(i)) {
		pfm_event_info_t event = { .size = sizeof(event) };
		bool hardware = false;
		if (pfm->get_event_info(i, PFM_OS_PERF_EVENT, &event) != PFM_SUCCESS ||
		    !can_open(pfm, event.name, &hardware))
			continue;
		*ret_hardware = *ret_hardware || hardware;
		cprof_buffer_printf(out, "%-40s %s\n", event.name, event.desc ? event.desc : "");
	}
}

struct cprof_error *cprof_perf_event_name_list(struct cprof_buffer *out, bool *ret_pmu)
{
	const struct cprof_pfm_api *pfm;
	struct cprof_error *err = cprof_pfm_api_load(&pfm);
	if (err)
		return err;
	*ret_pmu = false;
	for (int pmu = 0; pmu < PFM_PMU_MAX; pmu++)
		list_pmu(pfm, (pfm_pmu_t)pmu, out, ret_pmu);
	return cprof_buffer_error(out);
}
