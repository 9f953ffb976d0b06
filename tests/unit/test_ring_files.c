/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/ring_files.h"

#include "base/cleanup.h"
#include "tests/unit/test.h"

TEST(ring_files_have_the_time_before_what_says_their_format)
{
	static const struct {
		const char *file, *want;
	} rows[] = {
		{ "spike.pb.gz", "spike.20010909T014640Z.pb.gz" },
		{ "a.b/spike", "a.b/spike.20010909T014640Z" },
		{ "my.app.svg", "my.app.20010909T014640Z.svg" },
		{ "/x/y.speedscope.json", "/x/y.20010909T014640Z.speedscope.json" },
		{ "y.firefox.json.gz", "y.20010909T014640Z.firefox.json.gz" },
		{ ".hidden", ".hidden.20010909T014640Z" },
		{ ".pb.gz", ".pb.20010909T014640Z.gz" }, /* a name, however odd */
		{ "x.", "x.20010909T014640Z." },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CPROF_AUTO(free) char *name = cprof_ring_files_name(rows[i].file, 1000000000);
		CHECK_STR(name, rows[i].want);
	}
}
