/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/tenants.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"

static void say(const struct cprof_tenants *tenants, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void say(const struct cprof_tenants *tenants, const char *fmt, ...)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	/* Where anybody may come, coming and going is no news. */
	if (!cprof_target_rules_are_exact(tenants->rules))
		return;
	va_list ap;
	va_start(ap, fmt);
	cprof_buffer_vprintf(&text, fmt, ap);
	va_end(ap);
	tenants->options->say(tenants->options->say_ctx, cprof_buffer_text(&text));
}

/* ---- those that have ended ---- */

static void forget(struct cprof_tenants *tenants, size_t at)
{
	struct cprof_tenant *tenant = tenants->all[at];
	tenants->n--;
	memmove(tenants->all + at, tenants->all + at + 1,
		(tenants->n - at) * sizeof(*tenants->all));
	cprof_tenant_deinit(tenant);
	free(tenant);
}

/* The oldest first. Whom somebody waits for is kept until that is over. */
static void forget_ended(struct cprof_tenants *tenants)
{
	size_t ended = tenants->n - cprof_tenants_alive(tenants);
	for (size_t i = 0; i < tenants->n && ended > CPROF_TENANTS_ENDED;) {
		const struct cprof_tenant *tenant = tenants->all[i];
		if (!tenant->target->exited || tenant->house.visits) {
			i++;
			continue;
		}
		forget(tenants, i);
		ended--;
	}
}

/* ---- coming and going ---- */

static void on_came(void *ctx, struct cprof_target *target)
{
	struct cprof_tenants *tenants = ctx;
	struct cprof_tenant *tenant = calloc(1, sizeof(*tenant));
	if (!tenant || !CPROF_ARRAY_ROOM(tenants->all, tenants->n, tenants->cap, 1)) {
		free(tenant);
		cprof_target_close(target);
		return;
	}
	tenants->all[tenants->n++] = tenant;
	if (tenants->opened)
		say(tenants, "process %d (%s) is there", (int)target->pid, target->comm);
	cprof_tenant_init(tenant, target, tenants->options, &tenants->shared);
}

static void on_went(void *ctx, pid_t pid, uint64_t start_ticks, bool ended)
{
	struct cprof_tenants *tenants = ctx;
	for (size_t i = 0; i < tenants->n; i++) {
		struct cprof_tenant *tenant = tenants->all[i];
		if (tenant->target->pid != pid || tenant->target->start_ticks != start_ticks ||
		    tenant->target->exited)
			continue;
		say(tenants, "process %d (%s) %s", (int)pid, tenant->target->comm,
		    ended ? "has ended" : "runs another program now");
		cprof_tenant_went(tenant, ended);
		return;
	}
}

static void on_say(void *ctx, const char *text)
{
	const struct cprof_tenants *tenants = ctx;
	tenants->options->say(tenants->options->say_ctx, text);
}

/* ---- the whole ---- */

/* It cannot be had, or it has been ended by somebody. Each process gets one of its own then. */
static void on_stream_ended(void *ctx, const struct cprof_channel *channel)
{
	struct cprof_tenants *tenants = ctx;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (!channel->failure || tenants->stream_told)
		return;
	tenants->stream_told = true;
	cprof_buffer_printf(
		&text,
		"each process's CPU is sampled by itself, as they cannot be in one stream: %s",
		channel->failure->message);
	on_say(tenants, cprof_buffer_text(&text));
}

struct cprof_error *cprof_tenants_open(struct cprof_tenants *tenants,
				       const struct cprof_target_rules *rules,
				       const struct cprof_tenant_options *options)
{
	const struct cprof_target_set_events events = { on_came, on_went, on_say, tenants };
	*tenants = (struct cprof_tenants){
		.options = options,
		.rules = rules,
		.shared = { .recordings_max = CPROF_TENANTS_RECORDINGS,
			    .everybody = { .requests = options->requests,
					   .naming = options->naming,
					   .threads = options->threads,
					   .request_labels = options->request_labels,
					   .command_line = options->command_line } },
	};
	tenants->shared.streams.subject = &tenants->shared.everybody;
	tenants->shared.streams.running = &tenants->shared.recordings;
	tenants->shared.streams.running_max = CPROF_TENANTS_RECORDINGS;
	tenants->shared.streams.ended = tenants->shared.ended;
	struct cprof_error *err = cprof_target_set_open(rules, &events, &tenants->set);
	if (err)
		cprof_tenants_close(tenants);
	tenants->opened = true;
	return err;
}

void cprof_tenants_close(struct cprof_tenants *tenants)
{
	cprof_target_set_close(tenants->set);
	tenants->set = NULL;
	while (tenants->n)
		forget(tenants, tenants->n - 1);
	cprof_channels_end(&tenants->shared.streams);
	free(tenants->all);
	tenants->all = NULL;
}

size_t cprof_tenants_fds(const struct cprof_tenants *tenants)
{
	return 1 + CPROF_CHANNELS_MAX + tenants->n * CPROF_TENANT_FDS;
}

size_t cprof_tenants_poll(const struct cprof_tenants *tenants, struct pollfd *fds, size_t n)
{
	fds[n++] = (struct pollfd){ .fd = cprof_target_set_fd(tenants->set), .events = POLLIN };
	n = cprof_channels_poll(&tenants->shared.streams, fds, n);
	for (size_t i = 0; i < tenants->n; i++)
		n = cprof_tenant_poll(tenants->all[i], fds, n);
	return n;
}

uint64_t cprof_tenants_due_mono_ns(const struct cprof_tenants *tenants)
{
	uint64_t due = cprof_target_set_due_mono_ns(tenants->set);
	for (size_t i = 0; i < tenants->n; i++) {
		const uint64_t mine = cprof_tenant_due_mono_ns(tenants->all[i]);
		due = mine < due ? mine : due;
	}
	return due;
}

void cprof_tenants_run(struct cprof_tenants *tenants, uint64_t mono_ns)
{
	cprof_target_set_run(tenants->set, mono_ns);
	cprof_channels_run(&tenants->shared.streams, on_stream_ended, tenants);
	tenants->shared.streams.offered = cprof_tenants_alive(tenants) > 1;
	for (size_t i = 0; i < tenants->n; i++)
		cprof_tenant_run(tenants->all[i], mono_ns);
	forget_ended(tenants);
}

void cprof_tenants_again(struct cprof_tenants *tenants, const struct cprof_target_rules *rules)
{
	tenants->rules = rules;
	cprof_target_set_again(tenants->set, rules);
}

size_t cprof_tenants_alive(const struct cprof_tenants *tenants)
{
	size_t alive = 0;
	for (size_t i = 0; i < tenants->n; i++)
		alive += !tenants->all[i]->target->exited;
	return alive;
}

struct cprof_tenant *cprof_tenants_find(const struct cprof_tenants *tenants, pid_t pid)
{
	struct cprof_tenant *found = NULL;
	if (!pid && cprof_tenants_alive(tenants) > 1)
		return NULL;
	/* The newest first; one that lives before any other. */
	for (size_t i = tenants->n; i-- > 0;) {
		struct cprof_tenant *tenant = tenants->all[i];
		if (pid && tenant->target->pid != pid)
			continue;
		if (!tenant->target->exited)
			return tenant;
		if (!found)
			found = tenant;
	}
	return found;
}
