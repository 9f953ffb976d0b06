/* SPDX-License-Identifier: Apache-2.0 */
#include "base/library.h"

#include <dlfcn.h>
#include <string.h>

struct cprof_error *cprof_library_load(struct cprof_library *library, void *ret_api)
{
	if (library->loaded)
		return NULL;
	void *handle = dlopen(library->file, RTLD_NOW | RTLD_LOCAL);
	for (size_t i = 0; handle && i < library->n_rows; i++) {
		void *function = dlsym(handle, library->rows[i].function);
		if (!function)
			handle = NULL; /* and dlerror() tells which */
		/* POSIX gives functions and dlsym()'s pointers one representation. */
		memcpy((char *)ret_api + library->rows[i].offset, &function, sizeof(function));
	}
	library->loaded = handle != NULL;
	if (handle)
		return NULL;
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_UNSUPPORTED, "load %s: %s", library->file, dlerror());
	return cprof_error_hint(err, "install %s", library->package);
}
