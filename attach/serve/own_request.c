/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/own_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/secret.h"

#define READ_BYTES   65536u
#define ANSWER_BYTES (1ull << 30)

static struct cprof_error *put_request(const char *token_file, const char *path,
				       struct cprof_buffer *out)
{
	CPROF_AUTO(free) char *token = NULL;
	struct stat st;
	struct cprof_error *err =
		token_file ? cprof_secret_read_kept(token_file, &st, &token) : NULL;
	if (err)
		return err;
	/* HTTP/1.0: the answer ends with the connection, and is not in pieces. */
	cprof_buffer_printf(out, "GET %s HTTP/1.0\r\nHost: localhost\r\n", path);
	if (token)
		cprof_buffer_printf(out, "Authorization: Bearer %s\r\n", token);
	cprof_buffer_puts(out, "\r\n");
	return cprof_buffer_error(out);
}

static struct cprof_error *send_all(int fd, const struct cprof_buffer *request)
{
	for (size_t at = 0; at < request->len;) {
		ssize_t n = send(fd, request->data + at, request->len - at, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return cprof_error_os(errno, "ask our own server");
		at += n > 0 ? (size_t)n : 0;
	}
	return NULL;
}

static struct cprof_error *read_all(int fd, struct cprof_buffer *out)
{
	for (;;) {
		uint8_t *room = cprof_buffer_reserve(out, READ_BYTES);
		ssize_t n = room ? read(fd, room, READ_BYTES) : 0;
		if (!room || out->len > ANSWER_BYTES)
			return cprof_error_no_memory();
		if (n < 0 && errno != EINTR)
			return cprof_error_os(errno, "read what our own server answers");
		if (n == 0)
			return NULL;
		out->len += n > 0 ? (size_t)n : 0;
		out->data[out->len] = 0;
	}
}

/* The body of a 200; of anything else its first line is the error. */
static struct cprof_error *take_body(struct cprof_buffer *answer, struct cprof_buffer *ret_body)
{
	const char *text = cprof_buffer_text(answer);
	const char *body = memmem(text, answer->len, "\r\n\r\n", 4);
	const char *status = strchr(text, ' ');
	if (!body || !status)
		return cprof_error_new(CPROF_ERR_OS, "our own server gave no answer");
	body += 4;
	if (strtol(status, NULL, 10) != 200)
		return cprof_error_new(CPROF_ERR_OS, "%.*s", (int)strcspn(body, "\n"), body);
	cprof_buffer_append(ret_body, body, answer->len - (size_t)(body - text));
	return cprof_buffer_error(ret_body);
}

struct cprof_error *cprof_own_request(const struct cprof_http_address *address,
				      const char *token_file, const char *path,
				      struct cprof_buffer *ret_body)
{
	CPROF_AUTO(buffer) struct cprof_buffer request = { 0 }, answer = { 0 };
	struct cprof_error *err = put_request(token_file, path, &request);
	if (err)
		return err;
	CPROF_AUTO(close)
	int fd = socket(address->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address->addr, address->len) != 0)
		return cprof_error_os(errno, "connect to our own server");
	err = send_all(fd, &request);
	if (!err)
		err = read_all(fd, &answer);
	return err ? err : take_body(&answer, ret_body);
}
