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

/* Those that are told apart here: gRPC "Status codes and their use in gRPC". */
enum cprof_grpc_status {
	CPROF_GRPC_NONE = -1, /* none came */
	CPROF_GRPC_OK = 0,
	CPROF_GRPC_CANCELLED = 1,
	CPROF_GRPC_DEADLINE = 4,
	CPROF_GRPC_DENIED = 7,
	CPROF_GRPC_EXHAUSTED = 8,
	CPROF_GRPC_ABORTED = 10,
	CPROF_GRPC_UNIMPLEMENTED = 12,
	CPROF_GRPC_UNAVAILABLE = 14,
	CPROF_GRPC_UNAUTHENTICATED = 16,
};

struct cprof_grpc_head {
	int status; /* of cprof_grpc_status, or another number */
	char words[CPROF_GRPC_WORDS];
};

#define CPROF_GRPC_HEAD_NONE ((struct cprof_grpc_head){ .status = CPROF_GRPC_NONE })

/* One line of a head or trailer, its end included. */
void cprof_grpc_head_take(struct cprof_grpc_head *head, const char *line, size_t n);

#endif
