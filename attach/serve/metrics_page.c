/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/metrics_page.h"

#include <inttypes.h>
#include <string.h>
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

static double all_seconds(const struct cprof_tenants *tenants)
{
	struct rusage ended = { 0 };
	getrusage(RUSAGE_CHILDREN, &ended);
	double sum = (double)cprof_clock_cpu_ns() / 1e9 + seconds(ended.ru_utime) +
		     seconds(ended.ru_stime);
	for (size_t i = 0; i <= tenants->n; i++) {
		for (size_t c = 0; c < CPROF_CHANNELS_MAX; c++) {
			const struct cprof_channel *channel = &channels_at(tenants, i)->all[c];
			sum += channel->running ? seconds_of(channel->recording.work.pid) : 0;
		}
	}
	return sum;
}

static void put_cost(const struct cprof_tenants *tenants, struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer statm = { 0 };
	char *end = NULL;
	cprof_error_free(cprof_file_read("/proc/self/statm", STATM_MAX, &statm));
	strtoull(cprof_buffer_text(&statm), &end, 10);
	const uint64_t pages = strtoull(end, NULL, 10);
	begin(out, "cprof_cpu_seconds_total", "counter",
	      "Processor time of the server and of all that works for it.");
	cprof_buffer_printf(out, "cprof_cpu_seconds_total %.6f\n", all_seconds(tenants));
	begin(out, "cprof_resident_memory_bytes", "gauge",
	      "Memory of the server itself, without its recordings.");
	cprof_buffer_printf(out, "cprof_resident_memory_bytes %" PRIu64 "\n",
			    pages * (uint64_t)sysconf(_SC_PAGESIZE));
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
	begin(out, "cprof_targets", "gauge", "Processes that are served.");
	cprof_buffer_printf(out,
			    "cprof_targets{state=\"alive\"} %zu\n"
			    "cprof_targets{state=\"ended\"} %zu\n",
			    alive, tenants->n - alive);
}

static size_t count(const struct cprof_tenants *tenants, const char *mode, bool running)
{
	size_t found = 0;
	for (size_t i = 0; i <= tenants->n; i++) {
		for (size_t c = 0; c < CPROF_CHANNELS_MAX; c++) {
			const struct cprof_channel *channel = &channels_at(tenants, i)->all[c];
			found += channel->mode && strcmp(channel->mode->name, mode) == 0 &&
				 (running ? channel->running : channel->failure != NULL);
		}
	}
	return found;
}

static void put_recordings(const struct cprof_tenants *tenants, struct cprof_buffer *out)
{
	static const char *const modes[] = { "cpu", "heap", "block", "mutex" };
	begin(out, "cprof_recordings", "gauge",
	      "Recordings that run, and such that ended by themselves or could not begin.");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		cprof_buffer_printf(out,
				    "cprof_recordings{mode=\"%s\",state=\"running\"} %zu\n"
				    "cprof_recordings{mode=\"%s\",state=\"failed\"} %zu\n",
				    modes[i], count(tenants, modes[i], true), modes[i],
				    count(tenants, modes[i], false));
}

void cprof_metrics_page_write(const struct cprof_tenants *tenants,
			      const struct cprof_http_server *http, struct cprof_buffer *out)
{
	begin(out, "cprof_build_info", "gauge", "The version that serves; always 1.");
	cprof_buffer_printf(out, "cprof_build_info{version=\"%s\"} 1\n", CPROF_VERSION);
	put_targets(tenants, out);
	put_recordings(tenants, out);
	put_clients(http, out);
	put_cost(tenants, out);
}
