/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/process_context.h - what a program says of itself to those who look at it from outside: OpenTelemetry's process context.
 *
 * A program that wants to be known publishes a page of memory with a name, and in it where its resource attributes are (service.name and
 * the like), as protobuf. Nothing is asked of the program, nothing is stopped. All of it is somebody else's bytes: sizes are bounded, and a
 * context that is being rewritten is read again or not at all: the moment of its publication has to be the same before and after.
 *
 * Source of truth: OpenTelemetry specification, OTEP 4719 "Process Context: Sharing Resource Attributes with External Readers", version 2
 * of the header; opentelemetry-proto, "process_context.proto", "common.proto".
 */
#ifndef CPROF_ATTACH_RUN_PROCESS_CONTEXT_H
#define CPROF_ATTACH_RUN_PROCESS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/target/target.h"
#include "cprof/buffer.h"
#include "cprof/memory.h"

#define CPROF_PROCESS_CONTEXT_TEXT    128 /* of a value, with its zero; longer ones are cut */
#define CPROF_PROCESS_CONTEXT_PAYLOAD (64u << 10) /* bytes; larger ones are not read */

/* Attributes of the resource that are used here; "" where it has none. Control characters are '?'. */
struct cprof_process_context {
	char service[CPROF_PROCESS_CONTEXT_TEXT]; /* service.name */
	char version[CPROF_PROCESS_CONTEXT_TEXT]; /* service.version */
};

/* Does a mapping of this name hold one? */
bool cprof_process_context_is_name(const char *path);

/* From the payload. False: it is no message of that kind; then *ret is empty. */
bool cprof_process_context_decode(const uint8_t *payload, size_t n,
				  struct cprof_process_context *ret);

/* From memory, where the header is at `addr`. False: there is none, or it did not hold still. */
bool cprof_process_context_read(const struct cprof_memory *memory, uint64_t addr,
				struct cprof_process_context *ret);

/*
 * The payload alone, for who reads more of it: CPROF_PROCESS_CONTEXT_PAYLOAD bytes of room in `payload`. And of a process that runs, into
 * `ret`. False as above.
 */
bool cprof_process_context_payload(const struct cprof_memory *memory, uint64_t addr,
				   uint8_t *payload, size_t *ret_n);
bool cprof_process_context_payload_of(const struct cprof_target *target, struct cprof_buffer *ret);

/* Of a process that runs. False: it has none, or nobody may look. Reads /proc/PID/maps and, where there is one, its memory. */
bool cprof_process_context_of(const struct cprof_target *target, struct cprof_process_context *ret);

#endif
