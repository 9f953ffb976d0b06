/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/cli/cmd_web.c - cprof -http: profiles in a browser.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/secret.h"
#include "convert/cli/commands.h"
#include "convert/output/graphviz.h"
#include "convert/web/web_server.h"

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
	fprintf(stderr, "Serving web UI on %s\n", url);
	if (options->web.no_browser || strncmp(url, "http", 4) != 0)
		return;
	struct cprof_error *err = cprof_graphviz_show("web", url, false);
	if (err) /* whoever wants to look can type it in */
		fprintf(stderr, "cprof: %s; open it by hand\n", err->message);
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

static struct cprof_error *run_web(struct cprof_options *options, struct cprof_profile *profile)
{
	(void)profile;
	struct cprof_web_server_options server = { .stop_fd = -1, .ready = show, .ctx = options };
	const struct cprof_web_options view = { .config = options->config,
						.mark_base = options->diff_bases.len > 0,
						.program = "" };
	struct cprof_web *web;
	struct cprof_error *err = cprof_http_address_parse(options->web.http, &server.address);
	if (!err)
		err = cprof_web_new(&view, &web);
	if (err)
		return err;
	err = serve(options, web, &server);
	cprof_web_free(web);
	return err;
}

const struct cprof_command cprof_command_web = { "web", wants_web, false, run_web };
