/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/fuzz_http_token.c - the Authorization header of a request, as it comes from anybody.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "convert/http/http_token.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static struct cprof_http_token *token(void)
{
	static struct cprof_http_token *opened;
	static char path[] = "/tmp/cprof-fuzz-token-XXXXXX";
	if (opened)
		return opened;
	const int fd = mkstemp(path);
	if (fd < 0 || write(fd, "s3cret\n", 7) != 7 || cprof_http_token_open(path, &opened))
		abort();
	close(fd);
	return opened;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char *header = strndup((const char *)data, size);
	const enum cprof_http_token_answer is = cprof_http_token_check(token(), header);
	/* Who gets in has named the scheme, at least. */
	if (is == CPROF_HTTP_TOKEN_RIGHT && (header[0] | 32) != 'b')
		abort();
	free(header);
	return 0;
}
