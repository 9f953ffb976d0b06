/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/fuzz_target_rules.c - what tells whom to serve: a datagram of the process connector, the text of a process's control
 * groups with names to match, and the mounts of this machine. Of a process's own are its groups' names, its name and its program's.
 */
#include <stdlib.h>
#include <string.h>

#include "attach/targets/target_news.h"
#include "attach/targets/target_rules.h"
#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void on_news(void *ctx, pid_t pid, pid_t parent)
{
	size_t *n = ctx;
	*n += (size_t)(pid != parent);
}

/* Up to the next zero byte. */
static const char *next(char **at, const char *end)
{
	const char *text = *at;
	*at += strlen(text);
	*at += *at < end;
	return text;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	size_t n = 0;
	CPROF_AUTO(buffer) struct cprof_buffer group = { 0 };
	CPROF_AUTO(free) char *text = calloc(size + 1, 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	char *at = text;
	const char *const end = text + size, *pattern = next(&at, end), *unit = next(&at, end),
			  *comm = next(&at, end), *exe = next(&at, end), *rest = next(&at, end);
	cprof_target_news_parse(data, size, on_news, &n);
	cprof_target_rules_group_path(rest, pattern, &group);
	const char *path = cprof_buffer_text(&group);
	const struct cprof_target_rules rules = { .names = &pattern,
						  .n_names = 1,
						  .groups = &path,
						  .n_groups = 1,
						  .units = &unit,
						  .n_units = 1 };
	const struct cprof_target_traits traits = { comm, exe, rest };
	cprof_target_rules_match(&rules, &traits);
	if (*path != '/')
		abort();
	return 0;
}
