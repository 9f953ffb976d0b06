/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/recording.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attach/run/snapshots.h"
#include "base/cleanup.h"
#include "base/clock.h"

/* What all processes of a recording see. */
struct told {
	struct cprof_counts counts;
	/* The end of the last window that was made, where the mode has windows; mono and wall. And where it began. */
	uint64_t until_ns;
	int64_t until_wall_ns, from_wall_ns;
};

struct job {
	const struct cprof_subject *subject;
	const struct cprof_mode *mode;
	const struct cprof_recording_before *before;
	struct cprof_counts *counts;
	struct told *told;               /* that these counts are of; NULL: no memory */
	struct cprof_sample_ring *ring;  /* of a mode with windows; borrowed */
	struct cprof_run *run;           /* that it has; borrowed */
	const struct cprof_run_log *log; /* of a recording that runs; borrowed */
};

struct cprof_error *cprof_subject_open(const struct cprof_subject *subject,
				       struct cprof_target **ret_target)
{
	struct cprof_target *target;
	struct cprof_error *err = cprof_target_open(subject->pid, &target);
	if (err)
		return err;
	if (target->start_ticks == subject->start_ticks) {
		*ret_target = target;
		return NULL;
	}
	cprof_target_close(target);
	return cprof_error_new(CPROF_ERR_NO_TARGET, "process %d has ended", (int)subject->pid);
}

#define COUNTS_EVERY_NS (2 * CPROF_NS_PER_S)
#define WINDOWS_KEPT    2 /* one that is made late is still whole */
#define LATE_NS         (10 * CPROF_NS_PER_S)
#define CLOCKS_APART_NS 1000000
#define RING_BYTES      ((size_t)64 << 20)

/* ---- in the process that records ---- */

static void publish(struct cprof_counts *place, const struct cprof_counts *counts)
{
	if (!place || counts->samples < place->samples)
		return;
	const uint64_t cpu_ns = place->cpu_ns;
	*place = *counts;
	place->cpu_ns = cpu_ns;
}

static uint64_t used_ns(int whose)
{
	struct rusage usage = { 0 };
	getrusage(whose, &usage);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * CPROF_NS_PER_S +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

static void on_progress(void *ctx, const struct cprof_window *window,
			const struct cprof_counts *counts)
{
	struct cprof_counts *place = ctx;
	(void)window;
	publish(place, counts);
	if (place)
		place->cpu_ns = used_ns(RUSAGE_SELF) + used_ns(RUSAGE_CHILDREN);
}

/* In a copy, before its profile is made: what that is to be of, and of which threads. */
static void begin_window(void *ctx, const uint8_t *ask, size_t n)
{
	const struct job *job = ctx;
	struct cprof_profile_form form;
	if (!job->ring || n != sizeof(form))
		return;
	memcpy(&form, ask, sizeof(form));
	job->ring->from_ns = form.from_ns;
	job->ring->until_ns = form.until_ns;
	if (!job->run->threads) /* that it is good has been seen where it was asked for */
		cprof_error_free(cprof_profile_form_choice(&form, &job->run->threads));
}

static bool say_now(void *ctx, const uint8_t *ask, size_t n, struct cprof_buffer *out)
{
	const uint64_t now_ns = cprof_clock_mono_ns();
	struct cprof_profile_form form;
	(void)ctx;
	if (n != sizeof(form))
		return false;
	memcpy(&form, ask, sizeof(form));
	if (form.shape != CPROF_SHAPE_NOW)
		return false;
	cprof_buffer_append(out, &now_ns, sizeof(now_ns));
	return true;
}

static bool is_near(int64_t a_ns, int64_t b_ns)
{
	return llabs(a_ns - b_ns) < CLOCKS_APART_NS;
}

/*
 * It begins where the one before has ended: two clocks, read one after the other, say so to some nanoseconds only. What comes after it, if
 * nobody asks any more, is the last one; that may have been cut when the one before it was being made still, and then begins with it.
 */
static struct cprof_error *make_window(const struct job *job, const struct cprof_profile_form *form,
				       struct cprof_profile *profile, struct cprof_buffer *out)
{
	struct told *told = job->told;
	if (told && is_near(profile->time_ns, told->until_wall_ns))
		profile->time_ns = told->until_wall_ns;
	else if (told && is_near(profile->time_ns, told->from_wall_ns))
		profile->time_ns = told->from_wall_ns;
	const int64_t from_wall_ns = profile->time_ns;
	const int64_t until_wall_ns = profile->time_ns + profile->duration_ns;
	struct cprof_error *err = cprof_profile_form_write(form, profile, out);
	if (!err && told) {
		told->until_ns = form->until_ns;
		told->until_wall_ns = until_wall_ns;
		told->from_wall_ns = from_wall_ns;
	}
	return err;
}

static struct cprof_error *make_form(void *ctx, const uint8_t *ask, size_t n,
				     struct cprof_profile *profile, struct cprof_buffer *out)
{
	const struct job *job = ctx;
	struct cprof_profile_form form;
	if (job->log) /* in a copy, which is behind where it is slow */
		publish(job->counts, &job->log->counts);
	if (n == sizeof(form)) {
		memcpy(&form, ask, sizeof(form));
		if (job->ring)
			return make_window(job, &form, profile, out);
		return cprof_profile_form_write_on(&form, &job->before->carry, profile, out);
	}
	cprof_profile_free(profile);
	return cprof_error_new(CPROF_ERR_BAD_DATA, "an ask of %zu bytes", n);
}

/* All that there is, as a part; with it the end of a target is no error. */
static struct cprof_error *make_last(const struct job *job, struct cprof_profile *profile,
				     struct cprof_buffer *ret_bytes)
{
	struct cprof_profile_form form = { .shape = CPROF_SHAPE_PART };
	if (job->ring) {
		form.shape = CPROF_SHAPE_PPROF;
		if (cprof_profile_form_of_mode(job->mode->name, &form))
			return make_window(job, &form, profile, ret_bytes);
	} else if (cprof_profile_form_of_mode(job->mode->name, &form))
		return cprof_profile_form_write_on(&form, &job->before->carry, profile, ret_bytes);
	cprof_profile_free(profile);
	return NULL;
}

static struct cprof_error *record_target(struct job *job, struct cprof_target *target,
					 struct cprof_window *window,
					 struct cprof_buffer *ret_bytes)
{
	struct cprof_run_log log = { 0 };
	struct cprof_profile *last = NULL;
	struct cprof_run run = {
		.targets = &target,
		.n_targets = 1,
		.window = window,
		.log = &log,
		.timeline = { .bucket_ns = job->subject->step_ns },
		.naming = job->subject->naming,
		.threads = job->subject->threads,
		.request_labels = job->subject->request_labels,
		.command_line = job->subject->command_line,
		.ring = job->ring,
	};
	job->log = &log;
	job->run = &run;
	window->progress = on_progress;
	window->progress_ctx = job->counts;
	window->progress_every_ns = COUNTS_EVERY_NS;
	window->targets = &target;
	window->n_targets = 1;
	struct cprof_error *err = cprof_mode_run(job->mode, &run, job->subject->requests, &last);
	cprof_snapshots_end(window->snapshots);
	on_progress(job->counts, window, &log.counts);
	if (!err && last)
		err = make_last(job, last, ret_bytes);
	else if (!err && !cprof_target_alive(target))
		err = cprof_error_new(CPROF_ERR_NO_TARGET, "process %d (%s) has ended",
				      (int)target->pid, target->comm);
	job->log = NULL;
	job->run = NULL;
	cprof_run_log_deinit(&log);
	return err;
}

static struct cprof_error *record(void *ctx, int stop_fd, int ask_fd,
				  struct cprof_buffer *ret_bytes)
{
	struct job *job = ctx;
	struct cprof_snapshots snapshots = {
		.ask_fd = ask_fd, .last = job->subject->last, .form = make_form, .form_ctx = job
	};
	struct cprof_sample_ring ring = {
		.length_ns = WINDOWS_KEPT * job->subject->window_ns + LATE_NS,
		.bytes_max = RING_BYTES,
		.last_ns = UINT64_MAX,
		.after_ns = job->told ? &job->told->until_ns : NULL,
	};
	job->ring = job->mode->windows && job->subject->window_ns ? &ring : NULL;
	snapshots.begin = job->ring ? begin_window : NULL;
	snapshots.at_once = job->ring ? say_now : NULL;
	struct cprof_window window = { .stop_fd = stop_fd, .snapshots = &snapshots };
	struct cprof_target *target;
	struct cprof_error *err = cprof_subject_open(job->subject, &target);
	if (err)
		return err;
	if (job->before->broke && job->mode->clean)
		err = job->mode->clean(target->pid, NULL);
	if (!err)
		err = record_target(job, target, &window, ret_bytes);
	cprof_window_deinit(&window);
	cprof_sample_ring_deinit(&ring);
	cprof_target_close(target);
	return err;
}

/* Of whoever is asked for. */
static struct cprof_error *record_shared(void *ctx, int stop_fd, int ask_fd,
					 struct cprof_buffer *ret_bytes)
{
	const struct job *job = ctx;
	struct cprof_cpu_shared shared = {
		.naming = job->subject->naming,
		.threads = job->subject->threads,
		.request_labels = job->subject->request_labels,
		.command_line = job->subject->command_line,
		.stop_fd = stop_fd,
		.ask_fd = ask_fd,
		.form = make_form,
		.form_ctx = (void *)(uintptr_t)job,
		.progress = on_progress,
		.progress_ctx = job->counts,
		.progress_every_ns = COUNTS_EVERY_NS,
	};
	(void)ret_bytes;
	return job->mode->run_shared(&shared, job->subject->requests);
}

/* ---- in the server ---- */

/* NULL: no memory, and nothing is counted. */
static struct told *map_told(void)
{
	void *place = mmap(NULL, sizeof(struct told), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return place == MAP_FAILED ? NULL : place;
}

static void unmap_counts(struct cprof_counts *counts)
{
	if (counts)
		munmap(counts, sizeof(struct told));
}

struct cprof_error *cprof_recording_start(const struct cprof_subject *subject,
					  const struct cprof_mode *mode,
					  const struct cprof_recording_before *before,
					  struct cprof_recording *ret_recording)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return cprof_error_os(errno, "socketpair");
	CPROF_AUTO(close) int ours = pair[0];
	CPROF_AUTO(close) int theirs = pair[1];
	struct job job = { .subject = subject, .mode = mode, .before = before, .told = map_told() };
	job.counts = job.told ? &job.told->counts : NULL;
	struct cprof_work work;
	const bool is_shared = !subject->pid;
	struct cprof_error *err = cprof_work_start(
		"cprof-record", is_shared ? record_shared : record, &job, theirs, &work);
	if (err) {
		unmap_counts(job.counts);
		return err;
	}
	*ret_recording = (struct cprof_recording){ .work = work,
						   .ask_fd = cprof_take_fd(&ours),
						   .started_mono_ns = cprof_clock_mono_ns(),
						   .shared = is_shared,
						   .counts = job.counts };
	return NULL;
}

static struct cprof_cpu_shared_who who(const struct cprof_subject *subject,
				       enum cprof_cpu_shared_what what)
{
	return (struct cprof_cpu_shared_who){ subject->start_ticks, subject->pid, what };
}

struct cprof_error *cprof_recording_ask(const struct cprof_recording *recording,
					const struct cprof_subject *subject, bool begins,
					const struct cprof_profile_form *form,
					struct cprof_work_reader *ret_reader)
{
	const struct cprof_cpu_shared_who whose =
		who(subject, begins ? CPROF_CPU_SHARED_BEGIN : CPROF_CPU_SHARED_SO_FAR);
	uint8_t bytes[CPROF_SNAPSHOT_ASK];
	static_assert(sizeof(whose) + sizeof(*form) <= sizeof(bytes), "an ask has room");
	size_t n = recording->shared ? sizeof(whose) : 0;
	memcpy(bytes, &whose, n);
	memcpy(bytes + n, form, sizeof(*form));
	n += sizeof(*form);
	int fd;
	struct cprof_error *err = cprof_snapshots_ask(recording->ask_fd, bytes, n, &fd);
	if (!err)
		*ret_reader = (struct cprof_work_reader){ .fd = fd };
	return err;
}

void cprof_recording_leave(const struct cprof_recording *recording,
			   const struct cprof_subject *subject)
{
	const struct cprof_cpu_shared_who told = who(subject, CPROF_CPU_SHARED_END);
	if (recording->shared) /* where it cannot be told it is ended with its last user, as ever */
		cprof_error_free(cprof_snapshots_tell(recording->ask_fd, &told, sizeof(told)));
}

void cprof_recording_end(struct cprof_recording *recording)
{
	cprof_work_end(&recording->work);
	if (recording->ask_fd >= 0)
		close(recording->ask_fd);
	recording->ask_fd = -1;
	unmap_counts(recording->counts);
	recording->counts = NULL;
}
