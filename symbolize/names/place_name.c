/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/place_name.h"

#include <stddef.h>
#include <string.h>

static bool is_hex(const char *text)
{
	return strncmp(text, "0x", 2) == 0 && text[2] &&
	       !text[2 + strspn(text + 2, "0123456789abcdefABCDEF")];
}

bool cprof_place_name_is(const char *name)
{
	static const char *const nothing[] = { "",          "?",         "??",
					       "[unknown]", "<unknown>", CPROF_PLACE_JIT };
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
		if (strcmp(name, nothing[i]) == 0)
			return true;
	}
	if (strncmp(name, CPROF_PLACE_REGION, strlen(CPROF_PLACE_REGION)) == 0)
		return true;
	const char *plus = strrchr(name, '+');
	return is_hex(name) || (plus && plus > name && is_hex(plus + 1));
}
