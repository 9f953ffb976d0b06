/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/process_context.h"

#include "tests/unit/test.h"

#define AT 0x5000u

/* ProcessContext{resource{attributes{service.name: "shop"}, attributes{service.version: "1.2\n"}}, attributes{...}} */
static const uint8_t good[] = "\x0a\x35"
			      "\x0a\x16\x0a\x0cservice.name\x12\x06\x0a\x04shop"
			      "\x0a\x1b\x0a\x0fservice.version\x12\x08\x0a\x04"
			      "1.2\n\x18\x07"
			      "\x12\x05\x0a\x01k\x12\x00";

TEST(process_context_takes_the_service_out_of_a_payload)
{
	struct cprof_process_context context;
	CHECK(cprof_process_context_decode(good, sizeof(good) - 1, &context));
	CHECK_STR(context.service, "shop");
	CHECK_STR(context.version, "1.2?");
}

TEST(process_context_has_nothing_of_a_payload_that_is_broken)
{
	static const struct {
		const char *what;
		const char *bytes;
		size_t n;
		bool good;
	} rows[] = {
		{ "empty", "", 0, true },
		{ "cut in a length", "\x0a", 1, false },
		{ "longer than there is", "\x0a\x05\x0a", 3, false },
		{ "a length without an end", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12,
		  false },
		{ "another wire type", "\x08\x01", 2, true },
		{ "a field of number 0", "\x02\x00", 2, false },
		{ "a group", "\x0b\x0c", 2, false },
		{ "an attribute without a value", "\x0a\x10\x0a\x0e\x0a\x0cservice.name", 18,
		  true },
		{ "a value that is a number",
		  "\x0a\x14\x0a\x12\x0a\x0cservice.name\x12\x02\x18\x05", 22, true },
		{ "a value that is cut", "\x0a\x14\x0a\x12\x0a\x0cservice.name\x12\x02\x0a\x7f", 22,
		  true },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_process_context context = { .service = "x" };
		const bool got = cprof_process_context_decode((const uint8_t *)rows[i].bytes,
							      rows[i].n, &context);
		if (got != rows[i].good || context.service[0])
			TEST_FAIL("%s: %d, \"%s\"", rows[i].what, got, context.service);
	}
	for (size_t n = 0; n < sizeof(good) - 1;
	     n++) { /* each prefix: no crash, no half of a name */
		struct cprof_process_context context;
		cprof_process_context_decode(good, n, &context);
		CHECK(!context.service[0] || strcmp(context.service, "shop") == 0);
	}
}

TEST(process_context_cuts_what_is_too_long)
{
	uint8_t bytes[300] = "\x0a\x9f\x02\x0a\x9c\x02\x0a\x0cservice.name\x12\x8b\x02\x0a\x88\x02";
	struct cprof_process_context context;
	memset(bytes + 26, 'n', 264);
	CHECK(cprof_process_context_decode(bytes, 26 + 264, &context));
	CHECK_UINT(strlen(context.service), CPROF_PROCESS_CONTEXT_TEXT - 1);
}

/* ---- memory that changes under the reader ---- */

struct page {
	struct {
		char signature[8];
		uint32_t version, payload_size;
		uint64_t published_at_ns, payload;
	} header;
	unsigned reads,
		changes; /* so many of the first reads find another header than the one before */
};

static bool read_page(void *ctx, uint64_t addr, void *buf, size_t n)
{
	struct page *page = ctx;
	page->reads++;
	if (addr == AT && n == sizeof(page->header)) {
		if (page->reads <= page->changes)
			page->header.published_at_ns++;
		memcpy(buf, &page->header, n);
		return true;
	}
	if (addr != 0x9000 || n > sizeof(good) - 1)
		return false;
	memcpy(buf, good, n);
	return true;
}

static bool read_it(struct page *page, struct cprof_process_context *context)
{
	const struct cprof_memory memory = { .read = read_page, .ctx = page };
	return cprof_process_context_read(&memory, AT, context);
}

static struct page make_page(void)
{
	return (struct page){ .header = { "OTEL_CTX", 2, sizeof(good) - 1, 77, 0x9000 } };
}

TEST(process_context_is_read_where_it_holds_still_only)
{
	struct cprof_process_context context;
	struct page page = make_page();
	CHECK(read_it(&page, &context));
	CHECK_STR(context.service, "shop");
	page = make_page(), page.changes = 7; /* then it holds still */
	CHECK(read_it(&page, &context));
	CHECK_STR(context.service, "shop");
	page = make_page(), page.changes = UINT32_MAX; /* it never does */
	CHECK(!read_it(&page, &context));
	CHECK_STR(context.service, "");
	CHECK(page.reads < 20);
	page = make_page(), page.header.published_at_ns = 0; /* being written */
	CHECK(!read_it(&page, &context));
	page = make_page(), page.header.version = 3;
	CHECK(!read_it(&page, &context));
	page = make_page(), page.header.signature[0] = 0;
	CHECK(!read_it(&page, &context));
	page = make_page(), page.header.payload = 0xdead;
	CHECK(!read_it(&page, &context));
	page = make_page(), page.header.payload_size = UINT32_MAX;
	CHECK(!read_it(&page, &context));
	page = make_page(), page.header.payload_size = 0;
	CHECK(read_it(&page, &context));
	CHECK_STR(context.service, "");
}

TEST(process_context_is_known_by_the_name_of_its_mapping)
{
	CHECK(cprof_process_context_is_name("/memfd:OTEL_CTX"));
	CHECK(cprof_process_context_is_name("/memfd:OTEL_CTX (deleted)"));
	CHECK(cprof_process_context_is_name("[anon_shmem:OTEL_CTX]"));
	CHECK(cprof_process_context_is_name("[anon:OTEL_CTX]"));
	CHECK(!cprof_process_context_is_name("/memfd:OTEL_CTX2"));
	CHECK(!cprof_process_context_is_name("/tmp/memfd:OTEL_CTX"));
	CHECK(!cprof_process_context_is_name(""));
}
