/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/firefox_thread.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "convert/output/json.h"
#include "cprof/hash.h"

#define NS_PER_MS 1e6
#define RESOURCE  1   /* resourceTypes.library */
#define INTERVAL  1   /* a marker's phase: it has a begin and an end */
#define IN_PIECES 0.5 /* of a nanosecond: what is nearer than that touches */

struct frame {
	uint32_t info, func;
};

struct node {
	uint32_t prefix, frame; /* prefix: index + 1, 0 at the root */
};

/* A row of the samples' table. */
struct row {
	double time_ns;
	uint32_t stack; /* node + 1; 0: nothing runs */
	double weight;
	int64_t cpu_ns;
};

struct marker {
	const char *reason;
	double begin_ns, end_ns;
	uint32_t stack;
};

struct thread {
	const struct cprof_firefox *firefox;
	const struct cprof_timed_thread *thread;
	struct frame *frames; /* owned, as all arrays here */
	uint32_t n_frames, cap_frames;
	uint32_t *funcs; /* an info that is of the function */
	uint32_t n_funcs, cap_funcs;
	struct node *nodes;
	uint32_t n_nodes, cap_nodes;
	struct row *rows;
	uint32_t n_rows, cap_rows;
	struct marker *markers;
	uint32_t n_markers, cap_markers;
	struct cprof_map64 frame_of, func_of, node_of; /* -> index + 1 */
};

static void thread_deinit(struct thread *t)
{
	free(t->frames);
	free(t->funcs);
	free(t->nodes);
	free(t->rows);
	free(t->markers);
	cprof_map64_deinit(&t->frame_of);
	cprof_map64_deinit(&t->func_of);
	cprof_map64_deinit(&t->node_of);
}

/* ---- tables ---- */

static const struct cprof_node_info *info_at(const struct thread *t, uint32_t info)
{
	return &t->firefox->infos->all[info];
}

static bool same_function(const struct cprof_node_info *a, const struct cprof_node_info *b)
{
	return a->name == b->name && a->file == b->file && a->objfile == b->objfile &&
	       (a->name || a->address == b->address);
}

static struct cprof_error *find_func(struct thread *t, uint32_t info, uint32_t *ret)
{
	const struct cprof_node_info *of = info_at(t, info);
	uint64_t hash = cprof_hash_mix((uint64_t)of->name << 32 | of->file, of->objfile);
	for (;; hash = cprof_hash_u64(hash + 1)) {
		uint64_t *place = cprof_map64_put(&t->func_of, hash, NULL);
		if (!place || !CPROF_ARRAY_ROOM(t->funcs, t->n_funcs, t->cap_funcs, 1))
			return cprof_error_no_memory();
		if (!*place) {
			t->funcs[t->n_funcs++] = info;
			*place = t->n_funcs;
		}
		*ret = (uint32_t)*place - 1;
		if (same_function(info_at(t, t->funcs[*ret]), of))
			return NULL;
	}
}

static struct cprof_error *find_frame(struct thread *t, uint32_t info, uint32_t *ret)
{
	uint64_t *place = cprof_map64_put(&t->frame_of, info, NULL);
	struct cprof_error *err = NULL;
	if (!place || !CPROF_ARRAY_ROOM(t->frames, t->n_frames, t->cap_frames, 1))
		return cprof_error_no_memory();
	if (!*place) {
		t->frames[t->n_frames].info = info;
		err = find_func(t, info, &t->frames[t->n_frames].func);
		*place = ++t->n_frames;
	}
	*ret = (uint32_t)*place - 1;
	return err;
}

/* The node of `info` called by node `prefix` (index + 1). */
static struct cprof_error *find_node(struct thread *t, uint32_t prefix, uint32_t info,
				     uint32_t *ret)
{
	uint32_t frame = 0;
	struct cprof_error *err = find_frame(t, info, &frame);
	if (err)
		return err;
	uint64_t *place = cprof_map64_put(&t->node_of, (uint64_t)prefix << 32 | frame, NULL);
	if (!place || !CPROF_ARRAY_ROOM(t->nodes, t->n_nodes, t->cap_nodes, 1))
		return cprof_error_no_memory();
	if (!*place) {
		t->nodes[t->n_nodes++] = (struct node){ prefix, frame };
		*place = t->n_nodes;
	}
	*ret = (uint32_t)*place;
	return NULL;
}

/* From the root; *ret is index + 1. */
static struct cprof_error *find_stack(struct thread *t, uint32_t index, uint32_t *ret)
{
	const struct cprof_node_infos *infos = t->firefox->infos;
	const struct cprof_profile *p = infos->profile;
	const struct cprof_sample *sample = &p->samples[index];
	struct cprof_error *err = NULL;
	*ret = 0;
	for (uint32_t i = sample->n_locations; !err && i-- > 0;) {
		const uint32_t location = p->stacks[sample->first_location + i];
		for (uint32_t slot = infos->slot_of[location + 1];
		     !err && slot-- > infos->slot_of[location];)
			err = find_node(t, *ret, infos->slots[slot], ret);
	}
	return err;
}

/* ---- samples and waits ---- */

static struct cprof_error *add_row(struct thread *t, const struct row *row)
{
	if (!CPROF_ARRAY_ROOM(t->rows, t->n_rows, t->cap_rows, 1))
		return cprof_error_no_memory();
	t->rows[t->n_rows++] = *row;
	return NULL;
}

static int64_t value_of(const struct thread *t, uint32_t sample, int type)
{
	const struct cprof_profile *p = t->firefox->report->profile;
	return type < 0 ? 0 : p->values[(size_t)sample * p->n_types + (size_t)type];
}

/* Why it waits, by a label; "wait" where there is none. */
static const char *reason_of(const struct thread *t, uint32_t index)
{
	static const char *const keys[] = { "wait", "reason", "kind", "call", "state" };
	const struct cprof_profile *p = t->firefox->report->profile;
	const struct cprof_sample *sample = &p->samples[index];
	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
		for (uint32_t i = 0; i < sample->n_labels; i++) {
			const struct cprof_label *label = &p->labels[sample->first_label + i];
			if (!label->is_num &&
			    strcmp(cprof_profile_text(p, label->key), keys[k]) == 0)
				return cprof_profile_text(p, label->text);
		}
	}
	return "wait";
}

/* A wait that goes on in the next bucket is one. */
static struct cprof_error *add_marker(struct thread *t, const struct cprof_timed_sample *sample,
				      uint32_t stack)
{
	struct marker *last = t->n_markers ? &t->markers[t->n_markers - 1] : NULL;
	const struct marker more = { reason_of(t, sample->sample), sample->begin_ns, sample->end_ns,
				     stack };
	if (last && last->stack == stack && strcmp(last->reason, more.reason) == 0 &&
	    more.begin_ns - last->end_ns < IN_PIECES) {
		last->end_ns = more.end_ns;
		return NULL;
	}
	if (!CPROF_ARRAY_ROOM(t->markers, t->n_markers, t->cap_markers, 1))
		return cprof_error_no_memory();
	t->markers[t->n_markers++] = more;
	return NULL;
}

/* A row stands where the sample ends, as what was used since the one before; where nothing was a row says that, too. */
static struct cprof_error *add_sample(struct thread *t, const struct cprof_timed_sample *sample,
				      double *last_ns)
{
	const struct cprof_firefox *f = t->firefox;
	const int64_t value = cprof_report_value(f->report, sample->sample);
	struct row row = { .time_ns = sample->end_ns,
			   .weight = (double)value * f->weight_unit,
			   .cpu_ns = value_of(t, sample->sample, f->cpu_type) };
	struct cprof_error *err = NULL;
	if (sample->begin_ns - *last_ns >= IN_PIECES)
		err = add_row(t, &(struct row){ .time_ns = sample->begin_ns });
	if (!err)
		err = find_stack(t, sample->sample, &row.stack);
	if (!err)
		err = add_row(t, &row);
	if (!err && value_of(t, sample->sample, f->wait_type) > 0)
		err = add_marker(t, sample, row.stack);
	*last_ns = sample->end_ns;
	return err;
}

/* ---- writing ---- */

#define COLUMN(name, n, ...)                                                                       \
	do {                                                                                       \
		fprintf(out, "\"%s\":[", name);                                                    \
		for (uint32_t i = 0; i < (n); i++) {                                               \
			fputs(i ? "," : "", out);                                                  \
			__VA_ARGS__;                                                               \
		}                                                                                  \
		fputs("],", out);                                                                  \
	} while (0)

static void put_index(uint32_t index_and_one, FILE *out)
{
	if (index_and_one)
		fprintf(out, "%u", index_and_one - 1);
	else
		fputs("null", out);
}

static void put_samples(const struct thread *t, FILE *out)
{
	const uint32_t n = t->n_rows;
	fputs("\"samples\":{", out);
	COLUMN("stack", n, put_index(t->rows[i].stack, out));
	COLUMN("time", n, fprintf(out, "%.6f", t->rows[i].time_ns / NS_PER_MS));
	COLUMN("weight", n, fprintf(out, "%.15g", t->rows[i].weight));
	if (t->firefox->cpu_type >= 0)
		COLUMN("threadCPUDelta", n, fprintf(out, "%" PRId64, t->rows[i].cpu_ns));
	fprintf(out, "\"weightType\":\"%s\",\"length\":%u},\n", t->firefox->weight_type, n);
}

static void put_wait(const struct marker *marker, FILE *out)
{
	fputs("{\"type\":\"Wait\",\"reason\":", out);
	cprof_json_put_string(out, marker->reason);
	if (marker->stack)
		fprintf(out, ",\"cause\":{\"time\":%.6f,\"stack\":%u}",
			marker->begin_ns / NS_PER_MS, marker->stack - 1);
	fputc('}', out);
}

static void put_markers(const struct thread *t, FILE *out)
{
	const uint32_t n = t->n_markers;
	fputs("\"markers\":{", out);
	COLUMN("data", n, put_wait(&t->markers[i], out));
	COLUMN("name", n, fprintf(out, "%u", t->firefox->n_strings));
	COLUMN("startTime", n, fprintf(out, "%.6f", t->markers[i].begin_ns / NS_PER_MS));
	COLUMN("endTime", n, fprintf(out, "%.6f", t->markers[i].end_ns / NS_PER_MS));
	COLUMN("phase", n, fprintf(out, "%d", INTERVAL));
	COLUMN("category", n, fprintf(out, "%d", CPROF_FIREFOX_BLOCKED));
	fprintf(out, "\"length\":%u},\n", n);
}

static void put_stacks(const struct thread *t, FILE *out)
{
	fputs("\"stackTable\":{", out);
	COLUMN("frame", t->n_nodes, fprintf(out, "%u", t->nodes[i].frame));
	COLUMN("prefix", t->n_nodes, put_index(t->nodes[i].prefix, out));
	fprintf(out, "\"length\":%u},\n", t->n_nodes);
}

/* "[futex]" and the like are no functions, but what a thread sleeps in. */
static int category_of(const struct thread *t, uint32_t info)
{
	const struct cprof_profile *p = t->firefox->report->profile;
	const char *name = cprof_profile_text(p, info_at(t, info)->name);
	const char *file = cprof_profile_text(p, info_at(t, info)->objfile);
	if (*name == '[' && t->firefox->wait_type >= 0)
		return CPROF_FIREFOX_BLOCKED;
	return strncmp(file, "[kernel", 7) == 0 ? CPROF_FIREFOX_KERNEL : CPROF_FIREFOX_USER;
}

static void put_line(int64_t line, FILE *out)
{
	if (line > 0)
		fprintf(out, "%" PRId64, line);
	else
		fputs("null", out);
}

static void put_frames(const struct thread *t, FILE *out)
{
	const uint32_t n = t->n_frames;
	fputs("\"frameTable\":{", out);
	COLUMN("address", n, fputs("-1", out));
	COLUMN("inlineDepth", n, fputc('0', out));
	COLUMN("category", n, fprintf(out, "%d", category_of(t, t->frames[i].info)));
	COLUMN("subcategory", n, fputc('0', out));
	COLUMN("func", n, fprintf(out, "%u", t->frames[i].func));
	COLUMN("nativeSymbol", n, fputs("null", out));
	COLUMN("innerWindowID", n, fputc('0', out));
	COLUMN("line", n, put_line(info_at(t, t->frames[i].info)->line, out));
	COLUMN("column", n, put_line(info_at(t, t->frames[i].info)->column, out));
	fprintf(out, "\"length\":%u},\n", n);
}

static void put_file(const struct thread *t, uint32_t file, FILE *out)
{
	if (file)
		fprintf(out, "%" PRId32, t->firefox->string_of[file]);
	else
		fputs("null", out);
}

static void put_funcs(const struct thread *t, FILE *out)
{
	const struct cprof_firefox *f = t->firefox;
	const uint32_t n = t->n_funcs;
	fputs("\"funcTable\":{", out);
	COLUMN("name", n, fprintf(out, "%u", f->name_of[t->funcs[i]]));
	COLUMN("isJS", n, fputs("false", out));
	COLUMN("relevantForJS", n, fputs("false", out));
	COLUMN("resource", n,
	       fprintf(out, "%" PRId32, f->lib_of[info_at(t, t->funcs[i])->objfile]));
	COLUMN("fileName", n, put_file(t, info_at(t, t->funcs[i])->file, out));
	COLUMN("lineNumber", n, put_line(info_at(t, t->funcs[i])->start_line, out));
	COLUMN("columnNumber", n, fputs("null", out));
	fprintf(out, "\"length\":%u},\n", n);
}

/* One a library, which has the same number. */
static void put_resources(const struct cprof_firefox *f, FILE *out)
{
	fputs("\"resourceTable\":{\"name\":[", out);
	uint32_t n = 0;
	for (uint32_t s = 0; s < f->report->profile->strings.len; s++) {
		if (f->lib_of[s] >= 0)
			fprintf(out, "%s%" PRId32, n++ ? "," : "", f->string_of[s]);
	}
	fputs("],", out);
	COLUMN("lib", n, fprintf(out, "%u", i));
	COLUMN("host", n, fputs("null", out));
	COLUMN("type", n, fprintf(out, "%d", RESOURCE));
	fprintf(out, "\"length\":%u},\n", n);
}

static void put_head(const struct thread *t, FILE *out)
{
	const struct cprof_profile *p = t->firefox->report->profile;
	const int64_t pid = t->thread->pid ? t->thread->pid : t->firefox->main_pid;
	const char *title = cprof_report_title(t->firefox->report);
	fputs("{\"processType\":\"default\",\"processStartupTime\":0,\"processShutdownTime\":null,"
	      "\"registerTime\":0,\"unregisterTime\":null,\"pausedRanges\":[],"
	      "\"showMarkersInTimeline\":true,",
	      out);
	cprof_json_put_member(out, "name",
			      t->thread->name ? cprof_profile_text(p, t->thread->name) : "thread");
	fputc(',', out);
	cprof_json_put_member(out, "processName", *title ? title : "process");
	fprintf(out, ",\"isMainThread\":%s,\"pid\":\"%" PRId64 "\",\"tid\":%" PRId64 ",\n",
		t->thread->tid && t->thread->tid == pid ? "true" : "false", pid, t->thread->tid);
}

struct cprof_error *cprof_firefox_thread_put(const struct cprof_firefox *firefox, uint32_t index,
					     FILE *out)
{
	const struct cprof_timed_samples *timed = firefox->timed;
	struct thread t = { .firefox = firefox, .thread = &timed->threads[index] };
	struct cprof_error *err = NULL;
	double last_ns = 0;
	for (uint32_t i = 0; !err && i < t.thread->n; i++)
		err = add_sample(&t, &timed->all[t.thread->first + i], &last_ns);
	if (!err) {
		put_head(&t, out);
		put_samples(&t, out);
		put_markers(&t, out);
		put_stacks(&t, out);
		put_frames(&t, out);
		put_funcs(&t, out);
		put_resources(firefox, out);
		fputs("\"nativeSymbols\":{\"libIndex\":[],\"address\":[],\"name\":[],"
		      "\"functionSize\":[],\"length\":0}}",
		      out);
	}
	thread_deinit(&t);
	return err;
}
