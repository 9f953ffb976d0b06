/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cli_options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attach/cli/cli_options_impl.h"
#include "base/cache_dir.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/secret.h"
#include "convert/push/push_environment.h"
#include "symbolize/names/symbol_cache.h"

#define RATE_MAX      10000.0
#define STACK_MAX     65528 /* perf_event_open(2): a u16 record size, 8-byte aligned */
#define BUDGET_MAX    1000
#define HTTP_OVERHEAD 0.01

#define LABEL_KEY_MAX 255

#define LENGTH_DEFAULT_NS (30 * CPROF_NS_PER_S)

static struct cprof_error *split_label(const char *text, struct cprof_run_label *ret_label)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : 0;
	if (!len || len > LABEL_KEY_MAX) {
		struct cprof_error *err =
			cprof_error_new(CPROF_ERR_USAGE, "-label: \"%s\" is not KEY=VALUE", text);
		return cprof_error_hint(err, "for example -label env=prod");
	}
	ret_label->key = strndup(text, len);
	ret_label->value = equals + 1;
	return ret_label->key ? NULL : cprof_error_no_memory();
}

static struct cprof_error *split_labels(struct cprof_attach_options *options)
{
	options->label_pairs = calloc(options->labels.len + 1, sizeof(*options->label_pairs));
	if (!options->label_pairs)
		return cprof_error_no_memory();
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < options->labels.len; i++)
		err = split_label(options->labels.items[i], &options->label_pairs[i]);
	return err;
}

#define HEAP_RATE_MAX (1ull << 40)

/* Bytes in the heap mode, a duration in the others. */
static struct cprof_error *parse_rate(struct cprof_attach_options *options)
{
	uint64_t *bytes = &options->requests.heap.period_bytes;
	*bytes = cprof_mode_defaults.heap.period_bytes;
	if (!options->rate)
		return NULL;
	if (strcmp(options->mode, "heap") != 0)
		return cprof_options_value("rate", CPROF_OPT_DURATION, options->rate,
					   &options->requests.waits.rate_ns);
	struct cprof_error *err = cprof_options_value("rate", CPROF_OPT_SIZE, options->rate, bytes);
	if (!err && (*bytes < 1 || *bytes > HEAP_RATE_MAX))
		err = cprof_error_new(CPROF_ERR_USAGE, "-rate: not between 1 and %llu bytes",
				      HEAP_RATE_MAX);
	return err;
}

/* "1%", "0.5" or "2.5%": percent of one processor. */
static struct cprof_error *parse_overhead(struct cprof_attach_options *options)
{
	/* Who serves a process does so for long, and is bound to cost it little. */
	if (!options->overhead && options->http && !options->continuous.on)
		options->requests.heap.overhead = options->requests.cpu.overhead =
			options->requests.wall.overhead = HTTP_OVERHEAD;
	if (!options->overhead)
		return NULL;
	char *end;
	errno = 0;
	double percent = strtod(options->overhead, &end);
	end += *end == '%';
	if (errno || end == options->overhead || *end || !(percent >= 0.01 && percent <= 100))
		return cprof_error_new(CPROF_ERR_USAGE,
				       "-overhead: \"%s\" is not a percentage between 0.01 and 100",
				       options->overhead);
	options->requests.heap.overhead = options->requests.wall.overhead = percent / 100;
	if (options->http || options->continuous.on)
		options->requests.cpu.overhead = percent / 100;
	return NULL;
}

static struct cprof_error *parse_heap_hooks(struct cprof_attach_options *options)
{
	if (options->heap_hook_texts.len && strcmp(options->mode, "heap") != 0)
		return cprof_error_new(CPROF_ERR_USAGE, "-heap-hook says nothing without -mode "
							"heap");
	options->requests.heap.pools = &options->heap_hooks;
	return cprof_pool_specs_parse(&options->heap_hook_texts, &options->heap_hooks);
}

static struct cprof_error *parse_heap_size(struct cprof_attach_options *options)
{
	if (!options->heap_size)
		return NULL;
	if (strcmp(options->mode, "heap") != 0)
		return cprof_error_new(CPROF_ERR_USAGE, "-heap-size says nothing without -mode "
							"heap");
	return cprof_heap_sizes_parse(options->heap_size, &options->requests.heap.sizes);
}

/* One look, at one moment: what watches, and what goes on, is another thing. */
static struct cprof_error *check_snapshot(struct cprof_attach_options *options)
{
	const struct cprof_heap_request *heap = &options->requests.heap;
	const struct {
		bool given;
		const char *name;
	} others[] = { { options->http, "-http" },
		       { options->live, "-live" },
		       { options->ring.length_ns, "-ring" },
		       { options->continuous.on, "-push -every" },
		       { options->report.leaks, "-leaks" },
		       { heap->since_ns, "-heap-since" },
		       { heap->ages, "-heap-age" },
		       { heap->mmap, "-heap-mmap" },
		       { options->heap_size, "-heap-size" },
		       { options->heap_hook_texts.len, "-heap-hook" },
		       { options->rate, "-rate" } };
	if (!heap->snapshot)
		return NULL;
	if (strcmp(options->mode, "heap") != 0)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE,
					"-snapshot says nothing without -mode heap"),
			"add -mode heap; -mode threads is a snapshot by itself");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (others[i].given)
			return cprof_error_hint(
				cprof_error_new(CPROF_ERR_USAGE, "-snapshot does not go with %s",
						others[i].name),
				"it is one look at what is held now; with -heap-baseline what was held "
				"before is shown beside what is allocated since");
	}
	return NULL;
}

static struct cprof_error *parse_block(struct cprof_attach_options *options)
{
	const char *scope = options->block;
	options->requests.waits.all = strcmp(scope, "all") == 0;
	if (!options->requests.waits.all && strcmp(scope, "contention") != 0) {
		struct cprof_error *err =
			cprof_error_new(CPROF_ERR_USAGE, "-block: there is no \"%s\"", scope);
		return cprof_error_hint(err,
					"give -block contention (futexes) or -block all (every "
					"blocking system call)");
	}
	if (options->requests.waits.all && strcmp(options->mode, "mutex") == 0)
		return cprof_error_new(
			CPROF_ERR_USAGE,
			"-mode mutex is about locks: -block all does not go with it");
	return NULL;
}

static struct cprof_error *parse_wall(struct cprof_attach_options *options)
{
	struct cprof_wall_request *wall = &options->requests.wall;
	wall->idle = strcmp(options->wall, "all") == 0;
	if (!wall->idle && strcmp(options->wall, "active") != 0)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "-wall: there is no \"%s\"",
					options->wall),
			"give -wall active (threads that do something) or -wall all");
	wall->rate_hz = options->requests.cpu.rate_hz;
	wall->stack_bytes = options->requests.cpu.stack_bytes;
	wall->user_only = options->requests.cpu.user_only;
	wall->strategy = options->requests.cpu.strategy;
	return NULL;
}

static void parse_demangle(struct cprof_attach_options *options)
{
	static const struct {
		const char *name;
		enum cprof_demangle demangle;
	} forms[] = { { "full", CPROF_DEMANGLE_FULL },
		      { "templates", CPROF_DEMANGLE_TEMPLATES },
		      { "none", CPROF_DEMANGLE_NONE } };
	options->naming.demangle = CPROF_DEMANGLE_SHORT;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (strcmp(options->demangle, forms[i].name) == 0)
			options->naming.demangle = forms[i].demangle;
	}
}

static struct cprof_error *parse_naming(struct cprof_attach_options *options)
{
	if (options->naming.budget < 1 || options->naming.budget > BUDGET_MAX)
		return cprof_error_new(CPROF_ERR_USAGE, "-budget: not between 1 and %d",
				       BUDGET_MAX);
	parse_demangle(options);
	if (!cprof_symbolizer_way_parse(options->symbolizer, &options->naming.symbolizer))
		return cprof_error_new(CPROF_ERR_USAGE, "-symbolizer %s: auto, index or libdwfl",
				       options->symbolizer);
	if (!options->no_cache)
		options->naming.cache_dir = options->cache_dir = cprof_cache_dir_default();
	return NULL;
}

static struct cprof_error *check_cpu(struct cprof_attach_options *options)
{
	struct cprof_cpu_request *cpu = &options->requests.cpu;
	if (!(cpu->rate_hz >= 0.1 && cpu->rate_hz <= RATE_MAX))
		return cprof_error_new(CPROF_ERR_USAGE, "-hz: %g is not between 0.1 and %g",
				       cpu->rate_hz, RATE_MAX);
	if (cpu->stack_bytes > STACK_MAX || cpu->stack_bytes < 256)
		return cprof_error_new(CPROF_ERR_USAGE, "-stack-bytes: not between 256 and %d",
				       STACK_MAX);
	cpu->stack_bytes &= ~(uint64_t)7;
	options->requests.waits.stack_bytes = cpu->stack_bytes;
	return NULL;
}

static struct cprof_error *check_children(struct cprof_attach_options *options)
{
	if (!options->children || options->http || options->continuous.on ||
	    strcmp(options->mode, "cpu") == 0)
		return NULL;
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_USAGE, "-mode %s does not follow child processes",
				options->mode),
		"-children goes with -mode cpu; otherwise name each process with -p");
}

static struct cprof_error *check_threads(struct cprof_attach_options *options)
{
	struct cprof_threads_request *threads = &options->requests.threads;
	static const char *const means[] = { "auto", "bpf", "proc", "ptrace" };
	bool known = false;
	for (size_t i = 0; i < sizeof(means) / sizeof(means[0]); i++)
		known = known || strcmp(threads->means, means[i]) == 0;
	if (!known)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "-means: \"%s\" is not auto, bpf, proc or ptrace",
				       threads->means);
	if (threads->consistent && strcmp(threads->means, "auto") != 0 &&
	    strcmp(threads->means, "ptrace") != 0)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "-consistent stops all threads by ptrace, which -means %s "
				       "leaves out",
				       threads->means);
	if (strcmp(options->text_format, "threads") != 0 &&
	    strcmp(options->text_format, "goroutines") != 0)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "-text-format: \"%s\" is not threads or goroutines",
				       options->text_format);
	threads->go_words = strcmp(options->text_format, "goroutines") == 0;
	if (threads->repeat < 1 || threads->repeat > 1000000)
		return cprof_error_new(CPROF_ERR_USAGE, "-repeat: not between 1 and 1000000");
	if (threads->exe && !threads->core)
		return cprof_error_new(CPROF_ERR_USAGE, "-exe says nothing without -core FILE");
	if (threads->core && threads->repeat > 1)
		return cprof_error_new(CPROF_ERR_USAGE, "-repeat: a core file does not change");
	return NULL;
}

const char *cli_options_for_one_profile(const struct cprof_attach_options *options)
{
	const struct {
		bool given;
		const char *name;
	} others[] = { { options->output, "-o" },
		       { options->text, "-text" },
		       { options->requests.threads.core, "-core" },
		       { options->command.len > 0, "-- COMMAND" },
		       { options->format, "-format" },
		       { options->report.top, "-top" },
		       { options->report.tree, "-tree" },
		       { options->report.traces, "-traces" },
		       { options->report.folded, "-folded" },
		       { options->report.peek, "-peek" },
		       { options->report.list, "-list" },
		       { options->report.leaks, "-leaks" } };
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (others[i].given)
			return others[i].name;
	}
	return NULL;
}

/* A server gives profiles out when they are asked for: it writes none, and the clients say how long. */
static struct cprof_error *check_http(struct cprof_attach_options *options)
{
	if (options->http && options->ring.length_ns)
		return NULL; /* it serves the ring, and that writes files */
	if (!options->http)
		return options->http_token_file
			       ? cprof_error_new(CPROF_ERR_USAGE,
						 "-http-token-file says nothing without -http")
			       : NULL;
	const char *other = cli_options_for_one_profile(options);
	if (other)
		return cprof_error_new(CPROF_ERR_USAGE, "-http does not go with %s", other);
	if (options->push_urls.len && !options->continuous.on)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE,
					"-http does not go with -push of one profile"),
			"with -every as well, /metrics tells what becomes of the profiles");
	return NULL;
}

/* "env" in the place of a URL: the server that the environment names. */
static struct cprof_error *find_servers(struct cprof_attach_options *options)
{
	for (size_t i = 0; i < options->push_urls.len; i++) {
		CPROF_AUTO(buffer) struct cprof_buffer url = { 0 };
		const char *variable;
		if (strcmp(options->push_urls.items[i], CPROF_PUSH_URL_ENVIRONMENT) != 0)
			continue;
		struct cprof_error *err = cprof_push_environment_server(&url, &variable);
		if (!err)
			err = cprof_option_values_add(&options->below, "push",
						      cprof_buffer_text(&url), variable,
						      CPROF_OPTION_ENVIRONMENT);
		if (err)
			return cprof_error_wrap(err, "-push env");
		options->push_urls.items[i] = options->below.items[options->below.len - 1].text;
	}
	return NULL;
}

/* From what was typed to what the modes are asked for; what is no sense in itself is refused. */
static struct cprof_error *fill_requests(struct cprof_attach_options *options)
{
	static struct cprof_error *(*const steps[])(struct cprof_attach_options *) = {
		check_snapshot,  check_threads,    parse_rate,
		parse_overhead,  parse_heap_hooks, cli_options_settle_growth,
		parse_heap_size, parse_block,      check_cpu,
		parse_wall,      split_labels,     parse_naming,
		check_children,  check_http,       cli_options_parse_samples,
	};
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < sizeof(steps) / sizeof(steps[0]); i++)
		err = steps[i](options);
	return err;
}

/* The file first, then the environment: what comes later counts. */
static struct cprof_error *read_layers(int argc, char *const argv[],
				       struct cprof_attach_options *options)
{
	const char *file = cprof_options_peek(argc, argv, "config");
	struct cprof_error *err = file ? cprof_option_file_read(file, &options->below) : NULL;
	if (!err)
		err = cprof_push_environment_values(&cprof_cli_option_table, &options->below);
	options->layers.below = options->below.items;
	options->layers.n_below = options->below.len;
	options->layers.rows = calloc(cprof_cli_option_table.n_rows, sizeof(*options->layers.rows));
	return err || options->layers.rows ? err : cprof_error_no_memory();
}

/* A word that stands by itself: other tools begin with what is to be done. */
static struct cprof_error *no_option(const char *word)
{
	static const struct cprof_option_habit words[] = {
		{ "record collect attach start run profile cpu sample",
		  "leave it out: cprof-attach -p PID profiles a process, cprof-attach -- COMMAND starts one" },
		{ "dump stack stacks bt jstack threads", "did you mean -mode threads -text?" },
		{ "top htop live watch",
		  "a live table is cprof-attach top -p PID, the word first; -top prints the heaviest functions at the end" },
		{ "report script annotate flamegraph view",
		  "cprof shows profiles: cprof -top FILE, cprof -flamegraph -output FILE.html FILE" },
		{ "heap alloc memory leak", "did you mean -mode heap?" },
		{ "lock offcpu block", "did you mean -mode block?" },
		{ "stat list",
		  "-event list prints the events of this machine; -mode chooses what to profile" },
		{ "stop status resume",
		  "nothing runs in the background here: Ctrl-C ends a profile" },
		{ "doctor", "did you mean -doctor?" },
		{ "help", "did you mean -help?" },
		{ "version", "did you mean -version?" },
	};
	const char *hint = cprof_options_habit(words, sizeof(words) / sizeof(words[0]), word);
	struct cprof_error *err = cprof_error_new(CPROF_ERR_USAGE, "\"%s\" is no option", word);
	return cprof_error_hint(err, "%s",
				hint ? hint : "a process is given as -p PID, a command after --");
}

struct cprof_error *cprof_cli_options_parse(int argc, char *const argv[],
					    struct cprof_attach_options *options)
{
	struct cprof_strings rest = { 0 };
	options->length_ns = UINT64_MAX; /* not given */
	cli_options_init_ring(options);
	struct cprof_error *err = read_layers(argc, argv, options);
	if (!err)
		err = cprof_options_parse_layers(&cprof_cli_option_table, &options->layers, argc,
						 argv, options, &rest, &options->command);
	if (options->why) {
		options->files = rest;
		rest = (struct cprof_strings){ 0 };
	}
	const char *left = NULL;
	cli_options_take_top(argc, argv, &rest, options);
	if (options->help) {
		options->help_topic = cprof_options_help_topic(argc, argv);
		if (!options->help_topic && options->live)
			options->help_topic = "live";
		rest.len = 0;
	}
	if (!err)
		err = cli_options_take_more_pids(argc, argv, &rest, options, &left);
	if (!err)
		err = cli_options_parse_pids(
			options); /* before what is left: an empty -p took its neighbour */
	if (!err && left)
		err = no_option(left);
	cprof_strings_deinit(&rest);
	if (err || options->help || options->version || options->man || options->completion ||
	    options->show_config || options->doctor_table)
		return err;
	if (options->why && options->files.len)
		return NULL;
	if (!err)
		err = find_servers(options);
	if (!err)
		err = cli_options_settle_continuous(options);
	if (err)
		return err;
	if (options->length_ns == UINT64_MAX)
		options->length_ns =
			options->command.len || options->live || options->ring.length_ns
				? 0
				: LENGTH_DEFAULT_NS;
	err = cli_options_check_target(options);
	if (!err)
		err = cli_options_check_live(options);
	if (!err)
		err = cli_options_check_ring(options);
	return err ? err : fill_requests(options);
}

void cprof_cli_options_deinit(struct cprof_attach_options *options)
{
	cprof_strings_deinit(&options->pid_lists);
	cprof_strings_deinit(&options->names);
	cprof_strings_deinit(&options->groups);
	cprof_strings_deinit(&options->units);
	cprof_strings_deinit(&options->files);
	cprof_strings_deinit(&options->command);
	cprof_strings_deinit(&options->labels);
	cprof_strings_deinit(&options->push_urls);
	cprof_strings_deinit(&options->heap_hook_texts);
	cprof_strings_deinit(&options->ring.until);
	cprof_pool_specs_deinit(&options->heap_hooks);
	for (size_t i = 0; options->label_pairs && options->label_pairs[i].key; i++)
		free((char *)(uintptr_t)options->label_pairs[i].key);
	free(options->label_pairs);
	free(options->cache_dir);
	cprof_thread_choice_free(options->threads);
	free(options->pids);
	cprof_option_layers_deinit(&options->layers, cprof_cli_option_table.n_rows);
	cprof_option_values_deinit(&options->below);
	*options = (struct cprof_attach_options){ 0 };
}

static void describe_value(const char *text, bool secret, struct cprof_buffer *out)
{
	if (secret)
		cprof_buffer_puts(out, "...");
	else if (strstr(text, "://"))
		cprof_secret_put_url(text, out);
	else
		cprof_buffer_puts(out, text);
}

void cprof_cli_options_describe(int argc, char *const argv[], struct cprof_buffer *out)
{
	cprof_buffer_puts(out, "cprof-attach");
	bool secret = false;
	for (int i = 1; i < argc; i++) {
		cprof_buffer_putc(out, ' ');
		if (strcmp(argv[i], "--") == 0) {
			cprof_buffer_printf(out, "-- %s", i + 1 < argc ? argv[i + 1] : "");
			if (i + 2 < argc)
				cprof_buffer_puts(out, " ...");
			return;
		}
		const char *equals = strchr(argv[i], '='), *url = strstr(argv[i], "://");
		if (equals && !(url && url < equals)) { /* -push=URL, and the K=V of -label K=V */
			size_t len = (size_t)(equals + 1 - argv[i]);
			cprof_buffer_append(out, argv[i], len);
			describe_value(equals + 1, secret || cprof_secret_is_name(argv[i], len),
				       out);
			secret = false;
			continue;
		}
		describe_value(argv[i], secret, out);
		secret = argv[i][0] == '-' && cprof_secret_is_name(argv[i], strlen(argv[i]));
	}
}
