/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/build_id.h"

#include <stdio.h>

const char *cprof_build_id_hex(const uint8_t *build_id, size_t len, char *text)
{
	text[0] = 0;
	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", build_id[i]);
	return text;
}
