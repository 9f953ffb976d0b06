/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/process/debuginfod.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cache_dir.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define LIBRARY        "libdebuginfod.so.1"
#define FILE_LIMIT_NS  (30 * CPROF_NS_PER_S)
#define TOTAL_LIMIT_NS (90 * CPROF_NS_PER_S)
#define SAY_EVERY_NS   (CPROF_NS_PER_S / 2)

enum broken { FINE, NO_URLS, NO_CACHE, NO_LIBRARY, TIME_OVER };

static const char *const reasons[] = {
	[NO_URLS] = "DEBUGINFOD_URLS is not set, so there is no server to ask",
	[NO_CACHE] =
		"there is no directory of ours to keep files in (DEBUGINFOD_CACHE_PATH names one)",
	[NO_LIBRARY] = "libdebuginfod.so.1 is not installed (Debian: libdebuginfod1)",
	[TIME_OVER] = "the time for downloads is used up",
};

/* The client library's functions; their types are its ABI, stable since elfutils 0.178. */
struct debuginfod_client;
typedef struct debuginfod_client *begin_fn(void);
typedef void end_fn(struct debuginfod_client *client);
typedef int find_fn(struct debuginfod_client *client, const unsigned char *build_id, int len,
		    char **path);
typedef int progress_fn(struct debuginfod_client *client, long done, long total);
typedef void set_progress_fn(struct debuginfod_client *client, progress_fn *fn);
typedef void set_data_fn(struct debuginfod_client *client, void *data);
typedef void *get_data_fn(struct debuginfod_client *client);

/* The progress callback is given nothing but the client, so it asks the library for ours. */
static get_data_fn *get_data;

static void *symbol(const struct cprof_debuginfod *debuginfod, const char *name)
{
	return dlsym(debuginfod->library, name);
}

__attribute__((format(printf, 2, 3))) static void say(const struct cprof_debuginfod *debuginfod,
						      const char *format, ...)
{
	char text[300];
	int n = snprintf(text, sizeof(text), "debuginfod: ");
	va_list args;
	va_start(args, format);
	vsnprintf(text + n, sizeof(text) - (size_t)n, format, args);
	va_end(args);
	if (debuginfod->say)
		debuginfod->say(debuginfod->say_ctx, text);
}

static int progress(struct debuginfod_client *client, long done, long total)
{
	struct cprof_debuginfod *debuginfod = get_data(client);
	uint64_t now_ns = cprof_clock_mono_ns();
	if (done >> 10 != debuginfod->said_kb && now_ns - debuginfod->said_ns > SAY_EVERY_NS) {
		say(debuginfod, "%ld of %ld KB", done >> 10, total >> 10);
		debuginfod->said_ns = now_ns;
		debuginfod->said_kb = done >> 10;
	}
	return now_ns > debuginfod->deadline_ns;
}

/*
 * Where the library would keep its files: what lies there is believed, and root, called through sudo(8), has the caller's
 * HOME. Then they go beside our own.
 */
static bool choose_cache(void)
{
	const char *chosen = secure_getenv("DEBUGINFOD_CACHE_PATH");
	if (chosen && *chosen)
		return cprof_cache_dir_may_be_ours(chosen);
	CPROF_AUTO(free) char *usual = cprof_cache_dir_of_user("debuginfod_client");
	if (usual)
		return true;
	CPROF_AUTO(free) char *ours = cprof_cache_dir_default();
	CPROF_AUTO(free) char *path = NULL;
	if (!ours || asprintf(&path, "%s/debuginfod", ours) < 0)
		return false;
	return setenv("DEBUGINFOD_CACHE_PATH", path, 1) == 0;
}

static bool load_client(struct cprof_debuginfod *debuginfod)
{
	const char *urls = getenv("DEBUGINFOD_URLS");
	if (debuginfod->client || debuginfod->broken)
		return debuginfod->client != NULL;
	if (!urls || !*urls) {
		debuginfod->broken = NO_URLS;
		return false;
	}
	debuginfod->broken = NO_CACHE;
	if (!choose_cache())
		return false;
	debuginfod->broken = NO_LIBRARY;
	debuginfod->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!debuginfod->library)
		return false;
	begin_fn *begin = (begin_fn *)symbol(debuginfod, "debuginfod_begin");
	set_progress_fn *set_progress =
		(set_progress_fn *)symbol(debuginfod, "debuginfod_set_progressfn");
	set_data_fn *set_data = (set_data_fn *)symbol(debuginfod, "debuginfod_set_user_data");
	get_data = (get_data_fn *)symbol(debuginfod, "debuginfod_get_user_data");
	if (!begin || !set_progress || !set_data || !get_data ||
	    !symbol(debuginfod, "debuginfod_find_debuginfo"))
		return false;
	debuginfod->client = begin();
	if (!debuginfod->client)
		return false;
	set_data(debuginfod->client, debuginfod);
	set_progress(debuginfod->client, progress);
	debuginfod->broken = FINE;
	return true;
}

static uint64_t limit(uint64_t given_ns, uint64_t fallback_ns)
{
	return given_ns ? given_ns : fallback_ns;
}

int cprof_debuginfod_find(struct cprof_debuginfod *debuginfod, const char *name,
			  const uint8_t *build_id, size_t len, char *why, size_t why_size)
{
	uint64_t total_ns = limit(debuginfod->total_limit_ns, TOTAL_LIMIT_NS);
	if (load_client(debuginfod) && debuginfod->spent_ns >= total_ns)
		debuginfod->broken = TIME_OVER;
	if (debuginfod->broken) {
		snprintf(why, why_size, "%s", reasons[debuginfod->broken]);
		if (!debuginfod->said_broken)
			say(debuginfod, "%s", why);
		debuginfod->said_broken = true;
		return -1;
	}
	uint64_t start_ns = cprof_clock_mono_ns(), left_ns = total_ns - debuginfod->spent_ns;
	uint64_t file_ns = limit(debuginfod->file_limit_ns, FILE_LIMIT_NS);
	debuginfod->deadline_ns = start_ns + (file_ns < left_ns ? file_ns : left_ns);
	debuginfod->said_kb = 0;
	say(debuginfod, "asking for the debug file of %.200s", name);
	find_fn *find = (find_fn *)symbol(debuginfod, "debuginfod_find_debuginfo");
	int fd = find(debuginfod->client, build_id, (int)len, NULL);
	debuginfod->spent_ns += cprof_clock_mono_ns() - start_ns;
	if (fd >= 0)
		snprintf(why, why_size, "taken");
	else if (cprof_clock_mono_ns() > debuginfod->deadline_ns)
		snprintf(why, why_size, "not there in time (%" PRIu64 " s)",
			 (uint64_t)((debuginfod->deadline_ns - start_ns) / CPROF_NS_PER_S));
	else
		snprintf(why, why_size, "%s", fd == -ENOENT ? "no server has it" : strerror(-fd));
	if (fd < 0)
		say(debuginfod, "%.200s: %s", name, why);
	return fd;
}

void cprof_debuginfod_deinit(struct cprof_debuginfod *debuginfod)
{
	if (debuginfod->client)
		((end_fn *)symbol(debuginfod, "debuginfod_end"))(debuginfod->client);
	/* The library stays: libcurl below it does not like to be unloaded. */
	debuginfod->client = NULL;
}
