#include "convert/curl_api.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

#define LIBRARY "libcurl.so.4" /* the name of its binary interface since 2006 */

static struct cprof_curl_api api;

static void *find(void *library, const char *name, bool *ok)
{
	void *function = dlsym(library, name);
	*ok = *ok && function;
	return function;
}

struct cprof_error *cprof_curl_api_load(const struct cprof_curl_api **ret_api)
{
	if (!api.easy_init) {
		void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
		struct cprof_curl_api found;
		bool ok = library;
		/* POSIX gives functions and dlsym()'s pointers one representation. */
#define FIND(member, function)                                                                     \
	if (ok) {                                                                                  \
		void *pointer = find(library, #function, &ok);                                     \
		memcpy(&found.member, &pointer, sizeof(pointer));                                  \
	}
		CPROF_CURL_FUNCTIONS(FIND)
#undef FIND
		if (!ok) {
			struct cprof_error *err = cprof_error_new(
				CPROF_ERR_UNSUPPORTED, "load %s: %s", LIBRARY, dlerror());
			return cprof_error_hint(err, "install libcurl (Debian: libcurl4)");
		}
		api = found;
	}
	*ret_api = &api;
	return NULL;
}
