/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/fuzz_shell_line.c - lines typed into the shell, one after the other.
 */
#include <stdlib.h>
#include <string.h>

#include "convert/cli/shell_line.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void run(const char *text, struct cprof_profile *profile, struct cprof_config *config,
		struct cprof_intern *memory)
{
	struct cprof_shell_line line;
	cprof_error_free(cprof_shell_line_read(text, profile, config, memory, &line));
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct cprof_profile *profile;
	struct cprof_config config;
	struct cprof_intern memory;
	if (size > 4096 || cprof_profile_new(&profile) ||
	    cprof_profile_add_type(profile, "cpu", "count") || cprof_config_init(&config) ||
	    cprof_intern_init(&memory))
		return 0;
	char *text = strndup((const char *)data, size), *state = NULL;
	for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
		run(line, profile, &config, &memory);
	free(text);
	cprof_intern_deinit(&memory);
	cprof_profile_free(profile);
	return 0;
}
