/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/perf_record.h - what one perf record says. Bytes are checked here, once; the rest may trust them.
 *
 * Knows the record formats, not where records come from (perf_ring.h) or what they mean (the modes' *_run.c).
 * Source of truth: perf_event_open(2), "MMAP layout", and the comments of enum perf_event_type in
 * include/uapi/linux/perf_event.h.
 */
#ifndef CPROF_ATTACH_PERF_PERF_RECORD_H
#define CPROF_ATTACH_PERF_PERF_RECORD_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/maps.h"

/* What the event was opened with; decides which fields a record has. sample_id_all is always set. */
struct cprof_perf_layout {
	uint64_t
		sample_type; /* of PERF_SAMPLE_*: no READ, BRANCH_STACK or anything after STACK_USER */
	uint8_t n_regs;      /* bits in sample_regs_user */
};

enum cprof_perf_kind {
	CPROF_PERF_OTHER, /* a kind we did not ask for: nothing but the header was looked at */
	CPROF_PERF_SAMPLE,
	CPROF_PERF_MAP,
	CPROF_PERF_COMM,
	CPROF_PERF_EXEC, /* COMM that comes from an exec */
	CPROF_PERF_FORK,
	CPROF_PERF_EXIT,
	CPROF_PERF_LOST,
	CPROF_PERF_THROTTLE,
	CPROF_PERF_UNTHROTTLE,
};

/* Pointers lead into the record. */
struct cprof_perf_record {
	enum cprof_perf_kind kind;
	uint32_t pid,
		tid; /* of the process it is about; as seen from our PID namespace; 0 unknown */
	uint64_t time_ns; /* on the clock of the event; 0 unknown */
	union {
		struct {
			uint64_t ip, addr, id, period;
			uint32_t cpu;
			bool in_kernel;         /* the interrupted code was the kernel's */
			const uint64_t *kernel; /* kernel part of the call chain, innermost first */
			size_t n_kernel;
			const void *raw; /* PERF_SAMPLE_RAW */
			size_t n_raw;
			const uint64_t *regs; /* NULL: the thread had no user registers */
			bool regs_32bit;      /* and they are of 32-bit code */
			const void *stack;
			size_t n_stack; /* that was really copied */
			const void *
				context; /* the thread's, by perf_source.h: context_bpf.h has its form */
			size_t n_context; /* 0: it has none, or it is not read */
			const void *
				other; /* for cprof_other_stack_add(); NULL: nothing. Not in the record: perf_source.h adds it */
			size_t n_other;
		} sample;
		struct {
			uint64_t start, len, offset, dev, inode;
			uint32_t prot;
			const uint8_t *build_id;
			size_t n_build_id;
			const char *path;
		} map;
		const char *comm; /* COMM and EXEC */
		struct {
			uint32_t ppid, ptid;
		} fork; /* and EXIT */
		uint64_t lost;
	};
};

/*
 * Decode `record`, of which header.size bytes are readable and 8-byte aligned. CPROF_ERR_BAD_DATA if they do not
 * hold what they must; `*ret` is then unspecified.
 */
struct cprof_error *cprof_perf_record_decode(const struct cprof_perf_layout *layout,
					     const struct perf_event_header *record,
					     struct cprof_perf_record *ret);

/* The time of a record alone, for merging rings; 0 where it has none or is malformed. */
uint64_t cprof_perf_record_time(const struct cprof_perf_layout *layout,
				const struct perf_event_header *record);

/* A MAP record as cprof/maps.h wants it; the path is borrowed from the record. */
struct cprof_map cprof_perf_record_map(const struct cprof_perf_record *record);

#endif
