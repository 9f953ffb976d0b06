/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/process/mapped_image.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cprof/module.h"
#include "symbolize/names/names.h"
#include "tests/unit/test.h"

static bool read_own(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const int *memory =
		ctx; /* not by memcpy(): a sanitizer forbids what lies between variables */
	return pread(*memory, buf, n, (off_t)addr) == (ssize_t)n;
}

/* This process, whose libc nobody can open any more. */
static void see_without_files(struct cprof_maps *maps, int *memory)
{
	cprof_maps_init(maps, getpid(), (struct cprof_memory){ .read = read_own, .ctx = memory });
	CHECK(!cprof_maps_refresh(maps));
	for (size_t i = 0; i < maps->n_sorted; i++)
		maps->sorted[i]->dev += maps->sorted[i]->inode != 0;
	maps->pid = 0x7fffffff;
}

TEST(mapped_image_of_a_file_that_cannot_be_opened_names_what_it_exports)
{
	struct cprof_maps maps;
	struct cprof_modules modules;
	struct cprof_module *module;
	struct cprof_names *names;
	const struct cprof_symbol *symbol = NULL;
	const struct cprof_names_options options = { 0 };
	const uint64_t addr = (uint64_t)(uintptr_t)dlsym(RTLD_DEFAULT, "lldiv");
	uint64_t file_addr = 0, run_time = 0;
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	CHECK(memory >= 0);
	see_without_files(&maps, &memory);
	cprof_modules_init(&modules);
	struct cprof_map *map = cprof_maps_find(&maps, addr);
	if (!map || !map->inode)
		test_skip("libc is part of this program");
	CHECK(!cprof_modules_get(&modules, &maps, map, &module));
	CHECK_UINT(module->kind, CPROF_MODULE_MAPPED);
	CHECK(module->why && strstr(module->why, "from the process's memory"));
	CHECK(module->eh_frame_hdr);
	CHECK(module->build_id_len > 0);
	CHECK(cprof_module_file_addr(module, map, addr, &file_addr));
	CHECK(cprof_module_run_time(module, map, file_addr, &run_time));
	CHECK_UINT(run_time, addr);
	CHECK(!cprof_names_get(module, &options, &names));
	CHECK(!cprof_names_symbol(names, file_addr, &symbol));
	CHECK(symbol);
	CHECK_STR(symbol->name, "lldiv");
	cprof_modules_deinit(&modules);
	cprof_maps_deinit(&maps);
	close(memory);
}

/* ---- hostile memory ---- */

#define AT   0x10000u
#define SIZE 4096u

static bool read_page(void *ctx, uint64_t addr, void *buf, size_t n)
{
	if (addr < AT || addr - AT > SIZE || n > SIZE - (addr - AT))
		return false;
	memcpy(buf, (const uint8_t *)ctx + (addr - AT), n);
	return true;
}

static void make_page(uint8_t page[SIZE])
{
	const Elf64_Ehdr header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
				    .e_type = ET_DYN,
				    .e_machine = EM_X86_64,
				    .e_phoff = 64,
				    .e_phentsize = sizeof(Elf64_Phdr),
				    .e_phnum = 2 };
	const Elf64_Phdr segments[2] = {
		{ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = SIZE, .p_memsz = SIZE },
		{ .p_type = PT_DYNAMIC, .p_vaddr = 512, .p_filesz = 128, .p_memsz = 128 },
	};
	const Elf64_Dyn dynamic[] = {
		{ DT_SYMTAB, { 1024 } },
		{ DT_STRTAB, { 2048 } },
		{ DT_STRSZ, { 16 } },
		{ DT_HASH, { AT + 640 } },
		/* as glibc leaves it */ { DT_NULL, { 0 } },
	};
	const uint32_t hash[2] = { 1, 3 };
	memset(page, 0, SIZE);
	memcpy(page, &header, sizeof(header));
	memcpy(page + 64, segments, sizeof(segments));
	memcpy(page + 512, dynamic, sizeof(dynamic));
	memcpy(page + 640, hash, sizeof(hash));
}

static struct cprof_error *look(uint8_t page[SIZE], size_t most, struct cprof_image **ret_image)
{
	struct cprof_maps maps;
	const struct cprof_map *added;
	const struct cprof_map map = {
		.start = AT, .end = AT + SIZE, .prot = 5, .inode = 7, .path = "/gone"
	};
	cprof_maps_init(&maps, 0, (struct cprof_memory){ .read = read_page, .ctx = page });
	CHECK(!cprof_maps_add(&maps, &map, &added));
	struct cprof_error *err = cprof_mapped_image_read(&maps, added, most, ret_image);
	cprof_maps_deinit(&maps);
	return err;
}

static size_t symbols_in(struct cprof_image *image)
{
	struct cprof_elf *elf;
	CHECK(!cprof_elf_open(image, false, &elf));
	const struct cprof_section *section = cprof_elf_section_of_type(elf, SHT_DYNSYM);
	const size_t n = section ? section->size / sizeof(Elf64_Sym) : 0;
	cprof_elf_free(elf);
	return n;
}

TEST(mapped_image_has_as_many_symbols_as_the_hash_table_says_and_the_segment_holds)
{
	uint8_t page[SIZE];
	struct cprof_image *image;
	make_page(page);
	CHECK(!look(page, SIZE, &image));
	CHECK_UINT(symbols_in(image), 3);
	const uint32_t lie = UINT32_MAX;
	memcpy(page + 644, &lie, 4);
	CHECK(!look(page, SIZE, &image));
	CHECK_UINT(symbols_in(image), (SIZE - 1024) / sizeof(Elf64_Sym));
}

TEST(mapped_image_of_nonsense_is_an_error_or_has_no_symbols)
{
	uint8_t page[SIZE], odd[SIZE];
	struct cprof_image *image;
	make_page(page);
	struct cprof_error *err = look(page, SIZE - 8, &image);
	CHECK(err);
	CHECK_UINT(err->code, CPROF_ERR_UNSUPPORTED);
	cprof_error_free(err);
	/* Any one word of what is looked at may be anything. */
	static const uint64_t values[] = {
		0, 1, 0x80000000, UINT32_MAX, UINT64_MAX, AT, 1ull << 63
	};
	for (size_t at = 0; at < 720; at += 8) {
		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			memcpy(odd, page, SIZE);
			memcpy(odd + at, &values[i], 8);
			err = look(odd, SIZE, &image);
			if (err)
				cprof_error_free(err);
			else
				cprof_image_free(image);
		}
	}
}

TEST(mapped_image_is_not_made_of_segments_that_share_their_bytes)
{
	uint8_t page[SIZE];
	struct cprof_image *image;
	const Elf64_Phdr again = { .p_type = PT_LOAD, .p_filesz = SIZE, .p_memsz = SIZE };
	make_page(page);
	memcpy(page + 64 + sizeof(again), &again, sizeof(again));
	struct cprof_error *err = look(page, SIZE, &image);
	CHECK(err);
	CHECK_UINT(err->code, CPROF_ERR_UNSUPPORTED);
	cprof_error_free(err);
}

/* Each might hold the text of the one beside it. */
TEST(module_of_a_file_between_thousands_that_cannot_be_opened_is_opaque)
{
	enum { N = 60000 };
	uint8_t page[SIZE] = { 0 };
	struct cprof_maps maps;
	struct cprof_modules modules;
	struct cprof_module *module;
	const struct cprof_map *added;
	cprof_maps_init(&maps, 0, (struct cprof_memory){ .read = read_page, .ctx = page });
	cprof_modules_init(&modules);
	for (uint64_t i = 0; i < N; i++) {
		const struct cprof_map map = { .start = AT + i * SIZE,
					       .end = AT + (i + 1) * SIZE,
					       .prot = 5,
					       .inode = 7 + i % 2,
					       .path = "/gone" };
		CHECK(!cprof_maps_add(&maps, &map, &added));
	}
	struct cprof_map *last = cprof_maps_find(&maps, AT + (N - 1) * (uint64_t)SIZE);
	CHECK(last);
	CHECK(!cprof_modules_get(&modules, &maps, last, &module));
	CHECK_UINT(module->kind, CPROF_MODULE_OPAQUE);
	CHECK_UINT(modules.n, 2);
	cprof_modules_deinit(&modules);
	cprof_maps_deinit(&maps);
}
