#include "attach/perf_event_name.h"

#include <perfmon/pfmlib_perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* pfm_initialize() may be called again and then does nothing; there is nothing to give back. */
static struct cprof_error *start_pfm(void)
{
	pfm_err_t ret = pfm_initialize();
	if (ret == PFM_SUCCESS)
		return NULL;
	return cprof_error_new(CPROF_ERR_UNSUPPORTED, "libpfm4: %s", pfm_strerror(ret));
}

static pfm_err_t encode(const char *name, struct perf_event_attr *attr)
{
	pfm_perf_encode_arg_t arg = { .attr = attr, .size = sizeof(arg) };
	memset(attr, 0, sizeof(*attr));
	attr->size = sizeof(*attr);
	return pfm_get_os_event_encoding(name, PFM_PLM0 | PFM_PLM3, PFM_OS_PERF_EVENT, &arg);
}

struct cprof_error *cprof_perf_event_name_find(const char *name, struct cprof_perf_event_name *ret)
{
	struct perf_event_attr attr;
	struct cprof_error *err = start_pfm();
	if (err)
		return err;
	pfm_err_t code = encode(name, &attr);
	if (code != PFM_SUCCESS) {
		err = cprof_error_new(CPROF_ERR_USAGE, "-event %s: %s", name, pfm_strerror(code));
		return cprof_error_hint(err, "-event list prints what this machine can open");
	}
	*ret = (struct cprof_perf_event_name){
		.type = attr.type,
		.config = attr.config,
		.config1 = attr.config1,
		.config2 = attr.config2,
		.is_clock = attr.type == PERF_TYPE_SOFTWARE &&
			    (attr.config == PERF_COUNT_SW_CPU_CLOCK ||
			     attr.config == PERF_COUNT_SW_TASK_CLOCK),
		.user_only = attr.exclude_kernel,
	};
	return NULL;
}

/* Opened on ourselves, without the kernel's share, which an ordinary user may not see. */
static bool can_open(const char *name, bool *ret_hardware)
{
	struct perf_event_attr attr;
	if (encode(name, &attr) != PFM_SUCCESS)
		return false;
	attr.exclude_kernel = 1;
	attr.disabled = 1;
	*ret_hardware = attr.type == PERF_TYPE_HARDWARE || attr.type == PERF_TYPE_RAW;
	CPROF_AUTO(close)
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	return fd >= 0;
}

static void list_pmu(pfm_pmu_t pmu, struct cprof_buffer *out, bool *ret_hardware)
{
	pfm_pmu_info_t info = { .size = sizeof(info) };
	if (pfm_get_pmu_info(pmu, &info) != PFM_SUCCESS || !info.is_present)
		return;
	for (int i = info.first_event; i != -1; i = pfm_get_event_next(i)) {
		pfm_event_info_t event = { .size = sizeof(event) };
		bool hardware = false;
		if (pfm_get_event_info(i, PFM_OS_PERF_EVENT, &event) != PFM_SUCCESS ||
		    !can_open(event.name, &hardware))
			continue;
		*ret_hardware = *ret_hardware || hardware;
		cprof_buffer_printf(out, "%-40s %s\n", event.name, event.desc ? event.desc : "");
	}
}

struct cprof_error *cprof_perf_event_name_list(struct cprof_buffer *out, bool *ret_pmu)
{
	struct cprof_error *err = start_pfm();
	if (err)
		return err;
	*ret_pmu = false;
	for (int pmu = 0; pmu < PFM_PMU_MAX; pmu++)
		list_pmu((pfm_pmu_t)pmu, out, ret_pmu);
	return cprof_buffer_error(out);
}
