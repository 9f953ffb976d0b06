/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_event_name.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach/perf/pfm_api.h"
#include "base/cleanup.h"

/*
 * The clocks, as perf_event_open(2) numbers them and libpfm4 names them: a profile is of one of these unless -event says
 * otherwise, and should not wait for libpfm4.
 */
static const struct {
	const char *name;
	uint64_t config;
} clocks[] = {
	{ "cpu-clock", PERF_COUNT_SW_CPU_CLOCK },
	{ "task-clock", PERF_COUNT_SW_TASK_CLOCK },
};
#define N_CLOCKS (sizeof(clocks) / sizeof(clocks[0]))

static pfm_err_t encode(const struct cprof_pfm_api *pfm, const char *name,
			struct perf_event_attr *attr)
{
	pfm_perf_encode_arg_t arg = { .attr = attr, .size = sizeof(arg) };
	memset(attr, 0, sizeof(*attr));
	attr->size = sizeof(*attr);
	return pfm->get_os_event_encoding(name, PFM_PLM0 | PFM_PLM3, PFM_OS_PERF_EVENT, &arg);
}

static bool is_clock(const struct perf_event_attr *attr)
{
	return attr->type == PERF_TYPE_SOFTWARE && (attr->config == PERF_COUNT_SW_CPU_CLOCK ||
						    attr->config == PERF_COUNT_SW_TASK_CLOCK);
}

struct cprof_error *cprof_perf_event_name_ask(const char *name, struct cprof_perf_event_name *ret)
{
	const struct cprof_pfm_api *pfm;
	struct perf_event_attr attr;
	struct cprof_error *err = cprof_pfm_api_load(&pfm);
	if (err)
		return err;
	pfm_err_t code = encode(pfm, name, &attr);
	if (code != PFM_SUCCESS) {
		err = cprof_error_new(CPROF_ERR_USAGE, "-event %s: %s", name, pfm->strerror(code));
		return cprof_error_hint(err, "-event list prints what this machine can open");
	}
	*ret = (struct cprof_perf_event_name){
		.type = attr.type,
		.config = attr.config,
		.config1 = attr.config1,
		.config2 = attr.config2,
		.is_clock = is_clock(&attr),
		.user_only = attr.exclude_kernel,
	};
	return NULL;
}

struct cprof_error *cprof_perf_event_name_find(const char *name, struct cprof_perf_event_name *ret)
{
	for (size_t i = 0; i < N_CLOCKS; i++) {
		if (strcasecmp(name, clocks[i].name) != 0)
			continue;
		*ret = (struct cprof_perf_event_name){
			.type = PERF_TYPE_SOFTWARE,
			.config = clocks[i].config,
			.is_clock = true,
		};
		return NULL;
	}
	return cprof_perf_event_name_ask(name, ret);
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
