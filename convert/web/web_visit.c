/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/web/web_visit.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "convert/formats/input_format.h"
#include "convert/output/format_table.h"
#include "convert/output/graphviz.h"
#include "convert/report/filter_time.h"
#include "convert/report/time_label.h"
#include "convert/web/compare.h"
#include "cprof/pprof_write.h"

#define CPU_SECONDS 120u
#define MORE_BYTES  (3ull << 30) /* that a request may need, beside what there is */

/* What is too large ends with its own process. A sanitizer's shadow would not fit below such a limit. */
static void limit(void)
{
	struct rlimit cpu = { CPU_SECONDS, CPU_SECONDS };
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CPU, &cpu);
#if !defined(__SANITIZE_ADDRESS__)
	unsigned long long pages = 0;
	CPROF_AUTO(fclose) FILE *statm = fopen("/proc/self/statm", "re");
	if (!statm || fscanf(statm, "%llu", &pages) != 1)
		return;
	const rlim_t most = pages * (rlim_t)sysconf(_SC_PAGESIZE) + MORE_BYTES;
	struct rlimit memory = { most, most };
	setrlimit(RLIMIT_AS, &memory);
#endif
}

static const struct cprof_format *format_of(const struct cprof_web_visit *visit)
{
	const struct cprof_web_page *page = visit->page;
	if (visit->form == CPROF_WEB_SVG)
		return &cprof_format_svg;
	if (visit->form == CPROF_WEB_TEXT)
		return page->text;
	return visit->query.whole && page->whole ? page->whole : page->json;
}

/* The text of the report, or the picture that Graphviz makes of it. */
static struct cprof_error *write_report(struct cprof_report *report, FILE *out)
{
	if (!report->format->graphviz)
		return cprof_report_write(report, out);
	CPROF_AUTO(fclose) FILE *graph = tmpfile();
	CPROF_AUTO(fclose) FILE *picture = tmpfile();
	if (!graph || !picture)
		return cprof_error_os(errno, "create a temporary file");
	struct cprof_error *err = cprof_report_write(report, graph);
	if (!err)
		err = cprof_graphviz_draw(report->format->graphviz, graph, picture);
	if (err)
		return err;
	char bytes[8192];
	rewind(picture);
	for (size_t n; (n = fread(bytes, 1, sizeof(bytes), picture)) > 0;)
		fwrite(bytes, 1, n, out);
	return NULL;
}

/* What `write` writes. */
static struct cprof_error *collect(struct cprof_report *report, struct cprof_buffer *ret_bytes)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	if (!out)
		return cprof_error_no_memory();
	struct cprof_error *err = write_report(report, out);
	if (fclose(out) != 0 && !err)
		err = cprof_error_no_memory();
	if (err) {
		free(text);
		return err;
	}
	*ret_bytes = (struct cprof_buffer){ .data = (uint8_t *)text, .len = n, .cap = n + 1 };
	return NULL;
}

/* What the parameter time chooses; from and to are parts of the same recording. */
static void keep_part(struct cprof_web_query *query, struct cprof_profile *profile)
{
	cprof_filter_time_fix(profile, &query->config);
	cprof_time_label_keep(profile, query->from_ns, query->to_ns);
}

/* A report of the profiles, which are this process's own copies and not needed again. */
static struct cprof_error *make_report(struct cprof_web_visit *visit,
				       struct cprof_buffer *ret_bytes)
{
	struct cprof_web_query *query = &visit->query;
	const struct cprof_format *format = format_of(visit);
	struct cprof_profile *profile;
	struct cprof_report *report;
	const struct cprof_web_choice choice = { .recordings = visit->recordings,
						 .profile = visit->profile,
						 .base = visit->base,
						 .norm = query->norm,
						 .mark_base = visit->options->mark_base ||
							      format->flags & CPROF_FORMAT_COMPARES,
						 .by_module = query->by_module };
	struct cprof_error *err = cprof_web_compare(&choice, &profile);
	if (visit->page->is_strip) /* all of the time, of which the others show a part */
		query->config.from = query->config.to = "";
	else if (!err && query->to_ns)
		keep_part(query, profile);
	if (!err)
		err = cprof_report_new(profile, format, format->arg ? query->config.focus : NULL,
				       &query->config, &report);
	return err ? err : collect(report, ret_bytes);
}

/* What is too large to be held is refused here already, before the server decodes it. */
static struct cprof_error *encode(const struct cprof_web_visit *visit,
				  struct cprof_profile *profile, struct cprof_buffer *ret_bytes)
{
	struct cprof_error *err = cprof_web_recordings_check(visit->recordings, profile);
	return err ? err : cprof_pprof_encode(profile, 0, ret_bytes);
}

static struct cprof_error *record(const struct cprof_web_visit *visit,
				  struct cprof_buffer *ret_bytes)
{
	struct cprof_profile *profile;
	struct cprof_error *err =
		visit->options->record(visit->options->record_ctx, cprof_buffer_text(&visit->text),
				       visit->seconds, &profile);
	return err ? err : encode(visit, profile, ret_bytes);
}

static struct cprof_error *read_upload(const struct cprof_web_visit *visit,
				       struct cprof_buffer *ret_bytes)
{
	struct cprof_profile *profile;
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	cprof_buffer_append(&bytes, visit->request->body, visit->request->n_body);
	struct cprof_error *err = cprof_buffer_error(&bytes);
	if (!err && !bytes.len)
		err = cprof_error_new(CPROF_ERR_BAD_DATA, "the file is empty");
	if (!err)
		err = cprof_input_decode(bytes.data, bytes.len, &profile);
	return err ? err : encode(visit, profile, ret_bytes);
}

/*
 * It and the programs that it starts are a group, so that they can be ended together. Who is in a group behind the terminal's must
 * not stop for having something to say (termios(3) "TOSTOP").
 */
static void found_group(void)
{
	setpgid(0, 0);
	signal(SIGTTOU, SIG_IGN);
}

static struct cprof_error *work(void *ctx, int stop_fd, int ask_fd, struct cprof_buffer *ret_bytes)
{
	struct cprof_web_visit *visit = ctx;
	(void)stop_fd;
	(void)ask_fd;
	found_group();
	limit();
	switch (visit->task) {
	case CPROF_WEB_RECORD:
		return record(visit, ret_bytes);
	case CPROF_WEB_UPLOAD:
		return read_upload(visit, ret_bytes);
	case CPROF_WEB_REPORT:
		break;
	}
	return make_report(visit, ret_bytes);
}

struct cprof_error *cprof_web_visit_start(struct cprof_web_visit *visit)
{
	struct cprof_error *err = cprof_work_start("cprof-page", work, visit, -1, &visit->work);
	visit->works = !err;
	if (!err) /* here, too: whichever of the two comes first */
		setpgid(visit->work.pid, visit->work.pid);
	return err;
}

/* End it where nobody waits for it: there is nothing that it would have to put back. */
static void end_group(pid_t pid)
{
	siginfo_t state;
	/* A number that has been reaped may be somebody else's by now; what is not reaped, ended or not, is still ours. */
	if (waitid(P_PID, (id_t)pid, &state, WEXITED | WNOHANG | WNOWAIT) == 0)
		kill(-pid, SIGKILL);
}

void cprof_web_visit_free(struct cprof_web_visit *visit)
{
	if (!visit)
		return;
	if (visit->works && visit->work.pid > 0)
		end_group(visit->work.pid);
	cprof_work_end(&visit->work);
	cprof_web_query_deinit(&visit->query);
	cprof_buffer_deinit(&visit->text);
	free(visit);
}
