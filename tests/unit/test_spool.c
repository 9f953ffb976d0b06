/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "convert/delivery/spool.h"
#include "convert/push/backoff.h"
#include "tests/unit/delivery_rig.h"
#include "tests/unit/test.h"

TEST(backoff_is_anywhere_between_nothing_and_a_cap_that_doubles_up_to_a_minute)
{
	struct rig_clock ctx = { 0 };
	struct cprof_clockwork clock = rig_clock(&ctx);
	static const uint64_t caps_ms[] = {
		500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000
	};
	for (unsigned i = 0; i < sizeof(caps_ms) / sizeof(caps_ms[0]); i++)
		CHECK_UINT(cprof_backoff_cap_ns(i + 1), caps_ms[i] * 1000000);
	ctx.chance = 0;
	CHECK_UINT(cprof_backoff_ns(&clock, 5, 0, 0), 0);
	ctx.chance = cprof_backoff_cap_ns(5);
	CHECK_UINT(cprof_backoff_ns(&clock, 5, 0, 0), cprof_backoff_cap_ns(5));
	/* What the server asks for comes first, up to a limit. */
	ctx.chance = 3;
	CHECK_UINT(cprof_backoff_ns(&clock, 1, 100, 1000), 103);
	CHECK_UINT(cprof_backoff_ns(&clock, 1, 5000, 1000), 1003);
	uint64_t low = UINT64_MAX, high = 0;
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t wait = cprof_backoff_ns(&cprof_clockwork_real, 8, 0, 0);
		low = wait < low ? wait : low;
		high = wait > high ? wait : high;
	}
	CHECK(low < 10 * CPROF_NS_PER_S && high > 50 * CPROF_NS_PER_S &&
	      high <= 60 * CPROF_NS_PER_S);
}

static struct cprof_spool_entry example(void)
{
	return (struct cprof_spool_entry){
		.url = "parca+grpcs://host/x",
		.logs_in = true,
		.backend = "auto",
		.service = "shop=a\nb",
		.kind = "cpu",
		.tenant = "t",
		.labels = { .items = { "env=prod", "a=b=c" }, .len = 2 },
		.found = { .items = { "hostname=h" }, .len = 1 },
		.from_wall_ns = 1,
		.until_wall_ns = 2,
		.kept_wall_ns = 3,
		.kept_boot_ns = 4,
		.boot_id = { 5 },
		.body = "profile",
		.n_body = 7,
	};
}

TEST(spool_entry_comes_back_as_it_was)
{
	const struct cprof_spool_entry want = example();
	struct cprof_spool_entry got;
	struct cprof_buffer bytes = { 0 };
	CHECK(!cprof_spool_entry_encode(&want, &bytes));
	CHECK(!cprof_spool_entry_decode(bytes.data, bytes.len, &got));
	CHECK_STR(got.url, want.url);
	CHECK_STR(got.service, want.service);
	CHECK_STR(got.kind, want.kind);
	CHECK_STR(got.tenant, want.tenant);
	CHECK(got.logs_in && !got.has_secrets);
	CHECK_UINT(got.labels.len, 2);
	CHECK_STR(got.labels.items[1], "a=b=c");
	CHECK_STR(got.found.items[0], "hostname=h");
	CHECK(got.from_wall_ns == 1 && got.until_wall_ns == 2 && got.kept_wall_ns == 3 &&
	      got.kept_boot_ns == 4 && got.boot_id[0] == 5);
	CHECK(got.n_body == 7 && memcmp(got.body, "profile", 7) == 0);
	cprof_buffer_deinit(&bytes);
}

TEST(spool_entry_that_is_cut_or_changed_anywhere_is_damaged)
{
	const struct cprof_spool_entry want = example();
	struct cprof_spool_entry got;
	struct cprof_buffer bytes = { 0 };
	CHECK(!cprof_spool_entry_encode(&want, &bytes));
	for (size_t n = 0; n < bytes.len; n++) {
		struct cprof_error *err = cprof_spool_entry_decode(bytes.data, n, &got);
		CHECK(err && err->code == CPROF_ERR_BAD_DATA);
		cprof_error_free(err);
	}
	const size_t head = 88;
	for (size_t i = head; i < bytes.len; i++) {
		bytes.data[i] ^= 1;
		struct cprof_error *err = cprof_spool_entry_decode(bytes.data, bytes.len, &got);
		CHECK(err && err->code == CPROF_ERR_BAD_DATA);
		cprof_error_free(err);
		bytes.data[i] ^= 1;
	}
	cprof_buffer_deinit(&bytes);
}

TEST(spool_file_has_no_secret_and_is_its_owners_alone)
{
	struct rig rig;
	rig_init(&rig);
	struct cprof_push push = rig_push(&rig, "http://me:hidden@h/?key=opensesame&a=b#frag", 0);
	push.auth = "me:topsecret";
	CHECK(!cprof_spool_put(&rig.spool, &push, NULL));
	struct cprof_state_files files = { 0 };
	CHECK(!cprof_spool_list(&rig.spool, &files));
	CHECK_UINT(files.len, 1);
	char path[512];
	struct stat st;
	snprintf(path, sizeof(path), "%s/%s", rig.dir, files.items[0].name);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
	CHECK(stat(rig.dir, &st) == 0 && (st.st_mode & 07777) == 0700);
	struct cprof_spool_ticket ticket;
	struct cprof_buffer bytes = { 0 };
	struct cprof_spool_entry entry;
	bool taken;
	CHECK(!cprof_spool_take(&rig.spool, files.items[0].name, &ticket, &bytes, &entry, &taken));
	CHECK(taken && entry.has_secrets && entry.logs_in);
	static const char *const secrets[] = { "hidden", "opensesame", "topsecret", "frag", "me:" };
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		CHECK(!memmem(bytes.data, bytes.len, secrets[i], strlen(secrets[i])));
	cprof_spool_release(&ticket);
	cprof_buffer_deinit(&bytes);
	cprof_state_files_deinit(&files);
	rig_deinit(&rig);
}

TEST(spool_server_is_told_by_kind_url_user_and_tenant_but_not_by_password)
{
	static const struct {
		const char *url, *auth, *tenant, *backend;
	} rows[] = {
		{ "http://h:1", NULL, NULL, "auto" },
		{ "http://h:1", "a:x", NULL, "auto" },
		{ "http://a:y@h:1", NULL, NULL, "auto" },
		{ "http://h:1", "token", NULL, "auto" },
		{ "http://h:1", NULL, "t", "auto" },
		{ "http://h:1?x=1", NULL, NULL, "auto" },
		{ "http://h:1", NULL, NULL, "raw" },
		{ "pyroscope+http://h:1", NULL, NULL, "auto" },
	};
	uint64_t servers[8];
	for (size_t i = 0; i < 8; i++) {
		const struct cprof_push push = { .url = rows[i].url,
						 .auth = rows[i].auth,
						 .tenant = rows[i].tenant,
						 .backend = rows[i].backend };
		CHECK(!cprof_spool_server_of(&push, &servers[i]));
	}
	CHECK(servers[0] == servers[3] && servers[0] == servers[7] && servers[1] == servers[2]);
	CHECK(servers[0] != servers[1] && servers[0] != servers[4] && servers[0] != servers[5] &&
	      servers[0] != servers[6]);
}

TEST(spool_drops_the_oldest_beyond_its_size_and_says_so)
{
	struct rig rig;
	rig_init(&rig);
	struct cprof_state_files files = { 0 };
	struct cprof_push push = rig_push(&rig, "raw+http://h", 0);
	CHECK(!cprof_spool_put(&rig.spool, &push, NULL));
	CHECK(!cprof_spool_list(&rig.spool, &files));
	rig.spool.bounds.bytes = 3 * files.items[0].size + 10;
	for (unsigned i = 1; i < 10; i++) {
		push = rig_push(&rig, "raw+http://h", i);
		CHECK(!cprof_spool_put(&rig.spool, &push, NULL));
	}
	cprof_state_files_deinit(&files);
	CHECK(!cprof_spool_list(&rig.spool, &files));
	CHECK_UINT(files.len, 3);
	CHECK(strncmp(files.items[0].name, "0000000000000008-", 17) == 0);
	CHECK_UINT(rig.counts.dropped[CPROF_DROPPED_NO_ROOM], 7);
	CHECK_UINT(rig.counts.waiting, 3);
	struct cprof_buffer line = { 0 };
	cprof_delivery_counts_say(&rig.counts, &line);
	CHECK_STR(cprof_buffer_text(&line), "profiles: 0 delivered, 3 wait, 7 dropped (7 no_room)");
	cprof_buffer_deinit(&line);
	cprof_state_files_deinit(&files);
	rig_deinit(&rig);
}

static size_t put_many(struct rig *rig, unsigned from, unsigned n)
{
	struct cprof_state_files files = { 0 };
	for (unsigned i = from; i < from + n; i++) {
		const struct cprof_push push = rig_push(rig, "raw+http://h", i);
		CHECK(!cprof_spool_put(&rig->spool, &push, NULL));
	}
	CHECK(!cprof_spool_list(&rig->spool, &files));
	const size_t len = files.len;
	cprof_state_files_deinit(&files);
	return len;
}

TEST(spool_that_is_full_is_not_looked_through_for_each_profile)
{
	struct rig rig;
	rig_init(&rig);
	CHECK_UINT(put_many(&rig, 0, 1), 1);
	rig.spool.bounds.bytes = rig.counts.waiting_bytes * 81 / 2;
	const size_t full = put_many(&rig, 1, 60);
	CHECK(full > 35 && full < 45); /* they do not compress to the same size */
	const unsigned puts = rig.spool.seen.puts;
	CHECK(puts > 10);
	CHECK_UINT(rig.counts.dropped[CPROF_DROPPED_NO_ROOM], 61 - full);
	/* Somebody delivers three quarters: the next ones need nobody's place. */
	struct cprof_state_files files = { 0 };
	CHECK(!cprof_spool_list(&rig.spool, &files));
	for (size_t i = full / 4; i < full; i++) {
		CHECK(cprof_state_dir_remove(&rig.spool.dir, files.items[i].name));
		rig.counts.delivered++;
	}
	cprof_state_files_deinit(&files);
	CHECK_UINT(put_many(&rig, 61, 10), full / 4 + 10);
	CHECK_UINT(rig.counts.dropped[CPROF_DROPPED_NO_ROOM], 61 - full);
	rig_deinit(&rig);
}

TEST(spool_profile_in_hand_is_nobody_elses)
{
	struct rig rig;
	rig_init(&rig);
	struct cprof_push push = rig_push(&rig, "raw+http://h", 0);
	struct cprof_spool_ticket ours, theirs;
	CHECK(!cprof_spool_put(&rig.spool, &push, &ours));
	struct cprof_buffer bytes = { 0 };
	struct cprof_spool_entry entry;
	bool taken;
	CHECK(!cprof_spool_take(&rig.spool, ours.name, &theirs, &bytes, &entry, &taken) && !taken);
	cprof_spool_release(&ours);
	CHECK(!cprof_spool_take(&rig.spool, ours.name, &theirs, &bytes, &entry, &taken) && taken);
	CHECK(!cprof_spool_entry_mark(theirs.fd, 2, 5));
	cprof_spool_release(&theirs);
	bytes.len = 0;
	CHECK(!cprof_spool_take(&rig.spool, ours.name, &theirs, &bytes, &entry, &taken) && taken);
	CHECK(entry.parts_done == 2 && entry.n_parts == 5);
	CHECK(cprof_spool_remove(&rig.spool, &theirs));
	CHECK(!cprof_spool_take(&rig.spool, ours.name, &theirs, &bytes, &entry, &taken) && !taken);
	cprof_buffer_deinit(&bytes);
	rig_deinit(&rig);
}

TEST(spool_age_does_not_jump_with_the_clock)
{
	struct rig rig;
	rig_init(&rig);
	struct cprof_push push = rig_push(&rig, "raw+http://h", 0);
	struct cprof_spool_ticket ticket;
	struct cprof_buffer bytes = { 0 };
	struct cprof_spool_entry entry;
	bool taken;
	CHECK(!cprof_spool_put(&rig.spool, &push, &ticket));
	cprof_spool_release(&ticket);
	CHECK(!cprof_spool_take(&rig.spool, ticket.name, &ticket, &bytes, &entry, &taken) && taken);
	rig_pass(&rig, 60);
	rig.clock_ctx.wall_ns += 86400 * CPROF_NS_PER_S; /* somebody sets the clock */
	CHECK_UINT(cprof_spool_age_ns(&rig.spool, &entry), 60 * CPROF_NS_PER_S);
	CHECK(cprof_spool_shift_ns(&rig.spool, &entry) == (int64_t)(86400 * CPROF_NS_PER_S));
	rig.clock_ctx.wall_ns -= 2 * 86400 * CPROF_NS_PER_S;
	CHECK_UINT(cprof_spool_age_ns(&rig.spool, &entry), 60 * CPROF_NS_PER_S);
	CHECK(cprof_spool_shift_ns(&rig.spool, &entry) == -(int64_t)(86400 * CPROF_NS_PER_S));
	entry.boot_id
		[0]++; /* the machine was started anew: only the other clock is left, and what lies ahead has no age */
	CHECK_UINT(cprof_spool_age_ns(&rig.spool, &entry), 0);
	rig.clock_ctx.wall_ns += 86400 * CPROF_NS_PER_S;
	CHECK_UINT(cprof_spool_age_ns(&rig.spool, &entry), 60 * CPROF_NS_PER_S);
	CHECK(cprof_spool_shift_ns(&rig.spool, &entry) == 0);
	cprof_spool_release(&ticket);
	cprof_buffer_deinit(&bytes);
	rig_deinit(&rig);
}

TEST(spool_directory_of_others_or_behind_a_link_is_refused)
{
	struct rig rig;
	rig_init(&rig);
	char path[512];
	struct cprof_spool other;
	CHECK(chmod(rig.dir, 0770) == 0);
	struct cprof_error *err = cprof_spool_open(rig.dir, NULL, &rig.clock, &rig.counts, &other);
	CHECK(err && err->code == CPROF_ERR_DENIED);
	cprof_error_free(err);
	CHECK(chmod(rig.dir, 0700) == 0);
	snprintf(path, sizeof(path), "%s.link", rig.dir);
	CHECK(symlink(rig.dir, path) == 0);
	err = cprof_spool_open(path, NULL, &rig.clock, &rig.counts, &other);
	CHECK(err);
	cprof_error_free(err);
	unlink(path);
	rig_deinit(&rig);
}
