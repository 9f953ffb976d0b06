/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/look.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "attach/run/process.h"
#include "base/cleanup.h"
#include "base/printable_text.h"
#include "cprof/symbolizer.h"

#define ADDRESSES_MAX 16384 /* of one request */

/* ---- threads ---- */

static struct cprof_error *keep_text(void *ctx, const char *text, size_t n)
{
	cprof_printable_put(ctx, text, n, "\n\t");
	return cprof_buffer_error(ctx);
}

/* Run a mode on it in a window of `length_ns`. */
static struct cprof_error *run_mode(const struct cprof_subject *subject, const char *name,
				    const struct cprof_profile_form *form,
				    const struct cprof_mode_requests *requests,
				    struct cprof_target *target, struct cprof_window *window,
				    struct cprof_profile **ret_profile)
{
	const struct cprof_mode *mode;
	struct cprof_run_log log = { 0 };
	struct cprof_thread_choice *choice = NULL;
	struct cprof_error *err =
		subject->threads ? NULL : cprof_profile_form_choice(form, &choice);
	if (err)
		return err;
	window->targets = &target;
	window->n_targets = 1;
	const struct cprof_run run = {
		.targets = &target,
		.n_targets = 1,
		.window = window,
		.log = &log,
		.naming = subject->naming,
		.threads = subject->threads ? subject->threads : choice,
		.request_labels = subject->request_labels,
		.command_line = subject->command_line,
	};
	err = cprof_mode_find(name, &mode);
	if (!err)
		err = cprof_mode_run(mode, &run, requests, ret_profile);
	cprof_thread_choice_free(choice);
	cprof_window_deinit(window);
	cprof_run_log_deinit(&log);
	return err;
}

static struct cprof_error *look_at(const struct cprof_look_threads *look,
				   struct cprof_target *target, int stop_fd,
				   struct cprof_buffer *ret_bytes)
{
	struct cprof_mode_requests requests = *look->subject->requests;
	struct cprof_profile *profile = NULL;
	struct cprof_window window = { .stop_fd = stop_fd };
	requests.threads.print = look->dump ? keep_text : NULL;
	requests.threads.print_ctx = ret_bytes;
	requests.threads.no_profile = look->dump;
	requests.threads.go_words = look->go_words;
	struct cprof_error *err = run_mode(look->subject, "threads", &look->form, &requests, target,
					   &window, &profile);
	return err || look->dump ? err : cprof_profile_form_write(&look->form, profile, ret_bytes);
}

static struct cprof_error *threads(void *ctx, int stop_fd, int ask_fd,
				   struct cprof_buffer *ret_bytes)
{
	const struct cprof_look_threads *look = ctx;
	struct cprof_target *target;
	(void)ask_fd;
	struct cprof_error *err = cprof_subject_open(look->subject, &target);
	if (err)
		return err;
	err = look_at(look, target, stop_fd, ret_bytes);
	cprof_target_close(target);
	return err;
}

struct cprof_error *cprof_look_threads_start(struct cprof_look_threads *look,
					     struct cprof_work *ret_work)
{
	return cprof_work_start("cprof-threads", threads, look, -1, ret_work);
}

/* ---- names ---- */

struct naming {
	struct cprof_process *process;
	struct cprof_modules modules;
	struct cprof_symbolizer *symbolizer;
};

/* A name, not a place in a module. The function that has the symbol, as Go answers for its own. */
static struct cprof_error *put_name(struct naming *naming, uint64_t addr, struct cprof_buffer *out)
{
	struct cprof_map *map = cprof_maps_find(&naming->process->maps, addr);
	struct cprof_module *module;
	const struct cprof_symbol_frame *frames;
	size_t n;
	if (!map || !(map->prot & 4))
		return NULL;
	struct cprof_error *err =
		cprof_modules_get(&naming->modules, &naming->process->maps, map, &module);
	if (!err)
		err = cprof_symbolizer_addr(naming->symbolizer, &naming->process->maps, map, addr,
					    &frames, &n);
	if (err)
		return err;
	if (n && !strstr(frames[n - 1].name, "+0x"))
		cprof_buffer_printf(out, "0x%" PRIx64 " %s\n", addr, frames[n - 1].name);
	return NULL;
}

/* As Go reads it: numbers with 0x or decimal; what is none is skipped. */
static struct cprof_error *put_names(struct naming *naming, const struct cprof_look_names *look,
				     struct cprof_buffer *out)
{
	struct cprof_error *err = NULL;
	size_t at = 0;
	for (unsigned i = 0; !err && at < look->n_addresses && i < ADDRESSES_MAX; i++) {
		char word[32] = "", *end;
		size_t n = 0;
		while (at + n < look->n_addresses && look->addresses[at + n] != '+')
			n++;
		if (n < sizeof(word))
			memcpy(word, look->addresses + at, n);
		const uint64_t addr = strtoull(word, &end, 0);
		if (isdigit((unsigned char)word[0]) && !*end && addr)
			err = put_name(naming, addr, out);
		at += n + 1;
	}
	return err;
}

static struct cprof_error *name_in(const struct cprof_look_names *look,
				   struct cprof_process *process, struct cprof_buffer *ret_bytes)
{
	const struct cprof_symbolizer_options options = {
		.way = look->subject->naming.symbolizer,
		.demangle = look->subject->naming.demangle,
		.no_inlines = true,
		.no_lines = true,
		.cache_dir = look->subject->naming.cache_dir,
	};
	struct naming naming = { .process = process };
	cprof_modules_init(&naming.modules);
	struct cprof_error *err =
		cprof_symbolizer_new(&options, &naming.modules, &naming.symbolizer);
	if (!err)
		err = put_names(&naming, look, ret_bytes);
	cprof_symbolizer_free(naming.symbolizer);
	cprof_modules_deinit(&naming.modules);
	return err;
}

static struct cprof_error *names(void *ctx, int stop_fd, int ask_fd, struct cprof_buffer *ret_bytes)
{
	const struct cprof_look_names *look = ctx;
	struct cprof_target *target;
	struct cprof_process process;
	(void)stop_fd;
	(void)ask_fd;
	cprof_buffer_puts(ret_bytes, "num_symbols: 1\n");
	struct cprof_error *err = cprof_subject_open(look->subject, &target);
	if (err)
		return err;
	err = cprof_process_open(&process, target);
	if (!err)
		err = cprof_maps_refresh(&process.maps);
	if (!err)
		err = name_in(look, &process, ret_bytes);
	cprof_process_close(&process);
	cprof_target_close(target);
	return err;
}

struct cprof_error *cprof_look_names_start(struct cprof_look_names *look,
					   struct cprof_work *ret_work)
{
	return cprof_work_start("cprof-names", names, look, -1, ret_work);
}
