/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/alloc/alloc_family.h"

#include <string.h>

/* clang-format off */
static const char *const prefixes[] = { "", "__libc_", "je_", "_rjem_", "rjem_", "mi_", "tc_" };

#define ARG0 CPROF_SHIM_ARG0
#define ARG1 CPROF_SHIM_ARG1
#define FREE CPROF_SHIM_FREE
#define CALLOC CPROF_SHIM_CALLOC
#define REALLOC CPROF_SHIM_REALLOC
#define NONE { CPROF_SHIM_NO_ARG, 0 }
/* Arguments counted from 0: a product; the old block and a size; the old block and a product. */
#define N_OF(n, size)         CPROF_SHIM_POOL, C, NULL, { { n, 0 }, { size, 0 }, NONE, 0, 0, 0 }
#define MOVE(old, size)       CPROF_SHIM_POOL_REALLOC, C, NULL, { { size, 0 }, NONE, { old, 0 }, 0, 0, 0 }
#define MOVE_N(old, n, size)  CPROF_SHIM_POOL_REALLOC, C, NULL, { { n, 0 }, { size, 0 }, { old, 0 }, 0, 0, 0 }
#define NO_POOL { NONE, NONE, NONE, 0, 0, 0 }
#define C    CPROF_ALLOC_C
#define CXX  CPROF_ALLOC_CXX

static const struct cprof_alloc_function functions[] = {
	{ "malloc", ARG0, C, NULL, NO_POOL },
	{ "calloc", CPROF_SHIM_CALLOC, C, NULL, NO_POOL },
	{ "realloc", CPROF_SHIM_REALLOC, C, NULL, NO_POOL },
	{ "memalign", ARG1, C, NULL, NO_POOL },
	{ "aligned_alloc", ARG1, C, NULL, NO_POOL },
	{ "posix_memalign", CPROF_SHIM_POSIX_MEMALIGN, C, NULL, NO_POOL },
	{ "valloc", ARG0, C, NULL, NO_POOL },
	{ "pvalloc", ARG0, C, NULL, NO_POOL },
	{ "reallocarray", MOVE_N(0, 1, 2) },
	{ "free", FREE, C, NULL, NO_POOL },
	{ "cfree", FREE, C, NULL, NO_POOL },
	{ "free_sized", FREE, C, NULL, NO_POOL },
	{ "free_aligned_sized", FREE, C, NULL, NO_POOL },
	/* jemalloc */
	{ "mallocx", ARG0, C, NULL, NO_POOL },
	{ "rallocx", CPROF_SHIM_REALLOC, C, NULL, NO_POOL },
	{ "xallocx", CPROF_SHIM_XALLOC, C, NULL, NO_POOL },
	{ "dallocx", FREE, C, NULL, NO_POOL },
	{ "sdallocx", FREE, C, NULL, NO_POOL },
	/* mimalloc */
	{ "zalloc", ARG0, C, NULL, NO_POOL },
	{ "malloc_small", ARG0, C, NULL, NO_POOL },
	{ "zalloc_small", ARG0, C, NULL, NO_POOL },
	{ "malloc_aligned", ARG0, C, NULL, NO_POOL },
	{ "zalloc_aligned", ARG0, C, NULL, NO_POOL },
	{ "malloc_aligned_at", ARG0, C, NULL, NO_POOL },
	{ "zalloc_aligned_at", ARG0, C, NULL, NO_POOL },
	{ "mallocn", CALLOC, C, NULL, NO_POOL },
	{ "calloc_aligned", CALLOC, C, NULL, NO_POOL },
	{ "expand", REALLOC, C, NULL, NO_POOL },
	{ "reallocf", REALLOC, C, NULL, NO_POOL },
	{ "rezalloc", REALLOC, C, NULL, NO_POOL },
	{ "realloc_aligned", REALLOC, C, NULL, NO_POOL },
	{ "realloc_aligned_at", REALLOC, C, NULL, NO_POOL },
	{ "rezalloc_aligned", REALLOC, C, NULL, NO_POOL },
	{ "reallocn", MOVE_N(0, 1, 2) },
	{ "recalloc", MOVE_N(0, 1, 2) },
	{ "recalloc_aligned", MOVE_N(0, 1, 2) },
	{ "new_nothrow", ARG0, C, NULL, NO_POOL },
	{ "new_aligned_nothrow", ARG0, C, NULL, NO_POOL },
	{ "new_n", CALLOC, C, "mi_mallocn", NO_POOL },
	{ "new_realloc", REALLOC, C, "mi_realloc", NO_POOL },
	{ "heap_malloc", ARG1, C, NULL, NO_POOL },
	{ "heap_zalloc", ARG1, C, NULL, NO_POOL },
	{ "heap_malloc_small", ARG1, C, NULL, NO_POOL },
	{ "heap_malloc_aligned", ARG1, C, NULL, NO_POOL },
	{ "heap_zalloc_aligned", ARG1, C, NULL, NO_POOL },
	{ "heap_calloc", N_OF(1, 2) },
	{ "heap_mallocn", N_OF(1, 2) },
	{ "heap_calloc_aligned", N_OF(1, 2) },
	{ "heap_realloc", MOVE(1, 2) },
	{ "heap_reallocf", MOVE(1, 2) },
	{ "heap_rezalloc", MOVE(1, 2) },
	{ "heap_realloc_aligned", MOVE(1, 2) },
	{ "heap_rezalloc_aligned", MOVE(1, 2) },
	{ "heap_reallocn", MOVE_N(1, 2, 3) },
	{ "heap_recalloc", MOVE_N(1, 2, 3) },
	{ "free_size", FREE, C, NULL, NO_POOL },
	{ "free_size_aligned", FREE, C, NULL, NO_POOL },
	{ "free_aligned", FREE, C, NULL, NO_POOL },
	/* tcmalloc */
	{ "malloc_skip_new_handler", ARG0, C, NULL, NO_POOL },
	/* operator new: plain, nothrow, aligned, aligned nothrow */
	{ "_Znwm", ARG0, CXX, "_ZnwmRKSt9nothrow_t", NO_POOL },
	{ "_Znam", ARG0, CXX, "_ZnamRKSt9nothrow_t", NO_POOL },
	{ "_ZnwmRKSt9nothrow_t", ARG0, CXX, NULL, NO_POOL },
	{ "_ZnamRKSt9nothrow_t", ARG0, CXX, NULL, NO_POOL },
	{ "_ZnwmSt11align_val_t", ARG0, CXX, "_ZnwmSt11align_val_tRKSt9nothrow_t", NO_POOL },
	{ "_ZnamSt11align_val_t", ARG0, CXX, "_ZnamSt11align_val_tRKSt9nothrow_t", NO_POOL },
	{ "_ZnwmSt11align_val_tRKSt9nothrow_t", ARG0, CXX, NULL, NO_POOL },
	{ "_ZnamSt11align_val_tRKSt9nothrow_t", ARG0, CXX, NULL, NO_POOL },
	/* operator delete: plain, sized, nothrow, aligned and what they combine to */
	{ "_ZdlPv", FREE, CXX, NULL, NO_POOL },
	{ "_ZdaPv", FREE, CXX, NULL, NO_POOL },
	{ "_ZdlPvm", FREE, CXX, NULL, NO_POOL },
	{ "_ZdaPvm", FREE, CXX, NULL, NO_POOL },
	{ "_ZdlPvRKSt9nothrow_t", FREE, CXX, NULL, NO_POOL },
	{ "_ZdaPvRKSt9nothrow_t", FREE, CXX, NULL, NO_POOL },
	{ "_ZdlPvSt11align_val_t", FREE, CXX, NULL, NO_POOL },
	{ "_ZdaPvSt11align_val_t", FREE, CXX, NULL, NO_POOL },
	{ "_ZdlPvmSt11align_val_t", FREE, CXX, NULL, NO_POOL },
	{ "_ZdaPvmSt11align_val_t", FREE, CXX, NULL, NO_POOL },
	{ "_ZdlPvSt11align_val_tRKSt9nothrow_t", FREE, CXX, NULL, NO_POOL },
	{ "_ZdaPvSt11align_val_tRKSt9nothrow_t", FREE, CXX, NULL, NO_POOL },
};

static const char *const libraries[] = { "libjemalloc", "libtcmalloc", "libmimalloc", "libsnmalloc" };

/* What no other make has: jemalloc, tcmalloc, mimalloc, snmalloc; the sanitizers'. */
static const char *const marks[] = {
	"mallctl", "je_mallctl", "_rjem_mallctl", "rjem_mallctl",
	"tc_version", "MallocExtension_GetNumericProperty", "TCMallocInternalMalloc",
	"mi_version", "mi_heap_new", "sn_rust_alloc",
	"__asan_init", "__tsan_init", "__msan_init", "__lsan_init", "__hwasan_init", "__scudo_print_stats",
};
/* clang-format on */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const size_t cprof_alloc_n_prefixes = COUNT(prefixes);

const struct cprof_alloc_function *cprof_alloc_function_find(const char *symbol, size_t *ret_prefix)
{
	for (size_t p = COUNT(prefixes); p-- > 0;) {
		size_t n = strlen(prefixes[p]);
		if (strncmp(symbol, prefixes[p], n) != 0)
			continue;
		for (size_t i = 0; i < COUNT(functions); i++) {
			const struct cprof_alloc_function *row = &functions[i];
			if (symbol[n] != row->name[0] || strcmp(symbol + n, row->name) != 0)
				continue;
			if (p && row->group == CPROF_ALLOC_CXX)
				continue;
			*ret_prefix = p;
			return row;
		}
	}
	return NULL;
}

bool cprof_alloc_is_known_by(const char *symbol)
{
	for (size_t i = 0; i < COUNT(marks); i++) {
		if (strcmp(symbol, marks[i]) == 0)
			return true;
	}
	return false;
}

bool cprof_alloc_is_library(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	for (size_t i = 0; i < COUNT(libraries); i++) {
		if (strncmp(base, libraries[i], strlen(libraries[i])) == 0)
			return true;
	}
	return false;
}
