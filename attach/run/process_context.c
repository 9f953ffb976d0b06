/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/process_context.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/target/target_mem.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "convert/profile/wire.h"
#include "cprof/maps.h"

#define VERSION        2
#define TRIES          5    /* for one that is being rewritten */
#define ATTRIBUTES_MAX 1024 /* looked at */
#define MAPS_MAX       (64u << 20)

struct header {
	char signature[8];
	uint32_t version, payload_size;
	uint64_t published_at_ns; /* 0: it is being written */
	uint64_t payload;         /* its address */
};
static_assert(sizeof(struct header) == 32, "OTEP 4719, \"Header Structure\"");

/* Numbers of fields, in process_context.proto, resource.proto and common.proto. */
enum {
	CONTEXT_RESOURCE = 1,
	RESOURCE_ATTRIBUTES = 1,
	KEY_VALUE_KEY = 1,
	KEY_VALUE_VALUE = 2,
	ANY_STRING = 1,
};

/* ---- the payload ---- */

/* The next field, however it ends: what is broken ends the message. */
static bool next(struct cprof_wire *message, struct cprof_wire_field *ret)
{
	bool more;
	struct cprof_error *err = cprof_wire_next(message, ret, &more);
	const bool there = !err && more;
	cprof_error_free(err);
	return there;
}

static void copy_text(const struct cprof_wire *from, char *to)
{
	size_t n = (size_t)(from->end - from->at);
	if (n > CPROF_PROCESS_CONTEXT_TEXT - 1)
		n = CPROF_PROCESS_CONTEXT_TEXT - 1;
	for (size_t i = 0; i < n; i++)
		to[i] = (char)(from->at[i] < ' ' || from->at[i] == 0x7f ? '?' : from->at[i]);
	to[n] = 0;
}

static bool is_text(const struct cprof_wire *wire, const char *text)
{
	const size_t n = strlen(text);
	return (size_t)(wire->end - wire->at) == n && memcmp(wire->at, text, n) == 0;
}

/* AnyValue: of its kinds only a string is wanted here. */
static void read_value(struct cprof_wire value, char *to)
{
	struct cprof_wire_field field;
	while (next(&value, &field)) {
		if (field.number == ANY_STRING && field.type == CPROF_WIRE_BYTES)
			copy_text(&field.bytes, to);
	}
}

static void read_attribute(struct cprof_wire attribute, struct cprof_process_context *context)
{
	struct cprof_wire key = { 0 }, value = { 0 };
	struct cprof_wire_field field;
	while (next(&attribute, &field)) {
		if (field.type == CPROF_WIRE_BYTES && field.number == KEY_VALUE_KEY)
			key = field.bytes;
		else if (field.type == CPROF_WIRE_BYTES && field.number == KEY_VALUE_VALUE)
			value = field.bytes;
	}
	if (!key.at || !value.at)
		return;
	if (is_text(&key, "service.name"))
		read_value(value, context->service);
	else if (is_text(&key, "service.version"))
		read_value(value, context->version);
}

static void read_resource(struct cprof_wire resource, struct cprof_process_context *context)
{
	struct cprof_wire_field field;
	for (size_t i = 0; i < ATTRIBUTES_MAX && next(&resource, &field); i++) {
		if (field.number == RESOURCE_ATTRIBUTES && field.type == CPROF_WIRE_BYTES)
			read_attribute(field.bytes, context);
	}
}

bool cprof_process_context_decode(const uint8_t *payload, size_t n,
				  struct cprof_process_context *ret)
{
	struct cprof_wire message = { payload, payload + n, payload };
	struct cprof_wire_field field;
	bool more = true;
	*ret = (struct cprof_process_context){ 0 };
	while (more) {
		struct cprof_error *err = cprof_wire_next(&message, &field, &more);
		if (err) {
			cprof_error_free(err);
			*ret = (struct cprof_process_context){ 0 };
			return false;
		}
		if (more && field.number == CONTEXT_RESOURCE && field.type == CPROF_WIRE_BYTES)
			read_resource(field.bytes, ret);
	}
	return true;
}

/* ---- the memory ---- */

static bool read_header(const struct cprof_memory *memory, uint64_t addr, struct header *ret)
{
	return memory->read(memory->ctx, addr, ret, sizeof(*ret)) &&
	       memcmp(ret->signature, "OTEL_CTX", sizeof(ret->signature)) == 0 &&
	       ret->version == VERSION && ret->payload_size <= CPROF_PROCESS_CONTEXT_PAYLOAD;
}

/* False: it has changed meanwhile, or cannot be read. */
static bool try_payload(const struct cprof_memory *memory, uint64_t addr,
			const struct header *header, uint8_t *payload)
{
	struct header after;
	return (!header->payload_size ||
		memory->read(memory->ctx, header->payload, payload, header->payload_size)) &&
	       read_header(memory, addr, &after) && memcmp(header, &after, sizeof(after)) == 0;
}

bool cprof_process_context_payload(const struct cprof_memory *memory, uint64_t addr,
				   uint8_t *payload, size_t *ret_n)
{
	struct header header;
	for (int i = 0; i < TRIES; i++) {
		if (!read_header(memory, addr, &header))
			return false;
		*ret_n = header.payload_size;
		if (header.published_at_ns && try_payload(memory, addr, &header, payload))
			return true;
	}
	return false;
}

bool cprof_process_context_read(const struct cprof_memory *memory, uint64_t addr,
				struct cprof_process_context *ret)
{
	CPROF_AUTO(free) uint8_t *payload = malloc(CPROF_PROCESS_CONTEXT_PAYLOAD);
	size_t n;
	*ret = (struct cprof_process_context){ 0 };
	return payload && cprof_process_context_payload(memory, addr, payload, &n) &&
	       cprof_process_context_decode(payload, n, ret);
}

/* ---- the process ---- */

bool cprof_process_context_is_name(const char *path)
{
	static const char *const names[] = { "/memfd:OTEL_CTX", "[anon_shmem:OTEL_CTX]",
					     "[anon:OTEL_CTX]" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const size_t n = strlen(names[i]);
		if (strncmp(path, names[i], n) == 0 && (!path[n] || path[n] == ' '))
			return true;
	}
	return false;
}

static bool read_memory(void *ctx, uint64_t addr, void *buf, size_t n)
{
	return cprof_target_mem_read(ctx, addr, buf, n);
}

/* The first one among these mappings. */
static bool look_in(const struct cprof_target *target, const struct cprof_maps *maps,
		    uint8_t *payload, size_t *ret_n)
{
	struct cprof_target_mem mem;
	const struct cprof_memory memory = { .read = read_memory, .ctx = &mem };
	cprof_target_mem_init(&mem, (struct cprof_target *)(uintptr_t)target);
	for (size_t i = 0; i < maps->n_sorted; i++) {
		if (cprof_process_context_is_name(maps->sorted[i]->path) &&
		    cprof_process_context_payload(&memory, maps->sorted[i]->start, payload, ret_n))
			return true;
	}
	return false;
}

bool cprof_process_context_payload_of(const struct cprof_target *target, struct cprof_buffer *ret)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_maps maps;
	size_t n;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)cprof_target_living_tid(target));
	struct cprof_error *err = cprof_file_read(path, MAPS_MAX, &text);
	/* Most processes have none, and those may have ten thousand mappings. */
	bool found = !err && strstr(cprof_buffer_text(&text), "OTEL_CTX");
	cprof_error_free(err);
	CPROF_AUTO(free) uint8_t *payload = found ? malloc(CPROF_PROCESS_CONTEXT_PAYLOAD) : NULL;
	if (!payload)
		return false;
	cprof_maps_init(&maps, target->pid, (struct cprof_memory){ 0 });
	err = cprof_maps_parse(&maps, cprof_buffer_text(&text), text.len);
	found = !err && look_in(target, &maps, payload, &n);
	cprof_error_free(err);
	cprof_maps_deinit(&maps);
	if (found)
		cprof_buffer_append(ret, payload, n);
	return found && !ret->failed;
}

bool cprof_process_context_of(const struct cprof_target *target, struct cprof_process_context *ret)
{
	CPROF_AUTO(buffer) struct cprof_buffer payload = { 0 };
	*ret = (struct cprof_process_context){ 0 };
	return cprof_process_context_payload_of(target, &payload) &&
	       cprof_process_context_decode(payload.data, payload.len, ret);
}
