/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that publishes an OpenTelemetry process context (OTEP 4719): otel_service [NAME]. It says "ready" then. With two names it
 * goes on publishing one after the other, as fast as it can.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct context {
	char signature[8];
	uint32_t version, payload_size;
	volatile uint64_t published_at_ns;
	const uint8_t *payload;
};

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

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct context *map_page(void)
{
	const int fd = memfd_create("OTEL_CTX", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 4096) != 0)
		return NULL;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	close(fd);
	return page == MAP_FAILED ? NULL : page;
}

/* In the same place: who reads while this goes on finds a mixture, and must notice. */
static void publish(struct context *context, const char *name, uint8_t *payload)
{
	const uint64_t last = context->published_at_ns;
	context->published_at_ns = 0;
	__sync_synchronize();
	context->version = 2;
	context->payload_size = encode(name, payload);
	context->payload = payload;
	__sync_synchronize();
	const uint64_t now = now_ns();
	context->published_at_ns = now > last ? now : last + 1;
	__sync_synchronize();
	memcpy(context->signature, "OTEL_CTX", 8);
}

static void end(int signal_no)
{
	(void)signal_no;
	_exit(0);
}

int main(int argc, char **argv)
{
	static uint8_t payload[512];
	struct context *context = argc > 1 ? map_page() : NULL;
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
