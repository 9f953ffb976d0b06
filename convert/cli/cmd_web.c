/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/cli/cmd_web.c - cprof -http: profiles in a browser.
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/printable_text.h"
#include "base/secret.h"
#include "convert/cli/commands.h"
#include "convert/net/fetch.h"
#include "convert/output/graphviz.h"
#include "convert/web/web_server.h"

#define MOST_KINDS    32u
#define INDEX_SECONDS 5

/* Sources that are on a server can be recorded again. */
struct live {
	struct cprof_options *options;
	char *kinds[MOST_KINDS + 1]; /* owned; profiles that the server offers, ended by NULL */
	size_t n_kinds;
};

static bool wants_web(const struct cprof_options *options)
{
	return *options->web.http != 0;
}

/* What people know them by: the file's name, the URL without what is secret in it. */
static void put_name(const struct cprof_strings *sources, struct cprof_buffer *out)
{
	const char *first = sources->items[0];
	if (strstr(first, "://"))
		cprof_secret_put_url(first, out);
	else
		cprof_buffer_puts(out, cprof_path_base(first));
	if (sources->len > 1)
		cprof_buffer_printf(out, " and %zu more", sources->len - 1);
}

static struct cprof_error *add(struct cprof_options *options, struct cprof_web *web,
			       const struct cprof_strings *sources, bool is_base)
{
	CPROF_AUTO(buffer) struct cprof_buffer name = { 0 };
	struct cprof_profile *profile;
	struct cprof_error *err = cprof_command_load(options, sources, NULL, &profile);
	if (err)
		return err;
	put_name(sources, &name);
	return cprof_web_add(web, profile, cprof_buffer_text(&name), is_base);
}

static void show(void *ctx, const char *url)
{
	const struct cprof_options *options = ctx;
	cprof_printable_printf(stderr, "Serving web UI on %s\n", url);
	if (options->web.no_browser || strncmp(url, "http", 4) != 0)
		return;
	struct cprof_error *err = cprof_graphviz_show("web", url, false);
	if (err) /* whoever wants to look can type it in */
		cprof_printable_printf(stderr, "cprof: %s; open it by hand\n", err->message);
	cprof_error_free(err);
}

/* What ends it, instead of the signals' own ways. */
static struct cprof_error *take_signals(int *ret_fd)
{
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	*ret_fd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret_fd < 0 ? cprof_error_os(errno, "signalfd") : NULL;
}

static struct cprof_error *serve(struct cprof_options *options, struct cprof_web *web,
				 struct cprof_web_server_options *server)
{
	const struct cprof_strings *bases =
		options->diff_bases.len ? &options->diff_bases : &options->bases;
	struct cprof_error *err = add(options, web, &options->sources, false);
	if (!err && bases->len)
		err = add(options, web, bases, true);
	if (!err)
		err = take_signals(&server->stop_fd);
	if (!err)
		err = cprof_web_server_run(web, server);
	if (server->stop_fd >= 0)
		close(server->stop_fd);
	return err;
}

/* ---- recording again ---- */

static const char index_path[] = "/debug/pprof/";

/* The first source that is a URL, as it is asked for; false: there is none. */
static bool first_url(const struct cprof_options *options, struct cprof_source_url *ret)
{
	for (size_t i = 0; i < options->sources.len; i++) {
		if (cprof_source_url_read(options->sources.items[i], 0, 0, ret))
			return true;
	}
	return false;
}

/* The index beside the first URL, as it is asked for: who need not prove who he is need not for this either. False: it has none. */
static bool index_url(const struct cprof_options *options, struct cprof_buffer *ret)
{
	static const char https[] = "https", insecure[] = "https+insecure";
	struct cprof_source_url url = { 0 };
	const bool found = first_url(options, &url);
	const char *text = cprof_buffer_text(&url.text),
		   *path = found ? strstr(text, index_path) : NULL;
	if (path) {
		const char *end = path + strlen(index_path);
		const char *begin = url.insecure ? text + strlen(https) : text;
		cprof_buffer_puts(ret, url.insecure ? insecure : "");
		cprof_buffer_append(ret, begin, (size_t)(end - begin));
	}
	cprof_buffer_deinit(&url.text);
	return path != NULL;
}

/* The sources once more; or `what`, another profile of the server that the first of them is from. */
static struct cprof_error *record(void *ctx, const char *what, int64_t seconds,
				  struct cprof_profile **ret_profile)
{
	struct live *live = ctx;
	struct cprof_options options = *live->options;
	CPROF_AUTO(buffer) struct cprof_buffer url = { 0 };
	struct cprof_strings one = { 0 };
	struct cprof_error *err = NULL;
	const bool takes_time = !*what || strcmp(what, "profile") == 0;
	options.seconds = !takes_time ? -1 : seconds > 0 ? seconds : options.seconds;
	if (*what && index_url(&options, &url)) {
		cprof_buffer_puts(&url, what);
		err = cprof_strings_add(&one, cprof_buffer_text(&url));
	}
	if (!err)
		err = cprof_command_load(&options, one.len ? &one : &options.sources, NULL,
					 ret_profile);
	cprof_strings_deinit(&one);
	return err;
}

static bool is_profile(const char *name)
{
	static const char *const others[] = { "cmdline", "symbol", "trace" };
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (strcmp(name, others[i]) == 0)
			return false;
	}
	return *name != 0;
}

static bool has_kind(const struct live *live, const char *name)
{
	for (size_t i = 0; i < live->n_kinds; i++) {
		if (strcmp(live->kinds[i], name) == 0)
			return true;
	}
	return false;
}

static void add_kind(struct live *live, const char *name, size_t n)
{
	CPROF_AUTO(free) char *copy = strndup(name, n);
	if (copy && live->n_kinds < MOST_KINDS && is_profile(copy) && !has_kind(live, copy))
		live->kinds[live->n_kinds++] = cprof_take_ptr(&copy);
}

/* What the index of a server links to as NAME?debug=1. */
static void read_index(struct live *live, const char *page)
{
	for (const char *at = page; (at = strstr(at, "?debug=")); at++) {
		const char *begin = at;
		while (begin > page && (isalnum((unsigned char)begin[-1]) || begin[-1] == '_'))
			begin--;
		add_kind(live, begin, (size_t)(at - begin));
	}
}

/* An index that is not there is nothing that anybody has to know of. */
static void say_nothing(void *ctx, const char *line)
{
	(void)ctx, (void)line;
}

/* Which profiles the server offers. Where it does not say, there is no menu of them. */
static void find_kinds(struct live *live)
{
	CPROF_AUTO(buffer) struct cprof_buffer url = { 0 };
	struct cprof_strings one = { 0 };
	struct cprof_fetch *fetches = NULL;
	struct cprof_error *err = NULL;
	if (!index_url(live->options, &url))
		return;
	err = cprof_strings_add(&one, cprof_buffer_text(&url));
	const struct cprof_fetch_request request = { .names = &one,
						     .seconds = -1,
						     .timeout_s = INDEX_SECONDS,
						     .tls = cprof_command_tls(live->options),
						     .say = { .line = say_nothing } };
	if (!err)
		err = cprof_fetch_all(&request, &fetches);
	if (!err && fetches[0].is_url && !fetches[0].err)
		read_index(live, cprof_buffer_text(&fetches[0].bytes));
	cprof_error_free(err);
	cprof_fetch_free(fetches, one.len);
	cprof_strings_deinit(&one);
}

static struct cprof_error *run_web(struct cprof_options *options, struct cprof_profile *profile)
{
	(void)profile;
	struct cprof_web_server_options server = {
		.address = options->web.http,
		.token_file = *options->web.token_file ? options->web.token_file : NULL,
		.stop_fd = -1,
		.ready = show,
		.ctx = options,
	};
	struct cprof_source_url url = { 0 };
	struct live live = { .options = options };
	const bool is_live = first_url(options, &url);
	cprof_buffer_deinit(&url.text);
	if (is_live)
		find_kinds(&live);
	const struct cprof_web_options view = { .config = options->config,
						.mark_base = options->diff_bases.len > 0,
						.record = is_live ? record : NULL,
						.record_ctx = &live,
						.kinds = (const char *const *)live.kinds,
						.program = "" };
	struct cprof_web *web;
	struct cprof_error *err = cprof_web_new(&view, &web);
	if (!err) {
		err = serve(options, web, &server);
		cprof_web_free(web);
	}
	for (size_t i = 0; i < live.n_kinds; i++)
		free(live.kinds[i]);
	return err;
}

const struct cprof_command cprof_command_web = { "web", wants_web, false, run_web };
