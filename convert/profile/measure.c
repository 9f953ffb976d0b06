/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/profile/measure.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
	const char *name;
	const char *aliases[4];
	double factor; /* in terms of the family's base unit */
};

struct family {
	const struct unit *units;
	size_t n_units;
	const char *fallback; /* what a value turns into where nothing fits */
	double fallback_factor;
};

/* clang-format off */
static const struct unit byte_units[] = {
	{ "B",  { "b", "byte" }, 1 },
	{ "kB", { "kb", "kbyte", "kilobyte" }, 0x1p10 },
	{ "MB", { "mb", "mbyte", "megabyte" }, 0x1p20 },
	{ "GB", { "gb", "gbyte", "gigabyte" }, 0x1p30 },
	{ "TB", { "tb", "tbyte", "terabyte" }, 0x1p40 },
	{ "PB", { "pb", "pbyte", "petabyte" }, 0x1p50 },
};
static const struct unit time_units[] = {
	{ "ns",  { "ns", "nanosecond" }, 1 },
	{ "us",  { "\xce\xbcs", "us", "microsecond" }, 1e3 },
	{ "ms",  { "ms", "millisecond" }, 1e6 },
	{ "s",   { "s", "sec", "second" }, 1e9 },
	{ "hrs", { "hour", "hr" }, 3600e9 },
};
static const struct unit gcu_units[] = {
	{ "n*GCU", { "nanogcu" }, 1e-9 },
	{ "u*GCU", { "microgcu" }, 1e-6 },
	{ "m*GCU", { "milligcu" }, 1e-3 },
	{ "GCU",   { "gcu" }, 1 },
	{ "k*GCU", { "kilogcu" }, 1e3 },
	{ "M*GCU", { "megagcu" }, 1e6 },
	{ "G*GCU", { "gigagcu" }, 1e9 },
	{ "T*GCU", { "teragcu" }, 1e12 },
	{ "P*GCU", { "petagcu" }, 1e15 },
};
static const struct family families[] = {
	{ byte_units, sizeof(byte_units) / sizeof(byte_units[0]), "B", 1 },
	{ time_units, sizeof(time_units) / sizeof(time_units[0]), "s", 1e9 },
	{ gcu_units, sizeof(gcu_units) / sizeof(gcu_units[0]), "GCU", 1 },
};
/* clang-format on */
#define N_FAMILIES (sizeof(families) / sizeof(families[0]))

int64_t cprof_measure_truncate(double value)
{
	if (!(value >= -9223372036854775808.0 && value < 9223372036854775808.0)) /* 2 to the 63 */
		return INT64_MIN;
	return (int64_t)value;
}

static const struct unit *find_unit(const struct family *family, const char *name)
{
	char lower[16];
	size_t n = strlen(name), letters = 0;
	if (n >= sizeof(lower))
		return NULL;
	for (size_t i = 0; i <= n; i++) {
		lower[i] = (char)tolower((unsigned char)name[i]);
		letters += i < n &&
			   (name[i] & 0xc0) != 0x80; /* a letter may be several bytes of UTF-8 */
	}
	if (letters > 2 && lower[n - 1] == 's')
		lower[n - 1] = 0;
	for (size_t i = 0; i < family->n_units; i++) {
		for (size_t j = 0; j < 4 && family->units[i].aliases[j]; j++) {
			if (strcmp(family->units[i].aliases[j], lower) == 0)
				return &family->units[i];
		}
	}
	return NULL;
}

static bool is_auto(const char *unit)
{
	return strcmp(unit, "auto") == 0 || strcmp(unit, "minimum") == 0;
}

static struct cprof_measure in_family(const struct family *family, double base, const char *to)
{
	const struct unit *best = NULL;
	if (is_auto(to)) {
		for (size_t i = 0; i < family->n_units; i++) {
			const struct unit *unit = &family->units[i];
			if ((!best || unit->factor >= best->factor) && base / unit->factor >= 1)
				best = unit;
		}
	} else {
		best = find_unit(family, to);
	}
	if (best)
		return (struct cprof_measure){ base / best->factor, best->name };
	return (struct cprof_measure){ base / family->fallback_factor, family->fallback };
}

struct cprof_measure cprof_measure_scale(int64_t value, const char *from, const char *to)
{
	static const char *const silent[] = { "count", "sample", "unit", "minimum", "auto" };
	if (value < 0 && value != INT64_MIN) {
		struct cprof_measure scaled = cprof_measure_scale(-value, from, to);
		scaled.value = -scaled.value;
		return scaled;
	}
	for (size_t i = 0; i < N_FAMILIES; i++) {
		const struct unit *unit = find_unit(&families[i], from);
		if (unit)
			return in_family(&families[i], (double)value * unit->factor, to);
	}
	for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
		if (strcmp(to, silent[i]) == 0)
			return (struct cprof_measure){ (double)value, "" };
	}
	return (struct cprof_measure){ (double)value, to };
}

const char *cprof_measure_label_text(char *text, int64_t value, const char *from, const char *to)
{
	struct cprof_measure scaled = cprof_measure_scale(value, from, to);
	int n = snprintf(text, CPROF_MEASURE_LABEL_MAX, "%.2f", scaled.value);
	if (n > 3 && strcmp(text + n - 3, ".00") == 0)
		text[n -= 3] = 0;
	if (strcmp(text, "0") == 0 || strcmp(text, "-0") == 0)
		return memcpy(text, "0", sizeof("0"));
	snprintf(text + n, CPROF_MEASURE_LABEL_MAX - (size_t)n, "%s", scaled.unit);
	return text;
}

void cprof_measure_label(struct cprof_buffer *out, int64_t value, const char *from, const char *to)
{
	char text[CPROF_MEASURE_LABEL_MAX];
	cprof_buffer_puts(out, cprof_measure_label_text(text, value, from, to));
}

const char *cprof_measure_percentage(char *text, int64_t value, int64_t total)
{
	double ratio = total ? fabs((double)value / (double)total) * 100 : 0;
	if (ratio >= 99.95 && ratio <= 100.05)
		snprintf(text, 32, "  100%%");
	else if (ratio >= 1)
		snprintf(text, 32, "%5.2f%%", ratio);
	else
		snprintf(text, 32, "%5.2g%%", ratio);
	return text;
}

bool cprof_measure_compatible(const char *unit_a, const char *unit_b)
{
	if (strcmp(unit_a, unit_b) == 0)
		return true;
	for (size_t i = 0; i < N_FAMILIES; i++) {
		if (find_unit(&families[i], unit_a) && find_unit(&families[i], unit_b))
			return true;
	}
	return false;
}
