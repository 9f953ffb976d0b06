/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/fuzz_regex.c - an expression and a text, parted by a zero byte: no crash, no endless match.
 */
#include <stdlib.h>
#include <string.h>

#include "convert/report/regex.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	const unsigned char *zero = size && size < 4096 ? memchr(data, 0, size) : NULL;
	struct cprof_regex *regex;
	if (!zero)
		return 0;
	struct cprof_error *err = cprof_regex_new((const char *)data, &regex);
	if (err) {
		cprof_error_free(err);
		return 0;
	}
	cprof_regex_match_bytes(regex, (const char *)zero + 1, size - (size_t)(zero + 1 - data));
	cprof_error_free(cprof_regex_error(regex));
	cprof_regex_free(regex);
	return 0;
}
