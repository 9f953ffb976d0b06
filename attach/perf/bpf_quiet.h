/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/bpf_quiet.h - libbpf says nothing on its own: what it cannot load is an error of ours.
 *
 * Whoever opens or loads a BPF program may do so on a kernel that refuses it, which is no news: the caller has another
 * way, or says it in its own words. libbpf would print pages of the verifier's log meanwhile.
 */
#ifndef CPROF_ATTACH_PERF_BPF_QUIET_H
#define CPROF_ATTACH_PERF_BPF_QUIET_H

#include <bpf/libbpf.h>

/* From here to cprof_bpf_quiet_end(), which gets what this returns, libbpf prints nothing. */
libbpf_print_fn_t cprof_bpf_quiet_begin(void);
void cprof_bpf_quiet_end(libbpf_print_fn_t before);

#endif
