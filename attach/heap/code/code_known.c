/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/code/code_known.h"

#include <stddef.h>
#include <string.h>

static const char *const returning[] = {
	"malloc",
	"calloc",
	"realloc",
	"reallocarray",
	"free",
	"cfree",
	"memalign",
	"aligned_alloc",
	"posix_memalign",
	"valloc",
	"pvalloc",
	"malloc_usable_size",
	"malloc_trim",
	/* in its own object a C library calls them so */
	"__libc_malloc",
	"__libc_calloc",
	"__libc_realloc",
	"__libc_free",
	"__libc_memalign",
	"mmap",
	"mmap64",
	"munmap",
	"mremap",
	"mprotect",
	"madvise",
	"posix_madvise",
	"mlock",
	"munlock",
	"brk",
	"sbrk",
	"syscall",
	"getpagesize",
	"sysconf",
	"getpid",
	"gettid",
	"sched_yield",
	"sched_getcpu",
	"getcpu",
	"clock_gettime",
	"gettimeofday",
	"time",
	"memcpy",
	"memmove",
	"memset",
	"memcmp",
	"memchr",
	"memrchr",
	"rawmemchr",
	"mempcpy",
	"bcopy",
	"bzero",
	"bcmp",
	"explicit_bzero",
	"__memcpy_chk",
	"__memmove_chk",
	"__memset_chk",
	"strlen",
	"strnlen",
	"strcmp",
	"strncmp",
	"strcpy",
	"strncpy",
	"stpcpy",
	"strcat",
	"strchr",
	"strrchr",
	"strstr",
	"strcasecmp",
	"strncasecmp",
	"strdup",
	"strndup",
	"__strcpy_chk",
	"__strcat_chk",
	"__strncpy_chk",
	"pthread_mutex_lock",
	"pthread_mutex_trylock",
	"pthread_mutex_unlock",
	"pthread_mutex_init",
	"pthread_mutex_destroy",
	"pthread_spin_lock",
	"pthread_spin_trylock",
	"pthread_spin_unlock",
	"pthread_self",
	"pthread_getspecific",
	"pthread_setspecific",
	"__tls_get_addr",
	"___pthread_mutex_lock",
	"__pthread_mutex_lock",
	"__pthread_mutex_unlock",
	"__errno_location",
	"getenv",
	"secure_getenv",
	"random",
	"rand",
	"abs",
	"labs",
	"abort",
	"__stack_chk_fail",
	"__chk_fail",
	"__fortify_fail",
	"__assert_fail",
	"_exit",
	"_Exit",
};

static const char *const ending[] = {
	"abort",
	"__stack_chk_fail",
	"__chk_fail",
	"__fortify_fail",
	"__assert_fail",
	"_exit",
	"_Exit",
	"exit",
	"quick_exit",
	"pthread_exit",
	"longjmp",
	"_longjmp",
	"siglongjmp",
	"__longjmp_chk",
	"setcontext",
	"__cxa_throw",
	"__cxa_rethrow",
	"_Unwind_Resume",
	"_ZSt9terminatev",
	"_ZSt17__throw_bad_allocv",
	"_ZSt20__throw_length_errorPKc",
	"_ZSt28__throw_bad_array_new_lengthv",
	"_ZSt20__throw_out_of_rangePKc",
	"_ZSt24__throw_out_of_range_fmtPKcz",
	"_ZSt19__throw_logic_errorPKc",
	"__cxa_pure_virtual",
	"err",
	"errx",
	"verr",
	"verrx",
};

static bool is_listed(const char *const *list, size_t n, const char *name)
{
	const size_t len = strcspn(name, "@");
	for (size_t i = 0; i < n; i++) {
		if (strncmp(list[i], name, len) == 0 && !list[i][len])
			return true;
	}
	return false;
}

bool cprof_code_known_returns(const char *name)
{
	return is_listed(returning, sizeof(returning) / sizeof(returning[0]), name);
}

bool cprof_code_known_ends(const char *name)
{
	return is_listed(ending, sizeof(ending) / sizeof(ending[0]), name);
}
