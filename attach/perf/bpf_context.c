/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/bpf_context.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "attach/perf/bpf_load.h"
#include "attach/perf/bpf_quiet.h"

#include "context.skel.h"

struct cprof_bpf_context {
	struct context_bpf *skel; /* owned */
};

struct cprof_error *cprof_bpf_context_open(struct cprof_bpf_context **ret_context)
{
	struct cprof_bpf_context *context = calloc(1, sizeof(*context));
	if (!context)
		return cprof_error_no_memory();
	libbpf_print_fn_t before = cprof_bpf_quiet_begin();
	context->skel = context_bpf__open();
	const int why = context->skel ? -context_bpf__load(context->skel) : errno;
	cprof_bpf_quiet_end(before);
	if (why) {
		cprof_bpf_context_close(context);
		return cprof_bpf_load_error(why);
	}
	*ret_context = context;
	return NULL;
}

void cprof_bpf_context_close(struct cprof_bpf_context *context)
{
	if (!context)
		return;
	context_bpf__destroy(context->skel);
	free(context);
}

int cprof_bpf_context_program(const struct cprof_bpf_context *context)
{
	return bpf_program__fd(context->skel->progs.on_sample);
}

struct cprof_error *cprof_bpf_context_ring(struct cprof_bpf_context *context, int cpu, int fd)
{
	const uint32_t key = (uint32_t)cpu;
	if (bpf_map__update_elem(context->skel->maps.events, &key, sizeof(key), &fd, sizeof(fd), 0))
		return cprof_error_os(errno, "give CPU %d's ring to the BPF program", cpu);
	return NULL;
}

struct cprof_error *cprof_bpf_context_set(struct cprof_bpf_context *context,
					  const struct cprof_target *target,
					  const struct cprof_context_place *place)
{
	const struct cprof_context_key key = { .namespace_inode = (uint32_t)target->pidns_inode,
					       .pid = (uint32_t)target->ns_pid };
	struct bpf_map *places = context->skel->maps.places;
	if (!place) {
		bpf_map__delete_elem(places, &key, sizeof(key), 0);
		return NULL;
	}
	if (bpf_map__update_elem(places, &key, sizeof(key), place, sizeof(*place), 0))
		return cprof_error_os(errno, "tell a BPF program of process %d", (int)target->pid);
	return NULL;
}
