/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/bpf_load.h"

#include <errno.h>
#include <stddef.h>
#include <sys/stat.h>

#include "attach/perf/perf_host.h"

#define PIDNS_INIT_INO 0xeffffffcu /* include/linux/proc_ns.h: PROC_PID_INIT_INO */

struct cprof_error *cprof_bpf_check_namespace(void)
{
	struct stat st;
	if (stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == PIDNS_INIT_INO)
		return cprof_perf_host_check_clock();
	return cprof_error_new(
		CPROF_ERR_UNSUPPORTED,
		"we are in a PID namespace of our own, whose thread ids the BPF program "
		"does not know");
}

struct cprof_error *cprof_bpf_load_error(int os_errno)
{
	if (!os_errno)
		return NULL;
	struct cprof_error *err = cprof_error_os(os_errno, "load the BPF program");
	if (os_errno == EPERM || os_errno == EACCES)
		return cprof_error_hint(
			err, "run as root, or give cprof-attach CAP_BPF and CAP_PERFMON");
	err->code = CPROF_ERR_UNSUPPORTED; /* no BTF, or a kernel with other tracepoint arguments */
	return err;
}
