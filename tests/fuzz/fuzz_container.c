/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/fuzz_container.c - /proc/PID/cgroup, with names that a container chose.
 */
#include <stdlib.h>
#include <string.h>

#include "attach/target/container.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	const struct cprof_container found = cprof_container_read(text);
	if (strlen(found.id) % 64 || (strlen(found.pod) != 36 && *found.pod))
		abort();
	free(text);
	return 0;
}
