/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/profile/heap_age.h"

#include <string.h>

#define SECOND 1000000000ull
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

const struct cprof_heap_age cprof_heap_ages[CPROF_HEAP_AGES] = {
	{ "0-1s", 0 },           { "1-10s", SECOND },       { "10s-1m", 10 * SECOND },
	{ "1-10m", 1 * MINUTE }, { "10m-1h", 10 * MINUTE }, { ">1h", HOUR },
};

unsigned cprof_heap_age_of(uint64_t age_ns)
{
	unsigned age = CPROF_HEAP_AGES - 1;
	while (age_ns < cprof_heap_ages[age].from_ns)
		age--;
	return age;
}

unsigned cprof_heap_age_find(const char *text)
{
	unsigned age = 0;
	while (age < CPROF_HEAP_AGES && strcmp(cprof_heap_ages[age].text, text) != 0)
		age++;
	return age;
}
