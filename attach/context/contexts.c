/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/context/contexts.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/context/context_keys.h"
#include "attach/context/go_labels.h"
#include "attach/context/thread_context.h"
#include "attach/context/tls_place.h"
#include "attach/context/tls_symbol.h"
#include "attach/run/process_context.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/own_label.h"
#include "cprof/hash.h"

#define VARIABLE     "otel_thread_ctx_v1"
#define KEYS_TURN_NS CPROF_NS_PER_S /* names of attributes are read again at most as often */
#define OWN_MAX      2              /* trace_id, span_id */
static_assert(CPROF_CONTEXTS_LABELS_MAX == CPROF_THREAD_CONTEXT_MAX + OWN_MAX, "contexts.h");

/* What is known of one process. */
struct offer {
	const struct cprof_process *process; /* borrowed; NULL: free */
	size_t looked;                       /* mappings that were looked at */
	bool has_symbol,
		settled; /* a variable was found; and where it is, or that nobody can tell */
	struct cprof_tls_symbol symbol;
	struct cprof_tls_image image;
	struct cprof_context_keys *keys; /* owned; NULL: not read yet */
	uint64_t keys_ns;                /* when they were */
};

struct cprof_contexts {
	const struct cprof_run *run;   /* borrowed */
	struct cprof_modules *modules; /* borrowed */
	struct offer *offers;          /* owned */
	size_t n_offers, cap_offers;
	struct cprof_map64 seen; /* hashes of sets */
	uint64_t secret;

	struct kept {
		char *text; /* owned; keys and values, each with its zero */
		uint32_t n;
	} * kept; /* owned; the set of number 1, 2, ... */
	uint32_t n_kept, cap_kept;
	struct cprof_map64 numbers; /* hashes of sets */

	bool otel, go; /* some process offers such */
	uint64_t samples, borne;
	uint64_t without_ids, without_any, cut; /* samples */
	struct cprof_error *refused;            /* owned */
	struct cprof_error *partly;             /* owned; why `which` bear none */
	const char *which;

	struct cprof_thread_context context;
	struct cprof_builder_label labels[CPROF_CONTEXTS_LABELS_MAX];
	char renamed[CPROF_THREAD_CONTEXT_MAX][CPROF_CONTEXT_GO_KEY + 8];
};

struct cprof_error *cprof_contexts_new(const struct cprof_run *run, struct cprof_modules *modules,
				       struct cprof_contexts **ret_contexts)
{
	*ret_contexts = NULL;
	if (run->request_labels.what == CPROF_REQUEST_LABELS_OFF)
		return NULL;
	struct cprof_contexts *contexts = calloc(1, sizeof(*contexts));
	if (!contexts)
		return cprof_error_no_memory();
	contexts->run = run;
	contexts->modules = modules;
	contexts->secret = cprof_hash_secret();
	*ret_contexts = contexts;
	return NULL;
}

void cprof_contexts_free(struct cprof_contexts *contexts)
{
	if (!contexts)
		return;
	for (size_t i = 0; i < contexts->n_offers; i++)
		free(contexts->offers[i].keys);
	free(contexts->offers);
	cprof_map64_deinit(&contexts->seen);
	cprof_map64_deinit(&contexts->numbers);
	for (uint32_t i = 0; i < contexts->n_kept; i++)
		free(contexts->kept[i].text);
	free(contexts->kept);
	cprof_error_free(contexts->refused);
	cprof_error_free(contexts->partly);
	free(contexts);
}

static struct offer *offer_of(struct cprof_contexts *contexts, const struct cprof_process *process)
{
	for (size_t i = 0; i < contexts->n_offers; i++) {
		if (contexts->offers[i].process == process)
			return &contexts->offers[i];
	}
	return NULL;
}

/* ---- where it is ---- */

static bool has_musl(const struct cprof_maps *maps)
{
	for (size_t i = 0; i < maps->n_sorted; i++) {
		if (strstr(maps->sorted[i]->path, "ld-musl-"))
			return true;
	}
	return false;
}

static bool is_program(const struct cprof_maps *maps, const struct cprof_map *map)
{
	return map->inode && map->inode == maps->exe_inode && map->dev == maps->exe_dev;
}

static void find_keys(struct offer *offer)
{
	CPROF_AUTO(buffer) struct cprof_buffer payload = { 0 };
	if (!offer->keys)
		offer->keys = calloc(1, sizeof(*offer->keys));
	offer->keys_ns = cprof_clock_mono_ns();
	if (offer->keys && cprof_process_context_payload_of(offer->process->target, &payload))
		cprof_context_keys_decode(payload.data, payload.len, offer->keys);
}

/* Another one that the program defines hides that of a library. */
static void take_symbol(struct offer *offer, const struct cprof_process *process,
			const struct cprof_map *map, const struct cprof_tls_symbol *symbol)
{
	uint64_t file_addr;
	if (!cprof_module_file_addr(map->module, map, map->start, &file_addr))
		return;
	offer->has_symbol = true;
	offer->settled = false;
	offer->symbol = *symbol;
	offer->image = (struct cprof_tls_image){
		.word_addr = symbol->word + (map->start - file_addr),
		.program = is_program(&process->maps, map),
		.musl = has_musl(&process->maps),
	};
}

static bool look_for_go(struct cprof_contexts *contexts, const struct cprof_map *map,
			struct cprof_context_place *ret_place)
{
	char version[CPROF_GO_VERSION];
	switch (cprof_go_labels_find(map->module, ret_place, version)) {
	case CPROF_GO_FOUND:
		contexts->go = true;
		return true;
	case CPROF_GO_UNKNOWN:
		cprof_run_log_note(
			contexts->run->log,
			contexts->run->request_labels.asked ? CPROF_NOTE_WARNING
							    : CPROF_NOTE_DETAIL,
			"the labels of this Go program are not read: %s is not a version "
			"that is known, or it was linked in a way that is not",
			*version ? version : "its version");
		return false;
	default:
		return false;
	}
}

/* One mapping with code. *ret_new: it is of a Go program. */
static struct cprof_error *look_at(struct cprof_contexts *contexts, struct offer *offer,
				   struct cprof_process *process, struct cprof_map *map,
				   bool *ret_new, struct cprof_context_place *ret_place)
{
	struct cprof_module *module;
	struct cprof_tls_symbol symbol;
	if (!map->live || !(map->prot & 4) || !map->inode || process->target->exited)
		return NULL;
	struct cprof_error *err =
		cprof_modules_get(contexts->modules, &process->maps, map, &module);
	if (err || module->kind != CPROF_MODULE_FILE || map->moved)
		return err;
	const bool program = is_program(&process->maps, map);
	if (!(offer->has_symbol && offer->image.program) &&
	    cprof_tls_symbol_find(module, VARIABLE, false, &symbol))
		take_symbol(offer, process, map, &symbol);
	if (program && !offer->has_symbol)
		*ret_new |= look_for_go(contexts, map, ret_place);
	return NULL;
}

/* Has its loader written where it is? */
static bool settle(struct cprof_contexts *contexts, struct offer *offer,
		   struct cprof_process *process, struct cprof_context_place *ret_place)
{
	cprof_target_mem_begin(&process->mem);
	const struct cprof_memory memory = cprof_target_mem_view(&process->mem);
	const enum cprof_tls_answer answer =
		cprof_tls_place_find(&offer->symbol, &offer->image, &memory, ret_place);
	offer->settled = answer != CPROF_TLS_LATER;
	if (answer == CPROF_TLS_UNTOLD)
		cprof_run_log_note(contexts->run->log, CPROF_NOTE_WARNING,
				   "request labels are not read: nothing in the file tells where "
				   "threads have " VARIABLE);
	if (answer != CPROF_TLS_FOUND)
		return false;
	find_keys(offer);
	if (offer->keys && !cprof_context_keys_known(offer->keys)) {
		cprof_run_log_note(contexts->run->log, CPROF_NOTE_WARNING,
				   "request labels are not read: the program publishes them by a "
				   "schema that is not known here: %s",
				   offer->keys->schema);
		return false;
	}
	contexts->otel = true;
	return true;
}

bool cprof_contexts_expected(const struct cprof_contexts *contexts,
			     const struct cprof_target *target)
{
	CPROF_AUTO(buffer) struct cprof_buffer payload = { 0 };
	char path[64];
	if (!contexts || target->launched)
		return false;
	if (cprof_process_context_payload_of(target, &payload))
		return true;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)target->pid);
	CPROF_AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && cprof_go_labels_is_go(fd);
}

static struct cprof_error *new_offer(struct cprof_contexts *contexts,
				     const struct cprof_process *process, struct offer **ret_offer)
{
	struct offer *offer = offer_of(contexts, NULL);
	if (!offer) {
		if (!CPROF_ARRAY_ROOM(contexts->offers, contexts->n_offers, contexts->cap_offers,
				      1))
			return cprof_error_no_memory();
		offer = &contexts->offers[contexts->n_offers++];
	}
	*offer = (struct offer){ .process = process };
	*ret_offer = offer;
	return NULL;
}

struct cprof_error *cprof_contexts_look(struct cprof_contexts *contexts,
					struct cprof_process *process, bool *ret_new,
					struct cprof_context_place *ret_place)
{
	*ret_new = false;
	if (!contexts || !process->started || contexts->refused)
		return NULL;
	struct offer *offer = offer_of(contexts, process);
	struct cprof_error *err = offer ? NULL : new_offer(contexts, process, &offer);
	for (; !err && offer->looked < process->maps.n_all; offer->looked++)
		err = look_at(contexts, offer, process, process->maps.all[offer->looked], ret_new,
			      ret_place);
	if (!err && offer->has_symbol && !offer->settled)
		*ret_new |= settle(contexts, offer, process, ret_place);
	return err;
}

void cprof_contexts_forget(struct cprof_contexts *contexts, const struct cprof_process *process)
{
	struct offer *offer = contexts ? offer_of(contexts, process) : NULL;
	if (!offer)
		return;
	free(offer->keys);
	*offer = (struct offer){ 0 };
}

void cprof_contexts_refused(struct cprof_contexts *contexts, struct cprof_error *why)
{
	cprof_error_free(contexts->refused);
	contexts->refused = why;
}

void cprof_contexts_partly(struct cprof_contexts *contexts, const char *which,
			   struct cprof_error *why)
{
	cprof_error_free(contexts->partly);
	contexts->partly = why;
	contexts->which = which;
}

/* ---- labels ---- */

/* A name that means something else in a profile of ours. */
static bool is_taken(const struct cprof_run *run, const char *key)
{
	if (cprof_is_own_label(key))
		return true;
	for (size_t i = 0; i < run->n_labels; i++) {
		if (strcmp(key, run->labels[i].key) == 0)
			return true;
	}
	return false;
}

static void add(struct cprof_contexts *contexts, size_t *n, const char *key, const char *value)
{
	contexts->labels[(*n)++] = (struct cprof_builder_label){ .key = key, .str = value };
}

/* Go programs have ids of requests among their labels. */
static void add_attribute(struct cprof_contexts *contexts, size_t *n, size_t i, bool go)
{
	const char *key = contexts->context.attributes[i].key;
	char *renamed = contexts->renamed[i];
	if (is_taken(contexts->run, key) || (cprof_is_request_id(key) && !go)) {
		snprintf(renamed, sizeof(contexts->renamed[i]), "%s.%s", go ? "go" : "otel", key);
		key = renamed;
	}
	add(contexts, n, key, contexts->context.attributes[i].value);
}

static uint64_t hash_of(const struct cprof_contexts *contexts, size_t from, size_t n)
{
	uint64_t hash = contexts->secret;
	for (size_t i = from; i < n; i++) {
		const struct cprof_builder_label *label = &contexts->labels[i];
		hash = cprof_hash_mix(hash, cprof_hash_bytes_from(contexts->secret, label->key,
								  strlen(label->key)));
		hash = cprof_hash_mix(hash, cprof_hash_bytes_from(contexts->secret, label->str,
								  strlen(label->str)));
	}
	return hash;
}

/* May there be such a set? One that is new counts from now on. */
static bool may_be(struct cprof_contexts *contexts, uint64_t hash, size_t most)
{
	if (cprof_map64_get(&contexts->seen, hash))
		return true;
	return contexts->seen.len < most && cprof_map64_put(&contexts->seen, hash, NULL);
}

static void decode(struct cprof_contexts *contexts, struct offer *offer, const void *event,
		   size_t n)
{
	struct cprof_thread_context *context = &contexts->context;
	if (!cprof_thread_context_decode(event, n, offer ? offer->keys : NULL, context)) {
		context->n = 0;
		context->trace_id[0] = context->span_id[0] = 0;
		return;
	}
	if (!context->unknown || !offer || cprof_clock_mono_ns() - offer->keys_ns < KEYS_TURN_NS)
		return;
	find_keys(offer); /* there may be new names */
	cprof_thread_context_decode(event, n, offer->keys, context);
}

void cprof_contexts_labels(struct cprof_contexts *contexts, struct cprof_process *process,
			   const void *event, size_t n,
			   const struct cprof_builder_label **ret_labels, size_t *ret_n)
{
	*ret_n = 0;
	if (!contexts)
		return;
	contexts->samples++;
	if (!n)
		return;
	struct offer *offer = offer_of(contexts, process);
	const struct cprof_thread_context *context = &contexts->context;
	decode(contexts, offer, event, n);
	const bool go = offer && !offer->has_symbol;
	const bool ids = contexts->run->request_labels.what == CPROF_REQUEST_LABELS_ALL;
	size_t n_ids, n_all = 0;
	if (ids && *context->trace_id)
		add(contexts, &n_all, "trace_id", context->trace_id);
	if (ids && *context->span_id)
		add(contexts, &n_all, "span_id", context->span_id);
	for (size_t i = 0; ids && i < context->n; i++) {
		if (cprof_is_request_id(context->attributes[i].key))
			add_attribute(contexts, &n_all, i, go);
	}
	n_ids = n_all;
	for (size_t i = 0; i < context->n; i++) {
		if (!cprof_is_request_id(context->attributes[i].key))
			add_attribute(contexts, &n_all, i, go);
	}
	contexts->cut += context->cut;
	size_t from = 0;
	if (n_ids && !may_be(contexts, hash_of(contexts, 0, n_all), CPROF_CONTEXTS_SETS_MAX)) {
		contexts->without_ids++;
		from = n_ids;
	}
	if (from == n_ids && n_all > from &&
	    !may_be(contexts, hash_of(contexts, from, n_all),
		    CPROF_CONTEXTS_SETS_MAX + CPROF_CONTEXTS_PLAIN_MAX)) {
		contexts->without_any++;
		from = n_all;
	}
	*ret_labels = contexts->labels + from;
	*ret_n = n_all - from;
	contexts->borne += *ret_n > 0;
}

/* NULL: no memory. */
static char *keep_texts(const struct cprof_builder_label *labels, size_t n)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	for (size_t i = 0; i < n; i++) {
		cprof_buffer_append(&text, labels[i].key, strlen(labels[i].key) + 1);
		cprof_buffer_append(&text, labels[i].str, strlen(labels[i].str) + 1);
	}
	return text.failed ? NULL : (char *)cprof_take_ptr(&text.data);
}

uint32_t cprof_contexts_number(struct cprof_contexts *contexts, struct cprof_process *process,
			       const void *event, size_t n)
{
	const struct cprof_builder_label *labels;
	size_t n_labels;
	bool is_new;
	cprof_contexts_labels(contexts, process, event, n, &labels, &n_labels);
	if (!n_labels)
		return 0;
	const size_t from = (size_t)(labels - contexts->labels);
	uint64_t *number = cprof_map64_put(&contexts->numbers,
					   hash_of(contexts, from, from + n_labels), &is_new);
	if (!number || !is_new)
		return number ? (uint32_t)*number : 0;
	if (!CPROF_ARRAY_ROOM(contexts->kept, contexts->n_kept, contexts->cap_kept, 1))
		return 0;
	char *text = keep_texts(labels, n_labels);
	if (!text)
		return 0;
	contexts->kept[contexts->n_kept++] = (struct kept){ text, (uint32_t)n_labels };
	*number = contexts->n_kept;
	return contexts->n_kept;
}

size_t cprof_contexts_put(struct cprof_contexts *contexts, uint32_t number,
			  struct cprof_builder_label *ret_labels)
{
	if (!contexts || !number || number > contexts->n_kept)
		return 0;
	const struct kept *kept = &contexts->kept[number - 1];
	const char *at = kept->text;
	for (uint32_t i = 0; i < kept->n; i++) {
		const char *value = at + strlen(at) + 1;
		ret_labels[i] = (struct cprof_builder_label){ .key = at, .str = value };
		at = value + strlen(value) + 1;
	}
	return kept->n;
}

/* ---- the end ---- */

static void tell_refused(const struct cprof_contexts *contexts)
{
	const bool worth = contexts->otel || contexts->run->request_labels.asked;
	cprof_run_log_note(contexts->run->log, worth ? CPROF_NOTE_WARNING : CPROF_NOTE_DETAIL,
			   "the program offers labels of its requests (%s), which are not read: %s",
			   contexts->otel ? "OpenTelemetry thread context" : "Go's pprof labels",
			   contexts->refused->message);
}

void cprof_contexts_tell(const struct cprof_contexts *contexts)
{
	if (!contexts)
		return;
	if (contexts->refused) {
		tell_refused(contexts);
		return;
	}
	struct cprof_run_log *log = contexts->run->log;
	if (contexts->otel || contexts->borne)
		cprof_run_log_note(
			log, CPROF_NOTE_FACT,
			"request labels: %" PRIu64 " of %" PRIu64 " samples bear what the "
			"program says of them (%s)",
			contexts->borne, contexts->samples,
			contexts->otel ? "OpenTelemetry thread context" : "Go's pprof labels");
	else if (contexts->run->request_labels.asked && !contexts->go)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "-request-labels: the program offers none");
	if (contexts->partly && (contexts->otel || contexts->borne))
		cprof_run_log_note(log, CPROF_NOTE_WARNING, "%s bear no labels of requests: %s",
				   contexts->which, contexts->partly->message);
	if (contexts->without_ids)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "more than %d requests: %" PRIu64
				   " samples bear no trace_id and span_id",
				   CPROF_CONTEXTS_SETS_MAX, contexts->without_ids);
	if (contexts->without_any)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "too many different request labels: %" PRIu64
				   " samples bear none of them",
				   contexts->without_any);
	if (contexts->cut)
		cprof_run_log_note(log, CPROF_NOTE_DETAIL,
				   "request labels of %" PRIu64
				   " samples are not whole: there are more "
				   "or longer ones than are read",
				   contexts->cut);
}
