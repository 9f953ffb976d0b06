/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/demangle.h"
#include "tests/unit/test.h"

#include <stdio.h>

TEST(demangle_gives_the_forms_that_pprof_gives)
{
	/* clang-format off */
	static const struct {
		const char *name, *want_short, *want_templates, *want_full;
	} cases[] = {
		{ "main", "main", "main", "main" },
		{ "_ZN2ns3addEii", "ns::add", "ns::add", "ns::add(int, int)" },
		{ "_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector::push_back",
		  "std::vector<int, std::allocator<int> >::push_back",
		  "std::vector<int, std::allocator<int> >::push_back(int const&)" },
		{ "_ZNK3BoxIiE3getEv", "Box::get", "Box<int>::get", "Box<int>::get() const" },
		{ "_ZN12_GLOBAL__N_14anonEi", "(anonymous namespace)::anon", "(anonymous namespace)::anon",
		  "(anonymous namespace)::anon(int)" },
		{ "_ZNSsC2EmcRKSaIcE", "std::basic_string::basic_string",
		  "std::basic_string<char, std::char_traits<char>, std::allocator<char> >::basic_string",
		  "std::basic_string<char, std::char_traits<char>, std::allocator<char> >::basic_string(unsigned long, char, std::allocator<char> const&)" },
		{ "_ZlsRSoRK1A", "operator<<", "operator<<", "operator<<(std::ostream&, A const&)" },
		{ "_ZN1AclEi", "A::operator()", "A::operator()", "A::operator()(int)" },
		{ "_ZN1AcvbEv", "A::operator bool", "A::operator bool", "A::operator bool()" },
		{ "_ZZ4mainENKUliE_clEi", "main::{lambda(int)#1}::operator()", "main::{lambda(int)#1}::operator()",
		  "main::{lambda(int)#1}::operator()(int) const" },
		{ "_ZZN1A3runEiENKUlvE_clEv", "A::run()::{lambda()#1}::operator()", "A::run()::{lambda()#1}::operator()",
		  "A::run(int)::{lambda()#1}::operator()() const" },
		{ "_ZTv0_n24_NSt7__cxx1118basic_stringstreamIcSt11char_traitsIcESaIcEED1Ev",
		  "virtual thunk to std::__cxx11::basic_stringstream::~basic_stringstream()",
		  "virtual thunk to std::__cxx11::basic_stringstream<char, std::char_traits<char>, std::allocator<char> >::~basic_stringstream()",
		  "virtual thunk to std::__cxx11::basic_stringstream<char, std::char_traits<char>, std::allocator<char> >::~basic_stringstream()" },
		/* copies that compilers make of a function */
		{ "_Z3fooi.cold", "foo", "foo", "foo(int)" },
		{ "_Z3fooi.constprop.0.isra.0", "foo", "foo", "foo(int)" },
		{ "dictFind.part.0", "dictFind", "dictFind", "dictFind" },
		{ "dictFind.constprop.0.cold", "dictFind", "dictFind", "dictFind" },
		{ "read.lto_priv.12", "read", "read", "read" },
		{ "dot._omp_fn.3", "dot", "dot", "dot" },
		{ "_Z3fooi._omp_fn.0.constprop.1", "foo", "foo", "foo(int)" },
		{ "dot._loopfn.0", "dot", "dot", "dot" },
		{ "main.omp_outlined", "main", "main", "main" },
		{ "main.omp_outlined.12", "main", "main", "main" },
		{ "main.omp_outlined_debug__.omp_outlined", "main", "main", "main" },
		{ "_Z3fooi.resume", "foo", "foo", "foo(int)" },
		{ "_Z3fooi.destroy", "foo", "foo", "foo(int)" },
		{ "_Z3fooi.cleanup", "foo", "foo", "foo(int)" },
		{ "_Z3fooi.actor", "foo", "foo", "foo(int)" },
		{ "dot.resolver", "dot", "dot", "dot" },
		{ "dot.ifunc", "dot", "dot", "dot" },
		{ "dot.default.1", "dot", "dot", "dot" },
		{ "dot.avx2", "dot", "dot", "dot" },
		{ "dot.avx512f.0", "dot", "dot", "dot" },
		{ "_Z3fooi.arch_x86_64_v3", "foo", "foo", "foo(int)" },
		{ "dot._Msve2", "dot", "dot", "dot" },
		{ "dot.__part.2", "dot", "dot", "dot" },
		{ "_Z3fooi.eh", "foo", "foo", "foo(int)" },
		{ "dot.specialized.1", "dot", "dot", "dot" },
		{ "dot.__uniq.123.llvm.456", "dot", "dot", "dot" },
		{ "dot.argprom.argelim", "dot", "dot", "dot" },
		{ "_Z3fooi.unlikely", "foo", "foo", "foo(int)" },
		{ "_Z3fooi.warm.cold", "foo", "foo", "foo(int)" },
		{ "dot..omp_par", "dot", "dot", "dot" },
		{ "dot..omp_par.12", "dot", "dot", "dot" },
		{ "dot.cfi", "dot", "dot", "dot" },
		{ "_Z3fooi.cfi_jt", "foo", "foo", "foo(int)" },
		/* the function around a block */
		{ "__dot_block_invoke", "dot", "dot", "dot" },
		{ "__dot_block_invoke_2", "dot", "dot", "dot" },
		{ "___Z3fooi_block_invoke.cold", "foo", "foo", "foo(int)" },
		{ "__11-[File read]_block_invoke_3", "-[File read]", "-[File read]", "-[File read]" },
		{ "___block_invoke", "___block_invoke", "___block_invoke", "___block_invoke" },
		{ "dot_block_invoke", "dot_block_invoke", "dot_block_invoke", "dot_block_invoke" },
		/* and what only looks like one */
		{ "main..", "main..", "main..", "main.." },
		{ "main.cleanup", "main.cleanup", "main.cleanup", "main.cleanup" },
		{ "main.destroy.2", "main.destroy.2", "main.destroy.2", "main.destroy.2" },
		{ "net.hot", "net.hot", "net.hot", "net.hot" },
		{ "main.part", "main.part", "main.part", "main.part" },
		{ "main.main.func1.2", "main.main.func1.2", "main.main.func1.2", "main.main.func1.2" },
		{ ".cold", ".cold", ".cold", ".cold" },
		{ "fseek.5", "fseek.5", "fseek.5", "fseek.5" },
		/* Rust: legacy, which loses its hash, and v0, whose arguments become <> */
		{ "_ZN3std2rt10lang_start17h0123456789abcdefE", "std::rt::lang_start", "std::rt::lang_start", "std::rt::lang_start" },
		{ "_RNvC6_123foo3bar", "123foo::bar", "123foo::bar", "123foo::bar" },
		{ "_RINvCs4fqI2P2rA04_7mycrate4funclE", "mycrate::func::<>", "mycrate::func::<i32>", "mycrate::func::<i32>" },
		/* nonsense stays as it is */
		{ "_Z", "_Z", "_Z", "_Z" },
		{ "_ZN", "_ZN", "_ZN", "_ZN" },
		{ "_RNv", "_RNv", "_RNv", "_RNv" },
		{ "_Z9999999999foo", "_Z9999999999foo", "_Z9999999999foo", "_Z9999999999foo" },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const want[] = { cases[i].want_short, cases[i].want_templates,
					     cases[i].want_full, cases[i].name };
		for (int form = 0; form < 4; form++) {
			char *text = cprof_demangle(cases[i].name, (enum cprof_demangle)form);
			CHECK_STR(text ? text : cases[i].name, want[form]);
			free(text);
		}
	}
}

TEST(demangle_plain_drops_template_arguments_and_keeps_operators)
{
	/* clang-format off */
	static const struct {
		const char *name, *want;
	} cases[] = {
		{ "square", "square" },
		{ "square<int>", "square" },
		{ "std::__pop_heap<std::vector<int>, A<B> >", "std::__pop_heap" },
		{ "operator<<", "operator<<" },
		{ "operator< <int>", "operator< " },
		{ "operator<=>", "operator<=>" },
		{ "operator-><T>", "operator->" },
		{ "ns::<lambda(int)>", "ns::<lambda(int)>" },
		{ "void java.util.zip.Inflater.<init>(boolean)", "void java.util.zip.Inflater.<init>(boolean)" },
		{ "<lambda(int)>", "<lambda(int)>" },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = cprof_demangle_plain(cases[i].name, CPROF_DEMANGLE_SHORT);
		CHECK_STR(text ? text : cases[i].name, cases[i].want);
		free(text);
		CHECK(!cprof_demangle_plain(cases[i].name, CPROF_DEMANGLE_FULL));
	}
}

TEST(demangle_survives_names_made_to_explode)
{
	/* Substitutions that double at each step, and nesting deeper than any program has. */
	char name[8192] = "_Z1fI1A";
	for (int i = 0; i < 60; i++)
		strcat(name, "S_IS0_S0_E");
	strcat(name, "Evv");
	free(cprof_demangle(name, CPROF_DEMANGLE_SHORT));
	memset(name, 'P', sizeof(name) - 1);
	memcpy(name, "_Z1f", 4);
	name[sizeof(name) - 1] = 0;
	for (int form = 0; form < 4; form++)
		free(cprof_demangle(name, (enum cprof_demangle)form));
}

TEST(demangle_leaves_a_rust_name_that_would_print_as_gigabytes)
{
	/* Back references to back references; found by the fuzz target, whose seed it is now. */
	char path[512], name[1024];
	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/demangle/rust-backrefs-explode",
		 CPROF_SOURCE_DIR);
	FILE *file = fopen(path, "r");
	CHECK(file);
	name[fread(name, 1, sizeof(name) - 1, file)] = 0;
	fclose(file);
	char *left = cprof_demangle(name, CPROF_DEMANGLE_FULL);
	CHECK(!left || strlen(left) <= strlen(name));
	free(left);
	char *next = cprof_demangle("_RNvC6_123foo3bar", CPROF_DEMANGLE_FULL);
	CHECK_STR(next, "123foo::bar");
	free(next);
}

/* f(A, P<A,A>, P<P<A,A>,P<A,A>>, ...): each parameter prints twice as long as the one before. */
TEST(demangle_leaves_a_cpp_name_that_prints_as_gigabytes_as_it_is)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const enum cprof_demangle forms[] = { CPROF_DEMANGLE_SHORT, CPROF_DEMANGLE_TEMPLATES,
						     CPROF_DEMANGLE_FULL };
	char name[1024];
	size_t n = (size_t)snprintf(name, sizeof(name), "_Z1f1A1PIS_S_E");
	for (unsigned i = 1; i < 35; i++)
		n += (size_t)snprintf(name + n, sizeof(name) - n, "S0_IS%c_S%c_E", digits[i],
				      digits[i]);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		char *text = cprof_demangle(name, forms[i]);
		CHECK(!text || strlen(text) <= 64u * 1024);
		free(text);
	}
	char *small = cprof_demangle("_Z1f1A1PIS_S_ES0_IS1_S1_E", CPROF_DEMANGLE_FULL);
	CHECK_STR(small, "f(A, P<A, A>, P<P<A, A>, P<A, A> >)");
	free(small);
}
