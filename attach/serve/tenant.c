/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/tenant.h"

#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "attach/target/thread_proc.h"
#include "base/cleanup.h"

static void say(const struct cprof_tenant *tenant, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void say(const struct cprof_tenant *tenant, const char *fmt, ...)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	va_list ap;
	va_start(ap, fmt);
	cprof_buffer_vprintf(&text, fmt, ap);
	va_end(ap);
	tenant->options->say(tenant->options->say_ctx, cprof_buffer_text(&text));
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

/* The recordings that go on from the start. */
static void start_recordings(struct cprof_tenant *tenant)
{
	for (size_t i = 0; i < cprof_n_endpoints && !tenant->options->lazy; i++) {
		const struct cprof_endpoint *endpoint = &cprof_endpoints[i];
		struct cprof_channel_want want = { .stays = true };
		struct cprof_channel *channel;
		if (endpoint->kind != CPROF_ENDPOINT_SINCE ||
		    !is_chosen(tenant->options->modes, endpoint->mode) ||
		    cprof_channels_find(&tenant->channels, endpoint->mode))
			continue;
		struct cprof_error *err = cprof_mode_find(endpoint->mode, &want.mode);
		if (!err)
			err = cprof_channels_use(&tenant->channels, &want, &channel);
		if (!err)
			cprof_channel_leave(&tenant->channels, channel);
		cprof_error_free(err);
	}
}

static bool is_quiet(const char *mode)
{
	const struct cprof_endpoint *endpoint = cprof_endpoint_find(mode);
	return endpoint && endpoint->quiet;
}

static void on_ended(void *ctx, const struct cprof_channel *channel)
{
	const struct cprof_tenant *tenant = ctx;
	const struct cprof_error *err = channel->failure;
	if (err && err->code != CPROF_ERR_NO_TARGET && !is_quiet(channel->mode->name))
		say(tenant, "warning: %s of process %d is not recorded: %s%s%s",
		    channel->mode->name, (int)tenant->target->pid, err->message,
		    err->hint ? "\nhint: " : "", err->hint ? err->hint : "");
}

/* ---- its end ---- */

void cprof_tenant_went(struct cprof_tenant *tenant, bool ended)
{
	cprof_target_ended(tenant->target);
	/* Its name is kept for a while, and nothing else. */
	if (tenant->target->pidfd >= 0)
		close(tenant->target->pidfd);
	tenant->target->pidfd = -1;
	tenant->ended = ended;
	if (!ended)
		cprof_channels_end(&tenant->channels);
}

struct cprof_error *cprof_tenant_has_ended(const struct cprof_tenant *tenant)
{
	return cprof_error_new(CPROF_ERR_NO_TARGET, "process %d (%s) %s", (int)tenant->target->pid,
			       tenant->target->comm,
			       tenant->ended ? "has ended"
					     : "is not served any more: it runs another program, "
					       "or what is served has been changed");
}

static void put_threads(const struct cprof_tenant *tenant, struct cprof_buffer *out)
{
	if (!tenant->target->exited)
		cprof_buffer_printf(out, "%llu",
				    (unsigned long long)cprof_thread_count(tenant->target->pid));
}

void cprof_tenant_state(void *ctx, const struct cprof_endpoint *endpoint, struct cprof_buffer *out)
{
	const struct cprof_tenant *tenant = ctx;
	if (endpoint->mode && !is_chosen(tenant->options->modes, endpoint->mode)) {
		cprof_buffer_puts(out, "off");
		return;
	}
	if (endpoint->kind == CPROF_ENDPOINT_MOMENT)
		put_threads(tenant, out);
	if (endpoint->kind != CPROF_ENDPOINT_SINCE && endpoint->kind != CPROF_ENDPOINT_DELTA)
		return;
	const struct cprof_channel *channel =
		cprof_channels_find(&tenant->channels, endpoint->mode);
	if (channel && channel->running && channel->recording.counts)
		cprof_buffer_printf(out, "%llu",
				    (unsigned long long)channel->recording.counts->stacks);
	else
		cprof_buffer_puts(out, !channel           ? "on request"
				       : channel->running ? "recording"
							  : "not possible");
}

/* ---- the whole ---- */

bool cprof_tenant_has_mode(const struct cprof_tenant *tenant, const char *mode)
{
	return is_chosen(tenant->options->modes, mode);
}

void cprof_tenant_init(struct cprof_tenant *tenant, struct cprof_target *target,
		       const struct cprof_tenant_options *options,
		       struct cprof_tenant_shared *shared)
{
	*tenant = (struct cprof_tenant){ .options = options,
					 .target = target,
					 .subject = { .pid = target->pid,
						      .start_ticks = target->start_ticks,
						      .requests = options->requests,
						      .naming = options->naming,
						      .threads = options->threads,
						      .request_labels = options->request_labels,
						      .command_line = options->command_line } };
	tenant->channels.subject = &tenant->subject;
	tenant->channels.running = &shared->recordings;
	tenant->channels.running_max = shared->recordings_max;
	tenant->channels.ended = shared->ended;
	tenant->house = (struct cprof_visit_house){ .target = target,
						    .subject = &tenant->subject,
						    .channels = &tenant->channels,
						    .streams = &shared->streams,
						    .works = &shared->works };
	start_recordings(tenant);
}

void cprof_tenant_deinit(struct cprof_tenant *tenant)
{
	cprof_channels_end(&tenant->channels);
	cprof_target_close(tenant->target);
}

size_t cprof_tenant_poll(const struct cprof_tenant *tenant, struct pollfd *fds, size_t n)
{
	return cprof_channels_poll(&tenant->channels, fds, n);
}

uint64_t cprof_tenant_due_mono_ns(const struct cprof_tenant *tenant)
{
	return tenant->target->exited ? UINT64_MAX : cprof_channels_due_mono_ns(&tenant->channels);
}

void cprof_tenant_run(struct cprof_tenant *tenant, uint64_t mono_ns)
{
	if (!tenant->target->exited)
		cprof_channels_revive(&tenant->channels, mono_ns);
	cprof_channels_run(&tenant->channels, on_ended, tenant);
}
