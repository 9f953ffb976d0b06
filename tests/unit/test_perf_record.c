/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_record.h"

#include <linux/perf_event.h>

#include "tests/unit/test.h"

#define TYPE                                                                                       \
	(PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_PERIOD |                \
	 PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER)

static const struct cprof_perf_layout layout = { .sample_type = TYPE, .n_regs = 2 };

/* A record being composed; u64 so that it is aligned like one in a ring. */
struct composed {
	uint64_t words[64];
	size_t n;
};

static void put(struct composed *to, uint64_t word)
{
	to->words[to->n++] = word;
}

static void put_pair(struct composed *to, uint32_t low, uint32_t high)
{
	put(to, low | (uint64_t)high << 32);
}

static void put_text(struct composed *to, const char *text)
{
	size_t bytes = strlen(text) + 1;
	memset(&to->words[to->n], 0, (bytes + 7) / 8 * 8);
	memcpy(&to->words[to->n], text, bytes);
	to->n += (bytes + 7) / 8;
}

static void begin(struct composed *to, uint32_t type, uint16_t misc)
{
	to->n = 1;
	struct perf_event_header header = { .type = type, .misc = misc };
	memcpy(to->words, &header, sizeof(header));
}

/* Set the size, as the kernel does last, and give the record out. */
static const struct perf_event_header *end(struct composed *to)
{
	struct perf_event_header *header = (void *)to->words;
	header->size = (uint16_t)(to->n * 8);
	return header;
}

/* pid 10, tid 11, time 99: the sample_id behind every record that is no sample. */
static const struct perf_event_header *end_with_id(struct composed *to)
{
	put_pair(to, 10, 11);
	put(to, 99);
	return end(to);
}

static const struct perf_event_header *compose_sample(struct composed *to)
{
	begin(to, PERF_RECORD_SAMPLE, PERF_RECORD_MISC_KERNEL);
	put(to, 0xffff800000000010); /* ip */
	put_pair(to, 10, 11);
	put(to, 77);  /* time */
	put(to, 500); /* period */
	put(to, 4);
	put(to, (uint64_t)PERF_CONTEXT_KERNEL);
	put(to, 0xffff800000000010);
	put(to, 0xffff800000000020);
	put(to, (uint64_t)PERF_CONTEXT_USER);
	put(to, PERF_SAMPLE_REGS_ABI_64);
	put(to, 0x1111);
	put(to, 0x2222);
	put(to, 16); /* stack: two words reserved, one of them copied */
	put(to, 0xaaaa);
	put(to, 0xbbbb);
	put(to, 8);
	return end(to);
}

TEST(perf_record_decodes_a_sample_field_by_field)
{
	struct composed record;
	struct cprof_perf_record got;
	CHECK(!cprof_perf_record_decode(&layout, compose_sample(&record), &got));
	CHECK_UINT(got.kind, CPROF_PERF_SAMPLE);
	CHECK_UINT(got.pid, 10);
	CHECK_UINT(got.tid, 11);
	CHECK_UINT(got.time_ns, 77);
	CHECK_UINT(got.sample.ip, 0xffff800000000010);
	CHECK_UINT(got.sample.period, 500);
	CHECK(got.sample.in_kernel);
	CHECK_UINT(got.sample.n_kernel, 2);
	CHECK_UINT(got.sample.kernel[1], 0xffff800000000020);
	CHECK_UINT(got.sample.regs[1], 0x2222);
	CHECK_UINT(got.sample.n_stack, 8);
	CHECK_UINT(*(const uint64_t *)got.sample.stack, 0xaaaa);
	CHECK_UINT(cprof_perf_record_time(&layout, end(&record)), 77);
}

TEST(perf_record_refuses_a_sample_that_is_cut_anywhere)
{
	struct composed record;
	size_t words = compose_sample(&record)->size / 8;
	for (size_t n = 1; n < words; n++) {
		struct perf_event_header *header = (void *)record.words;
		struct cprof_perf_record got;
		/* What lies behind the cut must not be looked at: a fresh block of just that size. */
		uint64_t *cut = malloc(n * 8);
		header->size = (uint16_t)(n * 8);
		memcpy(cut, record.words, n * 8);
		struct cprof_error *err = cprof_perf_record_decode(&layout, (void *)cut, &got);
		if (!err)
			TEST_FAIL("%zu of %zu words were taken for a sample", n, words);
		CHECK_UINT(err->code, CPROF_ERR_BAD_DATA);
		cprof_error_free(err);
		free(cut);
	}
}

TEST(perf_record_refuses_counts_that_the_record_cannot_hold)
{
	/* Word index and a value for it that lies about what follows. */
	static const struct {
		const char *what;
		size_t word;
		uint64_t value;
	} lies[] = {
		{ "a call chain longer than the record", 5, 1000 },
		{ "a call chain whose size overflows", 5, UINT64_MAX / 8 + 2 },
		{ "a stack longer than the record", 13, 4096 },
		{ "a stack of which more was copied than reserved", 16, 17 },
		{ "a stack whose size overflows", 13, UINT64_MAX },
	};
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct composed record;
		struct cprof_perf_record got;
		compose_sample(&record);
		record.words[lies[i].word] = lies[i].value;
		struct cprof_error *err = cprof_perf_record_decode(&layout, end(&record), &got);
		if (!err)
			TEST_FAIL("accepted: %s", lies[i].what);
		cprof_error_free(err);
	}
}

TEST(perf_record_takes_a_thread_without_user_registers)
{
	struct composed record;
	struct cprof_perf_record got;
	begin(&record, PERF_RECORD_SAMPLE, PERF_RECORD_MISC_KERNEL);
	put(&record, 1);
	put_pair(&record, 10, 11);
	put(&record, 77);
	put(&record, 1);
	put(&record, 0); /* no chain */
	put(&record, PERF_SAMPLE_REGS_ABI_NONE);
	put(&record, 0); /* no stack */
	CHECK(!cprof_perf_record_decode(&layout, end(&record), &got));
	CHECK(!got.sample.regs && !got.sample.stack);
	CHECK_UINT(got.sample.n_kernel, 0);
}

TEST(perf_record_decodes_mappings_with_inode_or_with_build_id)
{
	struct composed record;
	struct cprof_perf_record got;
	for (int with_id = 0; with_id < 2; with_id++) {
		begin(&record, PERF_RECORD_MMAP2, with_id ? 1 << 14 : 0);
		put_pair(&record, 10, 11);
		put(&record, 0x1000);
		put(&record, 0x2000);
		put(&record, 0x3000);
		if (with_id) {
			put(&record, 0x0403020100000002); /* size 2, then the id */
			put(&record, 0);
			put(&record, 0);
		} else {
			put_pair(&record, 8, 1);
			put(&record, 4711);
			put(&record, 1);
		}
		put_pair(&record, 5, 2);
		put_text(&record, "/lib/x.so");
		CHECK(!cprof_perf_record_decode(&layout, end_with_id(&record), &got));
		CHECK_UINT(got.kind, CPROF_PERF_MAP);
		CHECK_UINT(got.time_ns, 99);
		struct cprof_map map = cprof_perf_record_map(&got);
		CHECK_UINT(map.start, 0x1000);
		CHECK_UINT(map.end, 0x3000);
		CHECK_UINT(map.offset, 0x3000);
		CHECK_UINT(map.prot, 5);
		CHECK_STR(map.path, "/lib/x.so");
		CHECK_UINT(map.inode, with_id ? 0 : 4711);
		CHECK_UINT(map.dev, with_id ? 0 : ((uint64_t)8 << 32 | 1));
		CHECK_UINT(map.build_id_len, with_id ? 2 : 0);
		if (with_id)
			CHECK_UINT(map.build_id[1], 2);
	}
}

TEST(perf_record_refuses_names_without_an_end)
{
	struct composed record;
	struct cprof_perf_record got;
	begin(&record, PERF_RECORD_COMM, 0);
	put_pair(&record, 10, 11);
	put(&record, 0x4141414141414141);
	struct cprof_error *err = cprof_perf_record_decode(&layout, end_with_id(&record), &got);
	CHECK(err);
	cprof_error_free(err);
}

TEST(perf_record_tells_exec_from_rename_and_knows_forks_and_losses)
{
	struct composed record;
	struct cprof_perf_record got;
	begin(&record, PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC);
	put_pair(&record, 10, 11);
	put_text(&record, "worker");
	CHECK(!cprof_perf_record_decode(&layout, end_with_id(&record), &got));
	CHECK_UINT(got.kind, CPROF_PERF_EXEC);
	CHECK_STR(got.comm, "worker");

	begin(&record, PERF_RECORD_FORK, 0);
	put_pair(&record, 10, 9);
	put_pair(&record, 12, 11);
	put(&record, 99);
	CHECK(!cprof_perf_record_decode(&layout, end_with_id(&record), &got));
	CHECK_UINT(got.kind, CPROF_PERF_FORK);
	CHECK_UINT(got.tid, 12);
	CHECK_UINT(got.fork.ptid, 11);

	begin(&record, PERF_RECORD_LOST, 0);
	put(&record, 1);
	put(&record, 42);
	CHECK(!cprof_perf_record_decode(&layout, end_with_id(&record), &got));
	CHECK_UINT(got.kind, CPROF_PERF_LOST);
	CHECK_UINT(got.lost, 42);
}

TEST(perf_record_passes_over_kinds_it_does_not_know)
{
	struct composed record;
	struct cprof_perf_record got;
	begin(&record, 999, 0);
	put(&record, 1);
	CHECK(!cprof_perf_record_decode(&layout, end_with_id(&record), &got));
	CHECK_UINT(got.kind, CPROF_PERF_OTHER);
}
