/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/serve.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attach/serve/ask.h"
#include "attach/serve/index_page.h"
#include "convert/http/http_service.h"
#include "attach/serve/metrics_page.h"
#include "attach/serve/service_manager.h"
#include "attach/serve/tenant_list.h"
#include "attach/serve/tenants.h"
#include "attach/serve/view.h"
#include "attach/serve/visit.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"

#define CLIENTS_MAX 256
#define OTHER_FDS   (3 + 2 * CLIENTS_MAX + CPROF_WEB_VISITS_MAX + 1)
#define REQUEST_NS                                                                                 \
	(75 * CPROF_NS_PER_S) /* also how long a client may keep a connection for nothing */
#define ANSWER_NS        (60 * CPROF_NS_PER_S)
#define END_NS           (4 * CPROF_NS_PER_S)
#define COMMAND_LINE_MAX (4u << 20)

struct serve {
	const struct cprof_serve_options *options;
	struct cprof_tenants tenants;
	struct cprof_http_service service;
	struct cprof_service_manager manager;
	struct cprof_view *view;  /* owned */
	struct cprof_buffer host; /* owned: "127.0.0.1:6060" */
	struct cprof_visit *visits[CLIENTS_MAX];
	size_t n_visits;
	int watch_fd;       /* borrowed: works that end */
	struct pollfd *fds; /* owned */
	size_t cap_fds;
	size_t n_fds, http_fds;      /* from http_fds on they are the server's */
	struct cprof_error *failure; /* owned; why it ends before its time */
};

/* ---- modes ---- */

static struct cprof_error *check_modes(const char *modes)
{
	for (const char *at = modes; *at; at += strcspn(at, ","), at += *at == ',') {
		CPROF_AUTO(free) char *name = strndup(at, strcspn(at, ","));
		const struct cprof_mode *mode;
		if (!name)
			return cprof_error_no_memory();
		struct cprof_error *err = cprof_mode_find(name, &mode);
		if (err)
			return cprof_error_wrap(err, "-modes");
	}
	return NULL;
}

/* ---- requests ---- */

static void answer_text(struct cprof_http_request *request, unsigned status, const char *type,
			struct cprof_buffer *body)
{
	struct cprof_http_answer answer = { .status = status, .content_type = type, .body = *body };
	cprof_http_server_answer(request, &answer);
}

static void answer_index(struct cprof_tenant *tenant, struct cprof_http_request *request)
{
	struct cprof_buffer body = { 0 };
	cprof_index_page_write(tenant->target, cprof_tenant_state, tenant, &body);
	answer_text(request, 200, "text/html; charset=utf-8", &body);
}

static void answer_redirect(struct cprof_http_request *request, const struct cprof_ask *ask)
{
	const char *location = cprof_buffer_text(&ask->location);
	struct cprof_http_answer answer = { .status = 307,
					    .content_type = "text/html; charset=utf-8",
					    .location = location,
					    .sniff = true };
	cprof_buffer_puts(&answer.body, "<a href=\"");
	for (const char *at = location; *at; at++) {
		if (strchr("<>&\"'", *at))
			cprof_buffer_printf(&answer.body, "&#%d;", (unsigned char)*at);
		else
			cprof_buffer_putc(&answer.body, *at);
	}
	cprof_buffer_puts(&answer.body, "\">Temporary Redirect</a>.\n\n");
	cprof_http_server_answer(request, &answer);
}

static void answer_command_line(const struct cprof_tenant *tenant,
				struct cprof_http_request *request)
{
	char path[64];
	struct cprof_buffer body = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)tenant->target->pid);
	struct cprof_error *err = cprof_file_read(path, COMMAND_LINE_MAX, &body);
	if (err) {
		cprof_buffer_deinit(&body);
		cprof_visit_answer_error(request, err);
		return;
	}
	while (body.len && !body.data[body.len - 1])
		body.len--;
	answer_text(request, 200, "text/plain; charset=utf-8", &body);
}

static void refuse(struct cprof_http_request *request, unsigned status, const char *why)
{
	struct cprof_http_answer answer = { .status = status,
					    .content_type = "text/plain; charset=utf-8",
					    .go_pprof = true };
	cprof_buffer_printf(&answer.body, "%s\n", why);
	cprof_http_server_answer(request, &answer);
}

static void begin_visit(struct serve *serve, struct cprof_tenant *tenant,
			struct cprof_http_request *request, struct cprof_ask *ask)
{
	struct cprof_visit *visit = serve->n_visits < CLIENTS_MAX
					    ? cprof_visit_new(&tenant->house, request, ask)
					    : NULL;
	if (!visit) {
		refuse(request, 503, "too many requests are being answered");
		return;
	}
	request->handler_data = visit;
	serve->visits[serve->n_visits++] = visit; /* it begins at the next turn */
}

static void answer_endpoint(struct serve *serve, struct cprof_tenant *tenant,
			    struct cprof_http_request *request, struct cprof_ask *ask)
{
	const char *mode = ask->endpoint->mode;
	if (tenant->target->exited)
		cprof_visit_answer_error(request, cprof_tenant_has_ended(tenant));
	else if (mode && !cprof_tenant_has_mode(tenant, mode))
		refuse(request, 404,
		       "this mode is not among those that the server was told to serve");
	else if (ask->endpoint->kind == CPROF_ENDPOINT_CMDLINE)
		answer_command_line(tenant, request);
	else
		begin_visit(serve, tenant, request, ask);
}

/* The one that is asked for; the only one, where none is named. NULL: the request has been answered. */
static struct cprof_tenant *choose(struct serve *serve, struct cprof_http_request *request,
				   const struct cprof_ask *ask)
{
	struct cprof_tenant *tenant = cprof_tenants_find(&serve->tenants, ask->pid);
	if (!tenant)
		refuse(request, 404,
		       ask->pid ? "this process is not served; /targets has those that are"
		       : serve->tenants.n
			       ? "which process? ask for /pid/N/debug/pprof/ or with pid=N; /targets has them"
			       : "no process that is meant is there yet");
	return tenant;
}

/* By which name this client reaches us: the one that it has used, where we listen on all. */
static const char *host_for(const struct serve *serve, const struct cprof_http_request *request)
{
	return request->host && cprof_http_address_is_wildcard(&serve->service.listen.address)
		       ? request->host
		       : cprof_buffer_text(&serve->host);
}

static void answer_list(const struct serve *serve, struct cprof_http_request *request,
			enum cprof_ask_kind kind)
{
	struct cprof_buffer body = { 0 };
	const bool page = kind == CPROF_ASK_TARGETS;
	if (page)
		cprof_tenant_list_page(&serve->tenants, &body);
	else if (kind == CPROF_ASK_TARGETS_JSON)
		cprof_tenant_list_json(&serve->tenants, &body);
	else
		cprof_tenant_list_discovery(&serve->tenants, host_for(serve, request), &body);
	answer_text(request, 200, page ? "text/html; charset=utf-8" : "application/json", &body);
}

static void answer_ready(const struct serve *serve, struct cprof_http_request *request, bool any)
{
	struct cprof_buffer body = { 0 };
	const size_t alive = cprof_tenants_alive(&serve->tenants);
	cprof_buffer_puts(&body, any || alive ? "ok\n" : "no process is there\n");
	answer_text(request, any || alive ? 200 : 503, "text/plain; charset=utf-8", &body);
}

static void on_ask(void *ctx, struct cprof_http_request *request)
{
	struct serve *serve = ctx;
	struct cprof_ask ask;
	struct cprof_buffer body = { 0 };
	struct cprof_tenant *tenant;
	if (cprof_view_ask(serve->view, request))
		return;
	cprof_ask_read(request, &ask);
	switch (ask.kind) {
	case CPROF_ASK_ENDPOINT:
		tenant = choose(serve, request, &ask);
		if (tenant)
			answer_endpoint(serve, tenant, request, &ask);
		break;
	case CPROF_ASK_INDEX:
		tenant = choose(serve, request, &ask);
		if (tenant)
			answer_index(tenant, request);
		break;
	case CPROF_ASK_TARGETS:
	case CPROF_ASK_TARGETS_JSON:
	case CPROF_ASK_DISCOVERY:
		answer_list(serve, request, ask.kind);
		break;
	case CPROF_ASK_METRICS:
		cprof_metrics_page_write(&serve->tenants, serve->service.http, &body);
		answer_text(request, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
		break;
	case CPROF_ASK_HEALTH:
	case CPROF_ASK_READY:
		answer_ready(serve, request, ask.kind == CPROF_ASK_HEALTH);
		break;
	case CPROF_ASK_REDIRECT:
		answer_redirect(request, &ask);
		break;
	case CPROF_ASK_NOT_FOUND:
		cprof_buffer_puts(&body, "404 page not found\n");
		answer_text(request, 404, "text/plain; charset=utf-8", &body);
		break;
	case CPROF_ASK_REFUSED:
		refuse(request, ask.status, ask.why);
		break;
	}
	cprof_ask_deinit(&ask);
}

static void forget_visit(struct serve *serve, size_t at)
{
	cprof_visit_free(serve->visits[at]);
	serve->visits[at] = serve->visits[--serve->n_visits];
}

static void on_gone(void *ctx, struct cprof_http_request *request)
{
	struct serve *serve = ctx;
	if (cprof_web_gone(cprof_view_web(serve->view), request))
		return;
	for (size_t i = 0; i < serve->n_visits; i++) {
		if (serve->visits[i] == request->handler_data) {
			forget_visit(serve, i);
			return;
		}
	}
}

/* ---- the loop ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* False: no memory for what is new; the old ones are still there. */
static bool make_room(struct serve *serve)
{
	const size_t want = cprof_tenants_fds(&serve->tenants) + OTHER_FDS;
	return CPROF_ARRAY_ROOM(serve->fds, 0, serve->cap_fds, want);
}

static uint64_t gather(struct serve *serve)
{
	uint64_t due = least(cprof_http_server_due_mono_ns(serve->service.http),
			     cprof_service_manager_due_mono_ns(&serve->manager));
	size_t n = 0;
	due = least(due, cprof_tenants_due_mono_ns(&serve->tenants));
	serve->fds[n++] = (struct pollfd){ .fd = serve->options->stop_fd, .events = POLLIN };
	serve->fds[n++] = (struct pollfd){ .fd = serve->watch_fd, .events = POLLIN };
	serve->fds[n++] = (struct pollfd){ .fd = serve->options->again_fd, .events = POLLIN };
	n = cprof_tenants_poll(&serve->tenants, serve->fds, n);
	for (size_t i = 0; i < serve->n_visits; i++) {
		due = least(due, cprof_visit_due_mono_ns(serve->visits[i]));
		serve->fds[n++] =
			(struct pollfd){ .fd = cprof_visit_fd(serve->visits[i]), .events = POLLIN };
	}
	n = cprof_web_poll(cprof_view_web(serve->view), serve->fds, n);
	if (cprof_web_due(cprof_view_web(serve->view)))
		due = 0;
	serve->http_fds = n;
	serve->n_fds = cprof_http_server_poll(serve->service.http, serve->fds, n, serve->cap_fds);
	return due;
}

static void run_visits(struct serve *serve)
{
	const uint64_t now = cprof_clock_mono_ns();
	for (size_t i = 0; i < serve->n_visits;) {
		if (cprof_visit_run(serve->visits[i], now))
			forget_visit(serve, i);
		else
			i++;
	}
}

static void wait_until(struct serve *serve, uint64_t due_mono_ns)
{
	const uint64_t now = cprof_clock_mono_ns();
	const uint64_t wait = least(due_mono_ns > now ? due_mono_ns - now : 0, 60 * CPROF_NS_PER_S);
	const struct timespec timeout = { .tv_sec = (time_t)(wait / CPROF_NS_PER_S),
					  .tv_nsec = (long)(wait % CPROF_NS_PER_S) };
	if (ppoll(serve->fds, serve->n_fds, &timeout, NULL) <= 0) {
		for (size_t i = 0; i < serve->n_fds; i++)
			serve->fds[i].revents = 0;
	}
}

/* SIGHUP: what was told may have been changed, and who was left out may be let in now. */
static void read_again(struct serve *serve)
{
	const struct cprof_serve_options *options = serve->options;
	uint64_t count;
	if (read(options->again_fd, &count, sizeof(count)) < 0)
		return;
	cprof_service_manager_tell(&serve->manager, "RELOADING=1");
	const struct cprof_target_rules *rules =
		options->again ? options->again(options->again_ctx) : NULL;
	cprof_tenants_again(&serve->tenants, rules ? rules : options->rules);
	cprof_service_manager_tell(&serve->manager, "READY=1");
	options->tenants.say(options->tenants.say_ctx, "looked again for whom to serve");
}

/* False: it is told to end, or cannot go on. */
static bool turn(struct serve *serve)
{
	if (!make_room(serve)) {
		serve->failure = cprof_error_no_memory();
		return false;
	}
	wait_until(serve, gather(serve));
	if (serve->fds[0].revents)
		return false;
	if (serve->fds[2].revents)
		read_again(serve);
	cprof_service_manager_run(&serve->manager, cprof_clock_mono_ns());
	cprof_tenants_run(&serve->tenants, cprof_clock_mono_ns());
	cprof_http_server_run(serve->service.http, &serve->fds[serve->http_fds],
			      serve->n_fds - serve->http_fds);
	run_visits(serve);
	cprof_web_run(cprof_view_web(serve->view));
	/* What they have answered goes out at once. */
	cprof_http_server_run(serve->service.http, NULL, 0);
	cprof_work_reap(serve->watch_fd);
	return true;
}

/* ---- life ---- */

static void say_address(const struct serve *serve)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	const struct cprof_serve_options *options = serve->options;
	const struct cprof_tenants *tenants = &serve->tenants;
	const char *url = cprof_buffer_text(&serve->service.url);
	if (tenants->n == 1 && cprof_target_rules_are_exact(options->rules))
		cprof_buffer_printf(&text, "serving %s/debug/pprof/ of process %d (%s)", url,
				    (int)tenants->all[0]->target->pid,
				    tenants->all[0]->target->comm);
	else
		cprof_buffer_printf(&text, "serving %s/targets, %zu processes", url, tenants->n);
	options->tenants.say(options->tenants.say_ctx, cprof_buffer_text(&text));
}

static struct cprof_error *open_server(struct serve *serve)
{
	static const struct cprof_http_limits limits = { .clients = CLIENTS_MAX,
							 .request_ns = REQUEST_NS,
							 .answer_ns = ANSWER_NS };
	const struct cprof_http_handler handler = { on_ask, on_gone, serve };
	struct cprof_http_service *service = &serve->service;
	struct cprof_error *err = cprof_http_service_listen(service, serve->options->address,
							    serve->options->token_file);
	if (!err)
		err = cprof_view_new(&service->listen.address, service->listen.fd,
				     serve->options->token_file, &serve->tenants, &serve->view);
	if (!err)
		err = cprof_http_service_serve(service, &limits, &handler);
	if (err)
		return err;
	const char *host = strstr(cprof_buffer_text(&service->url), "//");
	cprof_buffer_puts(&serve->host, host ? host + 2 : cprof_buffer_text(&service->url));
	return NULL;
}

/* Each leaves the target as it was found, and ends; one that does not come to that is not waited for any longer. */
static void wait_for_works(int watch_fd)
{
	const uint64_t until = cprof_clock_mono_ns() + END_NS;
	const struct timespec moment = { .tv_nsec = 2000000 };
	while (cprof_work_reap(watch_fd) && cprof_clock_mono_ns() < until)
		nanosleep(&moment, NULL);
}

/* Listen first: what cannot be served need not be recorded. */
static struct cprof_error *open_all(struct serve *serve, int *ret_watch_fd)
{
	const struct cprof_serve_options *options = serve->options;
	struct cprof_error *err = cprof_work_watch(ret_watch_fd);
	serve->watch_fd = *ret_watch_fd;
	if (!err)
		err = open_server(serve);
	if (err)
		return err;
	err = cprof_tenants_open(&serve->tenants, options->rules, &options->tenants);
	if (err) {
		cprof_http_service_close(&serve->service);
		wait_for_works(serve->watch_fd);
	}
	return err;
}

static struct cprof_error *run(struct serve *serve)
{
	say_address(serve);
	cprof_service_manager_open(&serve->manager);
	cprof_service_manager_tell(&serve->manager, "READY=1");
	while (turn(serve))
		;
	cprof_service_manager_tell(&serve->manager, "STOPPING=1");
	cprof_http_service_close(&serve->service);
	cprof_tenants_close(&serve->tenants);
	wait_for_works(serve->watch_fd);
	cprof_service_manager_close(&serve->manager);
	return serve->failure;
}

struct cprof_error *cprof_serve(const struct cprof_serve_options *options)
{
	CPROF_AUTO(close) int watch_fd = -1;
	CPROF_AUTO(free) struct serve *serve = calloc(1, sizeof(*serve));
	struct cprof_error *err =
		serve ? check_modes(options->tenants.modes) : cprof_error_no_memory();
	if (err)
		return err;
	serve->options = options;
	serve->service = CPROF_HTTP_SERVICE_NONE;
	err = open_all(serve, &watch_fd);
	if (!err)
		err = run(serve);
	cprof_http_service_close(&serve->service);
	cprof_view_free(serve->view);
	free(serve->fds);
	cprof_buffer_deinit(&serve->host);
	return err;
}
