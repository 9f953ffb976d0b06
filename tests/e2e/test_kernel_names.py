# SPDX-License-Identifier: Apache-2.0
"""Names of the running kernel's code from its debug information: a vmlinux of the test's own, with this kernel's build-id and addresses.

The file lies in a mount namespace of the tool's own, where the debug package would put it; the samples are the kernel's.
"""

import os
import re
import unittest

import harness
from harness import Profile, Target, TempDir, attach_while_it_works, run

LINKED_AT = 0xFFFFFFFF90000000  # not where a kernel runs: the distance has to be found
PATH_OF_A_READ = re.compile(r"(ksys_read|vfs_read|__x64_sys_read|x64_sys_call|do_syscall_64|read_iter_zero|iov_iter_zero|read_zero)")


def kernel_build_id():
    with open("/sys/kernel/notes", "rb") as file:
        notes = file.read()
    at = notes.find(b"\x03\0\0\0GNU\0")
    return notes[at + 8:at + 8 + int.from_bytes(notes[at - 4:at], "little")].hex()


def text_symbols():
    """The kernel's text: its start, and [(address, name)] of what lies in it."""
    with open("/proc/kallsyms") as file:
        all_of_them = [(int(addr, 16), name) for addr, kind, name, *module in map(str.split, file) if kind in "tT" and not module]
    if not any(addr for addr, _ in all_of_them):
        raise unittest.SkipTest("kallsyms hides its addresses")
    end = next(addr for addr, name in all_of_them if name == "_etext")
    start = min(addr for addr, name in all_of_them if name in ("_text", "_stext"))
    return start, sorted((addr, name) for addr, name in all_of_them if start <= addr < end)


class KernelNames(TempDir):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if os.geteuid() != 0:
            raise unittest.SkipTest("mounts a file system of its own")
        harness.need_namespaces("-m")
        cls.release = os.uname().release
        cls.start, symbols = text_symbols()
        cls.functions = {}
        for (addr, name), (end, _) in zip(symbols, symbols[1:]):
            if PATH_OF_A_READ.fullmatch(name) and end > addr:
                cls.functions[name] = (addr - cls.start, end - addr)

    def make_vmlinux(self, name, build_id):
        """Functions of this kernel where they are, each with a call inlined into it that is all of it."""
        source, script = self.path(name + ".c"), self.path(name + ".lds")
        with open(source, "w") as file:
            for function, (_, size) in self.functions.items():
                file.write(f"static inline __attribute__((always_inline)) void in_{function}(void)\n"
                           f'{{ __asm__ volatile(".fill {size - 1}, 1, 0x90"); }}\n'
                           f'__attribute__((section(".text.{function}"))) void {function}(void)\n{{ in_{function}(); }}\n')
        with open(script, "w") as file:
            file.write("PHDRS { text PT_LOAD FLAGS(5); note PT_NOTE FLAGS(4); }\nSECTIONS {\n"
                       f". = {LINKED_AT:#x}; .text : {{ BYTE(0x90)\n")
            for function, (offset, _) in sorted(self.functions.items(), key=lambda item: item[1]):
                file.write(f". = {offset:#x}; *(.text.{function})\n")
            file.write("} :text\n.note.gnu.build-id : { *(.note.gnu.build-id) } :text :note\n/DISCARD/ : { *(.comment) *(.eh_frame) } }\n")
        done = run(["gcc", "-g", "-O2", "-ffreestanding", "-fno-pic", "-fcf-protection=none", "-fno-asynchronous-unwind-tables",
                    "-nostdlib", "-static", "-falign-functions=1", "-mcmodel=kernel", source, "-o", self.path(name),
                    f"-Wl,-T,{script},--build-id=0x{build_id}"])
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.path(name)

    def with_debug_file(self, vmlinux, path):
        """A command before the tool's: `vmlinux` lies below /usr/lib/debug as `path`, for the tool alone."""
        place = os.path.join("/usr/lib/debug", path)
        return ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /usr/lib/debug && mkdir -p "$(dirname "$1")" && cp "$0" "$1" && shift && exec "$@"',
                vmlinux, place, harness.ATTACH]

    def make_module(self, name, build_id):
        """A kernel module that has these functions, each in one of two sections; and what the kernel would say of it if it had loaded it."""
        source, sys_dir = self.path(name + ".c"), self.path("sys")
        sections, code = {}, []
        for i, (function, (offset, size)) in enumerate(self.functions.items()):
            section = (".text", ".text.unlikely")[i % 2]
            # A module's sections lie anywhere, and a function lies alone in this one: the first of each section.
            if section in sections:
                continue
            sections[section] = function, offset
            code.append(f"static inline __attribute__((always_inline)) void in_{function}(void)\n"
                        f'{{ __asm__ volatile(".fill {size - 1}, 1, 0x90"); }}\n'
                        f'__attribute__((section("{section}"))) void {function}(void)\n{{ in_{function}(); }}\n')
        with open(source, "w") as file:
            file.write("".join(code))
        for argv in (["gcc", "-c", "-g", "-O2", "-ffreestanding", "-fno-pic", "-fcf-protection=none", "-fno-asynchronous-unwind-tables",
                      "-falign-functions=1", "-mcmodel=kernel", source, "-o", self.path(name + ".o")],
                     ["ld", "-r", f"--build-id=0x{build_id}", self.path(name + ".o"), "-o", self.path(name + ".ko")]):
            done = run(argv)
            self.assertEqual(done.returncode, 0, done.stderr)
        os.makedirs(f"{sys_dir}/{name}/sections")
        os.makedirs(f"{sys_dir}/{name}/notes")
        for section, (_, offset) in sections.items():
            with open(f"{sys_dir}/{name}/sections/{section}", "w") as file:
                file.write(f"{self.start + offset:#x}\n")
        with open(f"{sys_dir}/{name}/notes/.note.gnu.build-id", "wb") as file:
            file.write(bytes([4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0]) + b"GNU\0" + bytes.fromhex(build_id))
        mine = {function for function, _ in sections.values()}
        with open("/proc/kallsyms") as file, open(self.path("kallsyms"), "w") as out:
            for line in file:
                function = line.split()[2]
                if function not in ("_text", "_stext", "_etext"):
                    out.write(line.rstrip("\n") + (f"\t[{name}]\n" if function in mine else "\n"))
        return self.path(name + ".ko"), sys_dir, mine

    def with_module(self, module, sys_dir, path):
        """A command before the tool's: the kernel has loaded this module, whose file is in the debug package, for the tool alone."""
        return ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /usr/lib/debug && mkdir -p "$(dirname "$1")" && cp "$0" "$1" && '
                'd=/usr/lib/debug/lib/modules/$(uname -r) && { [ ! -d $d ] || echo "${1#$d/}: kernel/fs/other.ko" >$d/modules.dep; } && '
                'mount --bind "$2" /sys/module && mount --bind "$3" /proc/kallsyms && shift 3 && exec "$@"',
                module, os.path.join("/usr/lib/debug", path), sys_dir, self.path("kallsyms"), harness.ATTACH]

    def profile_reading(self, tool, *options, env=None):
        out = self.path("cpu.pb.gz")
        with Target(["turns", "kernel"]) as target:
            done = attach_while_it_works(target.pid, 15, "-hz", "500", "-o", out, "-f", *options, tool=tool, env=env)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.words = done.stderr
        profile = Profile.read(out)
        kernel = {m["id"] for m in profile.mappings if m["file"].startswith("[kernel")}
        return [location["lines"] for location in profile.locations.values() if location["mapping"] in kernel]

    def test_lines_and_inlined_calls_are_those_of_the_debug_package(self):
        vmlinux = self.make_vmlinux("vmlinux", kernel_build_id())
        for path in (f"boot/vmlinux-{self.release}", f"lib/modules/{self.release}/vmlinux"):
            seen = 0
            for lines in self.profile_reading(self.with_debug_file(vmlinux, path), "-no-cache"):
                outer = lines[-1]["name"]
                if outer not in self.functions:
                    continue
                seen += 1
                self.assertEqual([line["name"] for line in lines], ["in_" + outer, outer], path)
                self.assertTrue(all(line["file"].endswith("vmlinux.c") and line["line"] for line in lines), lines)
            self.assertGreater(seen, 1, f"{path}: a read passes through {sorted(self.functions)}")

    def test_debuginfod_is_asked_for_the_kernel_with_the_option_only(self):
        """The client has the file already, so the server is none."""
        place = self.path(f"client/{kernel_build_id()}")
        os.makedirs(place)
        os.rename(self.make_vmlinux("vmlinux", kernel_build_id()), place + "/debuginfo")
        env = {**os.environ, "DEBUGINFOD_URLS": "http://127.0.0.1:1", "DEBUGINFOD_CACHE_PATH": self.path("client")}
        for option in ("-debuginfod", "-no-cache"):
            files = {line["file"] for lines in self.profile_reading([harness.ATTACH], "-no-cache", option, env=env) for line in lines}
            self.assertEqual({os.path.basename(file) for file in files if file}, {"vmlinux.c"} if option == "-debuginfod" else set())

    def test_the_file_of_another_kernel_names_nothing_and_why_says_so(self):
        wrong = self.make_vmlinux("other", "ab" * 20)
        tool = self.with_debug_file(wrong, f"boot/vmlinux-{self.release}")
        for lines in self.profile_reading(tool, "-no-cache"):
            self.assertEqual([(line["file"], line["line"]) for line in lines], [("", 0)], lines)
        with Target(["turns", "pipe"]) as target:
            done = run([*tool, "-why", "-p", str(target.pid)])
        self.assertEqual(done.returncode, 0, done.stderr)
        kernel = done.stdout[done.stdout.index("[kernel]"):]
        self.assertIn(f"/usr/lib/debug/boot/vmlinux-{self.release}: is of another kernel (its build-id differs)", kernel)
        self.assertIn(kernel_build_id()[2:] + ".debug: not there", kernel)
        self.assertIn("lines     none", kernel)
        self.assertIn(f"linux-image-{self.release}-dbg", kernel)

    def test_a_module_is_named_where_it_was_loaded(self):
        """Its debug information is relocatable: libdwfl puts in it where the kernel has each section."""
        build_id = "cd" * 20
        plain, sys_dir, mine = self.make_module("test_reader", build_id)
        for packer in ("xz", "zstd", "gzip"):
            self.assertEqual(run([harness.need(packer), "-k", plain]).returncode, 0)
        for path, whose, way in ((f"lib/modules/{self.release}/kernel/fs/test-reader.ko.xz", 0, "index"),
                                 (f"lib/modules/{self.release}/kernel/fs/test-reader.ko.zst", 0, "libdwfl"),
                                 (f"lib/modules/{self.release}/kernel/fs/test-reader.ko.gz", 0, "auto"),
                                 (f"lib/modules/{self.release}/kernel/fs/test-reader.ko.xz", harness.NOBODY, "auto"),
                                 (f"lib/modules/{self.release}/kernel/fs/test-reader.ko", 0, "index"),
                                 (f".build-id/{build_id[:2]}/{build_id[2:]}.debug", 0, "libdwfl"),
                                 (f"lib/modules/{self.release}/kernel/fs/test-reader.ko", harness.NOBODY, "auto")):
            module = plain + (path[path.index(".ko") + 3:] if ".ko" in path else "")
            os.chown(module, whose, whose)
            tool = self.with_module(module, sys_dir, path)
            tool[4] = tool[4].replace("cp ", "cp -p ")
            seen = set()
            for lines in self.profile_reading(tool, "-no-cache", "-symbolizer", way):
                outer = lines[-1]["name"]
                if outer not in mine:
                    continue
                seen.add(outer)
                if whose:
                    self.assertEqual([(line["name"], line["file"]) for line in lines], [(outer, "")], "a file of another user's")
                    continue
                self.assertEqual([line["name"] for line in lines], ["in_" + outer, outer], path)
                self.assertTrue(all(line["file"].endswith("test_reader.c") and line["line"] for line in lines), lines)
            self.assertTrue(seen, f"{path}: a read passes through {mine}")
            self.assertNotIn("names are what our own readers know", self.words)


if __name__ == "__main__":
    harness.main()
