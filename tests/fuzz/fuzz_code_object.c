/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile ELF files: the input is the file; who comes to the beginnings of its segments, and what the code there does. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attach/heap/code/code_flow.h"
#include "attach/heap/code/code_proof.h"
#include "attach/heap/code/code_reach.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PLACES 8u

/* An error is an answer, and so is everything else. */
static void look_at(struct cprof_code_object *object, uint64_t addr)
{
	struct cprof_code_flow flow;
	char *why = NULL;
	struct cprof_error *err = cprof_code_flow_find(object, addr, &flow);
	if (!err) {
		cprof_code_flow_deinit(&flow);
		err = cprof_code_proof_returns(object, addr, &why);
	}
	free(why);
	cprof_error_free(err);
}

static void look_at_all(struct cprof_code_object *object, const struct cprof_module *module)
{
	struct cprof_code_place places[PLACES];
	struct cprof_code_reaches reaches;
	const struct cprof_code_reach *reach;
	size_t n = 0;
	for (; n < PLACES && n < module->n_segments; n++) {
		places[n].start = module->segments[n].file_addr + 13 * n;
		places[n].end = places[n].start + 24;
		look_at(object, places[n].start);
	}
	struct cprof_error *err = cprof_code_reaches_find(object, places, n, &reaches);
	if (err) {
		cprof_error_free(err);
		return;
	}
	for (size_t i = 0; i < n; i++)
		cprof_error_free(
			cprof_code_reaches_in(&reaches, places[i].start, places[i].end, &reach));
	cprof_code_reaches_deinit(&reaches);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_modules modules;
	struct cprof_module *module;
	struct cprof_code_object *object;
	char path[64];
	int fd = memfd_create("fuzz", 0);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	cprof_modules_init(&modules);
	struct cprof_error *err = cprof_modules_open(&modules, path, &module);
	if (!err)
		err = cprof_code_object_new(module, &object);
	if (!err) {
		look_at_all(object, module);
		cprof_code_object_free(object);
	}
	cprof_error_free(err);
	cprof_modules_deinit(&modules);
	close(fd);
	return 0;
}
