/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/delivery/spool_entry.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cprof/hash.h"

#define MAGIC    "CPROFSPL"
#define VERSION  1u
#define TEXT_MAX (64u << 10)

struct spool_head {
	char magic[8];
	uint32_t version;
	uint32_t n_text;
	uint32_t parts_done; /* these two are overwritten in place */
	uint32_t n_parts;
	uint64_t n_body;
	uint64_t checksum;
	uint64_t from_wall_ns, until_wall_ns;
	uint64_t kept_wall_ns, kept_boot_ns;
	uint8_t boot_id[16];
};
_Static_assert(sizeof(struct spool_head) == 88, "the layout of a file");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the layout of a file");

#define PARTS_AT offsetof(struct spool_head, parts_done)

/* ---- writing ---- */

static void put_text(struct cprof_buffer *out, const char *key, const char *value)
{
	if (value && *value) {
		cprof_buffer_printf(out, "%s=%s", key, value);
		cprof_buffer_putc(out, 0);
	}
}

static void put_texts(struct cprof_buffer *out, const char *key,
		      const struct cprof_spool_texts *texts)
{
	for (size_t i = 0; i < texts->len; i++)
		put_text(out, key, texts->items[i]);
}

static void put_all(const struct cprof_spool_entry *entry, struct cprof_buffer *out)
{
	put_text(out, "url", entry->url);
	put_text(out, "backend", entry->backend);
	put_text(out, "service", entry->service);
	put_text(out, "kind", entry->kind);
	put_text(out, "tenant", entry->tenant);
	put_text(out, "has_secrets", entry->has_secrets ? "1" : NULL);
	put_text(out, "logs_in", entry->logs_in ? "1" : NULL);
	put_texts(out, "label", &entry->labels);
	put_texts(out, "found", &entry->found);
}

struct cprof_error *cprof_spool_entry_encode(const struct cprof_spool_entry *entry,
					     struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	put_all(entry, &text);
	cprof_buffer_append(&text, "", 0);
	struct cprof_error *err = cprof_buffer_error(&text);
	if (err)
		return err;
	if (text.len > TEXT_MAX || entry->n_body > CPROF_SPOOL_ENTRY_MAX - TEXT_MAX - 1024)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "the profile is too large to be kept for later");
	struct spool_head head = {
		.version = VERSION,
		.n_text = (uint32_t)text.len,
		.parts_done = entry->parts_done,
		.n_parts = entry->n_parts,
		.n_body = entry->n_body,
		.checksum = cprof_hash_bytes_from(cprof_hash_bytes(text.data, text.len),
						  entry->body, entry->n_body),
		.from_wall_ns = entry->from_wall_ns,
		.until_wall_ns = entry->until_wall_ns,
		.kept_wall_ns = entry->kept_wall_ns,
		.kept_boot_ns = entry->kept_boot_ns,
	};
	memcpy(head.magic, MAGIC, sizeof(head.magic));
	memcpy(head.boot_id, entry->boot_id, sizeof(head.boot_id));
	cprof_buffer_append(out, &head, sizeof(head));
	cprof_buffer_append(out, text.data, text.len);
	cprof_buffer_append(out, entry->body, entry->n_body);
	return cprof_buffer_error(out);
}

/* ---- reading ---- */

static struct cprof_error *damaged(const char *why)
{
	return cprof_error_new(CPROF_ERR_BAD_DATA,
			       "a profile that was kept for later is damaged: %s", why);
}

static void add(struct cprof_spool_texts *texts, const char *text)
{
	if (texts->len < CPROF_SPOOL_LABELS_MAX)
		texts->items[texts->len++] = text;
}

/* A key that nobody knows is of a newer version, and left aside. */
static void take_text(struct cprof_spool_entry *entry, const char *text)
{
	const struct {
		const char *key;
		const char **value;
		struct cprof_spool_texts *texts;
		bool *flag;
	} rows[] = {
		{ "url=", &entry->url, NULL, NULL },
		{ "backend=", &entry->backend, NULL, NULL },
		{ "service=", &entry->service, NULL, NULL },
		{ "kind=", &entry->kind, NULL, NULL },
		{ "tenant=", &entry->tenant, NULL, NULL },
		{ "has_secrets=", NULL, NULL, &entry->has_secrets },
		{ "logs_in=", NULL, NULL, &entry->logs_in },
		{ "label=", NULL, &entry->labels, NULL },
		{ "found=", NULL, &entry->found, NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = strlen(rows[i].key);
		if (strncmp(text, rows[i].key, n) != 0)
			continue;
		if (rows[i].value)
			*rows[i].value = text + n;
		else if (rows[i].texts)
			add(rows[i].texts, text + n);
		else
			*rows[i].flag = true;
	}
}

static struct cprof_error *take_texts(const char *text, size_t n, struct cprof_spool_entry *entry)
{
	if (n && text[n - 1])
		return damaged("a text has no end");
	for (size_t at = 0; at < n; at += strlen(text + at) + 1)
		take_text(entry, text + at);
	if (!entry->url || !entry->kind)
		return damaged("where it was to go is missing");
	return NULL;
}

struct cprof_error *cprof_spool_entry_decode(const void *bytes, size_t n,
					     struct cprof_spool_entry *ret_entry)
{
	struct spool_head head;
	if (n < sizeof(head))
		return damaged("it is too short");
	memcpy(&head, bytes, sizeof(head));
	if (memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0 || head.version != VERSION)
		return damaged("it begins otherwise, or is of another version");
	const char *text = (const char *)bytes + sizeof(head);
	size_t left = n - sizeof(head);
	if (head.n_text > TEXT_MAX || head.n_text > left || head.n_body != left - head.n_text)
		return damaged("it has another size than it says");
	const char *body = text + head.n_text;
	if (head.checksum !=
	    cprof_hash_bytes_from(cprof_hash_bytes(text, head.n_text), body, head.n_body))
		return damaged("its checksum is another one");
	if (head.n_parts && head.parts_done > head.n_parts)
		return damaged("more parts have arrived than there are");
	struct cprof_spool_entry entry = {
		.backend = "auto",
		.body = body,
		.n_body = head.n_body,
		.parts_done = head.n_parts ? head.parts_done : 0,
		.n_parts = head.n_parts,
		.from_wall_ns = head.from_wall_ns,
		.until_wall_ns = head.until_wall_ns,
		.kept_wall_ns = head.kept_wall_ns,
		.kept_boot_ns = head.kept_boot_ns,
	};
	memcpy(entry.boot_id, head.boot_id, sizeof(entry.boot_id));
	struct cprof_error *err = take_texts(text, head.n_text, &entry);
	if (!err)
		*ret_entry = entry;
	return err;
}

struct cprof_error *cprof_spool_entry_mark(int fd, uint32_t parts_done, uint32_t n_parts)
{
	const uint32_t parts[] = { parts_done, n_parts };
	ssize_t put = pwrite(fd, parts, sizeof(parts), PARTS_AT);
	if (put == (ssize_t)sizeof(parts) && fdatasync(fd) == 0)
		return NULL;
	return cprof_error_os(put < 0 || put == (ssize_t)sizeof(parts) ? errno : EIO,
			      "cannot note which parts of a profile have arrived");
}
