/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/cli/cprof.c - the program cprof: reads the command line and hands over to a command.
 */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/environment.h"
#include "base/foreign_file.h"
#include "base/printable_text.h"
#include "base/program.h"
#include "base/secret.h"
#include "convert/cli/commands.h"
#include "convert/output/format_table.h"
#include "convert/push/push_environment.h"
#include "cprof/symbolizer_way.h"

#define AT(field) offsetof(struct cprof_options, field)

/* clang-format off */
static const struct cprof_option source_rows[] = {
	{ "base", CPROF_OPT_LIST, AT(bases), NULL, "SOURCE", "subtract this profile (repeatable)", "Sources" },
	{ "diff_base", CPROF_OPT_LIST, AT(diff_bases), NULL, "SOURCE", "compare with this profile: subtract it, and show percentages of it (repeatable)", NULL },
	{ "seconds", CPROF_OPT_INT, AT(seconds), "-1", "N", "length of a profile that is fetched from a URL", NULL },
	{ "timeout", CPROF_OPT_INT, AT(timeout_s), "-1", "N", "seconds to wait for a URL; by default half as long again as it takes", NULL },
	{ "buildid", CPROF_OPT_STRING, AT(build_id), "", "ID", "build id of the program, where the profile has none", NULL },
	{ "add_comment", CPROF_OPT_STRING, AT(comment), "", "TEXT", "add a comment to the profile", NULL },
	{ "symbolize", CPROF_OPT_STRING, AT(symbolize), "", "MODE", "where names come from: none, local, fastlocal, remote (the server that the profile is from), with :force and :demangle=HOW; or a FILE to write again with names", NULL },
	{ "symbolizer", CPROF_OPT_STRING, AT(symbolizer), "auto", "WHO", "with -symbolize: who reads debug information: auto (our index, and elfutils' libdwfl where that meets a form it does not know), index, or libdwfl (it alone, slowly: to compare)", NULL },
	{ "all_frames", CPROF_OPT_SWITCH, AT(all_frames), NULL, NULL, "keep the frames that the profile says to drop", NULL },
	{ "tls_cert", CPROF_OPT_STRING, AT(tls_cert), "", "FILE", "client certificate for https", NULL },
	{ "tls_key", CPROF_OPT_STRING, AT(tls_key), "", "FILE", "its private key", NULL },
	{ "tls_ca", CPROF_OPT_STRING, AT(tls_ca), "", "FILE", "certificates to trust", NULL },
	{ "tls_min", CPROF_OPT_STRING, AT(tls_least), "1.2", "VERSION", "the oldest TLS that is spoken: 1.2 or 1.3", NULL },
	{ "auth_file", CPROF_OPT_STRING, AT(auth_file), "", "FILE", "what to log in with is the first line of this file: USER:PASSWORD or a token; without it, $CPROF_HTTP_AUTH", NULL },

	{ "inuse_space", CPROF_OPT_SWITCH, AT(inuse_space), NULL, NULL, "same as -sample_index=inuse_space", "Shorthands" },
	{ "inuse_objects", CPROF_OPT_SWITCH, AT(inuse_objects), NULL, NULL, "same as -sample_index=inuse_objects", NULL },
	{ "alloc_space", CPROF_OPT_SWITCH, AT(alloc_space), NULL, NULL, "same as -sample_index=alloc_space", NULL },
	{ "alloc_objects", CPROF_OPT_SWITCH, AT(alloc_objects), NULL, NULL, "same as -sample_index=alloc_objects", NULL },
	{ "total_delay", CPROF_OPT_SWITCH, AT(total_delay), NULL, NULL, "same as -sample_index=delay", NULL },
	{ "contentions", CPROF_OPT_SWITCH, AT(contentions), NULL, NULL, "same as -sample_index=contentions", NULL },
	{ "mean_delay", CPROF_OPT_SWITCH, AT(mean_delay), NULL, NULL, "same as -mean -sample_index=delay", NULL },

	{ "http", CPROF_OPT_STRING, AT(web.http), "", "[HOST]:PORT", "show the profile in a browser: flame graph, tables, graph, source, comparisons; port 0 is any free one, unix:/PATH a socket", "Browser" },
	{ "http-token-file", CPROF_OPT_STRING, AT(web.token_file), "", "FILE", "with -http: let in who gives the first line of this file as a token or password, which other machines must", NULL },
	{ "no_browser", CPROF_OPT_SWITCH, AT(web.no_browser), NULL, NULL, "with -http: print the address and start no browser", NULL },

	{ "push", CPROF_OPT_STRING, AT(push.url), "", "URL", "send each SOURCE to a server of profiles; http://HOST:PORT is Pyroscope, docs/push.md has the others", "Collectors" },
	{ "service", CPROF_OPT_STRING, AT(push.service), "", "NAME", "with -push: the application's name (default: the process of the profile)", NULL },
	{ "label", CPROF_OPT_LIST, AT(push.labels), NULL, "K=V", "with -push: a label of the profile; repeatable", NULL },
	{ "override-timestamp", CPROF_OPT_SWITCH, AT(push.override_time), NULL, NULL, "with -push: as if it had ended just now, for servers that take no old ones", NULL },
	{ "dry-run", CPROF_OPT_SWITCH, AT(push.dry_run), NULL, NULL, "with -push: print the requests on stdout and send nothing; with -push-spool: list what waits", NULL },
	{ "push-spool", CPROF_OPT_STRING, AT(push.spool), "", "DIR", "send what waits in the spool of cprof-attach (\"default\" is the usual one), with -push only what is for URL", NULL },
	{ "push-tenant", CPROF_OPT_STRING, AT(push.tenant), "", "NAME", "with -push: the tenant, for a server of several (the header X-Scope-OrgID)", NULL },
	{ "insecure-auth", CPROF_OPT_SWITCH, AT(push.insecure_auth), NULL, NULL, "with -push: send what is logged in with over http:// as well, where others on the network can read it", NULL },

	{ "config", CPROF_OPT_STRING, AT(config_file), NULL, "FILE", "options from a file: NAME = VALUE, a line each; the environment and the command line go before it", "Configuration" },
	{ "show-config", CPROF_OPT_SWITCH, AT(show_config), NULL, NULL, "print what each option is set to and where that comes from, and exit", NULL },

	{ "o", CPROF_OPT_STRING, AT(config.output), NULL, "FILE", "same as -output", "Other" },
	{ "completion", CPROF_OPT_STRING, AT(completion), NULL, "SHELL", "print a script that lets bash, zsh or fish complete these options", NULL },
	{ "help", CPROF_OPT_SWITCH, AT(help), NULL, NULL, "show this and exit; -help TOPIC: a part of it, or one option", NULL },
	{ "h", CPROF_OPT_SWITCH, AT(help), NULL, NULL, "same as -help", NULL },
	{ "version", CPROF_OPT_SWITCH, AT(version), NULL, NULL, "show the version and exit", NULL },
	{ "man-options", CPROF_OPT_SWITCH, AT(help_man), NULL, NULL, "the options as a part of a man page", "hidden" },
};

/* What users of go tool pprof's newer commands, and of other viewers, type. */
static const struct cprof_option_habit habits[] = {
	{ "ui serve port browser", "did you mean -http=127.0.0.1:8999? -flamegraph -output FILE.html is one page for any browser" },
	{ "collapsed collapse stackcollapse fold", "did you mean -folded?" },
	{ "flame flames fg icicle html", "did you mean -flamegraph?" },
	{ "diff compare", "did you mean -diff_base BEFORE? -base subtracts only; -movements lists what changed" },
	{ "cumulative cum_sort", "did you mean -cum?" },
	{ "n limit head count rows", "did you mean -nodecount?" },
	{ "filter grep match include", "did you mean -focus RE?" },
	{ "exclude omit", "did you mean -ignore RE? -hide leaves frames out" },
	{ "callers callees who", "did you mean -peek RE?" },
	{ "callgraph call_graph graph graphviz", "did you mean -svg? -dot is the text of the graph" },
	{ "annotate source src", "did you mean -list RE?" },
	{ "disassemble disassembly asm objdump", "did you mean -disasm RE?" },
	{ "pb protobuf pprof convert", "did you mean -proto?" },
	{ "stacks samples trace", "did you mean -traces?" },
	{ "labels", "did you mean -tags?" },
	{ "out outfile output_file", "did you mean -output FILE?" },
	{ "type metric value", "did you mean -sample_index NAME?" },
	{ "by_line line", "did you mean -lines?" },
	{ "p pid", "cprof shows profiles; cprof-attach -p PID takes one" },
};

static const struct cprof_option_choices choices[] = {
	{ "sample_index", "samples cpu alloc_objects alloc_space inuse_objects inuse_space contentions delay" },
	{ "unit", "minimum auto ns us ms seconds minutes hours bytes kb mb gb" },
	{ "granularity", "functions filefunctions files lines addresses" },
	{ "sort", "flat cum" },
	{ "symbolize", "none local fastlocal remote force" },
	{ "symbolizer", "auto index libdwfl" },
};
/* clang-format on */

static const struct cprof_command
	*const
		commands[] = {
			&cprof_command_show_config, &cprof_command_web,
			&cprof_command_push_spool,  &cprof_command_push,
			&cprof_command_symbolize,   &cprof_command_help,
			&cprof_command_completion,  &cprof_command_version,
			&cprof_command_man,         &cprof_command_report,
			&cprof_command_shell, /* the shell takes what nobody else wants */
		};

struct cprof_option_table cprof_option_rows;

static size_t append_formats(struct cprof_option *rows)
{
	size_t n = 0;
	for (size_t i = 0; i < CPROF_MAX_FORMATS && cprof_formats[i]; i++) {
		const struct cprof_format *format = cprof_formats[i];
		rows[n++] = (struct cprof_option){
			.name = format->name,
			.kind = format->arg ? CPROF_OPT_STRING : CPROF_OPT_SWITCH,
			.offset = format->arg ? AT(format_arg) + i * sizeof(const char *)
					      : AT(format_on) + i * sizeof(bool),
			.arg = format->arg,
			.help = format->help,
			.group = i == 0 ? "Reports (at most one; none starts the shell)" : NULL,
		};
	}
	return n;
}

static struct cprof_error *build_rows(struct cprof_option **ret_rows)
{
	size_t n_sources = sizeof(source_rows) / sizeof(source_rows[0]);
	struct cprof_option *rows =
		calloc(CPROF_MAX_FORMATS + cprof_config_n_options + n_sources, sizeof(*rows));
	if (!rows)
		return cprof_error_no_memory();
	size_t n = append_formats(rows);
	memcpy(rows + n, cprof_config_options, cprof_config_n_options * sizeof(*rows));
	n += cprof_config_n_options;
	memcpy(rows + n, source_rows, sizeof(source_rows));
	cprof_option_rows =
		(struct cprof_option_table){ .rows = rows,
					     .n_rows = n + n_sources,
					     .habits = habits,
					     .n_habits = sizeof(habits) / sizeof(habits[0]),
					     .choices = choices,
					     .n_choices = sizeof(choices) / sizeof(choices[0]) };
	*ret_rows = rows;
	return NULL;
}

static void print_line(void *ctx, const char *line)
{
	(void)ctx;
	size_t n = strlen(line);
	cprof_printable_write(stderr, line, n);
	if (!n || line[n - 1] != '\n')
		fputc('\n', stderr);
}

const struct cprof_say cprof_command_say = { .line = print_line };

struct cprof_tls cprof_command_tls(const struct cprof_options *options)
{
	return (struct cprof_tls){ .cert = *options->tls_cert ? options->tls_cert : NULL,
				   .key = *options->tls_key ? options->tls_key : NULL,
				   .ca = *options->tls_ca ? options->tls_ca : NULL,
				   .least = options->tls_least,
				   .auth = options->auth };
}

/* One of the shorthands: it gives way to -sample_index and to those before it. */
static void take_shorthand(struct cprof_options *options, bool on, const char *name,
			   const char *type)
{
	if (!on)
		return;
	if (!*options->config.sample_index)
		options->config.sample_index = type;
	else
		fprintf(stderr, "Multiple value selections, ignoring %s\n", name);
}

static void take_shorthands(struct cprof_options *o)
{
	take_shorthand(o, o->total_delay, "-total_delay", "delay");
	take_shorthand(o, o->mean_delay, "-mean_delay", "delay");
	take_shorthand(o, o->contentions, "-contentions", "contentions");
	take_shorthand(o, o->inuse_space, "-inuse_space", "inuse_space");
	take_shorthand(o, o->inuse_objects, "-inuse_objects", "inuse_objects");
	take_shorthand(o, o->alloc_space, "-alloc_space", "alloc_space");
	take_shorthand(o, o->alloc_objects, "-alloc_objects", "alloc_objects");
	o->config.mean = o->config.mean || o->mean_delay;
}

/* Only of a file: what is read from a pipe to look at it is missing afterwards. */
static bool is_elf(const char *path)
{
	char magic[4] = "";
	CPROF_AUTO(close) int fd = cprof_foreign_file_open(path);
	return fd >= 0 && read(fd, magic, 4) == 4 && memcmp(magic, "\177ELF", 4) == 0;
}

/* "cprof PROGRAM PROFILE": the first of several may be the program, or its build id. */
static void take_program(struct cprof_options *options)
{
	if (options->sources.len < 2)
		return;
	const char *first = options->sources.items[0];
	if (is_elf(first))
		options->program = first;
	else if (!*options->build_id && !first[strspn(first, "0123456789abcdefABCDEF")])
		options->build_id = first;
	else
		return;
	options->sources.len--;
	memmove(options->sources.items, options->sources.items + 1,
		options->sources.len * sizeof(*options->sources.items));
}

static void drop_empty(struct cprof_strings *strings)
{
	size_t n = 0;
	for (size_t i = 0; i < strings->len; i++) {
		if (*strings->items[i])
			strings->items[n++] = strings->items[i];
	}
	strings->len = n;
}

/* A report with this flag, among those that are asked for; NULL: none has it. */
static const struct cprof_format *asked_with(const struct cprof_options *o, unsigned flag)
{
	for (size_t i = 0; i < CPROF_MAX_FORMATS && cprof_formats[i]; i++) {
		if (o->format_on[i] && cprof_formats[i]->flags & flag)
			return cprof_formats[i];
	}
	return NULL;
}

static struct cprof_error *check_options(struct cprof_options *o)
{
	const struct cprof_format *compares = asked_with(o, CPROF_FORMAT_COMPARES);
	enum cprof_symbolizer_way way;
	if (!cprof_symbolizer_way_parse(o->symbolizer, &way))
		return cprof_error_new(CPROF_ERR_USAGE, "-symbolizer %s: auto, index or libdwfl",
				       o->symbolizer);
	drop_empty(&o->bases);
	drop_empty(&o->diff_bases);
	if (o->bases.len && o->diff_bases.len)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "-base and -diff_base flags cannot both be specified");
	if (compares && !o->bases.len && !o->diff_bases.len)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "there is nothing to compare with"),
			"cprof -%s -diff_base BEFORE AFTER", compares->name);
	if (o->config.normalize && !o->bases.len && !o->diff_bases.len)
		return cprof_error_new(CPROF_ERR_USAGE, "must have base profile to normalize by");
	return NULL;
}

/* Whether what is asked for is the profile itself. */
static bool wants_file(const struct cprof_options *o)
{
	for (size_t i = 0; i < CPROF_MAX_FORMATS && cprof_formats[i]; i++) {
		if (o->format_on[i])
			return strcmp(cprof_formats[i]->name, "proto") == 0;
	}
	return false;
}

static struct cprof_error *load(struct cprof_options *o, const struct cprof_strings *sources,
				const struct cprof_strings *bases,
				struct cprof_profile **ret_profile)
{
	static const struct cprof_strings none;
	if (!sources->len)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "no profile source specified"),
			"cprof [options] FILE|URL...; cprof -help lists the options");
	struct cprof_load load = {
		.sources = sources,
		.bases = bases ? bases : &none,
		.series = sources->len > 1 && asked_with(o, CPROF_FORMAT_SERIES),
		.diff_base = o->diff_bases.len > 0 || asked_with(o, CPROF_FORMAT_COMPARES) != NULL,
		.normalize = o->config.normalize,
		.keep_notes = wants_file(o),
		.all_frames = o->all_frames,
		.program = o->program,
		.build_id = *o->build_id ? o->build_id : NULL,
		.comment = o->comment,
		.seconds = o->seconds,
		.timeout_s = o->timeout_s,
		.tls = cprof_command_tls(o),
		.add_names = cprof_command_add_remote_names,
		.ctx = o,
		.say = cprof_command_say,
	};
	struct cprof_error *err = cprof_load_profile(&load, ret_profile);
	if (!err && o->all_frames) /* and none is to be dropped from a file that is made of it */
		(*ret_profile)->drop_frames = (*ret_profile)->keep_frames = 0;
	return err;
}

struct cprof_error *cprof_command_load(struct cprof_options *options,
				       const struct cprof_strings *sources,
				       const struct cprof_strings *bases,
				       struct cprof_profile **ret_profile)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_error *err = load(options, sources, bases, &profile);
	if (!err)
		err = cprof_command_add_names(options, profile);
	if (!err && !options->all_frames) /* now that they have names */
		err = cprof_load_drop_frames(profile, NULL);
	if (!err)
		*ret_profile = cprof_take_ptr(&profile);
	return err;
}

static struct cprof_error *run(struct cprof_options *options)
{
	const struct cprof_command *command = NULL;
	for (size_t i = 0; !command && i < sizeof(commands) / sizeof(commands[0]); i++)
		command = commands[i]->wanted(options) ? commands[i] : NULL;
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_error *err = NULL;
	if (command->needs_profile)
		err = cprof_command_load(
			options, &options->sources,
			options->diff_bases.len ? &options->diff_bases : &options->bases, &profile);
	return err ? err : command->run(options, profile);
}

static int report_error(struct cprof_error *err)
{
	int status = cprof_error_exit_status(err);
	if (err) {
		cprof_printable_printf(stderr, "cprof: %s\n", err->message);
		if (err->hint)
			cprof_printable_printf(stderr, "hint: %s\n", err->hint);
	}
	cprof_error_free(err);
	return status;
}

/* The file first, then the environment: what comes later counts. */
static struct cprof_error *read_layers(int argc, char **argv, struct cprof_options *options)
{
	const char *file = cprof_options_peek(argc, argv, "config");
	struct cprof_error *err = file ? cprof_option_file_read(file, &options->below) : NULL;
	if (!err)
		err = cprof_push_environment_values(&cprof_option_rows, &options->below);
	options->layers.below = options->below.items;
	options->layers.n_below = options->below.len;
	options->layers.rows = calloc(cprof_option_rows.n_rows, sizeof(*options->layers.rows));
	return err || options->layers.rows ? err : cprof_error_no_memory();
}

int main(int argc, char **argv)
{
	cprof_program_start();
	if (!cprof_environment_secure())
		return report_error(cprof_error_no_memory());
	setlocale(LC_CTYPE, "");
	struct cprof_options options = { 0 };
	CPROF_AUTO(free) struct cprof_option *rows = NULL;
	struct cprof_error *err = build_rows(&rows);
	if (!err)
		err = read_layers(argc, argv, &options);
	if (!err)
		err = cprof_options_parse_layers(&cprof_option_rows, &options.layers, argc, argv,
						 &options, &options.sources, NULL);
	options.help_topic = options.help ? cprof_options_help_topic(argc, argv) : NULL;
	if (!err)
		err = cprof_config_settle(&options.config);
	if (!err)
		err = check_options(&options);
	if (!err)
		err = cprof_secret_read(options.auth_file, "CPROF_HTTP_AUTH", &options.auth);
	if (!err) {
		take_shorthands(&options);
		take_program(&options);
		err = run(&options);
	}
	if (!err)
		err = cprof_program_end();
	int status = report_error(err);
	cprof_strings_deinit(&options.sources);
	cprof_strings_deinit(&options.bases);
	cprof_strings_deinit(&options.push.labels);
	cprof_strings_deinit(&options.diff_bases);
	cprof_option_layers_deinit(&options.layers, cprof_option_rows.n_rows);
	cprof_option_values_deinit(&options.below);
	free(options.auth);
	return status;
}
