/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_pieces.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attach/perf/bpf_emit.h"
#include "attach/perf/bpf_load.h"
#include "attach/perf/bpf_quiet.h"
#include "attach/perf/pieces_bpf.h"
#include "base/array.h"

#include "pieces.skel.h"

/* The sample's time is taken before or behind the program, in the same interrupt. Samples are further apart than this, mostly. */
#define APART_MAX_NS 300000u
#define RING_LEAST   (256u << 10)
#define RING_MOST    (4u << 20)
#define RING_SECONDS 0.7

_Static_assert(CPROF_PIECES_BPF_NEXT == CPROF_BPF_EMIT_CONTEXT, "who is called");
_Static_assert(CPROF_PIECES_BPF_PROGRAMS == CPROF_BPF_EMIT_SLOTS, "of how many");

struct piece {
	uint64_t mono_ns, sp;
	size_t n;
	uint8_t *bytes; /* owned; struct cprof_other_bpf and what follows it */
};

struct cprof_perf_pieces {
	struct pieces_bpf *skel;  /* owned */
	struct ring_buffer *ring; /* owned */
	struct piece *all;        /* owned; about in the order of time */
	size_t n, cap;
};

static int on_piece(void *ctx, void *data, size_t n)
{
	struct cprof_perf_pieces *pieces = ctx;
	struct cprof_pieces_bpf_event event;
	if (n < sizeof(event) || !CPROF_ARRAY_ROOM(pieces->all, pieces->n, pieces->cap, 1))
		return 0;
	memcpy(&event, data, sizeof(event));
	const size_t head = offsetof(struct cprof_pieces_bpf_event, other);
	struct piece piece = {
		.mono_ns = event.mono_ns, .sp = event.sp, .n = n - head, .bytes = malloc(n - head)
	};
	if (!piece.bytes)
		return 0;
	memcpy(piece.bytes, (const uint8_t *)data + head, piece.n);
	pieces->all[pieces->n++] = piece;
	return 0;
}

static uint32_t ring_bytes(double rate_hz)
{
	const double want = rate_hz * RING_SECONDS * libbpf_num_possible_cpus() *
			    (sizeof(struct cprof_pieces_bpf_event) + CPROF_OTHER_BPF_BYTES);
	uint32_t bytes = RING_LEAST;
	while (bytes < RING_MOST && bytes < want)
		bytes *= 2;
	return bytes;
}

static int load(struct cprof_perf_pieces *pieces, const struct cprof_target *target,
		const struct cprof_other_switches *switches, double rate_hz, int programs_fd)
{
	struct pieces_bpf *skel = pieces->skel = pieces_bpf__open();
	if (!skel)
		return errno;
	skel->rodata->namespace_dev = cprof_bpf_emit_dev(target->pidns_dev);
	skel->rodata->namespace_inode = target->pidns_inode;
	skel->rodata->namespace_pid = (uint32_t)target->ns_pid;
	skel->rodata->other_n_switches = switches->n;
	memcpy(skel->rodata->other_switches, switches->all, sizeof(switches->all));
	int why = -bpf_map__set_max_entries(skel->maps.pieces, ring_bytes(rate_hz));
	if (!why && programs_fd >= 0)
		why = -bpf_map__reuse_fd(skel->maps.programs, programs_fd);
	if (!why)
		why = -pieces_bpf__load(skel);
	if (why)
		return why;
	pieces->ring = ring_buffer__new(bpf_map__fd(skel->maps.pieces), on_piece, pieces, NULL);
	return pieces->ring ? 0 : errno;
}

struct cprof_error *cprof_perf_pieces_open(const struct cprof_target *target,
					   const struct cprof_other_switches *switches,
					   double rate_hz, int programs_fd,
					   struct cprof_perf_pieces **ret_pieces)
{
	if (!target->pidns_inode)
		return cprof_error_new(CPROF_ERR_DENIED, "the PID namespace of %d cannot be seen",
				       (int)target->pid);
	struct cprof_perf_pieces *pieces = calloc(1, sizeof(*pieces));
	if (!pieces)
		return cprof_error_no_memory();
	struct cprof_other_switches some = *switches;
	libbpf_print_fn_t before = cprof_bpf_quiet_begin();
	int why = load(pieces, target, &some, rate_hz, programs_fd);
	while (cprof_other_switches_fewer(&some, why) && some.n) {
		pieces_bpf__destroy(pieces->skel);
		why = load(pieces, target, &some, rate_hz, programs_fd);
	}
	cprof_bpf_quiet_end(before);
	if (why) {
		cprof_perf_pieces_close(pieces);
		return cprof_bpf_load_error(why);
	}
	*ret_pieces = pieces;
	return NULL;
}

void cprof_perf_pieces_close(struct cprof_perf_pieces *pieces)
{
	if (!pieces)
		return;
	for (size_t i = 0; i < pieces->n; i++)
		free(pieces->all[i].bytes);
	free(pieces->all);
	ring_buffer__free(pieces->ring);
	pieces_bpf__destroy(pieces->skel);
	free(pieces);
}

int cprof_perf_pieces_filter(const struct cprof_perf_pieces *pieces)
{
	return bpf_program__fd(pieces->skel->progs.keep_sample);
}

void cprof_perf_pieces_take(struct cprof_perf_pieces *pieces)
{
	ring_buffer__consume(pieces->ring);
}

const void *cprof_perf_pieces_find(const struct cprof_perf_pieces *pieces, uint64_t mono_ns,
				   uint64_t sp, size_t *ret_n)
{
	const struct piece *best = NULL;
	uint64_t least = APART_MAX_NS;
	for (size_t i = 0; i < pieces->n; i++) {
		const struct piece *piece = &pieces->all[i];
		const uint64_t apart = piece->mono_ns < mono_ns ? mono_ns - piece->mono_ns
								: piece->mono_ns - mono_ns;
		if (piece->sp == sp && apart <= least) {
			best = piece;
			least = apart;
		}
	}
	*ret_n = best ? best->n : 0;
	return best ? best->bytes : NULL;
}

void cprof_perf_pieces_drop(struct cprof_perf_pieces *pieces, uint64_t mono_ns)
{
	size_t kept = 0;
	for (size_t i = 0; i < pieces->n; i++) {
		if (pieces->all[i].mono_ns + APART_MAX_NS >= mono_ns)
			pieces->all[kept++] = pieces->all[i];
		else
			free(pieces->all[i].bytes);
	}
	pieces->n = kept;
}
