/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/bpf_context.h - a BPF program that copies the context of a thread that is being sampled (attach/context/context.bpf.c), and the places
 * where it finds those.
 *
 * A filter of samples calls it (bpf_emit.h, CPROF_BPF_EMIT_CONTEXT). What it copies goes where the descriptors given to it with
 * cprof_bpf_context_ring() write.
 */
#ifndef CPROF_ATTACH_PERF_BPF_CONTEXT_H
#define CPROF_ATTACH_PERF_BPF_CONTEXT_H

#include "attach/context/context_bpf.h"
#include "attach/target/target.h"
#include "cprof/error.h"

struct cprof_bpf_context;

/* Some ten milliseconds. Errors: DENIED (CAP_BPF, CAP_PERFMON), UNSUPPORTED (the kernel has no BTF). */
struct cprof_error *cprof_bpf_context_open(struct cprof_bpf_context **ret_context);
void cprof_bpf_context_close(struct cprof_bpf_context *context);

/* For cprof_bpf_emit_set_slot(); borrowed. */
int cprof_bpf_context_program(const struct cprof_bpf_context *context);

/* `fd` is an event of the kind PERF_COUNT_SW_BPF_OUTPUT on that CPU, which is enabled; borrowed. Errors: OS. */
struct cprof_error *cprof_bpf_context_ring(struct cprof_bpf_context *context, int cpu, int fd);

/* Where the threads of `target` have theirs; NULL: nowhere. Errors: OS. */
struct cprof_error *cprof_bpf_context_set(struct cprof_bpf_context *context,
					  const struct cprof_target *target,
					  const struct cprof_context_place *place);

#endif
