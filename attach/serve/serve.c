#include "attach/serve/serve.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attach/serve/ask.h"
#include "attach/serve/channel.h"
#include "attach/serve/index_page.h"
#include "attach/serve/visit.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"

#define CLIENTS_MAX 256
#define FDS_MAX     (3 + CPROF_CHANNELS_MAX + 2 * CLIENTS_MAX + 1)
#define REQUEST_NS                                                                                 \
	(75 * CPROF_NS_PER_S) /* also how long a client may keep a connection for nothing */
#define ANSWER_NS        (60 * CPROF_NS_PER_S)
#define AGAIN_NS         (1 * CPROF_NS_PER_S) /* between two looks for a process that has ended */
#define END_NS           (4 * CPROF_NS_PER_S)
#define COMMAND_LINE_MAX (4u << 20)

struct serve {
	const struct cprof_serve_options *options;
	struct cprof_target *target;
	struct cprof_target
		*found; /* owned: the one that came after it; NULL: it is the first still */
	struct cprof_subject subject;
	struct cprof_channels channels;
	struct cprof_visit_house house;
	struct cprof_http_server *http;
	struct cprof_visit *visits[CLIENTS_MAX];
	size_t n_visits;
	uint64_t looked_mono_ns;
	int watch_fd; /* borrowed: works that end */
	struct pollfd fds[FDS_MAX];
	size_t n_fds, http_fds; /* from http_fds on they are the server's */
};

static void say(const struct serve *serve, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void say(const struct serve *serve, const char *fmt, ...)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	va_list ap;
	va_start(ap, fmt);
	cprof_buffer_vprintf(&text, fmt, ap);
	va_end(ap);
	serve->options->say(serve->options->say_ctx, cprof_buffer_text(&text));
}

/* ---- modes ---- */

/* Whether `mode` is in the list "cpu,heap". */
static bool is_chosen(const char *modes, const char *mode)
{
	const size_t n = strlen(mode);
	for (const char *at = modes; *at; at += strcspn(at, ","), at += *at == ',') {
		if (strcspn(at, ",") == n && strncmp(at, mode, n) == 0)
			return true;
	}
	return false;
}

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

/* The recordings that go on from the start. */
static void start_recordings(struct serve *serve)
{
	for (size_t i = 0; i < cprof_n_endpoints && !serve->options->lazy; i++) {
		const struct cprof_endpoint *endpoint = &cprof_endpoints[i];
		const struct cprof_mode *mode;
		struct cprof_channel *channel;
		if (endpoint->kind != CPROF_ENDPOINT_SINCE ||
		    !is_chosen(serve->options->modes, endpoint->mode) ||
		    cprof_channels_find(&serve->channels, endpoint->mode))
			continue;
		struct cprof_error *err = cprof_mode_find(endpoint->mode, &mode);
		if (!err)
			err = cprof_channels_use(&serve->channels, mode, true, 0, "", &channel);
		if (!err)
			cprof_channel_leave(channel);
		cprof_error_free(err);
	}
}

static void on_ended(void *ctx, const struct cprof_channel *channel)
{
	const struct serve *serve = ctx;
	const struct cprof_error *err = channel->failure;
	if (err && err->code != CPROF_ERR_NO_TARGET)
		say(serve, "warning: %s is not recorded: %s%s%s", channel->mode->name, err->message,
		    err->hint ? "\nhint: " : "", err->hint ? err->hint : "");
}

/* ---- the target ---- */

static void set_target(struct serve *serve, struct cprof_target *target)
{
	serve->target = target;
	serve->subject.pid = target->pid;
	serve->subject.start_ticks = target->start_ticks;
}

/* One of the same name, as soon as there is one again. */
static void look_again(struct serve *serve, uint64_t mono_ns)
{
	pid_t pid;
	struct cprof_target *found;
	if (!serve->options->name || mono_ns - serve->looked_mono_ns < AGAIN_NS)
		return;
	serve->looked_mono_ns = mono_ns;
	struct cprof_error *err = cprof_target_find(serve->options->name, &pid);
	if (!err)
		err = cprof_target_open(pid, &found);
	if (err) {
		cprof_error_free(err);
		return;
	}
	cprof_channels_end(&serve->channels);
	cprof_target_close(serve->found);
	serve->found = found;
	set_target(serve, found);
	say(serve, "process %d (%s) is there", (int)found->pid, found->comm);
	start_recordings(serve);
}

static void note_end(struct serve *serve)
{
	if (serve->target->exited || !serve->fds[1].revents)
		return;
	cprof_target_ended(serve->target);
	say(serve, "process %d (%s) has ended", (int)serve->target->pid, serve->target->comm);
}

static struct cprof_error *has_ended(const struct serve *serve)
{
	struct cprof_error *err = cprof_error_new(CPROF_ERR_NO_TARGET, "process %d (%s) has ended",
						  (int)serve->target->pid, serve->target->comm);
	return serve->options->name
		       ? cprof_error_hint(err,
					  "the next one of this name is taken when it is there")
		       : err;
}

/* ---- requests ---- */

static const char *state_of(void *ctx, const struct cprof_endpoint *endpoint)
{
	const struct serve *serve = ctx;
	const struct cprof_channel *channel =
		endpoint->kind == CPROF_ENDPOINT_SINCE
			? cprof_channels_find(&serve->channels, endpoint->mode)
			: NULL;
	if (endpoint->mode && !is_chosen(serve->options->modes, endpoint->mode))
		return "off";
	if (endpoint->kind != CPROF_ENDPOINT_SINCE)
		return "";
	return !channel ? "on request" : channel->running ? "recording" : "not possible";
}

static void answer_text(struct cprof_http_request *request, unsigned status, const char *type,
			struct cprof_buffer *body)
{
	struct cprof_http_answer answer = { .status = status, .content_type = type, .body = *body };
	cprof_http_server_answer(request, &answer);
}

static void answer_index(struct serve *serve, struct cprof_http_request *request)
{
	struct cprof_buffer body = { 0 };
	cprof_index_page_write(serve->target, state_of, serve, &body);
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

static void answer_command_line(const struct serve *serve, struct cprof_http_request *request)
{
	char path[64];
	struct cprof_buffer body = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)serve->target->pid);
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

static void begin_visit(struct serve *serve, struct cprof_http_request *request,
			struct cprof_ask *ask)
{
	struct cprof_visit *visit =
		serve->n_visits < CLIENTS_MAX ? cprof_visit_new(&serve->house, request, ask) : NULL;
	if (!visit) {
		refuse(request, 503, "too many requests are being answered");
		return;
	}
	request->handler_data = visit;
	serve->visits[serve->n_visits++] = visit; /* it begins at the next turn */
}

static void answer_endpoint(struct serve *serve, struct cprof_http_request *request,
			    struct cprof_ask *ask)
{
	const char *mode = ask->endpoint->mode;
	if (serve->target->exited)
		cprof_visit_answer_error(request, has_ended(serve));
	else if (mode && !is_chosen(serve->options->modes, mode))
		refuse(request, 404,
		       "this mode is not among those that the server was told to serve");
	else if (ask->endpoint->kind == CPROF_ENDPOINT_CMDLINE)
		answer_command_line(serve, request);
	else
		begin_visit(serve, request, ask);
}

static void on_ask(void *ctx, struct cprof_http_request *request)
{
	struct serve *serve = ctx;
	struct cprof_ask ask;
	struct cprof_buffer body = { 0 };
	cprof_ask_read(request, &ask);
	switch (ask.kind) {
	case CPROF_ASK_ENDPOINT:
		answer_endpoint(serve, request, &ask);
		break;
	case CPROF_ASK_INDEX:
		answer_index(serve, request);
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

static uint64_t gather(struct serve *serve)
{
	uint64_t due = cprof_http_server_due_mono_ns(serve->http);
	size_t n = 0;
	serve->fds[n++] = (struct pollfd){ .fd = serve->options->stop_fd, .events = POLLIN };
	serve->fds[n++] = (struct pollfd){ .fd = serve->target->exited ? -1 : serve->target->pidfd,
					   .events = POLLIN };
	serve->fds[n++] = (struct pollfd){ .fd = serve->watch_fd, .events = POLLIN };
	n = cprof_channels_poll(&serve->channels, serve->fds, n);
	for (size_t i = 0; i < serve->n_visits; i++) {
		due = least(due, cprof_visit_due_mono_ns(serve->visits[i]));
		serve->fds[n++] =
			(struct pollfd){ .fd = cprof_visit_fd(serve->visits[i]), .events = POLLIN };
	}
	if (serve->target->exited && serve->options->name)
		due = least(due, serve->looked_mono_ns + AGAIN_NS);
	serve->http_fds = n;
	serve->n_fds = cprof_http_server_poll(serve->http, serve->fds, n, FDS_MAX);
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

/* False: it is told to end. */
static bool turn(struct serve *serve)
{
	wait_until(serve, gather(serve));
	if (serve->fds[0].revents)
		return false;
	note_end(serve);
	if (serve->target->exited)
		look_again(serve, cprof_clock_mono_ns());
	cprof_channels_run(&serve->channels, on_ended, serve);
	cprof_http_server_run(serve->http, &serve->fds[serve->http_fds],
			      serve->n_fds - serve->http_fds);
	run_visits(serve);
	/* What they have answered goes out at once. */
	cprof_http_server_run(serve->http, NULL, 0);
	cprof_work_reap(serve->watch_fd);
	return true;
}

/* ---- life ---- */

static struct cprof_error *open_server(struct serve *serve)
{
	static const struct cprof_http_limits limits = { .clients = CLIENTS_MAX,
							 .request_ns = REQUEST_NS,
							 .answer_ns = ANSWER_NS };
	const struct cprof_http_address *address = &serve->options->address;
	const struct cprof_http_handler handler = { on_ask, on_gone, serve };
	CPROF_AUTO(buffer) struct cprof_buffer url = { 0 };
	int fd;
	struct cprof_error *err = cprof_http_address_listen(address, &fd);
	if (err)
		return err;
	cprof_http_address_url(address, fd, &url);
	err = cprof_http_server_new(fd, address->is_unix, &limits, &handler, &serve->http);
	if (!err)
		say(serve, "serving %s/debug/pprof/ of process %d (%s)", cprof_buffer_text(&url),
		    (int)serve->target->pid, serve->target->comm);
	return err;
}

/* Each leaves the target as it was found, and ends; one that does not come to that is not waited for any longer. */
static void wait_for_works(int watch_fd)
{
	const uint64_t until = cprof_clock_mono_ns() + END_NS;
	const struct timespec moment = { .tv_nsec = 2000000 };
	while (cprof_work_reap(watch_fd) && cprof_clock_mono_ns() < until)
		nanosleep(&moment, NULL);
}

struct cprof_error *cprof_serve(struct cprof_target *target,
				const struct cprof_serve_options *options)
{
	CPROF_AUTO(free) struct serve *serve = calloc(1, sizeof(*serve));
	struct cprof_error *err = serve ? check_modes(options->modes) : cprof_error_no_memory();
	if (err)
		return err;
	*serve = (struct serve){ .options = options,
				 .subject = { .requests = options->requests,
					      .naming = options->naming,
					      .command_line = options->command_line } };
	serve->channels.subject = &serve->subject;
	serve->house = (struct cprof_visit_house){ .subject = &serve->subject,
						   .channels = &serve->channels };
	set_target(serve, target);
	CPROF_AUTO(close) int watch_fd = -1;
	err = cprof_work_watch(&watch_fd);
	serve->watch_fd = watch_fd;
	if (!err)
		err = open_server(serve);
	if (!err) {
		start_recordings(serve);
		while (turn(serve))
			;
		cprof_http_server_free(serve->http);
		cprof_http_address_forget(&options->address);
	}
	cprof_channels_end(&serve->channels);
	wait_for_works(watch_fd);
	cprof_target_close(serve->found);
	return err;
}
