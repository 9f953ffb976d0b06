/* SPDX-License-Identifier: Apache-2.0 */
// shapes - C++ with templates, inlined functions and virtual calls; works until SIGTERM.
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

static volatile uint64_t sink;
static volatile sig_atomic_t stop;

template <typename T> static inline __attribute__((always_inline)) T square(T x)
{
	return x * x + T(1);
}

namespace shapes
{
struct Shape {
	virtual ~Shape() = default;
	virtual uint64_t area(uint64_t round) const = 0;
};

template <int Sides> struct Polygon : Shape {
	__attribute__((noinline)) uint64_t area(uint64_t round) const override
	{
		uint64_t sum = 0;
		for (uint64_t i = 0; i < 20000; i++)
			sum += square<uint64_t>(i ^ round ^ sum) % Sides;
		return sum;
	}
};

__attribute__((noinline)) void survey(const std::vector<std::unique_ptr<Shape>> &all, uint64_t round)
{
	for (const auto &shape : all)
		sink = sink + shape->area(round);
}
} // namespace shapes

static void on_term(int)
{
	stop = 1;
}

int main()
{
	std::signal(SIGTERM, on_term);
	std::vector<std::unique_ptr<shapes::Shape>> all;
	all.push_back(std::make_unique<shapes::Polygon<3>>());
	all.push_back(std::make_unique<shapes::Polygon<5>>());
	std::printf("pid %d\nready\n", static_cast<int>(getpid()));
	std::fflush(stdout);
	for (uint64_t round = 0; !stop; round++)
		shapes::survey(all, round);
	return 0;
}
