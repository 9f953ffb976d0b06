/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain_library LIB deleted|memfd|many|reload - through code of libraries that cannot be found by name.
 *
 * deleted: the file is gone; memfd: it never had a name; many: 150 copies (600 mappings and more) of which
 * 40 are on the stack; reload: loaded and unloaded all the time.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "chain.h"

#define COPIES 150
#define DEEP   40

typedef void lib_call_function(void (*call)(void *), void *arg);
static lib_call_function *calls[COPIES];

static void copy_to(int to, const char *path)
{
	char buf[65536];
	int from = open(path, O_RDONLY);
	for (ssize_t n; (n = read(from, buf, sizeof(buf))) > 0;)
		n = write(to, buf, (size_t)n);
	close(from);
}

static void *load_memfd(const char *path, int number)
{
	char name[64];
	int fd = memfd_create("code", 0);
	copy_to(fd, path);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		fprintf(stderr, "chain_library: copy %d: %s\n", number, dlerror());
	return handle;
}

static void *load_deleted(const char *path)
{
	char name[] = "/tmp/chain-lib-XXXXXX";
	int fd = mkstemp(name);
	copy_to(fd, path);
	close(fd);
	void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	unlink(name);
	return handle;
}

static lib_call_function *function_of(void *handle)
{
	void *symbol = handle ? dlsym(handle, "lib_call") : NULL;
	lib_call_function *function;
	if (!symbol) {
		fprintf(stderr, "chain_library: %s\n", dlerror());
		exit(1);
	}
	memcpy(&function, &symbol, sizeof(function));
	return function;
}

static NOINLINE void back(void *arg)
{
	(void)arg;
	spin();
	NOT_TAIL();
}

/* One library calls the next. */
static NOINLINE void further(void *arg)
{
	intptr_t n = (intptr_t)arg;
	if (n >= DEEP)
		spin();
	else
		calls[n * COPIES / DEEP](further, (void *)(n + 1));
	NOT_TAIL();
}

static NOINLINE void short_work(void *arg)
{
	(void)arg;
	for (int i = 0; i < 200000; i++)
		chain_sink = chain_sink * 3 + 1;
}

static NOINLINE void reload(const char *path)
{
	while (!chain_stop) {
		void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		function_of(handle)(short_work, NULL);
		dlclose(handle);
	}
}

int main(int argc, char **argv)
{
	const char *how = argc > 2 ? argv[2] : "deleted";
	if (argc < 2)
		return 2;
	if (strcmp(how, "reload") == 0) {
		printf("chain short_work;lib_call;reload;main\nchain *;reload;main\n");
		chain_ready();
		reload(argv[1]);
	} else if (strcmp(how, "many") == 0) {
		printf("chain spin");
		for (int i = 0; i < COPIES; i++)
			calls[i] = function_of(load_memfd(argv[1], i));
		for (int i = 0; i < DEEP; i++)
			printf(";further;lib_call");
		printf(";main\n");
		chain_ready();
		calls[0](further, (void *)1);
	} else {
		int deleted = strcmp(how, "deleted") == 0;
		calls[0] = function_of(deleted ? load_deleted(argv[1]) : load_memfd(argv[1], 0));
		printf("chain spin;back;lib_call;main\n");
		chain_ready();
		calls[0](back, NULL);
	}
	NOT_TAIL();
	return 0;
}
