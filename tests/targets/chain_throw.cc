/* SPDX-License-Identifier: Apache-2.0 */
/* chain_throw [loop] - while an exception is in flight: in a destructor on its way, or anywhere (loop). */
#include "chain.h"

struct Guard {
	bool spins;
	NOINLINE ~Guard();
};

Guard::~Guard()
{
	if (spins)
		spin();
	NOT_TAIL();
}

static NOINLINE void thrower(int n)
{
	throw n;
}

static NOINLINE void guarded(int n, bool spins)
{
	Guard guard = { spins };
	thrower(n);
}

static NOINLINE void catcher(int n, bool spins)
{
	try {
		guarded(n, spins);
	} catch (int caught) {
		chain_sink = chain_sink + (uint64_t)caught;
	}
}

int main(int argc, char **)
{
	if (argc > 1) {
		printf("chain *;thrower;guarded;catcher;main\nchain *;guarded;catcher;main\n"
		       "chain *;catcher;main\nchain *;main\n");
		chain_ready();
		while (!chain_stop)
			catcher(argc, false);
		return 0;
	}
	printf("chain spin;Guard::~Guard;guarded;catcher;main\n");
	chain_ready();
	catcher(argc, true);
	return 0;
}
