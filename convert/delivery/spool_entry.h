/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/delivery/spool_entry.h - a profile that waits for its server, as the bytes of a file.
 *
 * The file has what cprof_push is made of (where to, under which labels, the profile as it was written), when it was kept, and
 * how many of the parts that the profile goes in have arrived: that number is written in place, because a later part that
 * fails must not make the earlier ones arrive twice. It has nothing to log in with: the URL is without user and password, and
 * what its parameters say is left out where it could be a secret (base/secret.h).
 *
 * Layout, little endian: struct spool_head, then n_text bytes of "key=value" texts that end in a zero byte each, then n_body
 * bytes of profile. The checksum (cprof_hash_bytes) is of text and body. The format is ours; what is read is nobody's until it
 * was checked.
 */
#ifndef CPROF_CONVERT_DELIVERY_SPOOL_ENTRY_H
#define CPROF_CONVERT_DELIVERY_SPOOL_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

#define CPROF_SPOOL_LABELS_MAX 64
#define CPROF_SPOOL_ENTRY_MAX  (256u << 20) /* bytes of a file */

struct cprof_spool_texts {
	const char *items[CPROF_SPOOL_LABELS_MAX];
	size_t len;
};

struct cprof_spool_entry {
	const char *url;     /* as people write it, without what is secret: "parca+grpcs://HOST" */
	bool has_secrets;    /* the URL had some, and cannot be used as it is here */
	bool logs_in;        /* something was there to log in with */
	const char *backend; /* "auto", or the name */
	const char *service, *kind, *tenant;
	struct cprof_spool_texts labels, found; /* "key=value" */
	uint64_t from_wall_ns, until_wall_ns;
	uint64_t kept_wall_ns, kept_boot_ns; /* when, by both clocks */
	uint8_t boot_id[16];                 /* of the boot that kept_boot_ns counts from */
	const void *body;
	size_t n_body;
	uint32_t parts_done, n_parts; /* n_parts 0: not known yet */
};

/* Append the file's bytes. Errors: NO_MEMORY, UNSUPPORTED (larger than an entry may be). */
struct cprof_error *cprof_spool_entry_encode(const struct cprof_spool_entry *entry,
					     struct cprof_buffer *out);

/* Read them back; all that `ret_entry` points to is in `bytes`. Errors: BAD_DATA. */
struct cprof_error *cprof_spool_entry_decode(const void *bytes, size_t n,
					     struct cprof_spool_entry *ret_entry);

/* Write into the file itself that so many of its parts have arrived. Errors: OS. */
struct cprof_error *cprof_spool_entry_mark(int fd, uint32_t parts_done, uint32_t n_parts);

#endif
