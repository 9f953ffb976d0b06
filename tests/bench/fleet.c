/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fleet - the push sides of many agents against one receiver, in minutes that take seconds: fleet [AGENTS [MINUTES-AWAY]] FILE.
 *
 * Each agent is the code that delivers (spool, drain, push, backoff, pace) with a spool of its own in $TMPDIR, and pushes FILE, a recorded
 * profile, for four modes every 15 s at the phase of its host. Requests are real ones over the loopback; the clock is moved from
 * one thing that is due to the next. The receiver takes all for a minute, is away (nobody listens), and is back until all have arrived.
 *
 * Prints how evenly requests came before, what peak there was afterwards, and whether anything was lost; status 1 where one of these is
 * not as promised: peak within 2 of the mean, nothing lost.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attach/continuous/beat.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "convert/delivery/drain.h"
#include "convert/delivery/pace.h"
#include "cprof/hash.h"
#include "cprof/pprof_read.h"

#define MODES    4
#define EVERY_NS (15 * CPROF_NS_PER_S)
#define UP_S     60
#define SECONDS  7200
#define EPOCH_NS (1764345600 * CPROF_NS_PER_S)
#define FILE_MAX (64u << 20)

/* ---- the receiver ---- */

static int listening = -1;
static struct sockaddr_in address;
static _Atomic uint64_t taken, taken_bytes;

static void answer(int fd)
{
	static const char ok[] =
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	char head[8192];
	size_t n = 0, want = SIZE_MAX;
	while (n < want) {
		const ssize_t got =
			read(fd, n < sizeof(head) - 1 ? head + n : head,
			     n < sizeof(head) - 1 ? sizeof(head) - 1 - n : sizeof(head) - 1);
		if (got <= 0)
			return;
		n += (size_t)got;
		if (want != SIZE_MAX || n >= sizeof(head))
			continue;
		head[n] = 0;
		const char *end = strstr(head, "\r\n\r\n"),
			   *length = strcasestr(head, "content-length:");
		if (end && length)
			want = (size_t)(end + 4 - head) + strtoul(length + 15, NULL, 10);
	}
	if (write(fd, ok, sizeof(ok) - 1) == (ssize_t)sizeof(ok) - 1)
		taken++;
	taken_bytes += n;
}

static void *serve(void *ctx)
{
	const int fd = *(int *)ctx;
	for (;;) {
		const int client = accept(fd, NULL, NULL);
		if (client < 0)
			return NULL;
		answer(client);
		close(client);
	}
}

static pthread_t thread;

static bool come(void)
{
	const int yes = 1;
	socklen_t n = sizeof(address);
	listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	return bind(listening, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	       listen(listening, 128) == 0 &&
	       getsockname(listening, (struct sockaddr *)&address, &n) == 0 &&
	       pthread_create(&thread, NULL, serve, &listening) == 0;
}

static void go(void)
{
	shutdown(listening, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listening);
}

/* ---- the clock ---- */

static uint64_t now_ns; /* since the beginning */
static uint64_t chance = 1;

static uint64_t wall(void *ctx)
{
	(void)ctx;
	return EPOCH_NS + now_ns;
}

static uint64_t boot(void *ctx)
{
	(void)ctx;
	return CPROF_NS_PER_S + now_ns;
}

static void sleep_for(void *ctx, uint64_t ns)
{
	(void)ctx;
	now_ns += ns;
}

static uint64_t draw(void *ctx)
{
	(void)ctx;
	return chance = cprof_hash_u64(chance + 0x9e3779b97f4a7c15ull);
}

static const struct cprof_clockwork virtual_clock = { NULL, wall, boot, sleep_for, draw };

/* ---- an agent ---- */

struct agent {
	struct cprof_delivery_counts counts;
	struct cprof_spool spool;
	struct cprof_drain drain;
	struct cprof_destination destination;
	struct cprof_beat beat;
	char host[32];
	uint64_t window_ns; /* when the next window ends */
	uint64_t idle;      /* nothing is there to be sent */
};

static char url[64];
static struct cprof_buffer file;
static struct cprof_profile *profile;
static uint64_t produced, delivered_at[SECONDS];

static void must(struct cprof_error *err)
{
	if (!err)
		return;
	fprintf(stderr, "fleet: %s\n", err->message);
	exit(2);
}

static void open_agent(struct agent *agent, const char *dir, unsigned number)
{
	char path[512];
	const struct cprof_spool_bounds bounds = { 0 };
	snprintf(path, sizeof(path), "%s/%u", dir, number);
	snprintf(agent->host, sizeof(agent->host), "node-%u", number);
	must(cprof_spool_open(path, &bounds, &virtual_clock, &agent->counts, &agent->spool));
	const struct cprof_push to = { .url = url, .backend = "auto", .clock = &virtual_clock };
	must(cprof_destination_init(&to, &agent->destination));
	agent->drain = (struct cprof_drain){ .spool = &agent->spool };
	agent->beat = cprof_beat_of(agent->host, 100, EVERY_NS);
	agent->window_ns = cprof_beat_wait_ns(&agent->beat, EPOCH_NS);
	agent->idle = true;
}

static void end_window(struct agent *agent)
{
	static const char *const modes[MODES] = { "cpu", "heap", "block", "mutex" };
	char host[64];
	const char *found[] = { host };
	snprintf(host, sizeof(host), "hostname=%s", agent->host);
	for (size_t i = 0; i < MODES; i++) {
		const struct cprof_push push = { .url = url,
						 .backend = "auto",
						 .service = "shop",
						 .found = found,
						 .n_found = 1,
						 .kind = modes[i],
						 .profile = profile,
						 .from_wall_ns = wall(NULL) - EVERY_NS,
						 .until_wall_ns = wall(NULL),
						 .body = file.data,
						 .n_body = file.len,
						 .clock = &virtual_clock };
		must(cprof_spool_put(&agent->spool, &push, NULL));
		produced++;
	}
	agent->window_ns += EVERY_NS;
	agent->idle = false;
}

static void step(struct agent *agent)
{
	enum cprof_drained drained;
	const uint64_t before = agent->counts.delivered;
	agent->drain.pace_ns = cprof_pace_ns(now_ns, agent->counts.kept);
	must(cprof_drain_step(&agent->drain, &agent->destination, &drained));
	agent->idle = drained == CPROF_DRAINED_NONE;
	delivered_at[now_ns / CPROF_NS_PER_S] += agent->counts.delivered - before;
}

static uint64_t due_of(const struct agent *agent, bool ending)
{
	const uint64_t from = boot(NULL) - now_ns;
	const uint64_t at = agent->destination.not_before_boot_ns;
	const uint64_t send = agent->idle ? UINT64_MAX : at > from + now_ns ? at - from : now_ns;
	const uint64_t window = ending ? UINT64_MAX : agent->window_ns;
	return send < window ? send : window;
}

/* ---- all of them ---- */

static uint64_t run_until(struct agent *agents, unsigned n, uint64_t until_ns, bool ending)
{
	for (;;) {
		struct agent *next = NULL;
		uint64_t due_ns = until_ns;
		for (unsigned i = 0; i < n; i++) {
			const uint64_t due = due_of(&agents[i], ending);
			if (due < due_ns) {
				due_ns = due;
				next = &agents[i];
			}
		}
		now_ns = due_ns > now_ns ? due_ns : now_ns;
		if (!next)
			return now_ns;
		if (!ending && next->window_ns <= now_ns)
			end_window(next);
		else
			step(next);
	}
}

static uint64_t sum(size_t from, size_t until)
{
	uint64_t all = 0;
	for (size_t i = from; i < until; i++)
		all += delivered_at[i];
	return all;
}

static uint64_t peak(size_t from, size_t until)
{
	uint64_t most = 0;
	for (size_t i = from; i < until; i++)
		most = delivered_at[i] > most ? delivered_at[i] : most;
	return most;
}

static uint64_t least(size_t from, size_t until)
{
	uint64_t few = UINT64_MAX;
	for (size_t i = from; i < until; i++)
		few = delivered_at[i] < few ? delivered_at[i] : few;
	return few;
}

static uint64_t waiting(const struct agent *agents, unsigned n)
{
	uint64_t all = 0;
	for (unsigned i = 0; i < n; i++)
		all += agents[i].counts.kept - agents[i].counts.delivered;
	return all;
}

int main(int argc, char **argv)
{
	const unsigned n = argc > 2 ? (unsigned)atoi(argv[1]) : 500;
	const unsigned away_s = (argc > 3 ? (unsigned)atoi(argv[2]) : 5) * 60;
	struct agent *agents = calloc(n ? n : 1, sizeof(*agents));
	char dir[] = "/dev/shm/cprof-fleet-XXXXXX", remove[sizeof(dir) + 16];
	address = (struct sockaddr_in){ .sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (argc < 2 || !n || !agents || away_s > 3600 || !mkdtemp(dir) || !come())
		return 2;
	must(cprof_file_read(argv[argc - 1], FILE_MAX, &file));
	must(cprof_pprof_decode(file.data, file.len, &profile));
	snprintf(url, sizeof(url), "pyroscope+http://127.0.0.1:%d", ntohs(address.sin_port));
	for (unsigned i = 0; i < n; i++)
		open_agent(&agents[i], dir, i);

	const uint64_t cpu_ns = cprof_clock_cpu_ns();
	run_until(agents, n, UP_S * CPROF_NS_PER_S, false);
	const uint64_t up_cpu_ns = cprof_clock_cpu_ns() - cpu_ns, up = taken, bytes = taken_bytes;
	go();
	run_until(agents, n, (UP_S + away_s) * CPROF_NS_PER_S, false);
	const uint64_t backlog = waiting(agents, n);
	if (!come())
		return 2;
	const size_t back = UP_S + away_s;
	size_t end = back;
	while (waiting(agents, n) > (uint64_t)n * MODES && end < SECONDS - 60) {
		end += 15;
		run_until(agents, n, end * CPROF_NS_PER_S, false);
	}
	const uint64_t caught_s = end - back;
	run_until(agents, n, SECONDS * CPROF_NS_PER_S - 1, true);
	go();

	const double mean = (double)n * MODES / 15;
	const uint64_t most = peak(back, end), before = sum(20, UP_S);
	uint64_t kept = 0, dropped = 0;
	for (unsigned i = 0; i < n; i++) {
		kept += agents[i].counts.kept - agents[i].counts.delivered;
		for (size_t k = 0; k < CPROF_DROPPED_N; k++)
			dropped += agents[i].counts.dropped[k];
	}
	printf("%u agents, %d modes, 15 s: mean %.1f profiles/s\n", n, MODES, mean);
	printf("before: %.1f/s, in a second %llu to %llu (%.2f of the mean)\n",
	       (double)before / (UP_S - 20), (unsigned long long)least(20, UP_S),
	       (unsigned long long)peak(20, UP_S), (double)peak(20, UP_S) / mean);
	printf("away %u s: %llu wait; back: all caught up after %llu s, in a second at most %llu "
	       "(%.2f of the mean)\n",
	       away_s, (unsigned long long)backlog, (unsigned long long)caught_s,
	       (unsigned long long)most, (double)most / mean);
	printf("made %llu, arrived %llu, dropped %llu, waiting %llu\n",
	       (unsigned long long)produced, (unsigned long long)taken, (unsigned long long)dropped,
	       (unsigned long long)kept);
	if (up)
		printf("a push: %.0f us of CPU (with the receiver and the spool), %llu bytes on "
		       "the wire\n",
		       (double)up_cpu_ns / (double)up / 1e3, (unsigned long long)(bytes / up));
	snprintf(remove, sizeof(remove), "rm -rf %s", dir);
	if (system(remove) != 0)
		return 2;
	return (double)most <= 2 * mean && taken == produced && !dropped && !kept ? 0 : 1;
}
