/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/demangle.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <libiberty/demangle.h>

#include "cprof/buffer.h"
#include "symbolize/names/rust_name.h"

#define STEPS_MAX    20000 /* shared subtrees make a small name a large walk */
#define DEPTH_MAX    512
#define NAME_MAX_    16384 /* longer names are shown as they are */
#define CPP_TEXT_MAX (64 * 1024)

struct walk {
	bool drop_templates;
	unsigned steps;
};

/* Components that hold no subtrees in the place where the others do. */
static bool is_leaf(enum demangle_component_type type)
{
	switch (type) {
	case DEMANGLE_COMPONENT_NAME:
	case DEMANGLE_COMPONENT_OPERATOR:
	case DEMANGLE_COMPONENT_BUILTIN_TYPE:
	case DEMANGLE_COMPONENT_EXTENDED_BUILTIN_TYPE:
	case DEMANGLE_COMPONENT_SUB_STD:
	case DEMANGLE_COMPONENT_CHARACTER:
	case DEMANGLE_COMPONENT_NUMBER:
	case DEMANGLE_COMPONENT_TEMPLATE_PARAM:
	case DEMANGLE_COMPONENT_FUNCTION_PARAM:
	case DEMANGLE_COMPONENT_UNNAMED_TYPE:
	case DEMANGLE_COMPONENT_CTOR:
	case DEMANGLE_COMPONENT_DTOR:
	case DEMANGLE_COMPONENT_EXTENDED_OPERATOR:
	case DEMANGLE_COMPONENT_FIXED_TYPE:
		return true;
	default:
		return false;
	}
}

static bool is_this_qualifier(enum demangle_component_type type)
{
	switch (type) {
	case DEMANGLE_COMPONENT_RESTRICT_THIS:
	case DEMANGLE_COMPONENT_VOLATILE_THIS:
	case DEMANGLE_COMPONENT_CONST_THIS:
	case DEMANGLE_COMPONENT_REFERENCE_THIS:
	case DEMANGLE_COMPONENT_RVALUE_REFERENCE_THIS:
	case DEMANGLE_COMPONENT_TRANSACTION_SAFE:
	case DEMANGLE_COMPONENT_NOEXCEPT:
	case DEMANGLE_COMPONENT_THROW_SPEC:
		return true;
	default:
		return false;
	}
}

/* What stands for `node` in the simplified name: a template's name without its arguments. */
static struct demangle_component *bare(const struct walk *walk, struct demangle_component *node)
{
	for (unsigned depth = 0; node && depth < DEPTH_MAX; depth++) {
		if (!walk->drop_templates || node->type != DEMANGLE_COMPONENT_TEMPLATE)
			break;
		node = node->u.s_binary.left;
	}
	/* "St4cout"'s kin: some abbreviations stand for a template with its arguments. */
	if (node && walk->drop_templates && node->type == DEMANGLE_COMPONENT_SUB_STD) {
		const char *bracket =
			memchr(node->u.s_string.string, '<', (size_t)node->u.s_string.len);
		if (bracket)
			node->u.s_string.len = (int)(bracket - node->u.s_string.string);
	}
	return node;
}

/* The function that a local name stands in keeps its brackets and qualifiers, but not what is between them. */
static void empty_brackets(struct demangle_component *node)
{
	for (unsigned depth = 0; node && depth < DEPTH_MAX && is_this_qualifier(node->type);
	     depth++)
		node = node->u.s_binary.left;
	if (!node || node->type != DEMANGLE_COMPONENT_TYPED_NAME)
		return;
	struct demangle_component *type = node->u.s_binary.right;
	for (unsigned depth = 0; type && depth < DEPTH_MAX && is_this_qualifier(type->type);
	     depth++)
		type = type->u.s_binary.left;
	if (!type || type->type != DEMANGLE_COMPONENT_FUNCTION_TYPE)
		return;
	type->u.s_binary.left = NULL;
	type->u.s_binary.right = NULL;
}

static bool simplify(struct walk *walk, struct demangle_component **place, unsigned depth)
{
	struct demangle_component *node = *place = bare(walk, *place);
	if (!node)
		return true;
	if (depth > DEPTH_MAX || walk->steps++ > STEPS_MAX)
		return false;
	if (is_leaf(node->type))
		return true;
	if (node->type == DEMANGLE_COMPONENT_LAMBDA || node->type == DEMANGLE_COMPONENT_DEFAULT_ARG)
		return simplify(walk, &node->u.s_unary_num.sub, depth + 1);
	if (node->type == DEMANGLE_COMPONENT_LOCAL_NAME)
		empty_brackets(node->u.s_binary.left);
	return simplify(walk, &node->u.s_binary.left, depth + 1) &&
	       simplify(walk, &node->u.s_binary.right, depth + 1);
}

/*
 * The function's name without its parameters, which stand around it, and its qualifiers, which stand around what is
 * innermost of local names.
 */
static struct demangle_component *without_parameters(struct demangle_component *tree)
{
	struct demangle_component **place = &tree;
	for (unsigned depth = 0; *place && depth < DEPTH_MAX; depth++) {
		struct demangle_component *node = *place;
		if (node->type == DEMANGLE_COMPONENT_TYPED_NAME || is_this_qualifier(node->type))
			*place = node->u.s_binary.left;
		else if (node->type == DEMANGLE_COMPONENT_LOCAL_NAME)
			place = &node->u.s_binary.right;
		else
			break;
	}
	return tree;
}

/* What libiberty prints of one name, piece by piece, up to a bound. */
struct printed {
	struct cprof_buffer text;
	jmp_buf too_much;
};

static void print_cpp(const char *piece, size_t n, void *ctx)
{
	struct printed *printed = ctx;
	if (printed->text.len + n > CPP_TEXT_MAX)
		longjmp(printed->too_much, 1);
	cprof_buffer_append(&printed->text, piece, n);
}

/*
 * Parts of a name may stand for other parts, so that 200 bytes print as gigabytes, and libiberty can only be left, not
 * stopped. While it prints it holds no memory but its stack. A function of its own: nothing that setjmp's second return
 * could find changed lives here.
 */
static bool print_tree(struct demangle_component *tree, struct printed *printed)
{
	if (setjmp(printed->too_much) != 0)
		return false;
	return cplus_demangle_print_callback(DMGL_PARAMS | DMGL_ANSI, tree, print_cpp, printed) !=
	       0;
}

static char *tree_text(struct demangle_component *tree)
{
	struct printed *printed = calloc(1, sizeof(*printed));
	char *text = NULL;
	if (printed && print_tree(tree, printed) && !printed->text.failed)
		text = strdup(cprof_buffer_text(&printed->text));
	if (printed)
		cprof_buffer_deinit(&printed->text);
	free(printed);
	return text;
}

static char *itanium(const char *mangled, enum cprof_demangle form)
{
	void *memory = NULL;
	struct walk walk = { .drop_templates = form == CPROF_DEMANGLE_SHORT };
	struct demangle_component *tree =
		cplus_demangle_v3_components(mangled, DMGL_PARAMS | DMGL_ANSI, &memory);
	char *text = NULL;
	if (form != CPROF_DEMANGLE_FULL) {
		tree = without_parameters(tree);
		tree = tree && simplify(&walk, &tree, 0) ? tree : NULL;
	}
	if (tree)
		text = tree_text(tree);
	free(memory);
	return text;
}

/* ---- clones ---- */

/*
 * What compilers append to copies and parts of a function. Most carry a number, which keeps "pkg.part" out of it; others are
 * believed without one, or behind mangled names alone, since Go's functions may be called so ("main.cleanup").
 */
enum clone_form {
	NUMBERED,
	ALONE,
	MANGLED,
	EITHER, /* with a number or behind mangled names */
};
static const struct {
	const char *word;
	enum clone_form form;
	bool begins; /* more letters follow: what a copy was compiled for */
} clone_suffixes[] = {
	/* gcc, and its OpenMP and loops that run in parallel */
	{ "cold", ALONE, false },
	{ "localalias", ALONE, false },
	{ "part", NUMBERED, false },
	{ "constprop", NUMBERED, false },
	{ "isra", NUMBERED, false },
	{ "lto_priv", NUMBERED, false },
	{ "clone", NUMBERED, false },
	{ "simdclone", NUMBERED, false },
	{ "_omp_fn", NUMBERED, false },
	{ "_omp_cpyfn", NUMBERED, false },
	{ "_loopfn", NUMBERED, false },
	/* clang: LTO, block sections, specialized and outlined code, OpenMP; BOLT */
	{ "llvm", NUMBERED, false },
	{ "__uniq", NUMBERED, false },
	{ "warm", EITHER, false },
	{ "hot", EITHER, false },
	{ "unlikely", EITHER, false },
	{ "str", NUMBERED, false },
	{ "cfi", ALONE, false },
	{ "cfi_jt", ALONE, false },
	{ "__part", NUMBERED, false },
	{ "eh", MANGLED, false },
	{ "specialized", NUMBERED, false },
	{ "memprof", NUMBERED, false },
	{ "argprom", ALONE, false },
	{ "argelim", ALONE, false },
	{ "retelim", ALONE, false },
	{ "extracted", MANGLED, false },
	{ "omp_outlined", ALONE, false },
	{ "omp_outlined_debug__", ALONE, false },
	{ "omp_par", ALONE, false },
	{ "org", NUMBERED, false },
	/* coroutines */
	{ "actor", MANGLED, false },
	{ "destroy", MANGLED, false },
	{ "resume", MANGLED, false },
	{ "cleanup", MANGLED, false },
	/* copies for kinds of processors, and what chooses among them */
	{ "resolver", ALONE, false },
	{ "ifunc", ALONE, false },
	{ "default", ALONE, false },
	{ "arch_", ALONE, true },
	{ "sse", ALONE, true },
	{ "ssse3", ALONE, true },
	{ "avx", ALONE, true },
	{ "fma", ALONE, false },
	{ "bmi", ALONE, false },
	{ "bmi2", ALONE, false },
	{ "popcnt", ALONE, false },
	{ "_M", ALONE, true },
};

static bool is_number(const char *text, size_t len)
{
	return len && strspn(text, "0123456789") >= len;
}

static bool is_clone_word(const char *text, size_t len, bool has_number, bool is_mangled)
{
	for (size_t i = 0; i < sizeof(clone_suffixes) / sizeof(clone_suffixes[0]); i++) {
		const char *word = clone_suffixes[i].word;
		size_t n = strlen(word);
		if (clone_suffixes[i].begins ? n > len : n != len)
			continue;
		if (memcmp(word, text, n) == 0)
			return clone_suffixes[i].form == ALONE ||
			       (clone_suffixes[i].form != MANGLED && has_number) ||
			       (clone_suffixes[i].form != NUMBERED && is_mangled);
	}
	return false;
}

/* Length of `name` without the parts that compilers append to copies of a function: ".constprop.0". */
static size_t without_clone(const char *name)
{
	size_t len = strlen(name), end = len;
	bool number = false; /* the part after `end` is one */
	bool is_mangled = strncmp(name, "_Z", 2) == 0 || strncmp(name, "_R", 2) == 0;
	for (size_t at = len; at-- > 1;) {
		if (name[at] != '.')
			continue;
		size_t part = end - at - 1;
		/* "..omp_par" */
		if (is_clone_word(name + at + 1, part, number, is_mangled) ||
		    (!part && end == len && name[len]))
			len = at;
		else if (number || !is_number(name + at + 1, part))
			break;
		number = is_number(name + at + 1, part);
		end = at;
	}
	return len;
}

/*
 * The function that a block of clang's -fblocks is written in: "__work_block_invoke_2", "__11-[File read]_block_invoke". Its own part
 * of `name` starts at *ret_start; the length is 0 where `name` is none of a block.
 */
static size_t around_block(const char *name, size_t len, const char **ret_start)
{
	static const char suffix[] = "_block_invoke";
	const size_t n = sizeof(suffix) - 1;
	size_t end = len;
	while (end && name[end - 1] >= '0' && name[end - 1] <= '9')
		end--;
	if (end < len && end && name[end - 1] == '_')
		end--;
	else
		end = len;
	if (strncmp(name, "__", 2) != 0 || end <= n + 2 || memcmp(name + end - n, suffix, n) != 0)
		return 0;
	const char *start = name + 2, *method = start + strspn(start, "0123456789");
	if (method > start && (*method == '-' || *method == '+'))
		start = method;
	*ret_start = start;
	return (size_t)(name + end - n - start);
}

/* ---- Rust ---- */

/* "17h" and 16 hexadecimal digits before the final E: rustc's legacy mangling, which borrows C++'s. */
static bool is_rust_legacy(const char *name, size_t len)
{
	if (len < 23 || strncmp(name, "_ZN", 3) != 0 || name[len - 1] != 'E')
		return false;
	const char *hash = name + len - 20;
	return memcmp(hash, "17h", 3) == 0 && strspn(hash + 3, "0123456789abcdef") == 16;
}

static void append(const char *piece, size_t n, void *ctx)
{
	cprof_buffer_append(ctx, piece, n);
}

/* The plain name, or NULL: none. The caller frees it. A legacy name prints no longer than it is. */
static char *rust_legacy(const char *mangled)
{
	struct cprof_buffer printed = { 0 };
	char *text = NULL;
	if (rust_demangle_callback(mangled, 0, append, &printed) != 0 && printed.len &&
	    !printed.failed)
		text = strdup(cprof_buffer_text(&printed));
	cprof_buffer_deinit(&printed);
	return text;
}

/* "Vec<u8>::push" becomes "Vec<>::push"; the brackets of "<T as Trait>::f" hold a path, not arguments. */
static char *rust(const char *mangled, enum cprof_demangle form)
{
	/* The legacy mangling knows no arguments: what looks like them is part of a type's name. */
	if (mangled[1] != 'R')
		return rust_legacy(mangled);
	char *text = cprof_rust_name(mangled);
	if (!text || form != CPROF_DEMANGLE_SHORT)
		return text;
	char *to = text;
	unsigned dropping = 0;
	for (const char *at = text; *at; at++) {
		bool arrow = at > text && at[-1] == '-';
		bool is_args =
			to > text &&
			(to[-1] == ':' || to[-1] == '_' || (to[-1] >= '0' && to[-1] <= '9') ||
			 (to[-1] >= 'A' && to[-1] <= 'Z') || (to[-1] >= 'a' && to[-1] <= 'z'));
		if (*at == '<' && (dropping || is_args)) {
			if (!dropping++)
				*to++ = '<';
		} else if (*at == '>' && !arrow && dropping) {
			if (!--dropping)
				*to++ = '>';
		} else if (!dropping) {
			*to++ = *at;
		}
	}
	*to = 0;
	return text;
}

char *cprof_demangle(const char *name, enum cprof_demangle form)
{
	if (form == CPROF_DEMANGLE_NONE)
		return NULL;
	size_t full = strlen(name), len = full > NAME_MAX_ ? full : without_clone(name);
	const char *start = name;
	size_t in_block = around_block(name, len, &start);
	len = in_block ? in_block : len;
	char *plain = len < full ? strndup(start, len) : NULL;
	const char *mangled = plain ? plain : name;
	char *text = NULL;
	if (full > NAME_MAX_)
		return NULL;
	if (strncmp(mangled, "_R", 2) == 0 || is_rust_legacy(mangled, len))
		text = rust(mangled, form);
	if (!text && strncmp(mangled, "_Z", 2) == 0)
		text = itanium(mangled, form);
	if (!text)
		return plain;
	free(plain);
	return text;
}

/* Length of "operator<<" and its kin at `text`, whose brackets are no template's; 0 where it is none. */
static size_t operator_len(const char *text)
{
	static const char *const symbols[] = { "<=>", "<<=", ">>=", "->*", "<<", ">>",
					       "<=",  ">=",  "->",  "<",   ">" };
	const size_t word = sizeof("operator") - 1;
	if (strncmp(text, "operator", word) != 0)
		return 0;
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		if (strncmp(text + word, symbols[i], strlen(symbols[i])) == 0)
			return word + strlen(symbols[i]);
	}
	return 0;
}

char *cprof_demangle_plain(const char *name, enum cprof_demangle form)
{
	if (form != CPROF_DEMANGLE_SHORT || !strchr(name, '<') || name[0] == '<')
		return NULL;
	char *text = strdup(name), *to = text;
	unsigned nesting = 0;
	for (const char *at = name; text && *at;) {
		size_t operator_at = nesting ? 0 : operator_len(at);
		if (operator_at) {
			memcpy(to, at, operator_at);
			to += operator_at;
			at += operator_at;
			continue;
		}
		/* "<lambda(int)>" after "::" is a name, not a list of arguments; so is Java's "<init>" after a dot. */
		if (*at == '<' && !nesting && to > text && (to[-1] == ':' || to[-1] == '.')) {
			free(text);
			return NULL;
		}
		if (*at == '<')
			nesting++;
		else if (*at == '>' && nesting)
			nesting--;
		else if (!nesting)
			*to++ = *at;
		at++;
	}
	if (text)
		*to = 0;
	return text;
}
