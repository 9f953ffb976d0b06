/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/ring/ring_recording.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/run/snapshots.h"
#include "attach/target/target_fate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "cprof/pprof_write.h"

#define SLACK_NS (5 * CPROF_NS_PER_S) /* samples are kept so much longer, until an ask is here */
#define END_MS   5000                 /* that the recording may take to end */
#define FATE_NS  (2 * CPROF_NS_PER_S) /* that the target's parent may take */

struct ask {
	uint64_t from_ns, until_ns;
	char reason[CPROF_RING_REASON_MAX];
};
static_assert(sizeof(struct ask) <= CPROF_SNAPSHOT_ASK, "an ask has room");

struct head {
	uint64_t samples, lost, length_ns;
	char ending[CPROF_RING_REASON_MAX];
};

/* ---- in the process that records ---- */

struct recording {
	const struct cprof_ring_subject *subject;
	struct cprof_sample_ring ring;
	struct cprof_run_log log;
	struct cprof_window window;
	int ask_fd; /* borrowed */
};

/* Its window is open. Where nobody is there to be told, nobody waits for it. */
static void tell_begun(void *ctx)
{
	const struct recording *recording = ctx;
	send(recording->ask_fd, "b", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static struct cprof_error *put(const struct recording *recording, const char *ending,
			       struct cprof_profile *profile, struct cprof_buffer *out)
{
	const struct cprof_counts *counts = &recording->log.counts;
	struct head head = { .samples = counts->samples,
			     .lost = counts->lost,
			     .length_ns = (uint64_t)profile->duration_ns };
	snprintf(head.ending, sizeof(head.ending), "%s", ending);
	cprof_buffer_append(out, &head, sizeof(head));
	return cprof_pprof_encode(profile, CPROF_PPROF_GZIP_FAST, out);
}

/* In a copy of it: what the profile is to be of. */
static void begin(void *ctx, const uint8_t *bytes, size_t n)
{
	struct recording *recording = ctx;
	struct ask ask;
	if (n != sizeof(ask))
		return;
	memcpy(&ask, bytes, sizeof(ask));
	ask.reason[sizeof(ask.reason) - 1] = 0;
	recording->ring.from_ns = ask.from_ns;
	recording->ring.until_ns = ask.until_ns;
	if (*ask.reason)
		cprof_run_log_note(&recording->log, CPROF_NOTE_FACT, "written because of %s",
				   ask.reason);
}

static struct cprof_error *form(void *ctx, const uint8_t *ask, size_t n,
				struct cprof_profile *profile, struct cprof_buffer *out)
{
	const struct recording *recording = ctx;
	(void)ask;
	(void)n;
	struct cprof_error *err = put(recording, "", profile, out);
	cprof_profile_free(profile);
	return err;
}

static struct cprof_error *put_last(const struct recording *recording,
				    const struct cprof_target *target,
				    struct cprof_target_fate *fate, struct cprof_profile *profile,
				    struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 }, ending = { 0 };
	cprof_target_fate_end(fate, target, FATE_NS);
	cprof_target_fate_describe(fate, &ending);
	cprof_buffer_printf(&text, "written because process %d (%s) %s", (int)target->pid,
			    target->comm, cprof_buffer_text(&ending));
	struct cprof_error *err = cprof_buffer_error(&text);
	if (!err)
		err = cprof_profile_add_comment(profile, cprof_buffer_text(&text));
	return err ? err : put(recording, cprof_buffer_text(&ending), profile, out);
}

static struct cprof_error *record_target(struct recording *recording, struct cprof_target *target,
					 struct cprof_buffer *ret_bytes)
{
	const struct cprof_ring_subject *subject = recording->subject;
	CPROF_AUTO(profile) struct cprof_profile *last = NULL;
	struct cprof_target_fate fate;
	const struct cprof_run run = {
		.targets = &target,
		.n_targets = 1,
		.window = &recording->window,
		.log = &recording->log,
		.naming = subject->subject.naming,
		.labels = subject->labels,
		.n_labels = subject->n_labels,
		.threads = subject->subject.threads,
		.request_labels = subject->subject.request_labels,
		.timeline = subject->timeline,
		.command_line = subject->subject.command_line,
		.ring = &recording->ring,
	};
	recording->window.targets = &target;
	recording->window.n_targets = 1;
	cprof_target_fate_start(&fate, target);
	struct cprof_error *err =
		cprof_mode_run(subject->mode, &run, subject->subject.requests, &last);
	cprof_snapshots_end(recording->window.snapshots);
	if (!err && last && target->exited)
		err = put_last(recording, target, &fate, last, ret_bytes);
	return err;
}

static struct cprof_error *record(void *ctx, int stop_fd, int ask_fd,
				  struct cprof_buffer *ret_bytes)
{
	const struct cprof_ring_subject *subject = ctx;
	struct recording recording = {
		.subject = subject,
		.ask_fd = ask_fd,
		.ring = { .length_ns = subject->length_ns + SLACK_NS,
			  .bytes_max = subject->bytes_max,
			  .last_ns = subject->before_ns },
	};
	struct cprof_snapshots snapshots = {
		.ask_fd = ask_fd, .begin = begin, .form = form, .form_ctx = &recording
	};
	struct cprof_target *target;
	signal(SIGUSR1, SIG_IGN); /* whoever means all of us means the one that watches */
	signal(SIGUSR2, SIG_IGN);
	struct cprof_error *err = cprof_subject_open(&subject->subject, &target);
	if (err)
		return err;
	snapshots.last_of = target;
	recording.window = (struct cprof_window){ .stop_fd = stop_fd,
						  .snapshots = &snapshots,
						  .on_start = tell_begun,
						  .start_ctx = &recording };
	err = record_target(&recording, target, ret_bytes);
	cprof_window_deinit(&recording.window);
	cprof_sample_ring_deinit(&recording.ring);
	cprof_run_log_deinit(&recording.log);
	cprof_target_close(target);
	return err;
}

/* ---- in the one that watches ---- */

struct cprof_error *cprof_ring_recording_start(const struct cprof_ring_subject *subject,
					       struct cprof_ring_recording *ret_recording)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return cprof_error_os(errno, "socketpair");
	CPROF_AUTO(close) int ours = pair[0];
	CPROF_AUTO(close) int theirs = pair[1];
	struct cprof_work work;
	struct cprof_error *err =
		cprof_work_start("cprof-record", record, (void *)(uintptr_t)subject, theirs, &work);
	if (err)
		return err;
	*ret_recording =
		(struct cprof_ring_recording){ .work = work, .ask_fd = cprof_take_fd(&ours) };
	return NULL;
}

void cprof_ring_recording_end(struct cprof_ring_recording *recording)
{
	const pid_t pid = recording->work.pid;
	struct pollfd said = { .fd = recording->work.reader.fd, .events = POLLIN };
	cprof_work_ask_end(&recording->work);
	while (said.fd >= 0 && poll(&said, 1, END_MS) > 0 &&
	       !cprof_work_reader_take(&recording->work.reader))
		;
	const bool ended = recording->work.reader.fd < 0;
	cprof_work_end(&recording->work);
	if (pid && ended)
		waitpid(pid, NULL, 0);
	if (recording->ask_fd >= 0)
		close(recording->ask_fd);
	recording->ask_fd = -1;
}

bool cprof_ring_recording_has_begun(const struct cprof_ring_recording *recording)
{
	char word;
	return recv(recording->ask_fd, &word, 1, MSG_DONTWAIT) == 1;
}

struct cprof_error *cprof_ring_recording_ask(const struct cprof_ring_recording *recording,
					     uint64_t from_ns, uint64_t until_ns,
					     const char *reason,
					     struct cprof_work_reader *ret_reader)
{
	struct ask ask = { .from_ns = from_ns, .until_ns = until_ns };
	int fd;
	snprintf(ask.reason, sizeof(ask.reason), "%s", reason);
	struct cprof_error *err = cprof_snapshots_ask(recording->ask_fd, &ask, sizeof(ask), &fd);
	if (!err)
		*ret_reader = (struct cprof_work_reader){ .fd = fd };
	return err;
}

bool cprof_ring_profile_read(const struct cprof_buffer *bytes,
			     struct cprof_ring_profile *ret_profile)
{
	struct head head;
	if (bytes->len <= sizeof(head))
		return false;
	memcpy(&head, bytes->data, sizeof(head));
	*ret_profile = (struct cprof_ring_profile){ .samples = head.samples,
						    .lost = head.lost,
						    .length_ns = head.length_ns,
						    .file = bytes->data + sizeof(head),
						    .n_file = bytes->len - sizeof(head) };
	memcpy(ret_profile->ending, head.ending, sizeof(head.ending));
	ret_profile->ending[sizeof(ret_profile->ending) - 1] = 0;
	return true;
}
