/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/net/grpc_head.h"

#include <string.h>
#include <strings.h>

#include "base/percent.h"

/* gRPC's messages are percent-encoded. */
static void take_words(struct cprof_grpc_head *head, const char *text, size_t n)
{
	size_t to = 0;
	for (size_t i = 0; i < n && to + 1 < sizeof(head->words); i++) {
		char c = text[i];
		if (cprof_percent_byte(text + i, n - i, &c))
			i += CPROF_PERCENT_BYTES - 1;
		head->words[to++] = c;
	}
	head->words[to] = 0;
}

static const char *value_of(const char *line, size_t n, const char *name, size_t *ret_n)
{
	size_t len = strlen(name);
	if (n <= len || strncasecmp(line, name, len) != 0)
		return NULL;
	while (len < n && line[len] == ' ')
		len++;
	while (n > len && strchr("\r\n ", line[n - 1]))
		n--;
	*ret_n = n - len;
	return line + len;
}

void cprof_grpc_head_take(struct cprof_grpc_head *head, const char *line, size_t n)
{
	size_t len = 0;
	const char *value = value_of(line, n, "grpc-status:", &len);
	if (value && len >= 1 && len <= 2 && strspn(value, "0123456789") >= len)
		head->status = len == 1 ? value[0] - '0' : (value[0] - '0') * 10 + value[1] - '0';
	value = value_of(line, n, "grpc-message:", &len);
	if (value)
		take_words(head, value, len);
}
