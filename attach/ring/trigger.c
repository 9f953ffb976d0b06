/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/ring/trigger.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"

#define BACK     0.1 /* of the limit, until it can come true again */
#define TEXT_MAX 64  /* characters of an expression, without blanks */

enum unit { PERCENT, BYTES, DURATION, COUNT };

static const struct what {
	const char *name;
	enum unit unit;
	const char *example;
} whats[] = {
	[CPROF_TRIGGER_CPU] = { "cpu", PERCENT, "cpu>80%" },
	[CPROF_TRIGGER_RSS] = { "rss", BYTES, "rss>2G" },
	[CPROF_TRIGGER_THREADS] = { "threads", COUNT, "threads>500" },
	[CPROF_TRIGGER_BLOCKED] = { "blocked", DURATION, "blocked>1s" },
	[CPROF_TRIGGER_PSI] = { "psi", PERCENT, "psi>20%" },
	[CPROF_TRIGGER_PSI_CPU] = { "psi-cpu", PERCENT, "psi-cpu>20%" },
	[CPROF_TRIGGER_PSI_MEMORY] = { "psi-memory", PERCENT, "psi-memory>20%" },
	[CPROF_TRIGGER_PSI_IO] = { "psi-io", PERCENT, "psi-io>20%" },
	[CPROF_TRIGGER_SIGNAL] = { "signal", COUNT, "signal USR2" },
};
#define N_WHATS (sizeof(whats) / sizeof(whats[0]))

static const struct {
	const char *name;
	int number;
} signals[] = { { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 } };
#define N_SIGNALS (sizeof(signals) / sizeof(signals[0]))

/* ---- words ---- */

/* How many letters two words differ in: insertions, deletions, changes. */
static size_t distance(const char *a, const char *b)
{
	size_t row[TEXT_MAX + 1], n = strlen(b);
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t corner = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			const size_t changed = corner + (a[i - 1] != b[j - 1]);
			corner = row[j];
			const size_t apart = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			row[j] = changed < apart ? changed : apart;
		}
	}
	return row[n];
}

static const struct what *nearest(const char *word)
{
	const struct what *best = NULL;
	size_t least = 3;
	for (size_t i = 0; i < N_WHATS; i++) {
		const size_t apart = distance(word, whats[i].name);
		if (apart < least && apart < strlen(word)) {
			least = apart;
			best = &whats[i];
		}
	}
	return best;
}

static struct cprof_error *unknown(const char *text, const char *word)
{
	const struct what *near = nearest(word);
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_USAGE, "-until: \"%s\": there is no \"%s\"", text, word);
	if (near)
		return cprof_error_hint(err, "did you mean %s? for example -until '%s'", near->name,
					near->example);
	return cprof_error_hint(err, "there are cpu, rss, threads, blocked, psi, psi-cpu, "
				     "psi-memory, psi-io and signal: -until 'cpu>80%%'");
}

/* ---- values ---- */

static struct cprof_error *bad_value(const char *text, const struct what *what, const char *why)
{
	return cprof_error_hint(cprof_error_new(CPROF_ERR_USAGE, "-until: \"%s\": %s", text, why),
				"for example -until '%s'", what->example);
}

static struct cprof_error *parse_number(const char *text, const struct what *what,
					const char *value, double *ret)
{
	char *end;
	const bool percent = what->unit == PERCENT;
	*ret = strtod(value, &end);
	if (end == value || isalpha((unsigned char)*value) || !isfinite(*ret) || *ret < 0)
		return bad_value(text, what,
				 percent ? "what follows is no percentage"
					 : "what follows is no number");
	if (percent && strcmp(end, "%") != 0)
		return bad_value(text, what, "it is a percentage, and ends in %");
	if (!percent && *end)
		return bad_value(text, what, "it is a number, without a unit");
	*ret /= percent ? 100 : 1;
	return NULL;
}

static struct cprof_error *parse_value(const char *text, const struct what *what, const char *value,
				       double *ret)
{
	uint64_t number = 0;
	if (what->unit == PERCENT || what->unit == COUNT)
		return parse_number(text, what, value, ret);
	struct cprof_error *err = cprof_options_value(
		"until", what->unit == BYTES ? CPROF_OPT_SIZE : CPROF_OPT_DURATION, value, &number);
	if (err) {
		cprof_error_free(err);
		return bad_value(text, what,
				 what->unit == BYTES ? "what follows is no size"
						     : "what follows is no time");
	}
	*ret = (double)number;
	return NULL;
}

static struct cprof_error *check(const char *text, const struct what *what,
				 const struct cprof_trigger *trigger)
{
	const bool share = what->unit == PERCENT && trigger->what != CPROF_TRIGGER_CPU;
	if (share && trigger->limit >= 1 && !trigger->below)
		return bad_value(text, what, "a share of time does not exceed 100%");
	if (trigger->limit == 0 && trigger->below)
		return bad_value(text, what, "nothing is less than 0");
	return NULL;
}

static struct cprof_error *parse_signal(const char *text, const char *name,
					struct cprof_trigger *trigger)
{
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	for (size_t i = 0; i < N_SIGNALS; i++) {
		if (strcasecmp(name, signals[i].name) == 0) {
			trigger->signal_no = signals[i].number;
			return NULL;
		}
	}
	return bad_value(text, &whats[CPROF_TRIGGER_SIGNAL],
			 "the signals that cprof-attach can be sent are USR1 and USR2");
}

/* Without blanks, and in small letters but for what a unit may be written with. False: it is too long. */
static bool squeeze(const char *text, char *out)
{
	size_t n = 0;
	for (; *text; text++) {
		if (isspace((unsigned char)*text))
			continue;
		if (n == TEXT_MAX - 1)
			return false;
		out[n++] = *text;
	}
	out[n] = 0;
	return true;
}

static const struct what *find(const char *word)
{
	for (size_t i = 0; i < N_WHATS; i++) {
		if (strcasecmp(whats[i].name, word) == 0)
			return &whats[i];
	}
	return NULL;
}

struct cprof_error *cprof_trigger_parse(const char *text, struct cprof_trigger *ret_trigger)
{
	char line[TEXT_MAX], word[TEXT_MAX];
	struct cprof_trigger trigger = { 0 };
	if (!squeeze(text, line) || !*line)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "-until: \"%.64s\" is no condition", text),
			"for example -until 'cpu>80%%'");
	if (strncasecmp(line, "signal", 6) == 0) {
		trigger.what = CPROF_TRIGGER_SIGNAL;
		struct cprof_error *err = parse_signal(text, line + 6, &trigger);
		if (!err)
			*ret_trigger = trigger;
		return err;
	}
	const size_t len = strcspn(line, "<>=!");
	snprintf(word, sizeof(word), "%.*s", (int)len, line);
	const struct what *what = find(word);
	if (!what)
		return unknown(text, word);
	trigger.what = (enum cprof_trigger_what)(what - whats);
	trigger.below = line[len] == '<';
	if (line[len] != '<' && line[len] != '>')
		return bad_value(text, what,
				 "there is no > or < after the name (in quotes, or "
				 "the shell takes it)");
	/* ">=" is as good: nobody measures so exactly. */
	struct cprof_error *err =
		parse_value(text, what, line + len + 1 + (line[len + 1] == '='), &trigger.limit);
	if (!err)
		err = check(text, what, &trigger);
	if (!err)
		*ret_trigger = trigger;
	return err;
}

/* ---- looking ---- */

bool cprof_trigger_look(struct cprof_trigger *trigger, const struct cprof_trigger_values *values)
{
	if (trigger->what >= CPROF_TRIGGER_VALUES || isnan(values->at[trigger->what]))
		return false;
	const double value = values->at[trigger->what], back = trigger->limit * BACK;
	const bool beyond = trigger->below ? value < trigger->limit : value > trigger->limit;
	const bool again =
		trigger->below ? value >= trigger->limit + back : value <= trigger->limit - back;
	if (beyond && !trigger->is_true) {
		trigger->is_true = true;
		return true;
	}
	if (again)
		trigger->is_true = false;
	return false;
}

static void put_value(enum unit unit, double value, struct cprof_buffer *out)
{
	switch (unit) {
	case PERCENT:
		cprof_buffer_printf(out, "%.4g%%", value * 100);
		break;
	case BYTES:
		cprof_buffer_printf(out, "%.4gM", value / (1 << 20));
		break;
	case DURATION:
		cprof_buffer_printf(out, "%.4gs", value / 1e9);
		break;
	case COUNT:
		cprof_buffer_printf(out, "%.0f", value);
		break;
	}
}

void cprof_trigger_describe(const struct cprof_trigger *trigger,
			    const struct cprof_trigger_values *values, struct cprof_buffer *out)
{
	const struct what *what = &whats[trigger->what];
	if (trigger->what == CPROF_TRIGGER_SIGNAL) {
		for (size_t i = 0; i < N_SIGNALS; i++) {
			if (signals[i].number == trigger->signal_no)
				cprof_buffer_printf(out, "signal %s", signals[i].name);
		}
		return;
	}
	cprof_buffer_printf(out, "%s%c", what->name, trigger->below ? '<' : '>');
	put_value(what->unit, trigger->limit, out);
	if (!values)
		return;
	cprof_buffer_puts(out, " (at ");
	put_value(what->unit, values->at[trigger->what], out);
	cprof_buffer_puts(out, ")");
}
