/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwfl/libdw.h"

#include <dlfcn.h>

#define LIBRARY "libdw.so.1"

/* The address of a function, by way of the object that holds it: ISO C converts no other. */
static bool find(void *library, const char *name, void *ret_function)
{
	void *found = dlsym(library, name);
	*(void **)ret_function = found;
	return found != NULL;
}

struct cprof_error *cprof_libdw_load(struct cprof_libdw *ret_libdw)
{
	struct cprof_libdw libdw = { .library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL) };
	if (!libdw.library)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_UNSUPPORTED, LIBRARY " is not installed"),
			"apt install libdw1, which belongs to elfutils");
	const char *missing = NULL;
#define FIND(name)                                                                                 \
	if (!find(libdw.library, #name, &libdw.name))                                              \
		missing = #name;
	CPROF_LIBDW_FUNCTIONS(FIND)
#undef FIND
	if (missing || libdw.elf_version(EV_CURRENT) == EV_NONE)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, LIBRARY " is too old: it lacks %s",
				       missing ? missing : "this version of ELF");
	*ret_libdw = libdw;
	return NULL;
}
