/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/context/thread_context.h"

#include <assert.h>
#include <string.h>

#include "attach/context/label_text.h"

static_assert(offsetof(struct cprof_context_event, data) == CPROF_CONTEXT_EVENT_HEAD,
	      "context_bpf.h");

#define TRACE_BYTES 16
#define SPAN_BYTES  8

static bool is_zero(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

static void put_hex(const uint8_t *bytes, size_t n, char *to)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		to[2 * i] = digits[bytes[i] >> 4];
		to[2 * i + 1] = digits[bytes[i] & 15];
	}
	to[2 * n] = 0;
}

/* In the texts; NULL: there is no room left. */
static const char *keep(struct cprof_thread_context *context, const uint8_t *bytes, size_t n)
{
	char *to = context->text + context->n_text;
	const size_t room = sizeof(context->text) - context->n_text;
	if (room < n + 1) {
		context->cut = true;
		return NULL;
	}
	context->n_text += cprof_label_text(bytes, n, to, room) + 1;
	return to;
}

/* The last one of a name counts. */
static void set(struct cprof_thread_context *context, const char *key, const char *value)
{
	size_t i = 0;
	if (!key || !*key || !value)
		return;
	while (i < context->n && strcmp(context->attributes[i].key, key) != 0)
		i++;
	if (i == CPROF_THREAD_CONTEXT_MAX) {
		context->cut = true;
		return;
	}
	context->attributes[i].key = key;
	context->attributes[i].value = value;
	context->n += i == context->n;
}

static void read_attributes(const uint8_t *at, size_t n, const struct cprof_context_keys *keys,
			    struct cprof_thread_context *context)
{
	while (n >= 2 && n - 2 >= at[1]) {
		const size_t number = at[0], length = at[1];
		if (keys && number < keys->n)
			set(context, keys->names[number], keep(context, at + 2, length));
		else
			context->unknown = true;
		at += 2 + length;
		n -= 2 + length;
	}
}

static bool read_record(const uint8_t *data, size_t n, const struct cprof_context_keys *keys,
			struct cprof_thread_context *context)
{
	uint16_t size;
	if (n < CPROF_CONTEXT_HEAD || data[CPROF_CONTEXT_VALID_AT] != 1)
		return false;
	memcpy(&size, data + CPROF_CONTEXT_SIZE_AT, sizeof(size));
	const size_t there = n - CPROF_CONTEXT_HEAD;
	if (!is_zero(data, TRACE_BYTES))
		put_hex(data, TRACE_BYTES, context->trace_id);
	if (!is_zero(data + TRACE_BYTES, SPAN_BYTES))
		put_hex(data + TRACE_BYTES, SPAN_BYTES, context->span_id);
	read_attributes(data + CPROF_CONTEXT_HEAD, size < there ? size : there, keys, context);
	return true;
}

static bool read_go(const uint8_t *data, size_t n, struct cprof_thread_context *context)
{
	struct cprof_context_go_label head;
	while (n >= sizeof(head)) {
		memcpy(&head, data, sizeof(head));
		data += sizeof(head), n -= sizeof(head);
		if (head.key_n > n || head.value_n > n - head.key_n)
			return false;
		set(context, keep(context, data, head.key_n),
		    keep(context, data + head.key_n, head.value_n));
		data += head.key_n + head.value_n, n -= (size_t)head.key_n + head.value_n;
	}
	return true;
}

bool cprof_thread_context_decode(const void *event, size_t n, const struct cprof_context_keys *keys,
				 struct cprof_thread_context *ret)
{
	struct cprof_context_event head;
	memset(ret, 0, offsetof(struct cprof_thread_context, text));
	if (n < CPROF_CONTEXT_EVENT_HEAD)
		return false;
	memcpy(&head, event, CPROF_CONTEXT_EVENT_HEAD);
	const uint8_t *data = (const uint8_t *)event + CPROF_CONTEXT_EVENT_HEAD;
	if (head.n > n - CPROF_CONTEXT_EVENT_HEAD)
		return false;
	ret->cut = head.cut;
	switch (head.how) {
	case CPROF_CONTEXT_FIXED:
	case CPROF_CONTEXT_DYNAMIC:
		return read_record(data, head.n, keys, ret);
	case CPROF_CONTEXT_GO_MAP:
	case CPROF_CONTEXT_GO_LIST:
		return read_go(data, head.n, ret);
	default:
		return false;
	}
}
