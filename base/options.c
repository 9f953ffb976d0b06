/* SPDX-License-Identifier: Apache-2.0 */
#include "base/options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/clock.h"

void cprof_strings_deinit(struct cprof_strings *strings)
{
	free(strings->items);
	*strings = (struct cprof_strings){ 0 };
}

struct cprof_error *cprof_strings_add(struct cprof_strings *strings, const char *text)
{
	if (!CPROF_ARRAY_ROOM(strings->items, strings->len, strings->cap, 1))
		return cprof_error_no_memory();
	strings->items[strings->len++] = text;
	return NULL;
}

static bool parse_switch(const char *text, bool *ret)
{
	static const char *const yes[] = { "true", "t", "yes", "y", "1", "" };
	static const char *const no[] = { "false", "f", "no", "n", "0" };
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcasecmp(text, yes[i]) == 0) {
			*ret = true;
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		if (strcasecmp(text, no[i]) == 0) {
			*ret = false;
			return true;
		}
	}
	return false;
}

static bool parse_uint(const char *text, char **ret_end, uint64_t *ret)
{
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, ret_end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
	return errno == 0;
}

static bool parse_int(const char *text, int64_t *ret)
{
	char *end;
	if (*text != '-' && *text != '+' && (*text < '0' || *text > '9'))
		return false;
	errno = 0;
	*ret = strtoll(text, &end, 10);
	return errno == 0 && end != text && !*end;
}

static bool parse_size(const char *text, uint64_t *ret)
{
	static const char units[] = "kmgt";
	char *end;
	uint64_t value;
	if (!parse_uint(text, &end, &value))
		return false;
	if (*end) {
		char lower = (char)(*end | 0x20);
		const char *unit = strchr(units, lower);
		if (!unit)
			return false;
		unsigned shift = 10 * (unsigned)(unit - units + 1);
		if (value > UINT64_MAX >> shift)
			return false;
		value <<= shift;
		end++;
		if (strcasecmp(end, "b") == 0 || strcasecmp(end, "ib") == 0)
			end = strchr(end, 0);
	}
	*ret = value;
	return !*end;
}

static bool parse_double(const char *text, char **ret_end, double *ret)
{
	if (*text != '-' && *text != '.' && (*text < '0' || *text > '9'))
		return false;
	errno = 0;
	*ret = strtod(text, ret_end);
	return errno == 0 && isfinite(*ret) && *ret_end != text;
}

/* The nanoseconds of the unit at *text, moving it past that; 0 where there is no unit. */
static double take_unit(const char **text)
{
	/* clang-format off */
	static const struct { const char *name; double ns; } units[] = {
		{ "s", 1e9 }, { "ms", 1e6 }, { "us", 1e3 }, { "\u00b5s", 1e3 }, { "\u03bcs", 1e3 },
		{ "ns", 1 }, { "m", 60e9 }, { "min", 60e9 }, { "h", 3600e9 },
	};
	/* clang-format on */
	size_t len = strcspn(*text, "0123456789.");
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strlen(units[i].name) != len || strncmp(units[i].name, *text, len) != 0)
			continue;
		*text += len;
		return units[i].ns;
	}
	return 0;
}

/* A number of seconds, or as Go writes durations: numbers with a unit each, one after the other. */
static bool parse_duration(const char *text, uint64_t *ret)
{
	char *end;
	double value, ns = 0;
	if (parse_double(text, &end, &value) && !*end) {
		ns = value * 1e9;
	} else {
		do {
			if (!parse_double(text, &end, &value))
				return false;
			text = end;
			double unit_ns = take_unit(&text);
			if (value < 0 || unit_ns <= 0)
				return false;
			ns += value * unit_ns;
		} while (*text);
	}
	if (!(ns >= 0 && ns < 9.2e18))
		return false;
	*ret = (uint64_t)(ns + 0.5);
	return true;
}

static const char *kind_wants(enum cprof_option_kind kind)
{
	switch (kind) {
	case CPROF_OPT_SWITCH:
		return "true or false";
	case CPROF_OPT_UINT:
		return "a number that is not negative";
	case CPROF_OPT_INT:
		return "a whole number";
	case CPROF_OPT_SIZE:
		return "a size such as 32768, 512k or 4M";
	case CPROF_OPT_DOUBLE:
		return "a number";
	case CPROF_OPT_DURATION:
		return "a duration such as 30, 1.5, 500ms, 2m or 1m30s";
	case CPROF_OPT_STRING:
	case CPROF_OPT_OPTIONAL:
	case CPROF_OPT_LIST:
		break;
	}
	return "text";
}

static struct cprof_error *set(const struct cprof_option *row, const char *text, void *values)
{
	void *at = (char *)values + row->offset;
	char *end;
	bool ok = true;
	switch (row->kind) {
	case CPROF_OPT_SWITCH:
		ok = parse_switch(text, at);
		break;
	case CPROF_OPT_STRING:
	case CPROF_OPT_OPTIONAL:
		*(const char **)at = text;
		break;
	case CPROF_OPT_UINT:
		ok = parse_uint(text, &end, at) && !*end;
		break;
	case CPROF_OPT_INT:
		ok = parse_int(text, at);
		break;
	case CPROF_OPT_SIZE:
		ok = parse_size(text, at);
		break;
	case CPROF_OPT_DOUBLE:
		ok = parse_double(text, &end, at) && !*end;
		break;
	case CPROF_OPT_DURATION:
		ok = parse_duration(text, at);
		break;
	case CPROF_OPT_LIST:
		return cprof_strings_add(at, text);
	}
	if (ok)
		return NULL;
	return cprof_error_new(CPROF_ERR_USAGE, "-%s: \"%s\" is not %s", row->name, text,
			       kind_wants(row->kind));
}

struct cprof_error *cprof_options_value(const char *name, enum cprof_option_kind kind,
					const char *text, void *ret)
{
	const struct cprof_option row = { .name = name, .kind = kind };
	return set(&row, text, ret);
}

/* How many letters are wrong, missing, too many or swapped with the next; bounded by the longest name that can matter. */
static size_t distance(const char *a, const char *b)
{
	enum { LONGEST = 64 };
	size_t len_a = strlen(a), len_b = strlen(b);
	if (len_a >= LONGEST || len_b >= LONGEST)
		return SIZE_MAX;
	size_t rows[3][LONGEST]; /* of the letters of `a` before, and of this one */
	for (size_t j = 0; j <= len_b; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= len_a; i++) {
		size_t *row = rows[i % 3];
		const size_t *before = rows[(i - 1) % 3];
		row[0] = i;
		for (size_t j = 1; j <= len_b; j++) {
			size_t least = before[j - 1] + (a[i - 1] != b[j - 1]);
			least = least < row[j - 1] + 1 ? least : row[j - 1] + 1;
			least = least < before[j] + 1 ? least : before[j] + 1;
			bool swapped =
				i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
			if (swapped && rows[(i - 2) % 3][j - 2] + 1 < least)
				least = rows[(i - 2) % 3][j - 2] + 1;
			row[j] = least;
		}
	}
	return rows[len_a % 3][len_b];
}

/* How many slips may be in a word. */
static size_t slips(const char *word)
{
	size_t n = strlen(word);
	return n < 2 ? 0 : n < 6 ? 1 : n / 3;
}

const char *cprof_options_nearest(const char *word, const char *const *names, size_t n)
{
	const char *best = NULL;
	size_t best_distance = SIZE_MAX;
	for (size_t i = 0; i < n; i++) {
		size_t d = distance(word, names[i]);
		/* A word cut short is nearer than its letters say: -sec means -seconds. */
		if (strlen(word) >= 3 && strncmp(word, names[i], strlen(word)) == 0)
			d = 1;
		if (d < best_distance && d <= slips(word)) {
			best = names[i];
			best_distance = d;
		}
	}
	return best;
}

const char *cprof_options_habit(const struct cprof_option_habit *habits, size_t n,
				const char *typed)
{
	typed += strspn(typed, "-");
	size_t len = strlen(typed);
	for (size_t i = 0; len && i < n; i++) {
		for (const char *at = habits[i].typed; *at;) {
			size_t word = strcspn(at, " ");
			if (word == len && memcmp(at, typed, len) == 0)
				return habits[i].hint;
			at += word + strspn(at + word, " ");
		}
	}
	return NULL;
}

static struct cprof_error *unknown(const struct cprof_option_table *table, const char *name)
{
	struct cprof_error *err = cprof_error_new(CPROF_ERR_USAGE, "unknown option -%s", name);
	const char *habit = cprof_options_habit(table->habits, table->n_habits, name);
	if (habit)
		return cprof_error_hint(err, "%s", habit);
	const char **names = calloc(table->n_rows + 1, sizeof(*names));
	if (!names)
		return err;
	for (size_t i = 0; i < table->n_rows; i++)
		names[i] = table->rows[i].name;
	const char *nearest = cprof_options_nearest(name, names, table->n_rows);
	free(names);
	if (nearest)
		return cprof_error_hint(err, "did you mean -%s? -help lists every option", nearest);
	return cprof_error_hint(err, "-help lists every option");
}

static const struct cprof_option *lookup(const struct cprof_option_table *table, const char *name,
					 size_t len)
{
	for (size_t i = 0; i < table->n_rows; i++) {
		if (strlen(table->rows[i].name) == len &&
		    memcmp(table->rows[i].name, name, len) == 0)
			return &table->rows[i];
	}
	return NULL;
}

/* ---- layers ---- */

struct parser {
	const struct cprof_option_table *table;
	struct cprof_option_layers *layers; /* NULL: only the command line */
	unsigned char *list_layers; /* of each row, the layer that its list is from; owned */
	void *values;
};

void cprof_option_layers_deinit(struct cprof_option_layers *layers, size_t n_rows)
{
	for (size_t i = 0; layers->rows && i < n_rows; i++)
		free(layers->rows[i].items);
	free(layers->rows);
	*layers = (struct cprof_option_layers){ 0 };
}

static struct cprof_error *note(struct cprof_option_found *found,
				const struct cprof_option_value *value, bool list)
{
	if (found->len && (!list || found->items[0].layer != value->layer))
		found->len = 0;
	if (!CPROF_ARRAY_ROOM(found->items, found->len, found->cap, 1))
		return cprof_error_no_memory();
	found->items[found->len++] = *value;
	return NULL;
}

static struct cprof_error *give(struct parser *parser, const struct cprof_option *row,
				const char *text, const char *origin, unsigned layer)
{
	const size_t at = (size_t)(row - parser->table->rows);
	const bool list = row->kind == CPROF_OPT_LIST;
	if (list && parser->list_layers[at] != layer)
		((struct cprof_strings *)(void *)((char *)parser->values + row->offset))->len = 0;
	parser->list_layers[at] = (unsigned char)layer;
	struct cprof_error *err = set(row, text, parser->values);
	if (err || !parser->layers || !parser->layers->rows)
		return err;
	const struct cprof_option_value value = {
		.name = row->name, .text = text, .origin = origin, .layer = layer
	};
	return note(&parser->layers->rows[at], &value, list);
}

static struct cprof_error *give_fallbacks(struct parser *parser)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; i < parser->table->n_rows && !err; i++) {
		const struct cprof_option *row = &parser->table->rows[i];
		if (row->fallback)
			err = give(parser, row, row->fallback, "default", CPROF_OPTION_DEFAULT);
	}
	return err;
}

static struct cprof_error *give_below(struct parser *parser)
{
	for (size_t i = 0; parser->layers && i < parser->layers->n_below; i++) {
		const struct cprof_option_value *value = &parser->layers->below[i];
		const struct cprof_option *row =
			lookup(parser->table, value->name, strlen(value->name));
		struct cprof_error *err =
			row ? give(parser, row, value->text, value->origin, value->layer)
			    : unknown(parser->table, value->name);
		if (err)
			return cprof_error_wrap(err, "%s", value->origin);
	}
	return NULL;
}

/* One option at argv[*at]; moves *at past a value that stands in the next argument. */
static struct cprof_error *parse_option(struct parser *parser, int argc, char *const argv[],
					int *at)
{
	const char *name = argv[*at] + (argv[*at][1] == '-' ? 2 : 1);
	const char *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const struct cprof_option *row = lookup(parser->table, name, len);
	const char *text = equals ? equals + 1 : "true";

	if (!row) {
		char *copy = strndup(name, len);
		struct cprof_error *err =
			copy ? unknown(parser->table, copy) : cprof_error_no_memory();
		free(copy);
		return err;
	}
	if (!equals && row->kind == CPROF_OPT_OPTIONAL) {
		text = *at + 1 < argc && argv[*at + 1][0] != '-' ? argv[++*at] : "";
	} else if (!equals && row->kind != CPROF_OPT_SWITCH) {
		if (*at + 1 >= argc)
			return cprof_error_new(CPROF_ERR_USAGE, "-%s needs %s", row->name,
					       row->arg ? row->arg : "a value");
		text = argv[++*at];
	}
	return give(parser, row, text, "command line", CPROF_OPTION_TYPED);
}

static struct cprof_error *parse_typed(struct parser *parser, int argc, char *const argv[],
				       struct cprof_strings *rest, struct cprof_strings *after)
{
	struct cprof_error *err = NULL;
	for (int at = 1; at < argc && !err; at++) {
		if (strcmp(argv[at], "--") == 0) {
			for (at++; at < argc && !err; at++)
				err = cprof_strings_add(after ? after : rest, argv[at]);
		} else if (argv[at][0] == '-' && argv[at][1]) {
			err = parse_option(parser, argc, argv, &at);
		} else {
			err = cprof_strings_add(rest, argv[at]);
		}
	}
	return err;
}

struct cprof_error *cprof_options_parse_layers(const struct cprof_option_table *table,
					       struct cprof_option_layers *layers, int argc,
					       char *const argv[], void *values,
					       struct cprof_strings *rest,
					       struct cprof_strings *after)
{
	struct parser parser = { .table = table, .layers = layers, .values = values };
	parser.list_layers = calloc(table->n_rows + 1, 1);
	struct cprof_error *err = parser.list_layers ? NULL : cprof_error_no_memory();
	if (!err)
		err = give_fallbacks(&parser);
	if (!err)
		err = give_below(&parser);
	if (!err)
		err = parse_typed(&parser, argc, argv, rest, after);
	free(parser.list_layers);
	return err;
}

struct cprof_error *cprof_options_parse(const struct cprof_option_table *table, int argc,
					char *const argv[], void *values,
					struct cprof_strings *rest, struct cprof_strings *after)
{
	return cprof_options_parse_layers(table, NULL, argc, argv, values, rest, after);
}

const char *cprof_options_peek(int argc, char *const argv[], const char *name)
{
	const char *found = NULL;
	const size_t n = strlen(name);
	for (int at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {
		const char *typed = argv[at] + (argv[at][0] == '-') +
				    (argv[at][0] == '-' && argv[at][1] == '-');
		if (typed == argv[at] || strncmp(typed, name, n) != 0)
			continue;
		if (typed[n] == '=')
			found = typed + n + 1;
		else if (!typed[n] && at + 1 < argc)
			found = argv[++at];
	}
	return found;
}
