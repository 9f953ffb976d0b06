/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/context/thread_context.h"

#include <stdlib.h>

#include "tests/unit/test.h"

/* ProcessContext{attributes{"threadlocal.schema_version": "tls_v1"}, attributes{"threadlocal.attribute_key_map": ["route", "user"]}} */
static const uint8_t keys_payload[] =
	"\x12\x26\x0a\x1athreadlocal.schema_version\x12\x08\x0a\x06tls_v1"
	"\x12\x35\x0a\x1dthreadlocal.attribute_key_map\x12\x14\x2a\x12"
	"\x0a\x07\x0a\x05route\x0a\x07\x0a\x04user\x10";

/* One event: 28 bytes of a record and its attributes. */
struct made {
	uint8_t bytes[CPROF_CONTEXT_EVENT_HEAD + 256];
	size_t n;
};

static struct made make(uint8_t valid, uint16_t size, const char *attributes, size_t n)
{
	struct cprof_context_event head = { .how = CPROF_CONTEXT_FIXED,
					    .n = (uint32_t)(CPROF_CONTEXT_HEAD + n) };
	struct made made = { .n = CPROF_CONTEXT_EVENT_HEAD + CPROF_CONTEXT_HEAD + n };
	uint8_t *data = made.bytes + CPROF_CONTEXT_EVENT_HEAD;
	memcpy(made.bytes, &head, CPROF_CONTEXT_EVENT_HEAD);
	memset(data, 0xab, 16);
	memset(data + 16, 0x01, 8);
	data[CPROF_CONTEXT_VALID_AT] = valid;
	memcpy(data + CPROF_CONTEXT_SIZE_AT, &size, sizeof(size));
	memcpy(data + CPROF_CONTEXT_HEAD, attributes, n);
	return made;
}

static struct cprof_context_keys *make_keys(void)
{
	struct cprof_context_keys *keys = calloc(1, sizeof(*keys));
	cprof_context_keys_decode(keys_payload, sizeof(keys_payload) - 1, keys);
	return keys;
}

TEST(context_keys_are_what_the_process_context_has)
{
	struct cprof_context_keys *keys = make_keys();
	CHECK_STR(keys->schema, "tls_v1");
	CHECK(cprof_context_keys_known(keys));
	CHECK_UINT(keys->n, 2);
	CHECK_STR(keys->names[0], "route");
	CHECK_STR(keys->names[1], "user");
	for (size_t n = 0; n < sizeof(keys_payload) - 1; n++) { /* each prefix */
		cprof_context_keys_decode(keys_payload, n, keys);
		CHECK(keys->n <= 2);
	}
	strcpy(keys->schema, "nodejs_v1_dev");
	CHECK(!cprof_context_keys_known(keys));
	free(keys);
}

TEST(thread_context_has_ids_and_attributes_by_name)
{
	static const struct {
		const char *what;
		uint8_t valid;
		uint16_t size;
		const char *attributes;
		size_t n;
		bool good;
		const char *route; /* NULL: no attribute at all */
		bool unknown;
	} rows[] = {
		{ "none", 1, 0, "", 0, true, NULL, false },
		{ "one", 1, 4, "\0\2/a", 4, true, "/a", false },
		{ "not valid", 0, 4, "\0\2/a", 4, false, NULL, false },
		{ "another value of valid", 2, 4, "\0\2/a", 4, false, NULL, false },
		{ "the last one counts", 1, 8, "\0\2/a\0\2/b", 8, true, "/b", false },
		{ "a number without a name", 1, 7, "\x09\1x\0\2/a", 7, true, "/a", true },
		{ "an empty value", 1, 2, "\0\0", 2, true, "", false },
		{ "longer than the rest", 1, 4, "\0\3/a", 4, true, NULL, false },
		{ "half an entry", 1, 5, "\0\2/a\0", 5, true, "/a", false },
		{ "a size beyond what was copied", 1, 60000, "\0\2/a", 4, true, "/a", false },
		{ "a size below what was copied", 1, 3, "\0\2/a", 4, true, NULL, false },
		{ "no UTF-8", 1, 5, "\0\3a\xff\n", 5, true, "a\\xff\\n", false },
		{ "cut in a character", 1, 4, "\0\2a\xc3", 4, true, "a\\xc3", false },
		{ "a zero byte", 1, 5, "\0\3a\0b", 5, true, "a\\x00b", false },
	};
	struct cprof_context_keys *keys = make_keys();
	struct cprof_thread_context *context = malloc(sizeof(*context));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct made made =
			make(rows[i].valid, rows[i].size, rows[i].attributes, rows[i].n);
		const bool good = cprof_thread_context_decode(made.bytes, made.n, keys, context);
		const char *route = good && context->n ? context->attributes[0].value : NULL;
		if (good != rows[i].good || !route != !rows[i].route ||
		    (route && strcmp(route, rows[i].route) != 0) ||
		    (good && context->unknown != rows[i].unknown))
			TEST_FAIL("%s: %d, %s", rows[i].what, good, route ? route : "none");
		if (good)
			CHECK_STR(context->trace_id, "abababababababababababababababab");
		if (good)
			CHECK_STR(context->span_id, "0101010101010101");
	}
	free(context);
	free(keys);
}

TEST(thread_context_that_is_cut_is_none)
{
	struct cprof_thread_context *context = malloc(sizeof(*context));
	const struct made made = make(1, 4, "\0\2/a", 4);
	for (size_t n = 0; n < made.n; n++)
		CHECK(!cprof_thread_context_decode(made.bytes, n, NULL, context));
	CHECK(cprof_thread_context_decode(made.bytes, made.n, NULL, context));
	CHECK(context->unknown && !context->n); /* there are no names */
	free(context);
}

TEST(thread_context_without_ids_says_none)
{
	struct cprof_thread_context *context = malloc(sizeof(*context));
	struct made made = make(1, 0, "", 0);
	memset(made.bytes + CPROF_CONTEXT_EVENT_HEAD, 0, 24);
	CHECK(cprof_thread_context_decode(made.bytes, made.n, NULL, context));
	CHECK_STR(context->trace_id, "");
	CHECK_STR(context->span_id, "");
	free(context);
}

TEST(thread_context_has_the_labels_of_a_go_program)
{
	struct cprof_thread_context *context = malloc(sizeof(*context));
	struct made made = { 0 };
	const char labels[] = "\6\0\5\0workeralpha\1\0\0\0k";
	struct cprof_context_event head = { .how = CPROF_CONTEXT_GO_LIST, .n = sizeof(labels) - 1 };
	memcpy(made.bytes, &head, CPROF_CONTEXT_EVENT_HEAD);
	memcpy(made.bytes + CPROF_CONTEXT_EVENT_HEAD, labels, sizeof(labels) - 1);
	made.n = CPROF_CONTEXT_EVENT_HEAD + sizeof(labels) - 1;
	CHECK(cprof_thread_context_decode(made.bytes, made.n, NULL, context));
	CHECK_UINT(context->n, 2);
	CHECK_STR(context->attributes[0].key, "worker");
	CHECK_STR(context->attributes[0].value, "alpha");
	CHECK_STR(context->attributes[1].value, "");
	made.bytes[CPROF_CONTEXT_EVENT_HEAD + 2] = 200; /* a value longer than there is */
	CHECK(!cprof_thread_context_decode(made.bytes, made.n, NULL, context));
	free(context);
}

TEST(thread_context_takes_only_so_many_attributes)
{
	struct cprof_context_keys *keys = calloc(1, sizeof(*keys));
	struct cprof_thread_context *context = malloc(sizeof(*context));
	char attributes[3 * 60];
	for (size_t i = 0; i < 60; i++) {
		attributes[3 * i] = (char)i;
		attributes[3 * i + 1] = 1;
		attributes[3 * i + 2] = 'v';
		keys->names[i][0] = (char)('0' + i);
	}
	keys->n = 60;
	const struct made made = make(1, sizeof(attributes), attributes, sizeof(attributes));
	CHECK(cprof_thread_context_decode(made.bytes, made.n, keys, context));
	CHECK_UINT(context->n, CPROF_THREAD_CONTEXT_MAX);
	CHECK(context->cut);
	free(context);
	free(keys);
}
