/* SPDX-License-Identifier: Apache-2.0 */
#include "base/work_result.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define MAGIC    0x6b726f77u
#define TAKE_MAX (256u << 10) /* at a time */
#define GOT_MAX  (1ull << 30)

/* Both ends are the same program on the same machine. */
struct head {
	uint32_t magic;
	int32_t code; /* -1: no error */
	int32_t os_errno;
	uint32_t unused;
	uint64_t n_message, n_hint, n_bytes; /* what follows, in this order */
};
static_assert(sizeof(struct head) == 40, "the head of a result");

static bool put(int fd, const void *bytes, size_t n)
{
	const uint8_t *at = bytes;
	while (n) {
		const ssize_t done = write(fd, at, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		at += done;
		n -= (size_t)done;
	}
	return true;
}

void cprof_work_result_send(int fd, const struct cprof_error *err, const struct cprof_buffer *bytes)
{
	const char *message = err ? err->message : "", *hint = err && err->hint ? err->hint : "";
	const struct head head = {
		.magic = MAGIC,
		.code = err ? (int32_t)err->code : -1,
		.os_errno = err ? err->os_errno : 0,
		.n_message = strlen(message),
		.n_hint = strlen(hint),
		.n_bytes = err ? 0 : bytes->len,
	};
	/* Who asked may have gone. */
	if (put(fd, &head, sizeof(head)) && put(fd, message, head.n_message) &&
	    put(fd, hint, head.n_hint) && head.n_bytes)
		put(fd, bytes->data, head.n_bytes);
}

void cprof_work_reader_deinit(struct cprof_work_reader *reader)
{
	if (reader->fd >= 0)
		close(reader->fd);
	reader->fd = -1;
	cprof_buffer_deinit(&reader->got);
}

bool cprof_work_reader_take(struct cprof_work_reader *reader)
{
	uint8_t *room = cprof_buffer_reserve(&reader->got, TAKE_MAX);
	ssize_t n = room ? read(reader->fd, room, TAKE_MAX) : 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n > 0)
		reader->got.len += (size_t)n;
	if (n > 0 && reader->got.len <= GOT_MAX)
		return false;
	close(reader->fd);
	reader->fd = -1;
	return true;
}

static struct cprof_error *error_of(const struct head *head, const char *text)
{
	struct cprof_error *err = cprof_error_new((enum cprof_error_code)head->code, "%.*s",
						  (int)head->n_message, text);
	if (err->code != CPROF_ERR_NO_MEMORY)
		err->os_errno = head->os_errno;
	return head->n_hint
		       ? cprof_error_hint(err, "%.*s", (int)head->n_hint, text + head->n_message)
		       : err;
}

struct cprof_error *cprof_work_reader_finish(struct cprof_work_reader *reader,
					     struct cprof_buffer *ret_bytes)
{
	struct head head;
	struct cprof_buffer *got = &reader->got;
	if (got->failed)
		return cprof_error_no_memory();
	if (got->len < sizeof(head))
		return cprof_error_new(CPROF_ERR_OS, "the process that worked on it has ended");
	memcpy(&head, got->data, sizeof(head));
	const uint64_t n = got->len - sizeof(head);
	if (head.magic != MAGIC || head.n_message > n || head.n_hint > n - head.n_message ||
	    head.n_bytes != n - head.n_message - head.n_hint)
		return cprof_error_new(CPROF_ERR_OS, "the process that worked on it has ended "
						     "before it was done");
	if (head.code >= 0)
		return error_of(&head, (const char *)got->data + sizeof(head));
	memmove(got->data, got->data + sizeof(head), n);
	got->len = n;
	*ret_bytes = *got;
	*got = (struct cprof_buffer){ 0 };
	return NULL;
}
