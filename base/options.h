/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/options.h - command lines from one table of rows: parsing, --help, the man page.
 *
 * Go's habit: -name value, -name=value and --name are the same; a switch takes -name or -name=false; "--"
 * ends the options. Options and other arguments may be mixed unless the table says otherwise.
 */
#ifndef CPROF_BASE_OPTIONS_H
#define CPROF_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

enum cprof_option_kind {
	CPROF_OPT_SWITCH, /* bool; true t yes y 1 / false f no n 0 */
	CPROF_OPT_STRING, /* const char *, borrowed from argv */
	CPROF_OPT_UINT,   /* uint64_t, decimal or 0x */
	CPROF_OPT_INT,    /* int64_t */
	CPROF_OPT_SIZE,   /* uint64_t bytes; 512k 4M 1G are powers of 1024 */
	CPROF_OPT_DOUBLE, /* double, finite */
	CPROF_OPT_DURATION, /* uint64_t ns; "1.5" is seconds, or 10ms 500us 2m 1h 100ns, or 1h2m3.5s as Go writes it */
	CPROF_OPT_OPTIONAL, /* const char *, as STRING; "" where what follows is another option, or nothing */
	CPROF_OPT_LIST, /* struct cprof_strings, appended to; repeatable */
};

struct cprof_strings {
	const char **items; /* owned array of borrowed strings */
	size_t len, cap;
};
void cprof_strings_deinit(struct cprof_strings *strings);
struct cprof_error *cprof_strings_add(struct cprof_strings *strings, const char *text);

struct cprof_option {
	const char *name;
	enum cprof_option_kind kind;
	size_t offset; /* of the value in the caller's struct */
	const char *
		fallback; /* parsed first, as if the user had given it; NULL leaves the value as it is */
	const char *arg;   /* what help calls the value: "SECONDS"; NULL for a switch */
	const char *help;  /* one sentence, no full stop */
	const char *group; /* heading in help; NULL continues the previous row's; "hidden" hides */
};

/* What users of other tools type here, and what does it: a whole hint ("did you mean -seconds?"). */
struct cprof_option_habit {
	const char *typed; /* names without dashes, with blanks between them */
	const char *hint;
};

/* What values an option takes, for shells that complete them: all that there are, or the usual ones. */
struct cprof_option_choices {
	const char *names; /* of rows, with blanks between them */
	const char *words; /* with blanks between them; or CPROF_CHOICES_PROCESS_NAMES */
};
#define CPROF_CHOICES_PROCESS_NAMES "@process names"

struct cprof_option_table {
	const struct cprof_option *rows;
	size_t n_rows;
	const struct cprof_option_habit *habits;
	size_t n_habits;
	const struct cprof_option_choices *choices;
	size_t n_choices;
};

/* The hint for what was typed, dashes before it or not; NULL where nobody has that habit. */
const char *cprof_options_habit(const struct cprof_option_habit *habits, size_t n,
				const char *typed);

/*
 * Fill `values` (zeroed by the caller) from argv[1..]. Everything that is no option is appended to
 * `rest`; what follows "--" goes to `after` where that is given (COMMAND ARGS), else to `rest`.
 *
 * Errors: CPROF_ERR_USAGE; an unknown option names the nearest one that exists.
 */
struct cprof_error *cprof_options_parse(const struct cprof_option_table *table, int argc,
					char *const argv[], void *values,
					struct cprof_strings *rest, struct cprof_strings *after);

/* A value that does not stand on the command line; all of it is borrowed, and lives as long as the options do. */
struct cprof_option_value {
	const char *name;   /* of a row */
	const char *text;   /* as it would be typed behind the name */
	const char *origin; /* for people: "cprof.conf:3", "PYROSCOPE_LABELS" */
	unsigned layer;     /* what a higher one says goes before; CPROF_OPTION_FILE and the like */
};

enum { CPROF_OPTION_DEFAULT, CPROF_OPTION_FILE, CPROF_OPTION_ENVIRONMENT, CPROF_OPTION_TYPED };

/* What a row was given in the end; of a list all values of the highest layer that has any. */
struct cprof_option_found {
	struct cprof_option_value *items; /* owned */
	size_t len, cap;
};

/* Values from several places. */
struct cprof_option_layers {
	const struct cprof_option_value *below; /* the lowest layer first */
	size_t n_below;
	struct cprof_option_found
		*rows; /* one for each row of the table, zeros at first; NULL: nobody asks */
};
void cprof_option_layers_deinit(struct cprof_option_layers *layers, size_t n_rows);

/*
 * As cprof_options_parse(), with the layers' values between the defaults and the command line. A list that is given by
 * several layers has the highest one's items only. Errors about a value name its origin.
 */
struct cprof_error *cprof_options_parse_layers(const struct cprof_option_table *table,
					       struct cprof_option_layers *layers, int argc,
					       char *const argv[], void *values,
					       struct cprof_strings *rest,
					       struct cprof_strings *after);

/* The value of the option `name` on a command line, before that is parsed; the last one; NULL: it is not there. Borrowed. */
const char *cprof_options_peek(int argc, char *const argv[], const char *name);

/*
 * Read one value, for an option whose kind depends on another one. The error (USAGE) names it as `name`; *ret is
 * what `kind` says.
 */
struct cprof_error *cprof_options_value(const char *name, enum cprof_option_kind kind,
					const char *text, void *ret);

/* The rows as text for --help, grouped, 80 columns. */
void cprof_options_help(const struct cprof_option_table *table, struct cprof_buffer *out);

/* The headings' first words as topics of the next one: "target, profile, cpu, ..., all"; lines of 80 columns where `indent` is not 0. */
void cprof_options_topics(const struct cprof_option_table *table, size_t indent,
			  struct cprof_buffer *out);

/* What stands right behind -help on a command line and is no option; NULL: nothing. Borrowed. */
const char *cprof_options_help_topic(int argc, char *const argv[]);

/* The rows below headings that have the word `topic` in them, or the row of that name. Errors: USAGE. */
struct cprof_error *cprof_options_help_about(const struct cprof_option_table *table,
					     const char *topic, struct cprof_buffer *out);

/* The same rows as mdoc/man "Options" items, for man pages that are made at build time. */
void cprof_options_man(const struct cprof_option_table *table, struct cprof_buffer *out);

/*
 * For "did you mean": the name in `names` that `word` is a slip of, or the beginning of; NULL if none. One slip is let
 * pass, in longer words one in three letters: a hint that leads astray is worse than none.
 */
const char *cprof_options_nearest(const char *word, const char *const *names, size_t n);

#endif
