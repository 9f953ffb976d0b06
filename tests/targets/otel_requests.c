/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that publishes what its threads work on (OTEP 4947): otel_requests [LIBRARY | own] [WAY]. It says "ready" then. Two threads burn
 * CPU, each with a context of its own, two sleep on a lock with one, and one has none. The variable is the program's own, or of a LIBRARY
 * that is loaded now. WAY:
 *   swap     (default) each thread keeps its context
 *   rewrite  the busy ones write theirs anew all the time, in place: trace and attributes of one of two requests, never of both
 *   hostile  what stands there is nonsense: sizes that lead out of it, text that is none, addresses of nothing
 *   many     a request every few microseconds
 *   late     the library is loaded, and names of attributes are published, when a byte comes in on stdin
 * On SIGTERM it ends.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/otel_context.h"
#include "otel_publish.h"

#ifndef OTEL_OWN
#define OTEL_OWN 0
#endif

static void (*attach)(struct otel_record *record);
static const char *way = "swap";
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
volatile unsigned long otel_requests_sink;

/* ---- what is published once ---- */

static uint8_t *put_bytes(uint8_t *at, uint8_t tag, const void *bytes, size_t n)
{
	*at++ = tag, *at++ = (uint8_t)n;
	memcpy(at, bytes, n);
	return at + n;
}

static uint8_t *put_text(uint8_t *at, uint8_t tag, const char *text)
{
	return put_bytes(at, tag, text, strlen(text));
}

/* ProcessContext.attributes: the schema and the names of attributes 0, 1, ... All lengths are below 128. */
static uint32_t encode(uint8_t *out)
{
	static const char *const names[] = { "http_route", "tid", "letter" };
	uint8_t text[120], value[120], pair[120];
	uint8_t *end = put_text(text, 0x0a, "tlsdesc_v1_dev");
	uint8_t *to = put_text(pair, 0x0a, "threadlocal.schema_version");
	to = put_bytes(to, 0x12, text, (size_t)(end - text));
	uint8_t *at = put_bytes(out, 0x12, pair, (size_t)(to - pair));
	uint8_t array[120], *array_end = array;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		end = put_text(text, 0x0a, names[i]);
		array_end = put_bytes(array_end, 0x0a, text, (size_t)(end - text));
	}
	end = put_bytes(value, 0x2a, array, (size_t)(array_end - array));
	to = put_text(pair, 0x0a, "threadlocal.attribute_key_map");
	to = put_bytes(to, 0x12, value, (size_t)(end - value));
	return (uint32_t)(put_bytes(at, 0x12, pair, (size_t)(to - pair)) - out);
}

static void publish(void)
{
	static uint8_t payload[512];
	struct otel_page *page = otel_map_page();
	if (page)
		otel_end(page, payload, encode(payload), 0);
}

/* ---- contexts ---- */

static void put_attribute(struct otel_record *record, uint8_t key, const char *value)
{
	uint8_t *at = record->attrs + record->attrs_size;
	put_bytes(at, key, value, strlen(value));
	record->attrs_size += 2 + strlen(value);
}

static void fill(struct otel_record *record, unsigned number, const char *letter)
{
	record->valid = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	memset(record->trace_id, (int)number, sizeof(record->trace_id));
	memset(record->span_id, (int)(number + 0x10), sizeof(record->span_id));
	record->attrs_size = 0;
	put_attribute(record, 0, "/old");
	put_attribute(record, 1, "mine");
	put_attribute(record, 2, letter);
	put_attribute(record, 0, "/checkout/\xc3\xa9"); /* the last one counts */
	put_attribute(record, 200, "nobody knows the name");
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	record->valid = 1;
}

static void work(void)
{
	for (int i = 0; i < 1000; i++)
		otel_requests_sink += (unsigned long)i * otel_requests_sink + 1;
}

static __attribute__((noinline)) void burn(struct otel_record *record, unsigned number)
{
	for (;;) {
		work();
		if (strcmp(way, "rewrite") == 0) {
			fill(record, number, "x");
			work();
			fill(record, number + 4, "y");
		}
		if (strcmp(way, "many") == 0) {
			record->valid = 0;
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
			++*(uint64_t *)(void *)record->trace_id;
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
			record->valid = 1;
		}
	}
}

/* One after the other: too long, in the middle of nothing, not aligned, half outside of what is mapped. */
static __attribute__((noinline)) void burn_hostile(struct otel_record *record)
{
	uint8_t *edge =
		mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(edge + 4096, 4096);
	struct otel_record *last = (struct otel_record *)(void *)(edge + 4096 - 40);
	memset(edge, 0xff, 4096);
	last->valid = 1;
	for (unsigned i = 0;; i++) {
		record->attrs_size = (uint16_t)(i * 7919u);
		memset(record->attrs, (int)i, sizeof(record->attrs));
		attach(record);
		work();
		attach((struct otel_record *)(uintptr_t)(i * 4096ull));
		work();
		attach(last);
		work();
		attach((struct otel_record *)(uintptr_t)0xffff800000000000ull);
		work();
	}
}

static void *busy(void *arg)
{
	static struct otel_record records[2];
	const unsigned number = *(const unsigned *)arg;
	struct otel_record *record = &records[number - 1];
	fill(record, number, number == 1 ? "a" : "b");
	attach(record);
	if (strcmp(way, "hostile") == 0)
		burn_hostile(record);
	burn(record, number);
	return NULL;
}

static __attribute__((noinline)) void wait_for_lock(void)
{
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
}

static void *sleeper(void *arg)
{
	static struct otel_record records[2];
	const unsigned number = *(const unsigned *)arg;
	struct otel_record *record = &records[number - 3];
	fill(record, number, "s");
	attach(record);
	for (;;)
		wait_for_lock();
	return NULL;
}

/* Has no context, and makes the sleepers wait. */
static void *holder(void *arg)
{
	(void)arg;
	for (;;) {
		pthread_mutex_lock(&lock);
		usleep(2000);
		pthread_mutex_unlock(&lock);
		usleep(200);
	}
	return NULL;
}

static void end(int signal_no)
{
	(void)signal_no;
	_exit(0);
}

static void load(const char *library)
{
#if OTEL_OWN
	(void)library;
	attach = otel_context_attach;
#else
	void *handle = dlopen(library, RTLD_NOW);
	attach = handle ? (void (*)(struct otel_record *))dlsym(handle, "otel_context_attach")
			: NULL;
#endif
	if (!attach)
		exit(2);
	publish();
}

static void start(void)
{
	static unsigned numbers[] = { 1, 2, 3, 4 };
	pthread_t thread;
	for (int i = 0; i < 2; i++)
		pthread_create(&thread, NULL, busy, &numbers[i]);
	for (int i = 2; i < 4; i++)
		pthread_create(&thread, NULL, sleeper, &numbers[i]);
	pthread_create(&thread, NULL, holder, NULL);
}

int main(int argc, char **argv)
{
	char byte;
	way = argc > 2 ? argv[2] : way;
	signal(SIGTERM, end);
	const bool late = strcmp(way, "late") == 0;
	if (!late) {
		load(argc > 1 ? argv[1] : NULL);
		start();
	}
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	if (late && read(0, &byte, 1) == 1) {
		load(argv[1]);
		start();
	}
	for (;;)
		pause();
}
