/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/rust_name.h"
#include "tests/unit/test.h"

#include <stdio.h>

/* The text, or "-" where there is none. */
static const char *text_of(const char *mangled)
{
	static char text[128 * 1024];
	char *plain = cprof_rust_name(mangled);
	snprintf(text, sizeof(text), "%s", plain ? plain : "-");
	free(plain);
	return text;
}

TEST(rust_name_reads_paths_types_and_constants)
{
	/* clang-format off */
	static const struct {
		const char *mangled, *want;
	} cases[] = {
		/* paths */
		{ "_RNvC6_123foo3bar", "123foo::bar" },
		{ "_RNvCs4fqI2P2rA04_7mycrate4func", "mycrate::func" },
		{ "_RNvNtC1a1b1c", "a::b::c" },
		{ "_RNCNvC1a1b0", "a::b::{closure#0}" },
		{ "_RNCNvC1a1bs_0", "a::b::{closure#1}" },
		{ "_RNCNvC1a1bs0_1x", "a::b::{closure:x#2}" },
		{ "_RNSNvC1a1b6vtable", "a::b::{shim:vtable#0}" },
		{ "_RNQNvC1a1b0", "a::b::{Q#0}" },
		{ "_RNvMC1aNtC1a1S1f", "<a::S>::f" },
		{ "_RNvXC1aNtC1a1SNtC1b1T1f", "<a::S as b::T>::f" },
		{ "_RNvYNtC1a1SNtC1b1T1f", "<a::S as b::T>::f" },
		{ "_RNvXs0_C1aNtB5_1SNtB5_1T1f", "<a::S as a::T>::f" },
		{ "_RINvC1a1flE", "a::f::<i32>" },
		{ "_RINvC1a1fINtC1b1SlEE", "a::f::<b::S<i32>>" },
		{ "_RINvC1a1flEC1b", "a::f::<i32>" }, /* made in another crate */
		{ "_RNvC1a3foo.llvm.123", "a::foo" },
		{ "_RNvC1au9gre_6ka8i", "a::gr\xc3\xb6\xc3\x9f" "e" },
		/* types */
		{ "_RINvC1a1fabcdefhijlmnopstuvxyzE",
		  "a::f::<i8, bool, char, f64, str, f32, u8, isize, usize, i32, u32, i128, u128, _, i16, u16, (), ..., i64, u64, !>" },
		{ "_RINvC1a1fRlQlPlOlE", "a::f::<&i32, &mut i32, *const i32, *mut i32>" },
		{ "_RINvC1a1fAlj4_SlE", "a::f::<[i32; 4], [i32]>" },
		{ "_RINvC1a1fTETlETlmEE", "a::f::<(), (i32,), (i32, u32)>" },
		{ "_RINvC1a1fFEuFUEuFKCElFK13system_unwindlEuE",
		  "a::f::<fn(), unsafe fn(), extern \"C\" fn() -> i32, extern \"system-unwind\" fn(i32)>" },
		{ "_RINvC1a1fFG_RL0_lRL_lEuE", "a::f::<for<'a> fn(&'a i32, &i32)>" },
		{ "_RINvC1a1fFG0_RL1_lRL0_lEuE", "a::f::<for<'a, 'b> fn(&'a i32, &'b i32)>" },
		{ "_RINvC1a1fDNtC1b1TEL_E", "a::f::<dyn b::T>" },
		{ "_RINvC1a1fDINtC1b1TlEp4ItemhNtC1c1SEL_E", "a::f::<dyn b::T<i32, Item = u8> + c::S>" },
		{ "_RINvC1a1fDNtC1b1Tp4ItemhEL_E", "a::f::<dyn b::T<Item = u8>>" },
		{ "_RINvC1a1fDG_INtC1b1FRL0_hEEL_E", "a::f::<dyn for<'a> b::F<&'a u8>>" },
		{ "_RINvC1a1fTlB8_EE", "a::f::<(i32, i32)>" },
		{ "_RINvC1a1fL_E", "a::f::<'_>" },
		/* constants */
		{ "_RINvC1a1fKj0_Kj7b_Kan80_Kb0_Kb1_E", "a::f::<0, 123, -128, false, true>" },
		{ "_RINvC1a1fKoffffffffffffffffffff_E", "a::f::<0xffffffffffffffffffff>" },
		{ "_RINvC1a1fKo0000000000000000000001_E", "a::f::<1>" },
		{ "_RINvC1a1fKc78_Kc27_Ka7f_Kcd_Kce9_E", "a::f::<'x', '\\'', 127, '\\r', '\xc3\xa9'>" },
		{ "_RINvC1a1fKpE", "a::f::<_>" },
		{ "_RINvC1a1fKe616263_E", "a::f::<{*\"abc\"}>" },
		{ "_RINvC1a1fKRe6122c3a90a_E", "a::f::<\"a\\\"\xc3\xa9\\n\">" },
		{ "_RINvC1a1fKRAj1_j2_EE", "a::f::<{&[1, 2]}>" },
		{ "_RINvC1a1fKQTj1_EE", "a::f::<{&mut (1,)}>" },
		{ "_RINvC1a1fKVNvINtNtC4core6option6OptionjE4NoneUE", "a::f::<{core::option::Option::<usize>::None}>" },
		{ "_RINvC1a1fKVNvINtNtC4core6option6OptionjE4SomeTj0_EE", "a::f::<{core::option::Option::<usize>::Some(0)}>" },
		{ "_RINvC1a1fKVNtC1a1SS1xj1_s_1yb1_EE", "a::f::<{a::S { x: 1, y: true }}>" },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK_STR(text_of(cases[i].mangled), cases[i].want);
}

TEST(rust_name_leaves_what_is_no_name)
{
	static const char *const cases[] = {
		"",
		"_R",
		"_ZN3foo3barE",
		"_RC",
		"_R0C1a", /* a later version */
		"_RNvC1a",
		"_RNvC1a9short",
		"_RNvC1a99999999999999999999f",
		"_RN0C1a1f",
		"_RNvC1a1f1",
		"_RNvB_1f", /* to itself */
		"_RNvBzzzzzzzzzzzzzzz_1f",
		"_RINvC1a1fl",
		"_RINvC1a1fgE",
		"_RINvC1a1fRL0_lE", /* a lifetime that nobody binds */
		"_RINvC1a1fKb2_E",
		"_RINvC1a1fKj7B_E",
		"_RINvC1a1fKcd800_E",
		"_RINvC1a1fKc110000_E",
		"_RINvC1a1fKe6_E",  /* half a byte */
		"_RINvC1a1fKec3_E", /* half a character */
		"_RINvC1a1fKec0af_E",
		"_RINvC1a1fDNtC1b1TEE",
		"_RINvC1a1fFK0EuE",
		"_RNvC1au0f",
		"_RNvC1au2a_",
		"_RINvC1a1fKVNtC1a1SXE",
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK_STR(text_of(cases[i]), "-");
}

/* 2^64 lifetimes in a part that is not printed: libiberty counts them all. */
TEST(rust_name_does_not_count_for_years)
{
	CHECK_STR(text_of("_RNvMIC1aFGzzzzzzzzzz_EuEl3foo"), "-");
	CHECK_STR(text_of("_RINvC1a1fFGzzzzzzzz_EuE"), "-");
	CHECK_STR(text_of("_RNvMIC1aFGzz_EuEl3foo"), "<i32>::foo");
}

TEST(rust_name_does_not_print_gigabytes_or_use_up_the_stack)
{
	/* Each tuple holds the one before twice. */
	char name[32 * 1024] = "_RINvC1a1fTllE";
	size_t n = strlen(name), from = 8;
	for (int i = 0; i < 40; i++) {
		char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
		char back[8];
		size_t to = from - 1; /* "0_" is 1 */
		if (to < 62)
			snprintf(back, sizeof(back), "B%c_", digits[to]);
		else
			snprintf(back, sizeof(back), "B%c%c_", digits[to / 62], digits[to % 62]);
		from = n - 2;
		n += (size_t)snprintf(name + n, sizeof(name) - n, "T%s%sE", back, back);
	}
	snprintf(name + n, sizeof(name) - n, "E");
	CHECK_STR(text_of(name), "-");
	/* Nothing is printed on the way down, and a reference to the way goes down again. */
	memset(name, 'S', sizeof(name));
	memcpy(name, "_RINvC1a1f", 10);
	name[sizeof(name) - 1] = 0;
	CHECK_STR(text_of(name), "-");
}
