/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/metrics_page.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/version.h"

#define STATM_MAX 256

static void begin(struct cprof_buffer *out, const char *name, const char *type, const char *help)
{
	cprof_buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* ---- what it costs ---- */

static double seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* Of a process that runs: none once it is gone, when it is counted among those that have ended. */
static double seconds_of(pid_t pid)
{
	clockid_t clock;
	return clock_getcpuclockid(pid, &clock) == 0 ? (double)cprof_clock_ns(clock) / 1e9 : 0;
}

/* Each one's; behind the last those that all share. */
static const struct cprof_channels *channels_at(const struct cprof_tenants *tenants, size_t i)
{
	return i < tenants->n ? &tenants->all[i]->channels : &tenants->shared.streams;
}

/* Its own, and that of its children as far as they have ended and it has told so. */
static double seconds_of_recording(const struct cprof_recording *recording)
{
	const double own = seconds_of(recording->work.pid);
	const double told =
		recording->counts && own > 0 ? (double)recording->counts->cpu_ns / 1e9 : 0;
	return own > told ? own : told;
}

static double all_seconds(const struct cprof_tenants *tenants)
{
	struct rusage ended = { 0 };
	getrusage(RUSAGE_CHILDREN, &ended);
	double sum = (double)cprof_clock_cpu_ns() / 1e9 + seconds(ended.ru_utime) +
		     seconds(ended.ru_stime);
	for (size_t i = 0; i <= tenants->n; i++) {
		for (size_t c = 0; c < CPROF_CHANNELS_MAX; c++) {
			const struct cprof_channel *channel = &channels_at(tenants, i)->all[c];
			if (channel->running)
				sum += seconds_of_recording(&channel->recording);
		}
	}
	return sum;
}

/* Resident bytes; 0 where it is gone. */
static uint64_t memory_of(pid_t pid)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer statm = { 0 };
	uint64_t pages = 0;
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	cprof_error_free(cprof_file_read(path, STATM_MAX, &statm));
	if (sscanf(cprof_buffer_text(&statm), "%*u %" SCNu64, &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t all_memory(const struct cprof_tenants *tenants)
{
	uint64_t sum = 0;
	for (size_t i = 0; i <= tenants->n; i++) {
		for (size_t c = 0; c < CPROF_CHANNELS_MAX; c++) {
			const struct cprof_channel *channel = &channels_at(tenants, i)->all[c];
			sum += channel->running ? memory_of(channel->recording.work.pid) : 0;
		}
	}
	return sum;
}

static void put_cost(const struct cprof_tenants *tenants, struct cprof_buffer *out)
{
	begin(out, "cprof_cpu_seconds_total", "counter",
	      "Processor time of the server and of all that works for it.");
	cprof_buffer_printf(out, "cprof_cpu_seconds_total %.6f\n", all_seconds(tenants));
	begin(out, "cprof_resident_memory_bytes", "gauge",
	      "Memory of the server itself, without its recordings.");
	cprof_buffer_printf(out, "cprof_resident_memory_bytes %" PRIu64 "\n", memory_of(getpid()));
	begin(out, "cprof_recordings_resident_memory_bytes", "gauge",
	      "Memory of the recordings, what they share with the server included.");
	cprof_buffer_printf(out, "cprof_recordings_resident_memory_bytes %" PRIu64 "\n",
			    all_memory(tenants));
}

/* ---- what it does ---- */

static void put_clients(const struct cprof_http_server *http, struct cprof_buffer *out)
{
	begin(out, "cprof_clients", "gauge", "Connections that are open.");
	cprof_buffer_printf(out, "cprof_clients %zu\n", cprof_http_server_clients(http));
	begin(out, "cprof_answers_total", "counter", "Requests answered, by class of status.");
	for (unsigned hundreds = 2; hundreds <= 5; hundreds++)
		cprof_buffer_printf(out, "cprof_answers_total{class=\"%uxx\"} %" PRIu64 "\n",
				    hundreds, cprof_http_server_answers(http, hundreds));
}

static void put_targets(const struct cprof_tenants *tenants, struct cprof_buffer *out)
{
	const size_t alive = cprof_tenants_alive(tenants);
	struct cprof_target_set_stats stats;
	cprof_target_set_stats(tenants->set, &stats);
	begin(out, "cprof_targets", "gauge",
	      "Processes that are served, that have ended not long ago, and that there is no room for.");
	cprof_buffer_printf(out,
			    "cprof_targets{state=\"alive\"} %zu\n"
			    "cprof_targets{state=\"ended\"} %zu\n"
			    "cprof_targets{state=\"left_out\"} %zu\n",
			    alive, tenants->n - alive, stats.left_out);
	begin(out, "cprof_target_looks_total", "counter",
	      "Processes that were looked at to see whether they are meant.");
	cprof_buffer_printf(out, "cprof_target_looks_total %" PRIu64 "\n", stats.looked_at);
	begin(out, "cprof_targets_told_by_kernel", "gauge",
	      "Whether the kernel tells of new processes; else they are looked for.");
	cprof_buffer_printf(out, "cprof_targets_told_by_kernel %d\n", stats.told_by_kernel);
}

enum state {
	RUNNING,
	FAILED,
	SLOWED,
};

static bool is(const struct cprof_channel *channel, enum state state)
{
	switch (state) {
	case RUNNING:
		return channel->running;
	case FAILED:
		return channel->failure != NULL;
	case SLOWED:
		return channel->running && channel->recording.counts &&
		       channel->recording.counts->slowed;
	}
	return false;
}

static size_t count(const struct cprof_tenants *tenants, const struct cprof_mode *mode,
		    enum state state)
{
	size_t found = 0;
	for (size_t i = 0; i <= tenants->n; i++) {
		for (size_t c = 0; c < CPROF_CHANNELS_MAX; c++) {
			const struct cprof_channel *channel = &channels_at(tenants, i)->all[c];
			found += channel->mode == mode && is(channel, state);
		}
	}
	return found;
}

static void put_recordings(const struct cprof_tenants *tenants, struct cprof_buffer *out)
{
	static const char *const states[] = { "running", "failed", "slowed" };
	begin(out, "cprof_recordings", "gauge",
	      "Recordings that run, such that ended by themselves or could not begin, and such that sample "
	      "less often now than they were asked to, so as to cost no more than they may.");
	for (size_t i = 0; i < cprof_n_modes; i++) {
		const struct cprof_mode *mode = &cprof_modes[i];
		for (int state = RUNNING; state <= SLOWED && !mode->instant; state++)
			cprof_buffer_printf(out, "cprof_recordings{mode=\"%s\",state=\"%s\"} %zu\n",
					    mode->name, states[state],
					    count(tenants, mode, (enum state)state));
	}
}

/* ---- what was sampled ---- */

/* Of recordings that run, and of those that have ended. */
static struct cprof_counts counts_of(const struct cprof_tenants *tenants, size_t mode)
{
	struct cprof_counts sum = tenants->shared.ended[mode];
	for (size_t i = 0; i <= tenants->n; i++) {
		for (size_t c = 0; c < CPROF_CHANNELS_MAX; c++) {
			const struct cprof_channel *channel = &channels_at(tenants, i)->all[c];
			if (channel->running && channel->mode == &cprof_modes[mode] &&
			    channel->recording.counts)
				cprof_counts_add(&sum, channel->recording.counts);
		}
	}
	return sum;
}

static void put_count(struct cprof_buffer *out, const char *name, size_t mode, uint64_t count)
{
	/* What looks at a moment takes no samples. */
	if (!cprof_modes[mode].instant)
		cprof_buffer_printf(out, "%s{mode=\"%s\"} %" PRIu64 "\n", name,
				    cprof_modes[mode].name, count);
}

static void put_stops(const struct cprof_counts *counts, size_t n, struct cprof_buffer *out)
{
	begin(out, "cprof_unwind_errors_total", "counter",
	      "Stacks that are not whole, by what ended their walk.");
	for (size_t mode = 0; mode < n; mode++) {
		for (int stop = 0; stop < CPROF_STOP_N && !cprof_modes[mode].instant; stop++) {
			if (stop != CPROF_STOP_ROOT)
				cprof_buffer_printf(
					out,
					"cprof_unwind_errors_total{mode=\"%s\",reason=\"%s\"} %" PRIu64
					"\n",
					cprof_modes[mode].name,
					cprof_stop_name((enum cprof_stop)stop),
					counts[mode].stops[stop]);
		}
	}
}

static void put_samples(const struct cprof_tenants *tenants, struct cprof_buffer *out)
{
	struct cprof_counts counts[CPROF_TENANT_MODES];
	const size_t n = cprof_n_modes < CPROF_TENANT_MODES ? cprof_n_modes : CPROF_TENANT_MODES;
	for (size_t i = 0; i < n; i++)
		counts[i] = counts_of(tenants, i);
	begin(out, "cprof_samples_total", "counter", "Samples that were taken.");
	for (size_t i = 0; i < n; i++)
		put_count(out, "cprof_samples_total", i, counts[i].samples);
	begin(out, "cprof_lost_samples_total", "counter", "Samples that are known to be lost.");
	for (size_t i = 0; i < n; i++)
		put_count(out, "cprof_lost_samples_total", i, counts[i].lost);
	begin(out, "cprof_truncated_stacks_total", "counter", "Stacks that are not whole.");
	for (size_t i = 0; i < n; i++)
		put_count(out, "cprof_truncated_stacks_total", i, counts[i].truncated);
	put_stops(counts, n, out);
	begin(out, "cprof_recordings_cpu_seconds_total", "counter",
	      "Processor time of recordings and of what names and writes their profiles.");
	for (size_t i = 0; i < n; i++) {
		if (!cprof_modes[i].instant)
			cprof_buffer_printf(
				out, "cprof_recordings_cpu_seconds_total{mode=\"%s\"} %.6f\n",
				cprof_modes[i].name, (double)counts[i].cpu_ns / 1e9);
	}
}

void cprof_metrics_page_write(const struct cprof_tenants *tenants,
			      const struct cprof_http_server *http, struct cprof_buffer *out)
{
	begin(out, "cprof_build_info", "gauge", "The version that serves; always 1.");
	cprof_buffer_printf(out, "cprof_build_info{version=\"%s\"} 1\n", CPROF_VERSION);
	put_targets(tenants, out);
	put_recordings(tenants, out);
	put_samples(tenants, out);
	put_clients(http, out);
	put_cost(tenants, out);
}
