/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_share.h"

#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define DEVIATIONS 4
#define LET_GO     0.1

struct rest {
	double lost;
	size_t at;
};

static int by_lost(const void *a, const void *b)
{
	const struct rest *x = a, *y = b;
	if (x->lost != y->lost)
		return x->lost > y->lost ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static double weight_of(double weight)
{
	return weight > 0 && isfinite(weight) ? weight : 0;
}

struct cprof_error *cprof_wall_share(uint64_t total, const double *weights, size_t n,
				     uint64_t *ret_parts)
{
	CPROF_AUTO(free) struct rest *rests = calloc(n + 1, sizeof(*rests));
	if (!rests)
		return cprof_error_no_memory();
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += weight_of(weights[i]);
	uint64_t given = 0;
	for (size_t i = 0; i < n; i++) {
		const double exact = sum > 0 ? (double)total * (weight_of(weights[i]) / sum) : 0;
		ret_parts[i] = (uint64_t)exact;
		/* Beyond 2^53 a double is not exact any more. */
		if (ret_parts[i] > total - given)
			ret_parts[i] = total - given;
		given += ret_parts[i];
		rests[i] = (struct rest){ exact - (double)ret_parts[i], i };
		if (weight_of(weights[i]) <= 0)
			rests[i].lost = -1;
	}
	if (sum <= 0)
		return NULL;
	qsort(rests, n, sizeof(*rests), by_lost);
	for (size_t i = 0; given < total && i < n && rests[i].lost >= 0; i++, given++)
		ret_parts[rests[i].at]++;
	ret_parts[rests[0].at] += total - given;
	return NULL;
}

uint64_t cprof_wall_share_known(uint64_t total_ns, double sum_ns, uint64_t rate_ns)
{
	const double total = (double)total_ns;
	const double chance = DEVIATIONS * sqrt(total * (double)rate_ns) + LET_GO * total;
	if (!(sum_ns > 0))
		return 0;
	return sum_ns + chance >= total ? total_ns : (uint64_t)sum_ns;
}
