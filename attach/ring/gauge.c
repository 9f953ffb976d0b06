/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/ring/gauge.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/ring/longest_wait.h"
#include "attach/target/thread_proc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"

#define LOOK_NS    (CPROF_NS_PER_S / 4)
#define OVER_NS    CPROF_NS_PER_S /* shares of time are of so long */
#define LOOKS      8              /* remembered: more than there are in OVER_NS */
#define WAITS_PART 50             /* looking at waits may take one of so many parts of the time */
#define TEXT_MAX   65536

enum { PSI_CPU, PSI_MEMORY, PSI_IO, N_PSI };

struct look {
	uint64_t mono_ns, cpu_ns, psi_us[N_PSI];
};

struct cprof_gauge {
	const struct cprof_target *target; /* borrowed */
	bool wants[CPROF_TRIGGER_VALUES];
	bool any;
	bool wants_psi[N_PSI];
	char psi[N_PSI][512];     /* paths */
	struct look looks[LOOKS]; /* the last one at n - 1 */
	size_t n;
	struct cprof_longest_wait waits;
	uint64_t waits_due_ns;
	double waited_ns; /* as of the last look at waits */
	uint64_t due_ns;
};

/* ---- pressure ---- */

static const char *const psi_names[N_PSI] = { "cpu", "memory", "io" };

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345" */
static bool read_psi(const char *path, uint64_t *ret_us)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_file_read(path, TEXT_MAX, &text);
	const char *total = err ? NULL : strstr(cprof_buffer_text(&text), "total=");
	cprof_error_free(err);
	return total && sscanf(total, "total=%" SCNu64, ret_us) == 1;
}

/* Its group's where there is one, which knows of the group alone; else the machine's. */
static bool find_psi(pid_t pid, const char *name, char *path, size_t n)
{
	char own[64];
	uint64_t us;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(own, sizeof(own), "/proc/%d/cgroup", (int)pid);
	struct cprof_error *err = cprof_file_read(own, TEXT_MAX, &text);
	const char *group = err ? NULL : strstr(cprof_buffer_text(&text), "0::/");
	cprof_error_free(err);
	if (group && !strstr(group, "..")) {
		group += strlen("0::/");
		const int len = (int)strcspn(group, "\n");
		if (len &&
		    snprintf(path, n, "/sys/fs/cgroup/%.*s/%s.pressure", len, group, name) <
			    (int)n &&
		    read_psi(path, &us))
			return true;
	}
	snprintf(path, n, "/proc/pressure/%s", name);
	return read_psi(path, &us);
}

static struct cprof_error *open_psi(struct cprof_gauge *gauge)
{
	for (size_t i = 0; i < N_PSI; i++) {
		gauge->wants_psi[i] =
			gauge->wants[CPROF_TRIGGER_PSI] || gauge->wants[CPROF_TRIGGER_PSI_CPU + i];
		if (gauge->wants_psi[i] && !find_psi(gauge->target->pid, psi_names[i],
						     gauge->psi[i], sizeof(gauge->psi[i])))
			return cprof_error_hint(
				cprof_error_new(CPROF_ERR_UNSUPPORTED,
						"-until psi: /proc/pressure/%s cannot be read",
						psi_names[i]),
				"pressure is told by kernels that are started with psi=1");
	}
	return NULL;
}

/* ---- values ---- */

static bool read_stat(const struct cprof_gauge *gauge, const char *name, struct cprof_buffer *text)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)gauge->target->pid, name);
	struct cprof_error *err = cprof_file_read(path, TEXT_MAX, text);
	const bool there = !err;
	cprof_error_free(err);
	return there;
}

static double read_rss(const struct cprof_gauge *gauge)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	unsigned long long pages;
	return read_stat(gauge, "statm", &text) &&
			       sscanf(cprof_buffer_text(&text), "%*u %llu", &pages) == 1
		       ? (double)pages * (double)sysconf(_SC_PAGESIZE)
		       : NAN;
}

static double read_threads(const struct cprof_gauge *gauge)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	unsigned long long n;
	const char *line = read_stat(gauge, "status", &text)
				   ? strstr(cprof_buffer_text(&text), "\nThreads:")
				   : NULL;
	return line && sscanf(line, "\nThreads: %llu", &n) == 1 ? (double)n : NAN;
}

/* Waits are looked at no more often than the last look lets it. */
static double read_waits(struct cprof_gauge *gauge, uint64_t now_ns)
{
	uint64_t ns = 0;
	if (now_ns < gauge->waits_due_ns)
		return gauge->waited_ns;
	struct cprof_error *err =
		cprof_longest_wait_look(&gauge->waits, gauge->target->pid, now_ns, &ns);
	cprof_error_free(err);
	gauge->waits_due_ns = now_ns + (cprof_clock_mono_ns() - now_ns) * WAITS_PART;
	gauge->waited_ns = err ? NAN : (double)ns;
	return gauge->waited_ns;
}

/* The look that is a second old, or a little more; NULL: there is none yet. */
static const struct look *before(const struct cprof_gauge *gauge, uint64_t now_ns)
{
	for (size_t i = gauge->n; i-- > 0;) {
		if (now_ns - gauge->looks[i].mono_ns >= OVER_NS)
			return &gauge->looks[i];
	}
	return NULL;
}

static double share(uint64_t now, uint64_t then, uint64_t ns)
{
	return now > then ? (double)(now - then) / (double)ns : 0;
}

static void remember(struct cprof_gauge *gauge, const struct look *look)
{
	if (gauge->n == LOOKS)
		memmove(gauge->looks, gauge->looks + 1, --gauge->n * sizeof(*look));
	gauge->looks[gauge->n++] = *look;
}

static void read_shares(struct cprof_gauge *gauge, uint64_t now_ns,
			struct cprof_trigger_values *values)
{
	struct look look = { .mono_ns = now_ns };
	const struct look *then = before(gauge, now_ns);
	uint64_t user = 0, system = 0;
	bool known = !gauge->wants[CPROF_TRIGGER_CPU] ||
		     cprof_target_cpu_time(gauge->target, &user, &system);
	look.cpu_ns = user + system;
	for (size_t i = 0; known && i < N_PSI; i++)
		known = !gauge->wants_psi[i] || read_psi(gauge->psi[i], &look.psi_us[i]);
	if (!known)
		return;
	if (then) {
		const uint64_t ns = now_ns - then->mono_ns;
		double worst = 0;
		values->at[CPROF_TRIGGER_CPU] = share(look.cpu_ns, then->cpu_ns, ns);
		for (size_t i = 0; i < N_PSI; i++) {
			const double part = share(look.psi_us[i], then->psi_us[i], ns / 1000);
			values->at[CPROF_TRIGGER_PSI_CPU + i] = part;
			worst = part > worst ? part : worst;
		}
		values->at[CPROF_TRIGGER_PSI] = worst;
	}
	remember(gauge, &look);
}

/* ---- life ---- */

struct cprof_error *cprof_gauge_open(const struct cprof_target *target,
				     const bool wants[CPROF_TRIGGER_VALUES],
				     struct cprof_gauge **ret_gauge)
{
	struct cprof_gauge *gauge = calloc(1, sizeof(*gauge));
	uint64_t ns;
	if (!gauge)
		return cprof_error_no_memory();
	gauge->target = target;
	memcpy(gauge->wants, wants, sizeof(gauge->wants));
	for (size_t i = 0; i < CPROF_TRIGGER_VALUES; i++)
		gauge->any = gauge->any || wants[i];
	gauge->due_ns = gauge->any ? cprof_clock_mono_ns() : UINT64_MAX;
	struct cprof_error *err = open_psi(gauge);
	if (!err && wants[CPROF_TRIGGER_BLOCKED])
		err = cprof_longest_wait_look(&gauge->waits, target->pid, cprof_clock_mono_ns(),
					      &ns);
	if (err && wants[CPROF_TRIGGER_BLOCKED] && err->code == CPROF_ERR_DENIED)
		err = cprof_error_wrap(err, "-until blocked");
	if (err) {
		cprof_gauge_close(gauge);
		return err;
	}
	*ret_gauge = gauge;
	return NULL;
}

void cprof_gauge_close(struct cprof_gauge *gauge)
{
	if (gauge)
		cprof_longest_wait_deinit(&gauge->waits);
	free(gauge);
}

uint64_t cprof_gauge_due_mono_ns(const struct cprof_gauge *gauge)
{
	return gauge->due_ns;
}

bool cprof_gauge_read(struct cprof_gauge *gauge, struct cprof_trigger_values *ret_values)
{
	const uint64_t now_ns = cprof_clock_mono_ns();
	if (now_ns < gauge->due_ns)
		return false;
	gauge->due_ns = now_ns + LOOK_NS;
	for (size_t i = 0; i < CPROF_TRIGGER_VALUES; i++)
		ret_values->at[i] = NAN;
	read_shares(gauge, now_ns, ret_values);
	if (gauge->wants[CPROF_TRIGGER_RSS])
		ret_values->at[CPROF_TRIGGER_RSS] = read_rss(gauge);
	if (gauge->wants[CPROF_TRIGGER_THREADS])
		ret_values->at[CPROF_TRIGGER_THREADS] = read_threads(gauge);
	if (gauge->wants[CPROF_TRIGGER_BLOCKED])
		ret_values->at[CPROF_TRIGGER_BLOCKED] = read_waits(gauge, now_ns);
	return true;
}
