/* SPDX-License-Identifier: Apache-2.0 */
// Somebody else's program, in C++: reads a pprof file and prints its sample types, samples and sums.
#include <cprof/arch.h>
#include <cprof/budget.h>
#include <cprof/buffer.h>
#include <cprof/build_id.h>
#include <cprof/builder.h>
#include <cprof/demangle.h>
#include <cprof/error.h>
#include <cprof/hash.h>
#include <cprof/image.h>
#include <cprof/intern.h>
#include <cprof/maps.h>
#include <cprof/memory.h>
#include <cprof/merge.h>
#include <cprof/module.h>
#include <cprof/pprof_read.h>
#include <cprof/pprof_write.h>
#include <cprof/profile.h>
#include <cprof/profile_scale.h>
#include <cprof/stack.h>
#include <cprof/stack_table.h>
#include <cprof/symbolizer.h>
#include <cprof/symbolizer_way.h>
#include <cprof/unwind.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	std::ifstream file(argv[1], std::ios::binary);
	const std::vector<char> bytes((std::istreambuf_iterator<char>(file)),
				      std::istreambuf_iterator<char>());
	cprof_profile *profile = nullptr;
	cprof_error *err = cprof_pprof_decode(reinterpret_cast<const uint8_t *>(bytes.data()),
					      bytes.size(), &profile);
	if (err) {
		std::fprintf(stderr, "%s\n", err->message);
		cprof_error_free(err);
		return 1;
	}
	for (uint32_t t = 0; t < profile->n_types; t++) {
		long long sum = 0;
		for (uint32_t i = 0; i < profile->n_samples; i++)
			sum += profile->values[i * profile->n_types + t];
		std::printf("%s/%s %u samples, sum %lld\n",
			    cprof_profile_text(profile, profile->types[t].type),
			    cprof_profile_text(profile, profile->types[t].unit), profile->n_samples,
			    sum);
	}
	cprof_profile_free(profile);
	return 0;
}
