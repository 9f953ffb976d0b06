/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a file of the spool. The checksum is made right, so that what lies behind it is reached as well; what is read
 * comes back as it was when it is written again.
 */
#include <stdlib.h>
#include <string.h>

#include "convert/delivery/spool_entry.h"
#include "cprof/hash.h"

#define HEAD        88
#define N_TEXT_AT   12
#define CHECKSUM_AT 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_checksum_right(uint8_t *bytes, size_t n)
{
	uint32_t n_text;
	memcpy(&n_text, bytes + N_TEXT_AT, sizeof(n_text));
	if (n_text > n - HEAD)
		return;
	uint64_t sum = cprof_hash_bytes_from(cprof_hash_bytes(bytes + HEAD, n_text),
					     bytes + HEAD + n_text, n - HEAD - n_text);
	memcpy(bytes + CHECKSUM_AT, &sum, sizeof(sum));
}

static void same(const char *a, const char *b)
{
	if ((a ? strcmp(a, b ? b : "") : b && *b) != 0)
		abort();
}

static void write_and_read(const struct cprof_spool_entry *entry)
{
	struct cprof_buffer bytes = { 0 };
	struct cprof_spool_entry again;
	if (cprof_spool_entry_encode(entry, &bytes) ||
	    cprof_spool_entry_decode(bytes.data, bytes.len, &again))
		abort();
	same(entry->url, again.url);
	same(entry->kind, again.kind);
	same(entry->service, again.service);
	same(entry->tenant, again.tenant);
	if (again.n_body != entry->n_body || again.until_wall_ns != entry->until_wall_ns ||
	    again.parts_done != entry->parts_done)
		abort();
	cprof_buffer_deinit(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_spool_entry entry;
	uint8_t *copy = malloc(size + 1);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (size >= HEAD)
		make_checksum_right(copy, size);
	struct cprof_error *err = cprof_spool_entry_decode(copy, size, &entry);
	if (!err && *entry.url && *entry.kind)
		write_and_read(&entry);
	cprof_error_free(err);
	free(copy);
	return 0;
}
