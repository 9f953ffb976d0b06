/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/net/grpc_head.h - how a call by gRPC ended: its status and words, which stand among the heads and trailers of an answer.
 *
 * Source of truth: gRPC over HTTP2, "Responses".
 */
#ifndef CPROF_CONVERT_NET_GRPC_HEAD_H
#define CPROF_CONVERT_NET_GRPC_HEAD_H

#include <stddef.h>

#define CPROF_GRPC_WORDS 512

struct cprof_grpc_head {
	int status; /* -1: none came */
	char words[CPROF_GRPC_WORDS];
};

#define CPROF_GRPC_HEAD_NONE ((struct cprof_grpc_head){ .status = -1 })

/* One line of a head or trailer, its end included. */
void cprof_grpc_head_take(struct cprof_grpc_head *head, const char *line, size_t n);

#endif
