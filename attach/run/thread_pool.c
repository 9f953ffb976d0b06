/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/thread_pool.h"

#include <ctype.h>
#include <string.h>

static bool is_digit(char c)
{
	return isdigit((unsigned char)c);
}

/* Whether the digits at `at`, which end before `end`, number a thread. */
static bool is_number(const char *name, const char *at, const char *end)
{
	return !*end || (at > name && !isalpha((unsigned char)at[-1]));
}

bool cprof_thread_pool_name(const char *name, const char *process, char *pool, size_t n)
{
	size_t used = 0;
	bool any = false;
	char text[64];
	if (strlen(name) >= sizeof(text) || strlen(name) >= n || strcmp(name, process) == 0)
		return false;
	for (const char *at = name; *at;) {
		const char *end = at;
		while (is_digit(*end))
			end++;
		if (end == at) {
			text[used++] = *at++;
			continue;
		}
		if (!is_number(name, at, end)) {
			memcpy(text + used, at, (size_t)(end - at));
			used += (size_t)(end - at);
		} else if (!used || text[used - 1] != '#') { /* "GC Thread#3" has one already */
			text[used++] = '#';
		}
		any = any || is_number(name, at, end);
		at = end;
	}
	text[used] = 0;
	if (!any || strcmp(text, "#") == 0)
		return false;
	memcpy(pool, text, used + 1);
	return true;
}
