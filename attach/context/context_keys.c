/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/context/context_keys.h"

#include <string.h>

#include "attach/context/label_text.h"
#include "convert/profile/wire.h"

#define ATTRIBUTES_MAX 1024 /* looked at */

/* Numbers of fields, in process_context.proto and common.proto. */
enum {
	CONTEXT_ATTRIBUTES = 2,
	KEY_VALUE_KEY = 1,
	KEY_VALUE_VALUE = 2,
	ANY_STRING = 1,
	ANY_ARRAY = 5,
	ARRAY_VALUES = 1,
};

/* The next field of bytes with that number; false: there is none, or what follows is broken. */
static bool next(struct cprof_wire *message, uint32_t number, struct cprof_wire *ret)
{
	struct cprof_wire_field field;
	bool more = true;
	while (more) {
		struct cprof_error *err = cprof_wire_next(message, &field, &more);
		if (err) {
			cprof_error_free(err);
			return false;
		}
		if (more && field.number == number && field.type == CPROF_WIRE_BYTES) {
			*ret = field.bytes;
			return true;
		}
	}
	return false;
}

static void copy(struct cprof_wire text, char *to)
{
	size_t n =
		cprof_label_text(text.at, (size_t)(text.end - text.at), to, CPROF_CONTEXT_KEY_TEXT);
	to[n] = 0;
}

static void read_names(struct cprof_wire value, struct cprof_context_keys *keys)
{
	struct cprof_wire array, item, text;
	if (!next(&value, ANY_ARRAY, &array))
		return;
	keys->n = 0;
	while (keys->n < CPROF_CONTEXT_KEYS_MAX && next(&array, ARRAY_VALUES, &item)) {
		char *name = keys->names[keys->n++];
		name[0] = 0;
		if (next(&item, ANY_STRING, &text))
			copy(text, name);
	}
}

static void read_attribute(struct cprof_wire attribute, struct cprof_context_keys *keys)
{
	struct cprof_wire second = attribute, key, value, text;
	char name[CPROF_CONTEXT_KEY_TEXT];
	if (!next(&attribute, KEY_VALUE_KEY, &key) || !next(&second, KEY_VALUE_VALUE, &value))
		return;
	copy(key, name);
	if (strcmp(name, "threadlocal.attribute_key_map") == 0)
		read_names(value, keys);
	else if (strcmp(name, "threadlocal.schema_version") == 0 && next(&value, ANY_STRING, &text))
		copy(text, keys->schema);
}

void cprof_context_keys_decode(const uint8_t *payload, size_t n, struct cprof_context_keys *ret)
{
	struct cprof_wire message = { payload, payload + n, payload }, attribute;
	ret->schema[0] = 0;
	ret->n = 0;
	for (size_t i = 0; i < ATTRIBUTES_MAX && next(&message, CONTEXT_ATTRIBUTES, &attribute);
	     i++)
		read_attribute(attribute, ret);
}

bool cprof_context_keys_known(const struct cprof_context_keys *keys)
{
	static const char *const schemas[] = { "", "tlsdesc_v1_dev", "tls_v1" };
	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
		if (strcmp(keys->schema, schemas[i]) == 0)
			return true;
	}
	return false;
}
