/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile ELF files: the input is the file; its unwind information is looked up all over its segments. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbolize/unwind/cfi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_up(struct cprof_cfi *cfi, uint64_t addr)
{
	struct cprof_cfi_fde fde;
	struct cprof_cfi_row row;
	uint32_t steps = 5000;
	if (cprof_cfi_find(cfi, addr, &fde))
		cprof_cfi_run(&fde, addr, &steps, &row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_modules modules;
	struct cprof_module *module;
	struct cprof_cfi *cfi;
	char path[64];
	int fd = memfd_create("fuzz", 0);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	cprof_modules_init(&modules);
	struct cprof_error *err = cprof_modules_open(&modules, path, &module);
	if (!err)
		err = cprof_cfi_get(module, &cfi);
	for (size_t i = 0; !err && i < module->n_segments && i < 16; i++) {
		for (uint64_t at = 0; at < 64; at++)
			look_up(cfi, module->segments[i].file_addr + at * 61);
	}
	cprof_error_free(err);
	cprof_modules_deinit(&modules);
	close(fd);
	return 0;
}
