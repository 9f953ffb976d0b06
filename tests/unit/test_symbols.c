/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/symbols.h"
#include "tests/unit/test.h"

#define SIZED    CPROF_SYMBOL_SIZED
#define FUNCTION CPROF_SYMBOL_FUNCTION
#define GLOBAL   0x0c
#define LOCAL    0x08
#define WEAK     0x04

static const struct cprof_symbol *find(const struct cprof_symbol *all, size_t n, uint64_t addr,
				       struct cprof_symbols *symbols)
{
	*symbols = (struct cprof_symbols){ 0 };
	for (size_t i = 0; i < n; i++)
		CHECK(!cprof_symbols_add(symbols, &all[i]));
	CHECK(!cprof_symbols_sort(symbols));
	return cprof_symbols_find(symbols, addr);
}

TEST(symbols_find_prefers_what_names_the_address_best)
{
	/* clang-format off */
	static const struct {
		const char *what;
		struct cprof_symbol all[3];
		uint64_t addr;
		const char *want; /* NULL: no name */
	} cases[] = {
		{ "global over local over weak",
		  { { 16, 32, "weak", SIZED | FUNCTION | WEAK, false }, { 16, 32, "local", SIZED | FUNCTION | LOCAL, false },
		    { 16, 32, "global", SIZED | FUNCTION | GLOBAL, false } }, 20, "global" },
		{ "local over weak",
		  { { 16, 32, "weak", SIZED | FUNCTION | WEAK, false }, { 16, 32, "local", SIZED | FUNCTION | LOCAL, false } }, 20, "local" },
		{ "a size over none, whatever the binding",
		  { { 16, 32, "sized", SIZED | FUNCTION | WEAK, false }, { 16, 99, "label", GLOBAL, false } }, 20, "sized" },
		{ "fewer underscores",
		  { { 16, 32, "__write", SIZED | FUNCTION | GLOBAL, false }, { 16, 32, "write", SIZED | FUNCTION | GLOBAL, false } }, 16, "write" },
		{ "an internal alias last",
		  { { 16, 32, "__GI_strstr", SIZED | FUNCTION | LOCAL, false }, { 16, 32, "___strstr", SIZED | FUNCTION | LOCAL, false } }, 16, "___strstr" },
		{ "the spelling decides last",
		  { { 16, 32, "b", SIZED | FUNCTION | GLOBAL, false }, { 16, 32, "a", SIZED | FUNCTION | GLOBAL, false } }, 16, "a" },
		{ "the innermost of nested ones",
		  { { 16, 64, "outer", SIZED | FUNCTION | GLOBAL, false }, { 32, 40, "inner", SIZED | FUNCTION | LOCAL, false } }, 33, "inner" },
		{ "the outer one after the inner has ended",
		  { { 16, 64, "outer", SIZED | FUNCTION | GLOBAL, false }, { 32, 40, "inner", SIZED | FUNCTION | LOCAL, false } }, 50, "outer" },
		{ "a label inside a function is a place in it",
		  { { 16, 64, "outer", SIZED | FUNCTION | GLOBAL, false }, { 32, 99, "label", GLOBAL, false } }, 40, "outer" },
		{ "assembly without size reaches to the next symbol",
		  { { 16, 99, "memcpy", GLOBAL, false }, { 32, 40, "next", SIZED | FUNCTION | GLOBAL, false } }, 31, "memcpy" },
		{ "and to the end of its section",
		  { { 16, 99, "memcpy", GLOBAL, false } }, 98, "memcpy" },
		{ "nothing names the gap between two", 
		  { { 16, 20, "a", SIZED | FUNCTION | GLOBAL, false }, { 32, 40, "b", SIZED | FUNCTION | GLOBAL, false } }, 24, NULL },
		{ "nor what lies below the first",
		  { { 16, 20, "a", SIZED | FUNCTION | GLOBAL, false } }, 15, NULL },
		{ "nor the first byte after the last",
		  { { 16, 20, "a", SIZED | FUNCTION | GLOBAL, false } }, 20, NULL },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_symbols symbols;
		size_t n = 0;
		while (n < 3 && cases[i].all[n].name)
			n++;
		const struct cprof_symbol *found = find(cases[i].all, n, cases[i].addr, &symbols);
		const char *got = found ? found->name : NULL;
		if (!got != !cases[i].want || (got && strcmp(got, cases[i].want) != 0))
			TEST_FAIL("%s: %s", cases[i].what, got ? got : "(none)");
		cprof_symbols_deinit(&symbols);
	}
}

TEST(symbols_find_agrees_with_a_plain_search_over_many_random_ranges)
{
	uint64_t seed = 7;
	struct cprof_symbol all[400];
	for (size_t i = 0; i < 400; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		all[i] = (struct cprof_symbol){ (seed >> 33) % 5000 * 16, 0, "f",
						SIZED | FUNCTION | GLOBAL, false };
		all[i].end = all[i].start + 1 + (seed >> 20) % 64;
	}
	struct cprof_symbols symbols;
	find(all, 400, 0, &symbols);
	for (uint64_t addr = 0; addr < 5000 * 16; addr += 5) {
		bool want = false;
		for (size_t i = 0; i < 400; i++)
			want |= addr >= all[i].start && addr < all[i].end;
		CHECK((cprof_symbols_find(&symbols, addr) != NULL) == want);
	}
	cprof_symbols_deinit(&symbols);
}
