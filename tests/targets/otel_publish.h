/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process context as OTEP 4719 has it: a page with a name, and a payload of protobuf somewhere else.
 */
#ifndef OTEL_PUBLISH_H
#define OTEL_PUBLISH_H

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct otel_page {
	char signature[8];
	uint32_t version, payload_size;
	volatile uint64_t published_at_ns;
	const uint8_t *payload;
};

static inline struct otel_page *otel_map_page(void)
{
	const int fd = memfd_create("OTEL_CTX", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 4096) != 0)
		return NULL;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	close(fd);
	return page == MAP_FAILED ? NULL : page;
}

static inline uint64_t otel_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* To be called before the payload is changed, and when it has been. */
static inline void otel_begin(struct otel_page *page)
{
	page->published_at_ns = 0;
	__sync_synchronize();
}

static inline void otel_end(struct otel_page *page, const uint8_t *payload, uint32_t n,
			    uint64_t last_ns)
{
	page->version = 2;
	page->payload_size = n;
	page->payload = payload;
	__sync_synchronize();
	const uint64_t now = otel_now_ns();
	page->published_at_ns = now > last_ns ? now : last_ns + 1;
	__sync_synchronize();
	memcpy(page->signature, "OTEL_CTX", 8);
}

#endif
