/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that publishes an OpenTelemetry process context (OTEP 4719): otel_service [NAME]. It says "ready" then. With two names it
 * goes on publishing one after the other, as fast as it can.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "otel_publish.h"

/* ProcessContext{resource{attributes{key "service.name" value{string NAME}}}}; all lengths are below 128. */
static uint32_t encode(const char *name, uint8_t *out)
{
	static const char key[] = "service.name";
	const uint8_t n = (uint8_t)strlen(name), k = sizeof(key) - 1;
	uint8_t *at = out;
	*at++ = 0x0a, *at++ = (uint8_t)(2 + 2 + k + 2 + 2 + n); /* resource */
	*at++ = 0x0a, *at++ = (uint8_t)(2 + k + 2 + 2 + n);     /* attributes */
	*at++ = 0x0a, *at++ = k;
	memcpy(at, key, k);
	at += k;
	*at++ = 0x12, *at++ = (uint8_t)(2 + n);
	*at++ = 0x0a, *at++ = n;
	memcpy(at, name, n);
	return (uint32_t)(at + n - out);
}

/* In the same place: who reads while this goes on finds a mixture, and must notice. */
static void publish(struct otel_page *page, const char *name, uint8_t *payload)
{
	const uint64_t last = page->published_at_ns;
	otel_begin(page);
	otel_end(page, payload, encode(name, payload), last);
}

static void end(int signal_no)
{
	(void)signal_no;
	_exit(0);
}

int main(int argc, char **argv)
{
	static uint8_t payload[512];
	struct otel_page *context = argc > 1 ? otel_map_page() : NULL;
	signal(SIGTERM, end);
	if (context)
		publish(context, argv[1], payload);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	while (context && argc > 2) {
		publish(context, argv[2], payload);
		publish(context, argv[1], payload);
	}
	for (;;)
		pause();
}
