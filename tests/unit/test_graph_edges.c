/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/test_graph_edges.c - the edges of a graph with more calls than are looked at at once, against a plain sum.
 */
#include "convert/graph/graph.h"

#include <stdlib.h>

#include "convert/output/format_table.h"
#include "convert/formats/input_format.h"
#include "tests/unit/test.h"

#define FUNCTIONS 60u
#define SAMPLES   1500u
#define DEPTH     3000u /* 4.5 million calls */

static void ok(struct cprof_error *err)
{
	if (err)
		TEST_FAIL("%s", err->message);
}

static uint32_t next(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 16;
}

/* A line a sample: random functions; and what each call weighs, once a sample. */
static char *make_folded(int64_t *want)
{
	char *text;
	size_t n;
	uint32_t state = 1, seen[FUNCTIONS][FUNCTIONS] = { { 0 } };
	FILE *out = open_memstream(&text, &n);
	for (uint32_t sample = 1; sample <= SAMPLES; sample++) {
		uint32_t last = FUNCTIONS;
		for (uint32_t i = 0; i < DEPTH; i++) {
			uint32_t function = next(&state) % FUNCTIONS;
			fprintf(out, "%sf%u", i ? ";" : "", function);
			if (last != FUNCTIONS && last != function &&
			    seen[last][function] != sample) {
				seen[last][function] = sample;
				want[last * FUNCTIONS + function] += sample;
			}
			last = function;
		}
		fprintf(out, " %u\n", sample);
	}
	fclose(out);
	return text;
}

static uint32_t number(struct cprof_graph *graph, uint32_t node)
{
	return (uint32_t)strtoul(cprof_graph_name(graph, node) + 1, NULL, 10);
}

TEST(graph_edges_of_millions_of_calls_weigh_what_the_samples_say)
{
	struct cprof_profile *profile;
	struct cprof_report *report;
	struct cprof_config config;
	struct cprof_graph *graph;
	int64_t *want = calloc((size_t)FUNCTIONS * FUNCTIONS, sizeof(*want));
	char *text = make_folded(want);
	ok(cprof_input_decode((const uint8_t *)text, strlen(text), &profile));
	ok(cprof_config_init(&config));
	ok(cprof_report_new(profile, cprof_format_find("json"), NULL, &config, &report));
	ok(cprof_graph_new(report, CPROF_GRAPH_EDGES, &graph));
	for (uint32_t i = 0; i < graph->n_edges; i++) {
		const struct cprof_edge *edge = &graph->edges[i];
		int64_t *left =
			&want[number(graph, edge->src) * FUNCTIONS + number(graph, edge->dest)];
		CHECK(edge->weight == *left);
		*left = 0;
	}
	for (uint32_t i = 0; i < FUNCTIONS * FUNCTIONS; i++)
		CHECK(want[i] == 0);
	cprof_graph_free(graph);
	cprof_report_free(report);
	cprof_profile_free(profile);
	free(text);
	free(want);
}
