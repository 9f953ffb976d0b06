/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary filter programs: each ends with some verdict. */
#include <stdlib.h>
#include <string.h>

#include "attach/target/seccomp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct cprof_seccomp_call call = { "mmap", 9, { 1, 2, 3, 4, 5, 6 } };
	size_t n_insns = n / sizeof(struct sock_filter);
	struct sock_filter *program = calloc(n_insns + 1, sizeof(*program));
	if (!program)
		return 0;
	memcpy(program, data, n_insns * sizeof(*program));
	cprof_seccomp_run(program, n_insns, &call, 0x1234);
	free(program);
	return 0;
}
