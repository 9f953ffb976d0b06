/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_record.h"

#include <string.h>

/* Newer than the headers of Debian 12: Linux commit "perf: Add build id data in mmap2 event" (v5.12) has it. */
#ifndef PERF_RECORD_MISC_MMAP_BUILD_ID
#define PERF_RECORD_MISC_MMAP_BUILD_ID (1 << 14)
#endif

/* What is left of the record; every take checks before it reads. */
struct cursor {
	const uint8_t *at;
	size_t left;
};

static bool take(struct cursor *cursor, void *out, size_t n)
{
	if (cursor->left < n)
		return false;
	memcpy(out, cursor->at, n);
	cursor->at += n;
	cursor->left -= n;
	return true;
}

static bool take_u64(struct cursor *cursor, uint64_t *out)
{
	return take(cursor, out, sizeof(*out));
}

/* `n` items of `item` bytes where they lie. */
static const void *take_array(struct cursor *cursor, uint64_t n, size_t item)
{
	if (n > cursor->left / item)
		return NULL;
	const void *array = cursor->at;
	cursor->at += n * item;
	cursor->left -= (size_t)n * item;
	return array;
}

/* A zero-terminated text at the end of the fixed part. */
static const char *take_text(struct cursor *cursor)
{
	const char *text = (const char *)cursor->at;
	size_t len = strnlen(text, cursor->left);
	if (len == cursor->left)
		return NULL;
	cursor->at += len + 1;
	cursor->left -= len + 1;
	return text;
}

static struct cprof_error *malformed(const struct perf_event_header *record, const char *where)
{
	return cprof_error_new(CPROF_ERR_BAD_DATA, "perf record of type %u and %u bytes: %s",
			       record->type, record->size, where);
}

static size_t id_bytes(const struct cprof_perf_layout *layout)
{
	const uint64_t fields = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ID |
				PERF_SAMPLE_STREAM_ID | PERF_SAMPLE_CPU | PERF_SAMPLE_IDENTIFIER;
	return 8 * (size_t)__builtin_popcountll(layout->sample_type & fields);
}

/* "struct sample_id" at the end of every record that is no sample. */
static bool take_id(const struct cprof_perf_layout *layout, struct cursor *cursor,
		    struct cprof_perf_record *ret)
{
	size_t bytes = id_bytes(layout);
	if (cursor->left < bytes)
		return false;
	struct cursor id = { cursor->at + cursor->left - bytes, bytes };
	cursor->left -= bytes;
	if (layout->sample_type & PERF_SAMPLE_TID)
		(void)(take(&id, &ret->pid, 4) && take(&id, &ret->tid, 4));
	if (layout->sample_type & PERF_SAMPLE_TIME)
		(void)take_u64(&id, &ret->time_ns);
	return true;
}

/* PERF_CONTEXT_* markers tell the parts of a chain apart; we only ask for the kernel's. */
static void kernel_part(const uint64_t *chain, uint64_t n, struct cprof_perf_record *ret)
{
	uint64_t at = 0;
	while (at < n && chain[at] != (uint64_t)PERF_CONTEXT_KERNEL)
		at++;
	uint64_t first = at < n ? at + 1 : n;
	for (at = first; at < n && chain[at] < (uint64_t)PERF_CONTEXT_MAX;)
		at++;
	ret->sample.kernel = chain + first;
	ret->sample.n_kernel = (size_t)(at - first);
}

static bool take_chain(struct cursor *cursor, struct cprof_perf_record *ret)
{
	uint64_t n;
	if (!take_u64(cursor, &n))
		return false;
	const uint64_t *chain = take_array(cursor, n, sizeof(uint64_t));
	if (chain)
		kernel_part(chain, n, ret);
	return chain;
}

static bool take_raw(struct cursor *cursor, struct cprof_perf_record *ret)
{
	uint32_t n;
	if (!take(cursor, &n, sizeof(n)))
		return false;
	ret->sample.raw = take_array(cursor, n, 1);
	ret->sample.n_raw = n;
	return ret->sample.raw;
}

static bool take_regs(const struct cprof_perf_layout *layout, struct cursor *cursor,
		      struct cprof_perf_record *ret)
{
	uint64_t abi;
	if (!take_u64(cursor, &abi))
		return false;
	if (abi == PERF_SAMPLE_REGS_ABI_NONE)
		return true;
	ret->sample.regs_32bit = abi == PERF_SAMPLE_REGS_ABI_32;
	ret->sample.regs = take_array(cursor, layout->n_regs, sizeof(uint64_t));
	return ret->sample.regs;
}

static bool take_stack(struct cursor *cursor, struct cprof_perf_record *ret)
{
	uint64_t size, copied;
	if (!take_u64(cursor, &size))
		return false;
	if (!size)
		return true;
	ret->sample.stack = take_array(cursor, size, 1);
	if (!ret->sample.stack || !take_u64(cursor, &copied) || copied > size)
		return false;
	ret->sample.n_stack = (size_t)copied;
	return true;
}

/* The fields in the order in which perf_event_open(2) lists them. */
static bool take_sample(const struct cprof_perf_layout *layout, struct cursor *cursor,
			struct cprof_perf_record *ret)
{
	uint64_t type = layout->sample_type, skipped;
	uint32_t reserved;
	bool ok = true;
	if (type & PERF_SAMPLE_IDENTIFIER)
		ok = ok && take_u64(cursor, &ret->sample.id);
	if (type & PERF_SAMPLE_IP)
		ok = ok && take_u64(cursor, &ret->sample.ip);
	if (type & PERF_SAMPLE_TID)
		ok = ok && take(cursor, &ret->pid, 4) && take(cursor, &ret->tid, 4);
	if (type & PERF_SAMPLE_TIME)
		ok = ok && take_u64(cursor, &ret->time_ns);
	if (type & PERF_SAMPLE_ADDR)
		ok = ok && take_u64(cursor, &ret->sample.addr);
	if (type & PERF_SAMPLE_ID)
		ok = ok && take_u64(cursor, &ret->sample.id);
	if (type & PERF_SAMPLE_STREAM_ID)
		ok = ok && take_u64(cursor, &skipped);
	if (type & PERF_SAMPLE_CPU)
		ok = ok && take(cursor, &ret->sample.cpu, 4) && take(cursor, &reserved, 4);
	if (type & PERF_SAMPLE_PERIOD)
		ok = ok && take_u64(cursor, &ret->sample.period);
	if (type & PERF_SAMPLE_CALLCHAIN)
		ok = ok && take_chain(cursor, ret);
	if (type & PERF_SAMPLE_RAW)
		ok = ok && take_raw(cursor, ret);
	if (type & PERF_SAMPLE_REGS_USER)
		ok = ok && take_regs(layout, cursor, ret);
	if (type & PERF_SAMPLE_STACK_USER)
		ok = ok && take_stack(cursor, ret);
	return ok;
}

static bool take_map(const struct perf_event_header *record, struct cursor *cursor,
		     struct cprof_perf_record *ret)
{
	uint32_t words[2];
	uint8_t id[24];
	uint32_t prot_flags[2];
	bool ok = take(cursor, &ret->pid, 4) && take(cursor, &ret->tid, 4) &&
		  take_u64(cursor, &ret->map.start) && take_u64(cursor, &ret->map.len) &&
		  take_u64(cursor, &ret->map.offset);
	const uint8_t *id_at = cursor->at;
	ok = ok && take(cursor, id, sizeof(id)) && take(cursor, prot_flags, sizeof(prot_flags));
	if (!ok)
		return false;
	if (record->misc & PERF_RECORD_MISC_MMAP_BUILD_ID) {
		/* u8 size, three reserved bytes, u8 build_id[20] */
		ret->map.n_build_id = id[0] <= 20 ? id[0] : 0;
		ret->map.build_id = id_at + 4;
	} else {
		memcpy(words, id, sizeof(words));
		ret->map.dev = (uint64_t)words[0] << 32 | words[1];
		memcpy(&ret->map.inode, id + 8, sizeof(ret->map.inode));
	}
	ret->map.prot = prot_flags[0];
	ret->map.path = take_text(cursor);
	return ret->map.path;
}

static bool take_task(struct cursor *cursor, struct cprof_perf_record *ret)
{
	return take(cursor, &ret->pid, 4) && take(cursor, &ret->fork.ppid, 4) &&
	       take(cursor, &ret->tid, 4) && take(cursor, &ret->fork.ptid, 4);
}

static bool take_comm(struct cursor *cursor, struct cprof_perf_record *ret)
{
	if (!take(cursor, &ret->pid, 4) || !take(cursor, &ret->tid, 4))
		return false;
	ret->comm = take_text(cursor);
	return ret->comm;
}

struct cprof_error *cprof_perf_record_decode(const struct cprof_perf_layout *layout,
					     const struct perf_event_header *record,
					     struct cprof_perf_record *ret)
{
	uint64_t id;
	memset(ret, 0, sizeof(*ret));
	if (record->size < sizeof(*record))
		return malformed(record, "smaller than its header");
	struct cursor cursor = { (const uint8_t *)(record + 1), record->size - sizeof(*record) };
	if (record->type == PERF_RECORD_SAMPLE) {
		uint16_t mode = record->misc & PERF_RECORD_MISC_CPUMODE_MASK;
		ret->kind = CPROF_PERF_SAMPLE;
		ret->sample.in_kernel = mode == PERF_RECORD_MISC_KERNEL;
		return take_sample(layout, &cursor, ret) ? NULL
							 : malformed(record, "sample cut short");
	}
	if (!take_id(layout, &cursor, ret))
		return malformed(record, "no room for its id");
	bool ok = true;
	switch (record->type) {
	case PERF_RECORD_MMAP2:
		ret->kind = CPROF_PERF_MAP;
		ok = take_map(record, &cursor, ret);
		break;
	case PERF_RECORD_COMM:
		ret->kind = record->misc & PERF_RECORD_MISC_COMM_EXEC ? CPROF_PERF_EXEC
								      : CPROF_PERF_COMM;
		ok = take_comm(&cursor, ret);
		break;
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		ret->kind = record->type == PERF_RECORD_FORK ? CPROF_PERF_FORK : CPROF_PERF_EXIT;
		ok = take_task(&cursor, ret);
		break;
	case PERF_RECORD_LOST:
		ret->kind = CPROF_PERF_LOST;
		ok = take_u64(&cursor, &id) && take_u64(&cursor, &ret->lost);
		break;
	case PERF_RECORD_LOST_SAMPLES:
		ret->kind = CPROF_PERF_LOST;
		ok = take_u64(&cursor, &ret->lost);
		break;
	case PERF_RECORD_THROTTLE:
		ret->kind = CPROF_PERF_THROTTLE;
		break;
	case PERF_RECORD_UNTHROTTLE:
		ret->kind = CPROF_PERF_UNTHROTTLE;
		break;
	default:
		break;
	}
	return ok ? NULL : malformed(record, "cut short");
}

uint64_t cprof_perf_record_time(const struct cprof_perf_layout *layout,
				const struct perf_event_header *record)
{
	uint64_t type = layout->sample_type, time_ns = 0;
	struct cursor cursor = { (const uint8_t *)(record + 1), record->size - sizeof(*record) };
	if (!(type & PERF_SAMPLE_TIME) || record->size < sizeof(*record))
		return 0;
	if (record->type != PERF_RECORD_SAMPLE) {
		struct cprof_perf_record id = { 0 };
		return take_id(layout, &cursor, &id) ? id.time_ns : 0;
	}
	size_t before = 8 * (size_t)__builtin_popcountll(type & (PERF_SAMPLE_IDENTIFIER |
								 PERF_SAMPLE_IP | PERF_SAMPLE_TID));
	return take_array(&cursor, before, 1) && take_u64(&cursor, &time_ns) ? time_ns : 0;
}

struct cprof_map cprof_perf_record_map(const struct cprof_perf_record *record)
{
	struct cprof_map map = {
		.start = record->map.start,
		.end = record->map.start + record->map.len,
		.offset = record->map.offset,
		.prot = (uint8_t)(record->map.prot & 7),
		.dev = record->map.dev,
		.inode = record->map.inode,
		.path = record->map.path,
		.build_id_len = (uint8_t)record->map.n_build_id,
	};
	if (map.build_id_len)
		memcpy(map.build_id, record->map.build_id, map.build_id_len);
	/* /proc/PID/maps says "" where perf says "//anon". */
	if (strcmp(map.path, "//anon") == 0)
		map.path = "";
	return map;
}
