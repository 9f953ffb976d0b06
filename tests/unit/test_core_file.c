/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/thread_regs.h"
#include "attach/threads/core_file.h"
#include "attach/threads/core_snapshot.h"
#include "tests/unit/test.h"

#include <elf.h>
#include <sys/procfs.h>
#include <sys/syscall.h>

/* A core file of two threads, one dumped page at 0x7000 and a mapped file at 0x4000. */
struct core {
	uint8_t bytes[8192];
	size_t n, notes;
};

static void put(struct core *core, const void *bytes, size_t n)
{
	CHECK(core->n + n <= sizeof(core->bytes));
	if (n)
		memcpy(core->bytes + core->n, bytes, n);
	core->n += n;
}

static void put_note(struct core *core, uint32_t type, const void *desc, size_t n)
{
	Elf64_Nhdr head = { .n_namesz = 5, .n_descsz = (Elf64_Word)n, .n_type = type };
	put(core, &head, sizeof(head));
	put(core, "CORE\0\0\0", 8);
	put(core, desc, n);
	core->n = (core->n + 3) & ~(size_t)3;
}

static void put_thread(struct core *core, pid_t tid, uint64_t sp)
{
	struct elf_prstatus status = { .pr_pid = tid, .pr_cursig = tid == 11 ? 6 : 0 };
	uint64_t words[CPROF_THREAD_REGS_WORDS] = { 0 };
#if defined(__x86_64__)
	words[15] = SYS_read;
	words[16] = 0x4010;
	words[19] = sp;
#else
	words[8] = SYS_read;
	words[32] = 0x4010;
	words[31] = sp;
#endif
	memcpy(&status.pr_reg, words, sizeof(words));
	put_note(core, NT_PRSTATUS, &status, sizeof(status));
}

static struct core make(void)
{
	struct core core = { .n = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr) };
	Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)core.bytes;
	Elf64_Phdr *phdrs = (Elf64_Phdr *)(void *)(core.bytes + sizeof(*header));
	memcpy(header->e_ident, ELFMAG, SELFMAG);
	header->e_ident[EI_CLASS] = ELFCLASS64;
	header->e_ident[EI_DATA] = ELFDATA2LSB;
	header->e_ident[EI_VERSION] = EV_CURRENT;
	header->e_type = ET_CORE;
	header->e_machine = cprof_arch_host()->elf_machine;
	header->e_version = EV_CURRENT;
	header->e_ehsize = sizeof(*header);
	header->e_phoff = sizeof(*header);
	header->e_phentsize = sizeof(*phdrs);
	header->e_phnum = 2;

	core.notes = core.n;
	put_thread(&core, 11, 0x7100);
	struct elf_prpsinfo info = { .pr_pid = 10, .pr_fname = "bank" };
	put_note(&core, NT_PRPSINFO, &info, sizeof(info));
	put_thread(&core, 12, 0x9000);
	struct {
		uint64_t words[5];
		char path[16];
	} files = { { 1, 4096, 0x4000, 0x5000, 2 }, "/bin/bank" };
	put_note(&core, NT_FILE, &files, sizeof(files));

	phdrs[0] = (Elf64_Phdr){ .p_type = PT_NOTE,
				 .p_offset = core.notes,
				 .p_filesz = core.n - core.notes,
				 .p_align = 4 };
	phdrs[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
				 .p_offset = core.n,
				 .p_vaddr = 0x7000,
				 .p_filesz = 1024,
				 .p_memsz = 4096,
				 .p_flags = PF_R | PF_W };
	for (int i = 0; i < 1024; i++)
		put(&core, &(uint8_t){ (uint8_t)i }, 1);
	return core;
}

TEST(core_file_parse_reads_threads_files_and_memory)
{
	struct core made = make();
	struct cprof_core_file core;
	CHECK(!cprof_core_file_parse(made.bytes, made.n, &core));
	CHECK_UINT(core.n_threads, 2);
	CHECK_UINT(core.threads[0].tid, 11);
	CHECK_UINT(core.signal, 6);
	CHECK_UINT(core.pid, 10);
	CHECK_STR(core.comm, "bank");
	CHECK_UINT(core.n_mappings, 1);
	CHECK_STR(core.mappings[0].path, "/bin/bank");
	CHECK_UINT(core.mappings[0].offset, 0x2000);

	uint8_t bytes[4];
	CHECK(cprof_core_file_read(&core, 0x7010, bytes, 4));
	CHECK_UINT(bytes[0], 0x10);
	CHECK(cprof_core_file_read(&core, 0x73fc, bytes, 4));
	CHECK(!cprof_core_file_read(&core, 0x73fd, bytes, 4)); /* mapped, but not dumped */
	CHECK(!cprof_core_file_read(&core, 0x6fff, bytes, 4));
	CHECK(!cprof_core_file_read(&core, UINT64_MAX, bytes, 4));

	struct cprof_thread_snapshot snapshot;
	CHECK(!cprof_core_snapshot_make(&core, 4096, &snapshot));
	CHECK_UINT(snapshot.n, 2);
	CHECK_UINT(snapshot.threads[0].n_stack, 1024 - 0x100);
	CHECK_UINT(snapshot.threads[0].call.nr, SYS_read);
	CHECK(snapshot.threads[1].why); /* its stack is not in the file */
	cprof_thread_snapshot_deinit(&snapshot);
	cprof_core_file_deinit(&core);
}

TEST(core_file_parse_takes_no_harm_from_a_cut_at_any_byte)
{
	struct core made = make();
	for (size_t n = 0; n < made.n; n++) {
		struct cprof_core_file core;
		uint8_t *exact =
			malloc(n ? n : 1); /* so that a sanitizer sees a read behind the end */
		CHECK(exact);
		memcpy(exact, made.bytes, n);
		struct cprof_error *err = cprof_core_file_parse(exact, n, &core);
		/* Only a cut in the dumped memory leaves a core file: a disk was full. */
		CHECK(!err == (n >= made.n - 1024));
		if (!err) {
			uint8_t byte;
			CHECK(!cprof_core_file_read(&core, 0x7000 + 1023, &byte, 1));
			cprof_core_file_deinit(&core);
		}
		cprof_error_free(err);
		free(exact);
	}
}

TEST(core_file_parse_refuses_what_is_no_core_file_of_this_cpu)
{
	struct core good = make();
	struct cprof_core_file core;
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
		enum cprof_error_code code;
	} cases[] = {
		{ "no magic", 1, 'X', CPROF_ERR_BAD_DATA },
		{ "32 bit", EI_CLASS, ELFCLASS32, CPROF_ERR_UNSUPPORTED },
		{ "big-endian", EI_DATA, ELFDATA2MSB, CPROF_ERR_UNSUPPORTED },
		{ "another CPU", offsetof(Elf64_Ehdr, e_machine), EM_386, CPROF_ERR_UNSUPPORTED },
		{ "a program", offsetof(Elf64_Ehdr, e_type), ET_EXEC, CPROF_ERR_BAD_DATA },
		{ "no segments", offsetof(Elf64_Ehdr, e_phnum), 0, CPROF_ERR_BAD_DATA },
		{ "headers outside", offsetof(Elf64_Ehdr, e_phoff) + 2, 0xff, CPROF_ERR_BAD_DATA },
		{ "a huge NT_FILE", 0, 0, CPROF_ERR_BAD_DATA },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct core bad = good;
		if (cases[i].at) {
			bad.bytes[cases[i].at] = cases[i].value;
		} else {
			/* The count of mapped files, the only word 1 followed by 4096. */
			for (size_t at = bad.notes; at + 16 < bad.n; at += 4) {
				uint64_t words[2];
				memcpy(words, bad.bytes + at, sizeof(words));
				if (words[0] == 1 && words[1] == 4096)
					bad.bytes[at + 5] = 0xff;
			}
		}
		struct cprof_error *err = cprof_core_file_parse(bad.bytes, bad.n, &core);
		if (!err || err->code != cases[i].code)
			TEST_FAIL("%s: %s", cases[i].what, err ? err->message : "accepted");
		cprof_error_free(err);
	}
}
