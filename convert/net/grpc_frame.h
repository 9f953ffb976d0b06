/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/net/grpc_frame.h - a message as gRPC sends it: behind a head of five bytes.
 *
 * Source of truth: gRPC over HTTP2, "Length-Prefixed-Message".
 */
#ifndef CPROF_CONVERT_NET_GRPC_FRAME_H
#define CPROF_CONVERT_NET_GRPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"

/* Append `message` in a frame, not compressed. */
void cprof_grpc_frame_put(const struct cprof_buffer *message, struct cprof_buffer *out);

/* The message in the frame that `bytes` begin with, borrowed from them; false: there is no whole one, or it is compressed. */
bool cprof_grpc_frame_take(const uint8_t *bytes, size_t n, const uint8_t **ret_message,
			   size_t *ret_n);

#endif
