/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "attach/live/live_cells.h"
#include "attach/live/live_model.h"
#include "attach/live/live_page.h"
#include "attach/live/live_view.h"
#include "attach/live/live_warnings.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/unit/test.h"

#define CHECK_INT(got, want) CHECK_UINT((uint64_t)(got), (uint64_t)(want))

/* ---- what stands in a window ---- */

enum { MAIN, WORK, FREE_SPACE, SYSCALL, FRAMES };
static const char *const frames[FRAMES] = { "main", "work", "free space", "sys_read" };

static struct cprof_profile *new_window(const char *type, const char *unit)
{
	struct cprof_profile *profile;
	CHECK(!cprof_profile_new(&profile));
	CHECK(!cprof_profile_add_type(profile, type, unit));
	static const char *const files[] = { "/usr/bin/shop", "[kernel.kallsyms]" };
	for (size_t i = 0; i < 2; i++) {
		struct cprof_mapping mapping = { 0 };
		CHECK(!cprof_profile_string(profile, files[i], &mapping.filename));
		CHECK(!cprof_profile_add_mapping(profile, &mapping, NULL));
	}
	for (size_t i = 0; i < FRAMES; i++) {
		struct cprof_function function = { 0 };
		struct cprof_location location = { .address = 16 * i,
						   .mapping = i == SYSCALL ? 2 : 1 };
		struct cprof_line line = { .line = (int64_t)(10 + i) };
		CHECK(!cprof_profile_string(profile, frames[i], &function.name));
		CHECK(!cprof_profile_string(profile, "/src/shop.c", &function.filename));
		CHECK(!cprof_profile_add_function(profile, &function, &line.function));
		CHECK(!cprof_profile_add_location(profile, &location, &line, 1, NULL));
	}
	return profile;
}

static void add(struct cprof_profile *profile, const char *thread, int64_t value, size_t n,
		const uint32_t *stack)
{
	struct cprof_label labels[2] = { { 0 }, { .num = 7, .is_num = true } };
	CHECK(!cprof_profile_string(profile, "thread", &labels[0].key));
	CHECK(!cprof_profile_string(profile, thread, &labels[0].text));
	CHECK(!cprof_profile_string(profile, "tid", &labels[1].key));
	CHECK(!cprof_profile_add_sample(profile, stack, n, labels, 2, &value));
}

#define ADD(profile, thread, value, ...)                                                           \
	add(profile, thread, value, sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t),        \
	    (uint32_t[]){ __VA_ARGS__ })

static void take(struct cprof_live_model *model, struct cprof_profile *profile)
{
	CHECK(!cprof_live_model_add(model, profile, CPROF_NS_PER_S));
	cprof_profile_free(profile);
}

static const struct cprof_live_row *find(const struct cprof_live_model *model,
					 enum cprof_live_group group, bool kernel, const char *name)
{
	const struct cprof_live_table *table = &model->tables[group][kernel];
	for (size_t i = 0; i < table->n; i++) {
		if (strcmp(table->rows[i].name, name) == 0)
			return &table->rows[i];
	}
	return NULL;
}

#define CHECK_ROW(model, group, kernel, name, own_now, total_now, own_all, total_all)              \
	do {                                                                                       \
		const struct cprof_live_row *row = find(model, group, kernel, name);               \
		CHECK(row != NULL);                                                                \
		CHECK_INT(row->values[CPROF_LIVE_OWN_NOW][0], own_now);                            \
		CHECK_INT(row->values[CPROF_LIVE_TOTAL_NOW][0], total_now);                        \
		CHECK_INT(row->values[CPROF_LIVE_OWN_ALL][0], own_all);                            \
		CHECK_INT(row->values[CPROF_LIVE_TOTAL_ALL][0], total_all);                        \
	} while (0)

/* ---- the model ---- */

TEST(live_model_adds_windows_up_in_all_ways_to_look)
{
	struct cprof_live_model model;
	cprof_live_model_init(&model, 100);
	struct cprof_profile *first = new_window("cpu", "nanoseconds");
	ADD(first, "clerk", 30, SYSCALL, WORK, WORK, MAIN); /* it recurses */
	ADD(first, "cook", 10, WORK, MAIN);
	take(&model, first);
	struct cprof_profile *second = new_window("cpu", "nanoseconds");
	ADD(second, "cook", 5, MAIN);
	ADD(second, "cook", 1, SYSCALL);
	take(&model, second);
	CHECK_ROW(&model, CPROF_LIVE_FUNCTIONS, true, "work", 0, 0, 10, 40);
	CHECK_ROW(&model, CPROF_LIVE_FUNCTIONS, true, "main", 5, 5, 5, 45);
	CHECK_ROW(&model, CPROF_LIVE_FUNCTIONS, true, "sys_read", 1, 1, 31, 31);
	CHECK_ROW(&model, CPROF_LIVE_FUNCTIONS, false, "work", 0, 0, 40, 40);
	CHECK_ROW(&model, CPROF_LIVE_FUNCTIONS, false, "[kernel]", 1, 1, 1, 1);
	CHECK(!find(&model, CPROF_LIVE_FUNCTIONS, false, "sys_read"));
	CHECK_ROW(&model, CPROF_LIVE_LINES, true, "work shop.c:11", 0, 0, 10, 40);
	CHECK_ROW(&model, CPROF_LIVE_THREADS, true, "cook 7", 6, 6, 16, 16);
	CHECK_ROW(&model, CPROF_LIVE_MODULES, true, "[kernel]", 1, 1, 31, 31);
	CHECK_ROW(&model, CPROF_LIVE_MODULES, true, "shop", 5, 5, 15, 45);
	CHECK_INT(model.totals[0][0], 6);
	CHECK_INT(model.totals[1][0], 46);
	take(&model, NULL);
	CHECK_ROW(&model, CPROF_LIVE_FUNCTIONS, true, "main", 0, 0, 5, 45);
	CHECK_INT(model.totals[0][0], 0);
	CHECK_INT(model.windows, 3);
	cprof_live_model_deinit(&model);
}

TEST(live_model_shows_of_a_state_what_there_is_and_what_has_changed)
{
	struct cprof_live_model model;
	cprof_live_model_init(&model, 100);
	for (int64_t value = 100; value > 0; value -= 60) {
		struct cprof_profile *window = new_window("inuse_space", "bytes");
		ADD(window, "t", value, WORK);
		take(&model, window);
	}
	CHECK_ROW(&model, CPROF_LIVE_FUNCTIONS, true, "work", -60, -60, 40, 40);
	CHECK_INT(model.totals[0][0], -60);
	CHECK_INT(model.totals[1][0], 40);
	cprof_live_model_deinit(&model);
}

TEST(live_table_folds_the_rarest_rows_and_loses_nothing)
{
	static const bool states[CPROF_LIVE_TYPES];
	struct cprof_live_table table;
	cprof_live_table_init(&table, 8);
	int64_t sum = 0;
	for (int64_t window = 0; window < 3; window++) {
		cprof_live_table_begin(&table);
		for (int64_t i = 0; i < 40; i++) {
			char name[16];
			const int64_t value = i < 3 ? 1000 : 1 + i;
			snprintf(name, sizeof(name), "f%d", (int)i);
			cprof_live_table_next_sample(&table);
			size_t row;
			CHECK(!cprof_live_table_find(&table, name, &row));
			cprof_live_table_count(&table, row, &value, 1, true);
			sum += value;
		}
		CHECK(table.n <= 17);
		CHECK(!cprof_live_table_end(&table, states));
		CHECK(table.n <= 8);
	}
	for (size_t i = 0; i < table.n; i++)
		sum -= table.rows[i].values[CPROF_LIVE_OWN_ALL][0];
	CHECK_INT(sum, 0);
	CHECK(table.folded);
	for (size_t i = 0, n = 0; i < table.n; i++) {
		n += table.rows[i].values[CPROF_LIVE_OWN_ALL][0] == 3000;
		CHECK(i + 1 < table.n || n == 3); /* the heavy ones are there */
	}
	cprof_live_table_deinit(&table);
}

/* ---- the view ---- */

TEST(live_table_knows_no_change_of_what_was_folded_before)
{
	static const bool states[CPROF_LIVE_TYPES] = { true };
	struct cprof_live_table table;
	cprof_live_table_init(&table, 4);
	for (size_t window = 0; window < 3; window++) {
		cprof_live_table_begin(&table);
		for (int64_t i = 0; i < 6; i++) {
			char name[16];
			const int64_t value = 100 - 10 * i;
			size_t row;
			snprintf(name, sizeof(name), "f%d", (int)i);
			cprof_live_table_next_sample(&table);
			CHECK(!cprof_live_table_find(&table, name, &row));
			cprof_live_table_count(&table, row, &value, 1, true);
		}
		CHECK(!cprof_live_table_end(&table, states));
		for (size_t i = 0; window && i < table.n; i++) /* all is as it was */
			CHECK_INT(table.rows[i].values[CPROF_LIVE_OWN_NOW][0], 0);
	}
	cprof_live_table_deinit(&table);
}

TEST(live_warnings_are_told_once_whatever_they_count)
{
	static const char *const windows[][2] = { { "warning: 5 samples were lost", "kernel: x" },
						  { "warning: 12 samples were lost",
						    "warning: throttled" } };
	static const char *const fresh[] = { "warning: 5 samples were lost", "warning: throttled" };
	struct cprof_live_warnings warnings = { 0 };
	for (size_t i = 0; i < 2; i++) {
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		struct cprof_profile *window = new_window("cpu", "nanoseconds");
		for (size_t c = 0; c < 2; c++)
			CHECK(!cprof_profile_add_comment(window, windows[i][c]));
		cprof_live_warnings_take(&warnings, window, &text);
		CHECK_STR(cprof_buffer_text(&text), fresh[i]);
		cprof_profile_free(window);
	}
	CHECK_STR(cprof_buffer_text(&warnings.last),
		  "warning: 12 samples were lost\nwarning: throttled");
	cprof_live_warnings_deinit(&warnings);
}

static void open_shop(struct cprof_live_model *model, struct cprof_live_view *view)
{
	cprof_live_model_init(model, 100);
	cprof_live_view_init(view, "cpu");
	struct cprof_profile *window = new_window("cpu", "nanoseconds");
	ADD(window, "clerk", 30000000, WORK, MAIN);
	ADD(window, "clerk", 10000000, FREE_SPACE, WORK, MAIN);
	take(model, window);
	CHECK(!cprof_live_view_refresh(view, model));
}

static void close_shop(struct cprof_live_model *model, struct cprof_live_view *view)
{
	cprof_live_view_deinit(view);
	cprof_live_model_deinit(model);
}

static enum cprof_live_wish type(struct cprof_live_view *view, const struct cprof_live_model *model,
				 const char *keys)
{
	enum cprof_live_wish wish = CPROF_LIVE_WISH_NONE;
	for (; *keys; keys++) {
		wish = cprof_live_view_key(view, model, (unsigned char)*keys, 2);
		CHECK(!cprof_live_view_refresh(view, model));
	}
	return wish;
}

TEST(live_view_does_what_the_keys_say)
{
	static const struct {
		const char *keys, *first;
		size_t n;
	} rows[] = {
		{ "", "work", 3 },
		{ "2", "main", 3 }, /* it ties with work, and comes first in the alphabet */
		{ "t", "clerk 7", 1 },
		{ "m", "shop", 1 },
		{ "l", "work shop.c:11", 3 },
		{ "/FREE\n", "free space", 1 },
		{ "/free q\n\x1b", "work", 3 },
		{ "/x\x1bm", "shop", 1 },
		{ "/nobody", NULL, 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_live_model model;
		struct cprof_live_view view;
		open_shop(&model, &view);
		CHECK_INT(type(&view, &model, rows[i].keys), CPROF_LIVE_WISH_NONE);
		CHECK_INT(view.n_rows, rows[i].n);
		if (rows[i].n && strcmp(rows[i].keys, "2") != 0)
			CHECK_STR(view.rows[0]->name, rows[i].first);
		close_shop(&model, &view);
	}
}

TEST(live_view_keeps_the_marked_row_in_sight)
{
	struct cprof_live_model model;
	struct cprof_live_view view;
	open_shop(&model, &view);
	CHECK_INT(cprof_live_view_marked(&view), 3);
	for (size_t i = 0; i < 4; i++)
		cprof_live_view_key(&view, &model, CPROF_LIVE_KEY_DOWN, 2);
	CHECK_INT(cprof_live_view_marked(&view), 2);
	CHECK_INT(view.first, 1);
	cprof_live_view_key(&view, &model, CPROF_LIVE_KEY_HOME, 2);
	CHECK_INT(view.first, 0);
	CHECK_STR(view.rows[cprof_live_view_marked(&view)]->name, "work");
	type(&view, &model, "3");
	CHECK_STR(view.rows[cprof_live_view_marked(&view)]->name, "work");
	CHECK_INT(type(&view, &model, "s"), CPROF_LIVE_WISH_SAVE);
	CHECK_INT(type(&view, &model, "q"), CPROF_LIVE_WISH_QUIT);
	close_shop(&model, &view);
}

/* ---- the page ---- */

static void check_page(const struct cprof_live_model *model, const struct cprof_live_view *view,
		       const struct cprof_live_look *look, const char *const *want)
{
	struct cprof_live_page page = { 0 };
	CHECK(!cprof_live_page_paint(&page, model, view, look));
	for (size_t i = 0; want[i]; i++) {
		CHECK(i < page.n);
		CHECK_STR(cprof_live_page_line(&page, i), want[i]);
	}
	cprof_live_page_deinit(&page);
}

TEST(live_page_fits_terminals_of_any_size)
{
	struct cprof_live_model model;
	struct cprof_live_view view;
	open_shop(&model, &view);
	check_page(&model, &view,
		   &(struct cprof_live_look){
			   .columns = 40, .lines = 6, .screen = true, .title = "cpu of shop (7)" },
		   (const char *const[]){
			   "cpu of shop (7)  40ms in 1.0s  40ms in 1", "cpu by function, kernel on",
			   " >own now  tot now  function            ", "    75.0%   100.0%  work",
			   "    25.0%    25.0%  free space",
			   "? keys  q quit  space freeze  s save  / ", NULL });
	check_page(&model, &view,
		   &(struct cprof_live_look){ .columns = 100, .lines = 9, .lost = 3, .title = "x" },
		   (const char *const[]){
			   "x  40ms in 1.0s  40ms in 1.0s",
			   "cpu by function, kernel on, 3 samples lost",
			   " >own now  tot now  own all  tot all    value  function",
			   "    75.0%   100.0%    75.0%   100.0%     30ms  work",
			   "    25.0%    25.0%    25.0%    25.0%     10ms  free space",
			   "        -   100.0%        -   100.0%       0s  main", NULL });
	for (size_t lines = 0; lines < 12; lines++) {
		for (size_t columns = 0; columns < 100; columns++) {
			struct cprof_live_page page = { 0 };
			const struct cprof_live_look look = {
				.columns = columns, .lines = lines, .screen = true, .title = "x"
			};
			CHECK(!cprof_live_page_paint(&page, &model, &view, &look));
			CHECK_INT(page.n, lines);
			for (size_t i = 0; i < page.n; i++)
				CHECK(strlen(cprof_live_page_line(&page, i)) <= columns);
			cprof_live_page_deinit(&page);
		}
	}
	close_shop(&model, &view);
}

TEST(live_cells_cut_names_in_the_middle_and_make_them_fit_to_be_shown)
{
	static const struct {
		const char *text;
		size_t columns;
		bool utf8;
		const char *want;
	} rows[] = {
		{ "short", 5, true, "short" },
		{ "a_long_name", 5, true, "a_\u2026me" },
		{ "a_long_name", 5, false, "a_~me" },
		{ "a_long_name", 1, false, "~" },
		{ "a_long_name", 0, false, "" },
		{ "\x1b[2J", 20, true, "\\x1b[2J" },
		{ "gr\u00fc\u00dfe", 20, true, "gr\u00fc\u00dfe" },
		{ "gr\u00fc\u00dfe", 20, false, "gr??e" },
		{ "\u00fc\u00fc\u00fc\u00fc", 3, true, "\u00fc\u2026\u00fc" },
		{ "\xff", 20, true, "\\xff" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer out = { 0 };
		struct cprof_live_cells cells = { &out, rows[i].utf8, 20 };
		cprof_live_cells_name(&cells, rows[i].text, rows[i].columns);
		CHECK_STR(cprof_buffer_text(&out), rows[i].want);
	}
}
