/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/fuzz_remote_symbols.c - what a server answers that is asked for the names of addresses.
 */
#include <stdlib.h>
#include <string.h>

#include "convert/net/remote_symbols.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct cprof_profile *profile;
	if (cprof_profile_new(&profile))
		return 0;
	struct cprof_error *err =
		cprof_profile_add_mapping(profile, &(struct cprof_mapping){ 0 }, NULL);
	for (uint64_t address = 0x10; address < 0x100 && !err; address += 0x10)
		err = cprof_profile_add_location(
			profile, &(struct cprof_location){ .address = address, .mapping = 1 }, NULL,
			0, NULL);
	char *answer = strndup((const char *)data, size);
	if (!err)
		err = cprof_remote_symbols_take(profile, 1, answer, strlen(answer));
	cprof_error_free(err);
	free(answer);
	cprof_profile_free(profile);
	return 0;
}
