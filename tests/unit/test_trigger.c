/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/ring/trigger.h"

#include <math.h>
#include <signal.h>

#include "tests/unit/test.h"

TEST(trigger_reads_what_people_write)
{
	static const struct {
		const char *text;
		enum cprof_trigger_what what;
		bool below;
		double limit;
		const char *said;
	} rows[] = {
		{ "cpu>80%", CPROF_TRIGGER_CPU, false, 0.8, "cpu>80%" },
		{ " CPU > 250 % ", CPROF_TRIGGER_CPU, false, 2.5, "cpu>250%" },
		{ "cpu>=0.5%", CPROF_TRIGGER_CPU, false, 0.005, "cpu>0.5%" },
		{ "cpu<5%", CPROF_TRIGGER_CPU, true, 0.05, "cpu<5%" },
		{ "cpu>0%", CPROF_TRIGGER_CPU, false, 0, "cpu>0%" },
		{ "rss>2G", CPROF_TRIGGER_RSS, false, 2.0 * (1 << 30), "rss>2048M" },
		{ "rss > 512m", CPROF_TRIGGER_RSS, false, 512.0 * (1 << 20), "rss>512M" },
		{ "threads>500", CPROF_TRIGGER_THREADS, false, 500, "threads>500" },
		{ "blocked>1s", CPROF_TRIGGER_BLOCKED, false, 1e9, "blocked>1s" },
		{ "blocked>250ms", CPROF_TRIGGER_BLOCKED, false, 2.5e8, "blocked>0.25s" },
		{ "blocked>2", CPROF_TRIGGER_BLOCKED, false, 2e9, "blocked>2s" },
		{ "psi>20%", CPROF_TRIGGER_PSI, false, 0.2, "psi>20%" },
		{ "psi-cpu>99.9%", CPROF_TRIGGER_PSI_CPU, false, 0.999, "psi-cpu>99.9%" },
		{ "psi-memory>1%", CPROF_TRIGGER_PSI_MEMORY, false, 0.01, "psi-memory>1%" },
		{ "psi-io>5%", CPROF_TRIGGER_PSI_IO, false, 0.05, "psi-io>5%" },
		{ "signal USR2", CPROF_TRIGGER_SIGNAL, false, 0, "signal USR2" },
		{ "signal SIGUSR1", CPROF_TRIGGER_SIGNAL, false, 0, "signal USR1" },
		{ "signal usr1", CPROF_TRIGGER_SIGNAL, false, 0, "signal USR1" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_trigger trigger;
		struct cprof_buffer said = { 0 };
		struct cprof_error *err = cprof_trigger_parse(rows[i].text, &trigger);
		if (err)
			TEST_FAIL("%s: %s", rows[i].text, err->message);
		CHECK_UINT(trigger.what, rows[i].what);
		CHECK_UINT(trigger.below, rows[i].below);
		CHECK(fabs(trigger.limit - rows[i].limit) <= 1e-9 * rows[i].limit);
		cprof_trigger_describe(&trigger, NULL, &said);
		CHECK_STR(cprof_buffer_text(&said), rows[i].said);
		cprof_buffer_deinit(&said);
	}
}

TEST(trigger_says_what_is_wrong_and_what_would_be_right)
{
	static const struct {
		const char *text, *message, *hint;
	} rows[] = {
		{ "", "is no condition", "cpu>80%" },
		{ "   ", "is no condition", "cpu>80%" },
		{ "cpu", "no > or <", "cpu>80%" },
		{ "cpu=80%", "no > or <", "cpu>80%" },
		{ "cpu>80", "ends in %", "cpu>80%" },
		{ "cpu>", "no percentage", "cpu>80%" },
		{ "cpu>abc%", "no percentage", "cpu>80%" },
		{ "cpu>inf%", "no percentage", "cpu>80%" },
		{ "cpu>nan%", "no percentage", "cpu>80%" },
		{ "cpu>-5%", "no percentage", "cpu>80%" },
		{ "cpu>80%%", "ends in %", "cpu>80%" },
		{ "cpu<0%", "less than 0", "cpu>80%" },
		{ "cpux>80%", "there is no \"cpux\"", "did you mean cpu?" },
		{ "cup>80%", "there is no \"cup\"", "did you mean cpu?" },
		{ "rsss>1G", "there is no \"rsss\"", "did you mean rss?" },
		{ "bloked>1s", "there is no \"bloked\"", "did you mean blocked?" },
		{ "psi-mem>1%", "there is no \"psi-mem\"", "psi-memory" },
		{ "load>3", "there is no \"load\"", "there are cpu, rss" },
		{ "80%", "there is no \"80%\"", "there are cpu, rss" },
		{ "rss>2Q", "no size", "rss>2G" },
		{ "rss>80%", "no size", "rss>2G" },
		{ "rss>", "no size", "rss>2G" },
		{ "blocked>1q", "no time", "blocked>1s" },
		{ "blocked>", "no time", "blocked>1s" },
		{ "threads>5k", "without a unit", "threads>500" },
		{ "threads>x", "no number", "threads>500" },
		{ "psi>100%", "does not exceed 100%", "psi>20%" },
		{ "psi>1", "ends in %", "psi>20%" },
		{ "signal", "USR1 and USR2", "signal USR2" },
		{ "signal KILL", "USR1 and USR2", "signal USR2" },
		{ "signal 9", "USR1 and USR2", "signal USR2" },
		{ "cpu>80%aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  "is no condition", "cpu>80%" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_trigger trigger = { .limit = 42 };
		struct cprof_error *err = cprof_trigger_parse(rows[i].text, &trigger);
		if (!err)
			TEST_FAIL("\"%s\" is taken", rows[i].text);
		CHECK_UINT(err->code, CPROF_ERR_USAGE);
		if (!strstr(err->message, rows[i].message))
			TEST_FAIL("\"%s\": %s", rows[i].text, err->message);
		if (!err->hint || !strstr(err->hint, rows[i].hint))
			TEST_FAIL("\"%s\": hint %s", rows[i].text, err->hint ? err->hint : "none");
		CHECK(trigger.limit == 42); /* written on success only */
		cprof_error_free(err);
	}
}

/* A letter a look: T where it triggers. */
static void check_looks(const char *text, const double *values, const char *want)
{
	struct cprof_trigger trigger;
	CHECK(!cprof_trigger_parse(text, &trigger));
	for (size_t i = 0; want[i]; i++) {
		struct cprof_trigger_values now;
		for (size_t k = 0; k < CPROF_TRIGGER_VALUES; k++)
			now.at[k] = NAN;
		now.at[trigger.what] = values[i];
		const char got = cprof_trigger_look(&trigger, &now) ? 'T' : '.';
		if (got != want[i])
			TEST_FAIL("%s: look %zu of %s: %c", text, i, want, got);
	}
}

TEST(trigger_comes_true_once_for_each_crossing)
{
	/* From the beginning; stays; trembles at the limit; not quite back; back; again. */
	check_looks("cpu>80%",
		    (double[]){ 0.9, 0.95, 0.79, 0.81, 0.73, 0.9, 0.72, 0.8, 0.81, 0.85 },
		    "T.......T.");
	check_looks("cpu<50%", (double[]){ 0.6, 0.4, 0.5, 0.54, 0.4, 0.55, 0.49, 0.1 }, ".T....T.");
	check_looks("blocked>1s", (double[]){ 0, 9e8, 1.1e9, 3e9, 0, 1.2e9 }, "..T..T");
	check_looks("cpu>0%", (double[]){ 0, 0.1, 0.1, 0, 0.1 }, ".T..T");
}

TEST(trigger_goes_by_nothing_that_is_not_known)
{
	check_looks("rss>1G", (double[]){ NAN, 2e9, NAN, 2e9, 1e8, NAN, 2e9 }, ".T....T");
	struct cprof_trigger trigger;
	struct cprof_trigger_values values = { { 0 } };
	CHECK(!cprof_trigger_parse("signal USR2", &trigger));
	CHECK_UINT(trigger.signal_no, SIGUSR2);
	CHECK(!cprof_trigger_look(&trigger, &values));
}
