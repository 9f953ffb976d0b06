/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/cli/cmd_push_spool.c - what waits in a spool, sent by hand: cprof -push-spool DIR [-push URL].
 *
 * Where each profile goes is written in the spool, but for what is secret in a URL; what to log in with comes from where it
 * does for -push, and goes only to servers that were logged in to when the profile was kept. Order, age and what becomes of
 * a profile after each answer are the matter of convert/delivery/.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/printable_text.h"
#include "base/secret.h"
#include "convert/cli/commands.h"
#include "convert/delivery/drain.h"
#include "convert/push/push_environment.h"

#define TRIES      3
#define LONGEST_NS (3600 * CPROF_NS_PER_S)

static bool wanted(const struct cprof_options *options)
{
	return options->push.spool && *options->push.spool;
}

static void say(void *ctx, const char *line)
{
	(void)ctx;
	cprof_printable_printf(stderr, "%s\n", line);
}

/* The servers for which something waits, each once, in the order of the first that waits for it. */
struct servers {
	struct waiting {
		uint64_t server, n;
	} * items;
	size_t len, cap;
};

static void auto_servers(struct servers *servers)
{
	free(servers->items);
}
#define cprof_auto_servers auto_servers

static struct cprof_error *find_servers(const struct cprof_state_files *files,
					struct servers *servers)
{
	for (size_t i = 0; i < files->len; i++) {
		uint64_t server = cprof_spool_server_in(files->items[i].name);
		size_t at = 0;
		while (at < servers->len && servers->items[at].server != server)
			at++;
		if (at == servers->len) {
			if (!CPROF_ARRAY_ROOM(servers->items, servers->len, servers->cap, 1))
				return cprof_error_no_memory();
			servers->items[servers->len++] = (struct waiting){ .server = server };
		}
		servers->items[at].n++;
	}
	return NULL;
}

/* Everything that a destination points to. */
struct destination_texts {
	struct cprof_buffer url, theirs;
	char *backend, *tenant, *auth; /* owned */
};

static void auto_texts(struct destination_texts *texts)
{
	cprof_buffer_deinit(&texts->url);
	cprof_buffer_deinit(&texts->theirs);
	free(texts->backend);
	free(texts->tenant);
	free(texts->auth);
}
#define cprof_auto_texts auto_texts

static struct cprof_error *find_auth(const struct cprof_options *options,
				     struct destination_texts *texts, const char **ret_auth)
{
	struct cprof_error *err =
		options->auth ? NULL : cprof_secret_read(NULL, "CPROF_PUSH_AUTH", &texts->auth);
	if (!err && !options->auth && !texts->auth)
		cprof_push_environment_auth(cprof_buffer_text(&texts->url), texts->backend,
					    &texts->theirs, NULL);
	*ret_auth = options->auth       ? options->auth
		    : texts->auth       ? texts->auth
		    : texts->theirs.len ? cprof_buffer_text(&texts->theirs)
					: NULL;
	return err;
}

static struct cprof_error *copy_entry(const struct cprof_spool_entry *entry,
				      struct destination_texts *texts)
{
	cprof_buffer_puts(&texts->url, entry->url);
	texts->backend = strdup(entry->backend);
	texts->tenant = strdup(entry->tenant ? entry->tenant : "");
	return texts->backend && texts->tenant ? cprof_buffer_error(&texts->url)
					       : cprof_error_no_memory();
}

/* One profile for that server: the first that can be read. *ret_taken false: there is none, or others have them in hand. */
static struct cprof_error *take_one(struct cprof_spool *spool,
				    const struct cprof_state_files *files, uint64_t server,
				    struct cprof_buffer *bytes, struct cprof_spool_entry *ret_entry,
				    bool *ret_taken)
{
	struct cprof_error *err = NULL;
	*ret_taken = false;
	for (size_t i = 0; i < files->len && !err && !*ret_taken; i++) {
		struct cprof_spool_ticket ticket = { .fd = -1 };
		if (!cprof_spool_is_for(files->items[i].name, server))
			continue;
		bytes->len = 0;
		err = cprof_spool_take(spool, files->items[i].name, &ticket, bytes, ret_entry,
				       ret_taken);
		cprof_spool_release(&ticket);
	}
	return err;
}

/* What a profile says of its server. *ret_logs_in: something is to be sent to log in with. */
static struct cprof_error *read_server(struct cprof_spool *spool,
				       const struct cprof_state_files *files,
				       const struct waiting *waiting,
				       struct destination_texts *texts, bool *ret_known,
				       bool *ret_logs_in)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_spool_entry entry;
	bool taken;
	struct cprof_error *err = take_one(spool, files, waiting->server, &bytes, &entry, &taken);
	*ret_known = false;
	if (err || !taken)
		return err;
	err = copy_entry(&entry, texts);
	*ret_logs_in = entry.logs_in;
	*ret_known = !entry.has_secrets;
	if (entry.has_secrets)
		cprof_printable_printf(stderr,
				       "%" PRIu64 " for %s: the URL had something secret in it; "
				       "say it again with -push URL\n",
				       waiting->n, entry.url);
	return err;
}

static struct cprof_push base_push(const struct cprof_options *options, const struct cprof_tls *tls)
{
	return (struct cprof_push){
		.how_to_log_in =
			"write USER:PASSWORD or a token into a file that only you can read "
			"and name it with -auth_file, or set CPROF_PUSH_AUTH",
		.open_auth = options->push.insecure_auth,
		.tenant = options->push.tenant,
		.tls = tls,
	};
}

static struct cprof_error *drain_server(const struct cprof_options *options,
					struct cprof_spool *spool, const struct cprof_push *push,
					uint64_t server)
{
	struct cprof_destination destination;
	struct cprof_drain drain = { .spool = spool,
				     .override_time = options->push.override_time,
				     .say = say };
	struct cprof_error *err = cprof_push_check(push);
	if (!err)
		err = cprof_destination_init(push, &destination);
	if (err)
		return err;
	destination.server = server;
	err = cprof_drain_all(&drain, &destination, TRIES,
			      spool->clock->boot_ns(spool->clock->ctx) + LONGEST_NS);
	cprof_destination_deinit(&destination);
	return err;
}

static struct cprof_error *send_stored(const struct cprof_options *options,
				       struct cprof_spool *spool,
				       const struct cprof_state_files *files,
				       const struct waiting *waiting)
{
	CPROF_AUTO(texts) struct destination_texts texts = { 0 };
	struct cprof_tls tls = cprof_command_tls(options);
	struct cprof_push push = base_push(options, &tls);
	bool known, logs_in;
	struct cprof_error *err = read_server(spool, files, waiting, &texts, &known, &logs_in);
	if (err || !known)
		return err;
	if (logs_in)
		err = find_auth(options, &texts, &push.auth);
	push.url = cprof_buffer_text(&texts.url);
	push.backend = texts.backend;
	push.tenant = texts.tenant;
	cprof_push_environment_tls(push.url, push.backend, &tls);
	return err ? err : drain_server(options, spool, &push, waiting->server);
}

/* Only for the server that the user names. */
static struct cprof_error *send_named(const struct cprof_options *options,
				      struct cprof_spool *spool, const struct servers *servers)
{
	CPROF_AUTO(texts) struct destination_texts texts = { 0 };
	struct cprof_tls tls = cprof_command_tls(options);
	struct cprof_push push = base_push(options, &tls);
	uint64_t server;
	struct cprof_error *err = cprof_push_environment_url(options->push.url, &texts.url);
	if (!err)
		err = find_auth(options, &texts, &push.auth);
	push.url = cprof_buffer_text(&texts.url);
	cprof_push_environment_tls(push.url, NULL, &tls);
	if (!err)
		err = cprof_spool_server_of(&push, &server);
	for (size_t i = 0; i < servers->len && !err; i++) {
		if (servers->items[i].server == server)
			return drain_server(options, spool, &push, server);
	}
	return err ? cprof_error_wrap(err, "-push")
		   : cprof_error_hint(
			     cprof_error_new(CPROF_ERR_USAGE,
					     "nothing waits in %s for this server, user and tenant",
					     spool->dir.path),
			     "cprof -push-spool %s -dry-run lists what waits there",
			     spool->dir.path);
}

/* ---- what waits ---- */

static void print_entry(const struct cprof_spool *spool, const struct cprof_spool_entry *entry)
{
	CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
	cprof_buffer_printf(&line, "%s %s of %s, for %" PRIu64 " s", entry->url, entry->kind,
			    entry->service ? entry->service : "unknown",
			    (uint64_t)(cprof_spool_age_ns(spool, entry) / CPROF_NS_PER_S));
	if (entry->parts_done)
		cprof_buffer_printf(&line, ", %" PRIu32 " of %" PRIu32 " parts have arrived",
				    entry->parts_done, entry->n_parts);
	cprof_buffer_putc(&line, '\n');
	cprof_printable_write(stdout, cprof_buffer_text(&line), line.len);
}

static struct cprof_error *print_all(struct cprof_spool *spool,
				     const struct cprof_state_files *files)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; i < files->len && !err; i++) {
		CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
		struct cprof_spool_ticket ticket = { .fd = -1 };
		struct cprof_spool_entry entry;
		bool taken;
		err = cprof_spool_take(spool, files->items[i].name, &ticket, &bytes, &entry,
				       &taken);
		if (!err && taken)
			print_entry(spool, &entry);
		if (err && err->code == CPROF_ERR_BAD_DATA) {
			say(NULL, err->message);
			cprof_error_free(err);
			err = NULL;
		}
		cprof_spool_release(&ticket);
	}
	return err;
}

/* ---- all of it ---- */

/* What is wrong with one server keeps nothing from the others: the first such error is that of all, later ones are lines. */
static struct cprof_error *send_all(const struct cprof_options *options, struct cprof_spool *spool,
				    const struct cprof_state_files *files)
{
	CPROF_AUTO(servers) struct servers servers = { 0 };
	struct cprof_error *first = find_servers(files, &servers);
	if (first)
		return first;
	if (*options->push.url)
		return send_named(options, spool, &servers);
	for (size_t i = 0; i < servers.len; i++) {
		struct cprof_error *err = send_stored(options, spool, files, &servers.items[i]);
		if (err && first) {
			say(NULL, err->message);
			cprof_error_free(err);
		} else if (err) {
			first = err;
		}
	}
	return first;
}

static struct cprof_error *tell(struct cprof_spool *spool)
{
	CPROF_AUTO(state_files) struct cprof_state_files left = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
	const uint64_t damaged = spool->counts->dropped[CPROF_DROPPED_DAMAGED];
	struct cprof_error *err = cprof_spool_list(spool, &left);
	cprof_delivery_counts_say(spool->counts, &line);
	say(NULL, line.len ? cprof_buffer_text(&line) : "nothing waits there");
	if (!err && left.len)
		err = cprof_error_new(CPROF_ERR_UNDELIVERED, "%zu %s in %s", left.len,
				      left.len == 1 ? "profile waits still" : "profiles wait still",
				      spool->dir.path);
	if (!err && damaged)
		err = cprof_error_new(CPROF_ERR_UNDELIVERED, "%" PRIu64 " damaged %s given up",
				      damaged, damaged == 1 ? "profile was" : "profiles were");
	return err;
}

/* The numbers are told also where something went wrong. */
static struct cprof_error *send_and_tell(const struct cprof_options *options,
					 struct cprof_spool *spool,
					 const struct cprof_state_files *files)
{
	struct cprof_error *err = send_all(options, spool, files);
	if (err && err->code == CPROF_ERR_USAGE && *options->push.url)
		return err;
	struct cprof_error *left = tell(spool);
	if (!err)
		return left;
	cprof_error_free(left);
	return err;
}

static struct cprof_error *run(struct cprof_options *options, struct cprof_profile *profile)
{
	(void)profile;
	CPROF_AUTO(state_files) struct cprof_state_files files = { 0 };
	struct cprof_delivery_counts counts = { 0 };
	const struct cprof_spool_bounds bounds = { .age_ns = UINT64_MAX, .bytes = UINT64_MAX };
	struct cprof_spool spool;
	bool usual = strcmp(options->push.spool, "default") == 0;
	CPROF_AUTO(free)
	char *dir = usual ? cprof_state_dir_default("spool") : strdup(options->push.spool);
	if (!dir || access(dir, F_OK) != 0)
		return cprof_error_new(CPROF_ERR_USAGE, "-push-spool: there is no directory %s",
				       dir ? dir : "of that kind");
	struct cprof_error *err =
		cprof_spool_open(dir, &bounds, &cprof_clockwork_real, &counts, &spool);
	if (err)
		return cprof_error_wrap(err, "-push-spool");
	spool.only_looks = options->push.dry_run;
	err = cprof_spool_list(&spool, &files);
	if (!err && options->push.dry_run)
		err = print_all(&spool, &files);
	else if (!err)
		err = send_and_tell(options, &spool, &files);
	cprof_spool_deinit(&spool);
	return err;
}

const struct cprof_command cprof_command_push_spool = { .name = "push-spool",
							.wanted = wanted,
							.run = run };
