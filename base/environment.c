/* SPDX-License-Identifier: Apache-2.0 */
#include "base/environment.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static char **of_caller;

static bool harmless(const char *entry)
{
	static const char *const names[] = { "LANG=", "LC_", "TERM=", "COLUMNS=", "NO_COLOR=" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		/* The locale's name is a path to some C libraries. */
		if (strncmp(entry, names[i], strlen(names[i])) == 0 && !strchr(entry, '/'))
			return true;
	}
	return false;
}

bool cprof_environment_secure(void)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	of_caller = environ;
	if (!getauxval(AT_SECURE))
		return true;
	size_t n = 0, kept = 0;
	while (environ && environ[n])
		n++;
	char **safe = calloc(n + 2, sizeof(*safe));
	if (!safe)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (harmless(environ[i]))
			safe[kept++] = environ[i];
	}
	safe[kept] = path;
	environ = safe;
	return true;
}

char **cprof_environment_of_caller(void)
{
	return of_caller ? of_caller : environ;
}
