/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/targets/target_news.h - the kernel's own word of which processes were forked, run another program, or have a new name.
 *
 * Needs CAP_NET_ADMIN (before Linux 6.6) and the machine's first PID and network namespaces (the kernel has no such socket elsewhere); who cannot have it
 * looks for himself (target_scan.h). Messages can be lost when there are many: that is told, and then everybody is to be looked at.
 *
 * Sources: the kernel's headers of the connector and of its process events; Documentation/driver-api/connector.rst.
 */
#ifndef CPROF_ATTACH_TARGETS_TARGET_NEWS_H
#define CPROF_ATTACH_TARGETS_TARGET_NEWS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/error.h"

struct cprof_target_news {
	int fd;      /* owned; -1: not to be had. Readable when there is news */
	bool proven; /* some has come: without that nobody can rely on it */
};

/* Thread group ids. `parent`: who forked it; 0: it has become another one by exec or has been renamed. */
typedef void cprof_target_news_fn(void *ctx, pid_t pid, pid_t parent);

/* Errors: DENIED, UNSUPPORTED, OS. */
struct cprof_error *cprof_target_news_open(struct cprof_target_news *news);
void cprof_target_news_close(struct cprof_target_news *news);

/* Read what there is, a bounded piece of it. False: some was lost. */
bool cprof_target_news_read(struct cprof_target_news *news, cprof_target_news_fn *fn, void *ctx);

/* One datagram, which may be anything; for fuzzing. */
void cprof_target_news_parse(const uint8_t *bytes, size_t n, cprof_target_news_fn *fn, void *ctx);

#endif
