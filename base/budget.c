/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/budget.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

#define RATIO      8          /* bytes that one byte on disk may cost */
#define LOOK_STEPS (1u << 20) /* between two looks at the clock: some 20 ms */
#define BLOCK      512        /* the unit of st_blocks */

/* What a file may cost however small it is, what at most however large; and all files. 0: no such limit. */
static const struct limits {
	bool by_weight; /* RATIO times its size on disk is allowed as well, up to the most */
	uint64_t file_free, file_most, all_free, all_most;
} limits[CPROF_BUDGET_KINDS] = {
	/* Two mappings each, of the 65,530 that a process may have. */
	[CPROF_BUDGET_OPEN] = { false, 0, 0, 24000, 24000 },
	[CPROF_BUDGET_MAPPED] = { false, 64 * GIB, 64 * GIB, 1024 * GIB, 1024 * GIB },
	[CPROF_BUDGET_READ] = { true, 64 * MIB, 16 * GIB, 512 * MIB, 64 * GIB },
	[CPROF_BUDGET_HELD] = { true, 64 * MIB, 4 * GIB, 256 * MIB, 8 * GIB },
	[CPROF_BUDGET_STEPS] = { false, 1u << 28, 1u << 28, 1u << 30, 1u << 30 },
	[CPROF_BUDGET_TIME] = { false, 20 * CPROF_NS_PER_S, 20 * CPROF_NS_PER_S,
				60 * CPROF_NS_PER_S, 60 * CPROF_NS_PER_S },
};

void cprof_budget_deinit(struct cprof_budget *budget)
{
	for (size_t i = 0; i < budget->n; i++) {
		free(budget->accounts[i]->name);
		free(budget->accounts[i]);
	}
	free(budget->accounts);
	cprof_map64_deinit(&budget->by_file);
	*budget = (struct cprof_budget){ 0 };
}

/* ---- limits ---- */

static uint64_t times(uint64_t limit, const struct cprof_budget *budget)
{
	uint64_t product, factor = budget->factor ? budget->factor : 1;
	return __builtin_mul_overflow(limit, factor, &product) ? UINT64_MAX : product;
}

static uint64_t weighed(uint64_t allowed, uint64_t most, uint64_t disk)
{
	uint64_t more = disk > most / RATIO ? most : disk * RATIO;
	return allowed + more < most ? allowed + more : most;
}

/* Half of the machine's memory: the target, and whoever else is here, need the rest. */
static uint64_t half_of_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : UINT64_MAX;
}

uint64_t cprof_budget_limit(const struct cprof_budget *budget, const struct cprof_account *account,
			    enum cprof_budget_kind kind)
{
	const struct limits *of = &limits[kind];
	uint64_t allowed = account ? of->file_free : of->all_free;
	uint64_t most = account ? of->file_most : of->all_most;
	if (!most)
		return UINT64_MAX;
	if (of->by_weight)
		allowed = weighed(allowed, most, account ? account->disk : budget->disk);
	allowed = times(allowed, budget);
	if (kind == CPROF_BUDGET_HELD && budget->memory && allowed > budget->memory)
		return budget->memory;
	return allowed;
}

/* ---- accounts ---- */

static struct cprof_account *add(struct cprof_budget *budget, const char *name, uint64_t disk)
{
	struct cprof_account *account = calloc(1, sizeof(*account));
	char *copy = strdup(name);
	if (!account || !copy || !CPROF_ARRAY_ROOM(budget->accounts, budget->n, budget->cap, 1)) {
		free(account);
		free(copy);
		return NULL;
	}
	*account = (struct cprof_account){ .budget = budget, .name = copy, .disk = disk };
	if (!budget->memory)
		budget->memory = half_of_memory();
	budget->accounts[budget->n++] = account;
	budget->disk += disk;
	return account;
}

struct cprof_error *cprof_budget_account(struct cprof_budget *budget, int fd, const char *name,
					 struct cprof_account **ret_account)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return cprof_error_os(errno, "stat %s", name);
	uint64_t key = cprof_hash_mix(cprof_hash_mix(0, st.st_dev), st.st_ino);
	uint64_t *known = cprof_map64_put(&budget->by_file, key, NULL);
	if (!known)
		return cprof_error_no_memory();
	if (!*known) {
		if (!add(budget, name, (uint64_t)st.st_blocks * BLOCK))
			return cprof_error_no_memory();
		*known = budget->n;
	}
	*ret_account = budget->accounts[*known - 1];
	return NULL;
}

/* ---- spending ---- */

static bool refuse(struct cprof_account *account, enum cprof_budget_kind kind, bool all)
{
	if (!account->over) {
		account->over = true;
		account->over_all = all;
		account->over_kind = kind;
		account->budget->n_over++;
	}
	return false;
}

void cprof_budget_start_time(struct cprof_budget *budget)
{
	budget->cpu_from_ns = cprof_clock_cpu_ns();
}

/* The time since the last look is charged to whose step it is: who works much is met most often. */
static bool in_time(struct cprof_account *account)
{
	struct cprof_budget *budget = account->budget;
	if (!budget->cpu_from_ns || budget->spent[CPROF_BUDGET_STEPS] < budget->next_look)
		return true;
	uint64_t now = cprof_clock_cpu_ns(), spent = now - budget->cpu_from_ns;
	budget->cpu_from_ns = now;
	budget->next_look = budget->spent[CPROF_BUDGET_STEPS] + LOOK_STEPS;
	return cprof_account_charge(account, CPROF_BUDGET_TIME, spent);
}

bool cprof_account_charge(struct cprof_account *account, enum cprof_budget_kind kind,
			  uint64_t amount)
{
	if (!account)
		return true;
	struct cprof_budget *budget = account->budget;
	uint64_t of_file = cprof_budget_limit(budget, account, kind);
	uint64_t of_all = cprof_budget_limit(budget, NULL, kind);
	if (amount > of_file || account->spent[kind] > of_file - amount) {
		/* Who has no steps left has none for small things either: loops shall end. */
		if (kind == CPROF_BUDGET_STEPS)
			account->spent[kind] = of_file;
		if (kind == CPROF_BUDGET_TIME)
			account->spent[CPROF_BUDGET_STEPS] = UINT64_MAX;
		return refuse(account, kind, false);
	}
	if (amount > of_all || budget->spent[kind] > of_all - amount) {
		if (kind == CPROF_BUDGET_TIME)
			budget->spent[CPROF_BUDGET_STEPS] = UINT64_MAX;
		return refuse(account, kind, true);
	}
	if (kind == CPROF_BUDGET_STEPS && !in_time(account))
		return false;
	account->spent[kind] += amount;
	budget->spent[kind] += amount;
	return true;
}

void cprof_account_release(struct cprof_account *account, enum cprof_budget_kind kind,
			   uint64_t amount)
{
	if (!account)
		return;
	account->spent[kind] -= amount;
	account->budget->spent[kind] -= amount;
}

/* ---- words ---- */

static void put_amount(struct cprof_buffer *out, enum cprof_budget_kind kind, uint64_t n)
{
	if (kind == CPROF_BUDGET_OPEN)
		cprof_buffer_printf(out, "%" PRIu64 " open files", n);
	else if (kind == CPROF_BUDGET_STEPS)
		cprof_buffer_printf(out, "%" PRIu64 " million steps of work", n / 1000000);
	else if (kind == CPROF_BUDGET_TIME)
		cprof_buffer_printf(out, "%" PRIu64 " s of processor time",
				    (uint64_t)(n / CPROF_NS_PER_S));
	else
		cprof_buffer_printf(out, "%" PRIu64 " MB %s", n / 1000000,
				    kind == CPROF_BUDGET_READ   ? "read"
				    : kind == CPROF_BUDGET_HELD ? "of memory"
								: "of address space");
}

void cprof_account_describe(const struct cprof_account *account, struct cprof_buffer *out)
{
	enum cprof_budget_kind kind = account->over_kind;
	cprof_buffer_puts(out, "more than ");
	put_amount(out, kind,
		   cprof_budget_limit(account->budget, account->over_all ? NULL : account, kind));
	if (account->over_all)
		cprof_buffer_puts(out, " for all files together");
	else if (limits[kind].by_weight)
		cprof_buffer_printf(out, " for a file that takes %.1f MB on disk",
				    (double)account->disk / 1e6);
	else
		cprof_buffer_puts(out, " for one file");
}
