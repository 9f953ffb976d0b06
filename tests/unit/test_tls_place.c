/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/context/tls_place.h"

#include <elf.h>

#include "attach/context/go_labels.h"
#include "tests/unit/test.h"

#define WORD_AT  0x4000u
#define INDEX_AT 0x9000u

struct words {
	uint64_t word[2], index[2];
};

static bool read_words(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct words *words = ctx;
	if ((addr != WORD_AT && addr != INDEX_AT) || n > sizeof(words->word))
		return false;
	memcpy(buf, addr == WORD_AT ? words->word : words->index, n);
	return true;
}

TEST(tls_place_of_the_programs_own_is_as_linkers_place_it)
{
	static const struct {
		uint16_t machine;
		uint64_t value, addr, bytes, align;
		int64_t want;
	} rows[] = {
		{ EM_X86_64, 0, 0, 8, 8, -8 },
		{ EM_X86_64, 0x18, 0x3db0, 0x20, 8, -8 },
		{ EM_X86_64, 0, 0x3dc0, 0x24, 32, -64 },
		{ EM_X86_64, 4, 0x3dc0, 4 + 8, 1, -8 },
		/* The block begins at 16 modulo 64: so it does at the thread pointer's distance. */
		{ EM_X86_64, 0, 0x3d10, 0x20, 64, -48 },
		{ EM_AARCH64, 8, 0x1000, 0x20, 8, 24 },
		{ EM_AARCH64, 8, 0x1000, 0x20, 64, 72 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cprof_tls_symbol symbol = { .machine = rows[i].machine,
							 .value = rows[i].value,
							 .block_addr = rows[i].addr,
							 .block_bytes = rows[i].bytes,
							 .block_align = rows[i].align };
		const int64_t got = cprof_tls_place_own(&symbol);
		if (got != rows[i].want)
			TEST_FAIL("row %zu: %lld", i, (long long)got);
	}
}

TEST(tls_place_of_a_library_is_what_its_loader_has_written)
{
	static const struct {
		const char *what;
		enum cprof_tls_way way;
		int64_t addend;
		bool musl;
		struct words words;
		enum cprof_tls_answer want;
		uint32_t how, module;
		int64_t offset;
	} rows[] = {
		{ "a distance",
		  CPROF_TLS_OFFSET,
		  24,
		  false,
		  { { (uint64_t)-0x40 }, { 0 } },
		  CPROF_TLS_FOUND,
		  CPROF_CONTEXT_FIXED,
		  0,
		  -0x40 },
		{ "the distance of a neighbour",
		  CPROF_TLS_OFFSET,
		  0,
		  false,
		  { { (uint64_t)-0x58 }, { 0 } },
		  CPROF_TLS_FOUND,
		  CPROF_CONTEXT_FIXED,
		  0,
		  -0x40 },
		{ "not written yet",
		  CPROF_TLS_OFFSET,
		  24,
		  false,
		  { { 0 }, { 0 } },
		  CPROF_TLS_LATER,
		  0,
		  0,
		  0 },
		{ "a distance from nowhere",
		  CPROF_TLS_OFFSET,
		  24,
		  false,
		  { { 1ull << 40 }, { 0 } },
		  CPROF_TLS_LATER,
		  0,
		  0,
		  0 },
		{ "a module",
		  CPROF_TLS_MODULE,
		  24,
		  false,
		  { { 3 }, { 0 } },
		  CPROF_TLS_FOUND,
		  CPROF_CONTEXT_DYNAMIC,
		  3,
		  24 },
		{ "a module of musl's",
		  CPROF_TLS_MODULE,
		  24,
		  true,
		  { { 3 }, { 0 } },
		  CPROF_TLS_FOUND,
		  CPROF_CONTEXT_DYNAMIC,
		  3,
		  24 },
		{ "no module yet",
		  CPROF_TLS_MODULE,
		  24,
		  false,
		  { { 0 }, { 0 } },
		  CPROF_TLS_LATER,
		  0,
		  0,
		  0 },
		{ "a module beyond belief",
		  CPROF_TLS_MODULE,
		  24,
		  false,
		  { { 1ull << 33 }, { 0 } },
		  CPROF_TLS_LATER,
		  0,
		  0,
		  0 },
		{ "a descriptor of a distance",
		  CPROF_TLS_DESCRIPTOR,
		  0,
		  false,
		  { { 0x1234, (uint64_t)-0x58 }, { 0 } },
		  CPROF_TLS_FOUND,
		  CPROF_CONTEXT_FIXED,
		  0,
		  -0x40 },
		{ "a descriptor of a module",
		  CPROF_TLS_DESCRIPTOR,
		  24,
		  false,
		  { { 0x1234, INDEX_AT }, { 5, 24 } },
		  CPROF_TLS_FOUND,
		  CPROF_CONTEXT_DYNAMIC,
		  5,
		  24 },
		{ "a descriptor of something else",
		  CPROF_TLS_DESCRIPTOR,
		  24,
		  false,
		  { { 0x1234, INDEX_AT }, { 5, 25 } },
		  CPROF_TLS_LATER,
		  0,
		  0,
		  0 },
		{ "a descriptor that leads nowhere",
		  CPROF_TLS_DESCRIPTOR,
		  24,
		  false,
		  { { 0x1234, 0x7777 }, { 0 } },
		  CPROF_TLS_LATER,
		  0,
		  0,
		  0 },
		{ "no word",
		  CPROF_TLS_NONE,
		  0,
		  false,
		  { { 0 }, { 0 } },
		  CPROF_TLS_UNTOLD,
		  0,
		  0,
		  0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct words words = rows[i].words;
		const struct cprof_memory memory = { .read = read_words, .ctx = &words };
		const struct cprof_tls_symbol symbol = { .machine = EM_X86_64,
							 .value = 24,
							 .block_bytes = 32,
							 .block_align = 8,
							 .way = rows[i].way,
							 .addend = rows[i].addend };
		const struct cprof_tls_image image = { .word_addr = WORD_AT, .musl = rows[i].musl };
		struct cprof_context_place place = { 0 };
		const enum cprof_tls_answer got =
			cprof_tls_place_find(&symbol, &image, &memory, &place);
		if (got != rows[i].want || place.how != rows[i].how ||
		    place.module != rows[i].module || place.offset != rows[i].offset)
			TEST_FAIL("%s: %d, %u %u %lld", rows[i].what, (int)got, place.how,
				  place.module, (long long)place.offset);
		if (place.how == CPROF_CONTEXT_DYNAMIC)
			CHECK_UINT(place.dtv_entry, rows[i].musl ? 8 : 16);
	}
}

TEST(go_labels_know_the_structs_of_each_version)
{
	static const struct {
		const char *version;
		bool known;
		unsigned labels, curg;
		enum cprof_context_how how;
	} rows[] = {
		{ "go1.19.8", true, 360, 192, CPROF_CONTEXT_GO_MAP },
		{ "go1.22", true, 344, 192, CPROF_CONTEXT_GO_MAP },
		{ "go1.23.1", true, 352, 192, CPROF_CONTEXT_GO_MAP },
		{ "go1.24.0", true, 352, 192, CPROF_CONTEXT_GO_LIST },
		{ "go1.25rc1", true, 344, 184, CPROF_CONTEXT_GO_LIST },
		{ "go1.26.8", true, 352, 184, CPROF_CONTEXT_GO_LIST },
		{ "go1.27", false, 0, 0, 0 },
		{ "go1.16", false, 0, 0, 0 },
		{ "go2.1", false, 0, 0, 0 },
		{ "devel", false, 0, 0, 0 },
		{ "", false, 0, 0, 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_context_place place = { 0 };
		const bool known = cprof_go_labels_members(rows[i].version, &place);
		if (known != rows[i].known || place.g_labels != rows[i].labels ||
		    place.m_curg != rows[i].curg || place.how != rows[i].how)
			TEST_FAIL("%s: %d %u %u", rows[i].version, known, place.g_labels,
				  place.m_curg);
	}
}

TEST(go_labels_read_the_version_that_a_program_says)
{
	uint8_t info[64] = "\xff Go buildinf:\x08\x02";
	char version[CPROF_GO_VERSION];
	info[32] = 8;
	memcpy(info + 33, "go1.19.8", 8);
	CHECK(cprof_go_labels_version(info, sizeof(info), version));
	CHECK_STR(version, "go1.19.8");
	for (size_t n = 0; n < 41; n++)
		CHECK(!cprof_go_labels_version(info, n, version));
	info[32] = 200; /* longer than there is */
	CHECK(!cprof_go_labels_version(info, sizeof(info), version));
	info[32] = 8, info[15] = 0; /* as before Go 1.18 */
	CHECK(!cprof_go_labels_version(info, sizeof(info), version));
	info[15] = 2, info[0] = 'x';
	CHECK(!cprof_go_labels_version(info, sizeof(info), version));
}
