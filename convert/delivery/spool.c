/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/delivery/spool.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "convert/push/push_profile.h"
#include "convert/push/push_url.h"
#include "cprof/hash.h"

#define SUFFIX         ".push"
#define NAME_BYTES     (16 + 1 + 16 + 1 + 8 + 5)
#define SHIFT_LEAST_NS ((int64_t)(60 * CPROF_NS_PER_S)) /* less is slewing, and nobody's concern */
#define LOOK_EVERY     64                               /* puts */
#define FULL_TRIES     64  /* how many of the oldest may go for one new */
#define OLDEST_MAX     256 /* whose names are remembered */

/* ---- open ---- */

/* "0d3c9a2e-...": 32 hex digits. Without /proc there is one boot for ever, of zeros. */
static void read_boot_id(uint8_t *id)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_error_free(cprof_file_read("/proc/sys/kernel/random/boot_id", 64, &text));
	unsigned nibbles = 0;
	memset(id, 0, 16);
	for (const char *at = cprof_buffer_text(&text); *at && nibbles < 32; at++) {
		if (!isxdigit((unsigned char)*at))
			continue;
		int digit = isdigit((unsigned char)*at) ? *at - '0' : (*at | 32) - 'a' + 10;
		id[nibbles / 2] = (uint8_t)(id[nibbles / 2] << 4 | digit);
		nibbles++;
	}
}

struct cprof_error *cprof_spool_open(const char *path, const struct cprof_spool_bounds *bounds,
				     const struct cprof_clockwork *clock,
				     struct cprof_delivery_counts *counts,
				     struct cprof_spool *ret_spool)
{
	CPROF_AUTO(free) char *usual = path ? NULL : cprof_state_dir_default("spool");
	struct cprof_spool spool = { .clock = clock, .counts = counts };
	if (!path && !usual)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "there is no directory of ours in which profiles could wait "
				       "for their server");
	struct cprof_error *err = cprof_state_dir_open(path ? path : usual, &spool.dir);
	if (err)
		return err;
	spool.bounds.bytes = bounds && bounds->bytes ? bounds->bytes : CPROF_SPOOL_BYTES_DEFAULT;
	spool.bounds.age_ns =
		bounds && bounds->age_ns ? bounds->age_ns : CPROF_SPOOL_AGE_NS_DEFAULT;
	read_boot_id(spool.boot_id);
	*ret_spool = spool;
	return NULL;
}

void cprof_spool_deinit(struct cprof_spool *spool)
{
	cprof_state_dir_deinit(&spool->dir);
	cprof_state_files_deinit(&spool->seen.oldest);
}

void cprof_spool_drop(struct cprof_spool *spool, enum cprof_dropped reason)
{
	atomic_fetch_add_explicit(&spool->counts->dropped[reason], 1, memory_order_relaxed);
}

/* ---- which server ---- */

/* `url` without user, password and fragment; *ret_user what was before the colon. */
static void put_without_user(const char *url, struct cprof_buffer *out, struct cprof_buffer *user)
{
	const char *scheme = strstr(url, "://");
	const char *rest = scheme ? scheme + 3 : url;
	const char *at = memrchr(rest, '@', strcspn(rest, "/?#"));
	const char *host = at ? at + 1 : rest;
	cprof_buffer_append(out, url, (size_t)(rest - url));
	cprof_buffer_append(out, host, strcspn(host, "#"));
	if (at)
		cprof_buffer_append(user, rest, strcspn(rest, ":@"));
}

static uint64_t mix_text(uint64_t hash, const char *text, size_t n)
{
	return cprof_hash_mix(hash, cprof_hash_bytes(text, n));
}

struct cprof_error *cprof_spool_server_of(const struct cprof_push *push, uint64_t *ret_server)
{
	const struct cprof_push_backend *backend;
	CPROF_AUTO(buffer) struct cprof_buffer plain = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer url = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer user = { 0 };
	struct cprof_error *err = cprof_push_url_read(push->url, push->backend, &backend, &plain);
	if (err)
		return err;
	put_without_user(cprof_buffer_text(&plain), &url, &user);
	if (!user.len && push->auth && strchr(push->auth, ':'))
		cprof_buffer_append(&user, push->auth, strcspn(push->auth, ":"));
	url.failed = url.failed || user.failed;
	const char *tenant = push->tenant ? push->tenant : "";
	uint64_t hash = mix_text(0, backend->name, strlen(backend->name));
	hash = mix_text(hash, cprof_buffer_text(&url), url.len);
	hash = mix_text(hash, cprof_buffer_text(&user), user.len);
	*ret_server = mix_text(hash, tenant, strlen(tenant));
	return cprof_buffer_error(&url);
}

uint64_t cprof_spool_server_in(const char *name)
{
	return strlen(name) == NAME_BYTES ? strtoull(name + 17, NULL, 16) : 0;
}

bool cprof_spool_is_for(const char *name, uint64_t server)
{
	return strlen(name) == NAME_BYTES && cprof_spool_server_in(name) == server;
}

/* ---- put ---- */

static void copy_texts(struct cprof_spool_texts *texts, const char *const *from, size_t n)
{
	for (size_t i = 0; i < n && texts->len < CPROF_SPOOL_LABELS_MAX; i++)
		texts->items[texts->len++] = from[i];
}

static struct cprof_error *encode(const struct cprof_spool *spool, const struct cprof_push *push,
				  struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer url = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer user = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer shown = { 0 };
	put_without_user(push->url, &url, &user);
	cprof_secret_put_url(cprof_buffer_text(&url), &shown);
	shown.failed = shown.failed || url.failed;
	struct cprof_error *err = cprof_buffer_error(&shown);
	if (err)
		return err;
	struct cprof_spool_entry entry = {
		.url = cprof_buffer_text(&shown),
		.has_secrets = strcmp(cprof_buffer_text(&url), cprof_buffer_text(&shown)) != 0,
		.logs_in = push->auth || user.len,
		.backend = push->backend,
		.service = push->service,
		.kind = push->kind ? push->kind : cprof_push_profile_kind(push->profile, NULL),
		.tenant = push->tenant,
		.from_wall_ns = push->from_wall_ns,
		.until_wall_ns = push->until_wall_ns,
		.kept_wall_ns = spool->clock->wall_ns(spool->clock->ctx),
		.kept_boot_ns = spool->clock->boot_ns(spool->clock->ctx),
		.body = push->body,
		.n_body = push->n_body,
	};
	copy_texts(&entry.labels, push->labels, push->n_labels);
	copy_texts(&entry.found, push->found, push->n_found);
	memcpy(entry.boot_id, spool->boot_id, sizeof(entry.boot_id));
	return cprof_spool_entry_encode(&entry, out);
}

/* One of the oldest that nobody has in hand leaves, or has left already. False: there is none. `bytes` is what they have together. */
static bool drop_oldest(struct cprof_spool *spool, const struct cprof_state_files *files,
			size_t *at, uint64_t *bytes)
{
	while (*at < files->len) {
		const struct cprof_state_file *file = &files->items[(*at)++];
		struct cprof_spool_ticket ticket = { .fd = -1 };
		snprintf(ticket.name, sizeof(ticket.name), "%s", file->name);
		ticket.fd = cprof_state_dir_claim(&spool->dir, ticket.name);
		bool has_left = ticket.fd < 0 && errno == ENOENT;
		bool dropped = ticket.fd >= 0 && cprof_spool_remove(spool, &ticket);
		if (dropped)
			cprof_spool_drop(spool, CPROF_DROPPED_NO_ROOM);
		if (has_left || dropped) {
			*bytes -= file->size < *bytes ? file->size : *bytes;
			return true;
		}
	}
	return false;
}

static bool is_full(const struct cprof_error *err)
{
	return err->os_errno == ENOSPC || err->os_errno == EDQUOT;
}

static uint64_t bytes_of(const struct cprof_state_files *files)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < files->len; i++)
		bytes += files->items[i].size;
	return bytes;
}

/* The next few that would have to go: a full spool may have many thousands. */
static void keep_oldest(struct cprof_state_files *files)
{
	if (files->len <= OLDEST_MAX)
		return;
	files->len = OLDEST_MAX;
	void *few = realloc(files->items, OLDEST_MAX * sizeof(*files->items));
	if (!few)
		return;
	files->items = few;
	files->cap = OLDEST_MAX;
}

static struct cprof_error *look(struct cprof_spool *spool)
{
	struct cprof_state_files *files = &spool->seen.oldest;
	files->len = spool->seen.first = 0;
	spool->seen.known = false;
	spool->seen.settled = cprof_delivery_counts_settled(spool->counts);
	struct cprof_error *err = cprof_spool_list(spool, files);
	if (err)
		return err;
	uint64_t last = files->len ? strtoull(files->items[files->len - 1].name, NULL, 16) : 0;
	spool->seen.turn = last > spool->seen.turn ? last : spool->seen.turn;
	spool->seen.bytes = bytes_of(files);
	spool->seen.puts = 0;
	spool->seen.known = true;
	keep_oldest(files);
	return NULL;
}

static bool drop_seen(struct cprof_spool *spool)
{
	return drop_oldest(spool, &spool->seen.oldest, &spool->seen.first, &spool->seen.bytes);
}

/* Where the disk has less room than the bound says, the oldest give way to the new one as well. */
static struct cprof_error *put_on_full_disk(struct cprof_spool *spool, const char *name,
					    const struct cprof_buffer *bytes, int *ret_fd)
{
	/* What was seen has been delivered meanwhile: names of nothing would use up the tries. */
	if (!spool->seen.known ||
	    spool->seen.settled != cprof_delivery_counts_settled(spool->counts))
		cprof_error_free(look(spool));
	for (unsigned tries = 0;; tries++) {
		struct cprof_error *err =
			cprof_state_dir_put(&spool->dir, name, bytes->data, bytes->len, ret_fd);
		if (!err || !is_full(err) || tries == FULL_TRIES)
			return err;
		if (!drop_seen(spool)) {
			cprof_error_free(look(spool));
			if (!drop_seen(spool))
				return err;
		}
		cprof_error_free(err);
	}
}

/*
 * Our own bound. Looks at the others where that is not known to be far, and now and then, because others put as well. Once full,
 * the oldest that were seen go one after the other, as long as nobody delivers: who does makes room, perhaps behind them.
 */
static struct cprof_error *make_room(struct cprof_spool *spool, size_t n)
{
	const bool recent = spool->seen.known && spool->seen.puts < LOOK_EVERY;
	if (recent && spool->seen.bytes + n <= spool->bounds.bytes)
		return NULL;
	bool looked =
		!recent || spool->seen.settled != cprof_delivery_counts_settled(spool->counts);
	struct cprof_error *err = looked ? look(spool) : NULL;
	while (!err && spool->seen.bytes + n > spool->bounds.bytes) {
		if (drop_seen(spool)) {
			looked = false;
		} else if (looked) {
			break;
		} else {
			err = look(spool);
			looked = true;
		}
	}
	return err;
}

struct cprof_error *cprof_spool_put(struct cprof_spool *spool, const struct cprof_push *push,
				    struct cprof_spool_ticket *ret_ticket)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_spool_ticket ticket = { .fd = -1 };
	uint64_t server;
	struct cprof_error *err = cprof_spool_server_of(push, &server);
	if (!err)
		err = encode(spool, push, &bytes);
	if (!err && bytes.len > spool->bounds.bytes)
		err = cprof_error_new(CPROF_ERR_UNSUPPORTED,
				      "the profile is larger than all that may wait in %s",
				      spool->dir.path);
	if (!err)
		err = make_room(spool, bytes.len);
	if (err)
		return err;
	/* Behind the last one. Two who choose the same turn at once have it together. */
	snprintf(ticket.name, sizeof(ticket.name), "%016" PRIx64 "-%016" PRIx64 "-%08x" SUFFIX,
		 ++spool->seen.turn, server, (unsigned)spool->clock->chance(spool->clock->ctx));
	err = cprof_state_dir_put(&spool->dir, ticket.name, bytes.data, bytes.len, &ticket.fd);
	if (err && is_full(err)) {
		cprof_error_free(err);
		err = put_on_full_disk(spool, ticket.name, &bytes, &ticket.fd);
	}
	if (err)
		return err;
	spool->seen.bytes += bytes.len;
	spool->seen.puts++;
	atomic_fetch_add_explicit(&spool->counts->kept, 1, memory_order_relaxed);
	if (ret_ticket)
		*ret_ticket = ticket;
	else
		cprof_spool_release(&ticket);
	return NULL;
}

/* ---- take ---- */

struct cprof_error *cprof_spool_list(struct cprof_spool *spool, struct cprof_state_files *files)
{
	size_t at = 0;
	struct cprof_error *err = cprof_state_dir_list(&spool->dir, SUFFIX, files);
	if (err)
		return err;
	uint64_t bytes = bytes_of(files);
	while (bytes > spool->bounds.bytes && drop_oldest(spool, files, &at, &bytes))
		;
	if (at)
		memmove(files->items, files->items + at, (files->len - at) * sizeof(*files->items));
	files->len -= at;
	atomic_store_explicit(&spool->counts->waiting, files->len, memory_order_relaxed);
	atomic_store_explicit(&spool->counts->waiting_bytes, bytes, memory_order_relaxed);
	return NULL;
}

static struct cprof_error *read_entry(int fd, const char *name, struct cprof_buffer *bytes,
				      struct cprof_spool_entry *ret_entry)
{
	struct cprof_error *err = cprof_file_read_fd(fd, name, CPROF_SPOOL_ENTRY_MAX, bytes);
	return err ? err : cprof_spool_entry_decode(bytes->data, bytes->len, ret_entry);
}

struct cprof_error *cprof_spool_take(struct cprof_spool *spool, const char *name,
				     struct cprof_spool_ticket *ret_ticket,
				     struct cprof_buffer *bytes,
				     struct cprof_spool_entry *ret_entry, bool *ret_taken)
{
	struct cprof_spool_ticket ticket = { .fd = -1 };
	*ret_taken = false;
	snprintf(ticket.name, sizeof(ticket.name), "%s", name);
	ticket.fd = cprof_state_dir_claim(&spool->dir, name);
	if (ticket.fd < 0)
		return NULL;
	struct cprof_error *err = read_entry(ticket.fd, name, bytes, ret_entry);
	if (!err) {
		*ret_taken = true;
		*ret_ticket = ticket;
		return NULL;
	}
	/* A disk that cannot be read now may be read later. */
	if (err->code != CPROF_ERR_BAD_DATA) {
		cprof_spool_release(&ticket);
		bool memory = err->code == CPROF_ERR_NO_MEMORY;
		if (!memory)
			cprof_error_free(err);
		return memory ? err : NULL;
	}
	if (spool->only_looks) {
		cprof_spool_release(&ticket);
		return err;
	}
	cprof_error_free(err);
	if (cprof_spool_remove(spool, &ticket))
		cprof_spool_drop(spool, CPROF_DROPPED_DAMAGED);
	return NULL;
}

void cprof_spool_release(struct cprof_spool_ticket *ticket)
{
	cprof_auto_close(&ticket->fd);
	ticket->fd = -1;
}

bool cprof_spool_remove(struct cprof_spool *spool, struct cprof_spool_ticket *ticket)
{
	bool removed = cprof_state_dir_remove(&spool->dir, ticket->name);
	cprof_spool_release(ticket);
	return removed;
}

/* ---- time ---- */

static bool is_of_this_boot(const struct cprof_spool *spool, const struct cprof_spool_entry *entry)
{
	return memcmp(spool->boot_id, entry->boot_id, sizeof(entry->boot_id)) == 0 &&
	       entry->kept_boot_ns <= spool->clock->boot_ns(spool->clock->ctx);
}

uint64_t cprof_spool_age_ns(const struct cprof_spool *spool, const struct cprof_spool_entry *entry)
{
	uint64_t wall_ns = spool->clock->wall_ns(spool->clock->ctx);
	if (is_of_this_boot(spool, entry))
		return spool->clock->boot_ns(spool->clock->ctx) - entry->kept_boot_ns;
	return wall_ns > entry->kept_wall_ns ? wall_ns - entry->kept_wall_ns : 0;
}

int64_t cprof_spool_shift_ns(const struct cprof_spool *spool, const struct cprof_spool_entry *entry)
{
	if (!is_of_this_boot(spool, entry))
		return 0;
	uint64_t should_be_ns =
		spool->clock->wall_ns(spool->clock->ctx) - cprof_spool_age_ns(spool, entry);
	int64_t shift_ns = (int64_t)(should_be_ns - entry->kept_wall_ns);
	return shift_ns > SHIFT_LEAST_NS || shift_ns < -SHIFT_LEAST_NS ? shift_ns : 0;
}
