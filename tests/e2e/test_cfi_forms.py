# SPDX-License-Identifier: Apache-2.0
"""Every form in which call frame information can be written, in a program made of them: our rules against those of elfutils' libdw."""

import os
import unittest

import harness
from harness import TempDir, run

COMPARE = os.path.join(harness.BUILD, "tests", "bench", "cfi")
CODE_BYTES = 32

# Programs of entries, as the assembler's words; each is a function's.
PROGRAMS = {
    "def_cfa": ".cfi_def_cfa rsp, 24\n.cfi_offset rbx, -24",
    "def_cfa_register and offset": ".cfi_def_cfa_offset 16\nnop\n.cfi_def_cfa_register rbp\nnop\n.cfi_adjust_cfa_offset 8",
    "def_cfa_sf": ".cfi_escape 0x12, 7, 0x7e",
    "def_cfa_offset_sf": ".cfi_escape 0x13, 0x7c",
    "def_cfa_expression": ".cfi_escape 0x0f, 3, 0x77, 8, 0x06",
    "offset of registers far up": ".cfi_offset rbp, -16\n.cfi_offset r15, -4096\n.cfi_offset xmm5, -64",
    "offset_extended": ".cfi_escape 0x05, 3, 5",
    "offset_extended_sf": ".cfi_escape 0x11, 3, 0x7d",
    "GNU_negative_offset_extended": ".cfi_escape 0x2f, 3, 5",
    "val_offset": ".cfi_escape 0x14, 3, 2",
    "val_offset_sf": ".cfi_escape 0x15, 3, 0x7e",
    "register": ".cfi_register rbx, r12",
    "undefined": ".cfi_undefined rip",
    "same_value": ".cfi_same_value rbx",
    "expression": ".cfi_escape 0x10, 3, 2, 0x76, 0x70",
    "val_expression": ".cfi_escape 0x16, 3, 4, 0x76, 0x70, 0x06, 0x1f",
    "restore": ".cfi_offset rbx, -16\nnop\n.cfi_restore rbx\nnop\n.cfi_escape 0x06, 3",
    "remember_state, twenty deep": ".cfi_remember_state\n.cfi_def_cfa_offset 24\n" * 20 + "nop\n" + ".cfi_restore_state\nnop\n" * 20,
    "advance_loc1": ".fill 100, 1, 0x90\n.cfi_def_cfa_offset 16",
    "advance_loc2": ".fill 300, 1, 0x90\n.cfi_def_cfa_offset 16",
    "advance_loc4": ".fill 70000, 1, 0x90\n.cfi_def_cfa_offset 16",
    "MIPS_advance_loc8": ".cfi_escape 0x1d, 9, 0, 0, 0, 0, 0, 0, 0\n.cfi_def_cfa_offset 16",
    "GNU_args_size": ".cfi_escape 0x2e, 16",
    "signal frame": ".cfi_signal_frame",
    "another return column": ".cfi_return_column 14",
    "a personality and a table": ".cfi_personality 0x1b, _start\n.cfi_lsda 0x1b, _start",
    "the same by absolute pointers": ".cfi_personality 0, _start\n.cfi_lsda 0, _start",
}

# Entries that no assembler writes: version, augmentation, its data, encoding of addresses, 64-bit form.
ENTRIES = {
    "version 1, no augmentation": (1, "", None, 0x00, False),
    "version 3": (3, "zR", [0x1b], 0x1b, False),
    "version 4": (4, "zR", [0x1b], 0x1b, False),
    "the 64-bit form": (1, "zR", [0x1b], 0x1b, True),
    "absolute addresses": (1, "zR", [0x00], 0x00, False),
    "absolute addresses of four bytes": (1, "zR", [0x03], 0x03, False),
    "relative addresses of eight bytes": (1, "zR", [0x1c], 0x1c, False),
    "a letter that nobody knows": (1, "zRX", [0x1b, 1, 2, 3], 0x1b, False),
    "letters without a length": (1, "R", [0x1b], 0x1b, False),
    "a signal frame without a length": (1, "RS", [0x1b], 0x1b, False),
}
POINTERS = {0x00: (".quad {}", ".quad"), 0x03: (".long {}", ".long"), 0x1b: (".long {} - .", ".long"), 0x1c: (".quad {} - .", ".quad")}


# libdw 0.188 takes the data of 'R' to stand in each function's entry as well, where no length says otherwise; libgcc reads them as we do.
OURS_ALONE = ("letters without a length", "a signal frame without a length")


def function(what, program):
    return f'"{what}":\n.cfi_startproc\nnop\n{program}\n.fill {CODE_BYTES}, 1, 0x90\n.cfi_endproc\n'


def entry(n, version, letters, data, encoding, wide):
    """A common entry and one for the function f<n>, byte by byte."""
    length, word = (f".long -1\n.quad {{0}}e - {{0}}s\n{{0}}s:\n", ".quad") if wide else (".long {0}e - {0}s\n{0}s:\n", ".long")
    addr, size = POINTERS[encoding]
    augmentation = "" if data is None else "".join(f".byte {byte}\n" for byte in ([len(data)] if letters[0] == "z" else []) + data)
    return (f".balign 8\nc{n}:\n" + length.format(f".Lc{n}") + f"{word} 0\n.byte {version}\n.asciz \"{letters}\"\n" + (".byte 8, 0\n" if version == 4 else "") +
            f".byte 1, 0x78, 16\n{augmentation}.byte 0x0c, 7, 8, 0x90, 1\n.balign 8\n.Lc{n}e:\n" +
            length.format(f".Ld{n}") + f".Ld{n}i: {word} .Ld{n}i - c{n}\n{addr.format(f'f{n}')}\n{size} {CODE_BYTES}\n" +
            (".byte 0\n" if letters.startswith("z") else "") + f".byte 0x41, 0x0e, 16\n.balign 8\n.Ld{n}e:\n")


class Forms(TempDir):
    def tool(self, *argv):
        done = run(list(argv))
        self.assertEqual(done.returncode, 0, done.stderr)

    def make(self, name, text, *flags):
        source, path = self.path(name + ".s"), self.path(name)
        with open(source, "w") as file:
            file.write(".globl _start\n_start:\n" + text)
        self.tool("gcc", "-nostdlib", "-static", "-no-pie", "-Wl,--no-eh-frame-hdr", "-Wl,--build-id=none", *flags, source, "-o", path)
        return path

    def differences(self, path, n=400):
        """Addresses that both do not read alike, in our words; how many are read alike."""
        done = run([COMPARE, str(n), "1", path])
        self.assertIn(done.returncode, (0, 1), done.stderr)
        *lines, last = done.stdout.splitlines()
        return lines, int(last.split()[1])

    def check(self, path, n=400):
        lines, same = self.differences(path, n)
        self.assertEqual(lines, [])
        self.assertGreater(same, 0.7 * n)

    def test_every_instruction_of_entries(self):
        large = ("advance_loc4",)
        for name, text in (("small", "".join(function(what, program) for what, program in PROGRAMS.items() if what not in large)),
                           ("large", "".join(function(what, PROGRAMS[what]) for what in large))):
            with self.subTest(name):
                self.check(self.make(name, text), 4000)

    def test_every_form_of_entries(self):
        for i, (what, form) in enumerate(ENTRIES.items()):
            with self.subTest(what):
                text = f".fill 8, 1, 0x90\nf{i}: .fill {CODE_BYTES}, 1, 0x90\n.section .eh_frame, \"a\", @progbits\n" + entry(i, *form)
                path = self.make(f"e{i}", text)
                if what not in OURS_ALONE:
                    self.check(path)
                    continue
                lines, same = self.differences(path)
                self.assertEqual({line.split(" ", 3)[-1] for line in lines}, {"ours alone"})
                self.assertGreater(len(lines), 0.7 * 400)

    def test_debug_frame_plain_and_compressed(self):
        text = ".cfi_sections .debug_frame\n" + "".join(function(what, program) for what, program in PROGRAMS.items() if "perso" not in program)
        plain = self.make("plain", text)
        self.check(plain)
        for how in ("zlib", "zlib-gnu"):
            packed = self.path(how)
            self.tool("objcopy", f"--compress-debug-sections={how}", plain, packed)
            self.check(packed)
        packed = self.path("zstd")
        if run(["objcopy", "--compress-debug-sections=zstd", plain, packed]).returncode == 0:
            lines, same = self.differences(packed)  # a libdw that has learned it reads them alike
            self.assertTrue(same or {line.split(" ", 3)[-1] for line in lines} == {"ours alone"}, lines[:3])
            self.assertGreater(same + len(lines), 0.7 * 400)

    def test_libraries_of_this_machine(self):
        for name in ("libc.so.6", "libcrypto.so.3", "libstdc++.so.6"):
            path = os.path.join("/usr/lib/x86_64-linux-gnu", name)
            if os.path.exists(path):
                with self.subTest(name):
                    self.check(path, 3000)


if __name__ == "__main__":
    harness.main()
