#include "attach/alloc_family.h"

#include <string.h>

/* clang-format off */
static const char *const prefixes[] = { "", "__libc_", "je_", "_rjem_", "rjem_", "mi_", "tc_" };

#define ARG0 CPROF_SHIM_ARG0
#define ARG1 CPROF_SHIM_ARG1
#define FREE CPROF_SHIM_FREE
#define C    CPROF_ALLOC_C
#define CXX  CPROF_ALLOC_CXX

static const struct cprof_alloc_function functions[] = {
	{ "malloc", ARG0, C, NULL },
	{ "calloc", CPROF_SHIM_CALLOC, C, NULL },
	{ "realloc", CPROF_SHIM_REALLOC, C, NULL },
	{ "memalign", ARG1, C, NULL },
	{ "aligned_alloc", ARG1, C, NULL },
	{ "posix_memalign", CPROF_SHIM_POSIX_MEMALIGN, C, NULL },
	{ "valloc", ARG0, C, NULL },
	{ "pvalloc", ARG0, C, NULL },
	{ "free", FREE, C, NULL },
	{ "cfree", FREE, C, NULL },
	{ "free_sized", FREE, C, NULL },
	{ "free_aligned_sized", FREE, C, NULL },
	/* jemalloc */
	{ "mallocx", ARG0, C, NULL },
	{ "rallocx", CPROF_SHIM_REALLOC, C, NULL },
	{ "dallocx", FREE, C, NULL },
	{ "sdallocx", FREE, C, NULL },
	/* mimalloc */
	{ "zalloc", ARG0, C, NULL },
	{ "malloc_small", ARG0, C, NULL },
	{ "zalloc_small", ARG0, C, NULL },
	{ "malloc_aligned", ARG0, C, NULL },
	{ "zalloc_aligned", ARG0, C, NULL },
	{ "free_size", FREE, C, NULL },
	{ "free_size_aligned", FREE, C, NULL },
	{ "free_aligned", FREE, C, NULL },
	/* operator new: plain, nothrow, aligned, aligned nothrow */
	{ "_Znwm", ARG0, CXX, "_ZnwmRKSt9nothrow_t" },
	{ "_Znam", ARG0, CXX, "_ZnamRKSt9nothrow_t" },
	{ "_ZnwmRKSt9nothrow_t", ARG0, CXX, NULL },
	{ "_ZnamRKSt9nothrow_t", ARG0, CXX, NULL },
	{ "_ZnwmSt11align_val_t", ARG0, CXX, "_ZnwmSt11align_val_tRKSt9nothrow_t" },
	{ "_ZnamSt11align_val_t", ARG0, CXX, "_ZnamSt11align_val_tRKSt9nothrow_t" },
	{ "_ZnwmSt11align_val_tRKSt9nothrow_t", ARG0, CXX, NULL },
	{ "_ZnamSt11align_val_tRKSt9nothrow_t", ARG0, CXX, NULL },
	/* operator delete: plain, sized, nothrow, aligned and what they combine to */
	{ "_ZdlPv", FREE, CXX, NULL },
	{ "_ZdaPv", FREE, CXX, NULL },
	{ "_ZdlPvm", FREE, CXX, NULL },
	{ "_ZdaPvm", FREE, CXX, NULL },
	{ "_ZdlPvRKSt9nothrow_t", FREE, CXX, NULL },
	{ "_ZdaPvRKSt9nothrow_t", FREE, CXX, NULL },
	{ "_ZdlPvSt11align_val_t", FREE, CXX, NULL },
	{ "_ZdaPvSt11align_val_t", FREE, CXX, NULL },
	{ "_ZdlPvmSt11align_val_t", FREE, CXX, NULL },
	{ "_ZdaPvmSt11align_val_t", FREE, CXX, NULL },
	{ "_ZdlPvSt11align_val_tRKSt9nothrow_t", FREE, CXX, NULL },
	{ "_ZdaPvSt11align_val_tRKSt9nothrow_t", FREE, CXX, NULL },
};

static const char *const libraries[] = { "libjemalloc", "libtcmalloc", "libmimalloc", "libsnmalloc" };
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
