/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/ledger_told.h - what the program of the ledger (ledger.bpf.c) tells while time goes by, taken out of its ring in order.
 *
 * A copy of this process that makes a profile meanwhile must not take anything out, which would be missing in the original: it only looks.
 *
 * Source: Documentation/bpf/ringbuf.rst; enum and layout of linux/bpf.h "BPF_RINGBUF_BUSY_BIT".
 */
#ifndef CPROF_ATTACH_WALL_LEDGER_TOLD_H
#define CPROF_ATTACH_WALL_LEDGER_TOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/wall/ledger_bpf.h"
#include "cprof/error.h"

struct cprof_ledger_told {
	void *consumer; /* owned mappings */
	void *producer;
	size_t bytes;     /* of the ring; a power of two */
	uint64_t next;    /* position that is read next */
	pid_t owner;      /* who takes things out */
	uint64_t records; /* so far */
};

/* `fd` is the map's. Errors: OS. */
struct cprof_error *cprof_ledger_told_open(int fd, size_t bytes, struct cprof_ledger_told *ret);
void cprof_ledger_told_close(struct cprof_ledger_told *told);

/* Hand out what has come. Errors: those of `fn`. */
typedef struct cprof_error *cprof_ledger_told_fn(void *ctx,
						 const struct cprof_ledger_bpf_told *record);
struct cprof_error *cprof_ledger_told_drain(struct cprof_ledger_told *told,
					    cprof_ledger_told_fn *fn, void *ctx);

#endif
