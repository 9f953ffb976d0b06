# SPDX-License-Identifier: Apache-2.0
"""Whole frame lists: programs that announce their true call chain, sampled and walked by tests/tools/walk_stacks.

A sample counts as right only if every frame is there, none is missing and none is too many."""

import os
import re
import shutil
import tempfile
import unittest

import harness

WALK = os.path.join(harness.BUILD, "tools", "walk_stacks")
LIB = os.path.join(harness.BUILD, "targets", "libchain_lib.so")
LANG = os.path.join(harness.ROOT, "tests", "targets", "lang")
ANY = r"[^;]+"
# What stands outside of main or of a thread's function: the C library's part.
TAILS = (r"(__libc_start_call_main;__libc_start_main[^;]*;_start|start_thread;(__)?clone3?"
         r"|(libc_start_main_stage2;__libc_start_main;)?(_start_c;)?_start(_c)?|__libc_start_main[^;]*;_start"
         r"|start(;(__)?clone)?|libc_start_main_stage2|libc.so\+0x[0-9a-f]+)")


def pattern(chain):
    """The regular expression of an announced chain; decoration of frames has been taken off."""
    out = []
    for part in chain.split(";"):
        many = re.fullmatch(r"(.+)\{(\d+)\}", part)
        if part == "*":
            out.append(f"({ANY};){{0,8}}")
        elif part == "?":
            out.append(f"({ANY};)?")
        elif many:
            out.append(f"({re.escape(many.group(1))};){{{many.group(2)}}}")
        else:
            out.append(re.escape(part) + ";")
    return "".join(out)


class Stacks:
    """What walk_stacks printed: [(count, stop, [name...], [decorated name...])]."""

    def __init__(self, text):
        self.all = []
        for line in text.splitlines():
            count, stop, frames = line.split(" ", 2)
            decorated = frames.split(";")
            self.all.append((int(count), stop, [frame.rstrip("~+!").removesuffix(".abi0") for frame in decorated], decorated))
        self.total = sum(entry[0] for entry in self.all)


class ChainTest(unittest.TestCase):
    def walk(self, argv, samples=300, stack_bytes=32768, cap=1024, status=0, reloads=False, **target):
        victim = harness.Target(argv, **target)
        try:
            before = harness.Footprint(victim.pid)
            result = harness.run([WALK, str(victim.pid), str(samples), str(stack_bytes), str(cap)])
            self.assertEqual(result.returncode, 0, result.stderr)
            if not reloads:
                before.check_unchanged(self)
        finally:
            victim.close(status=status)
        self.chains = [line[6:] for line in victim.said if line.startswith("chain ")]
        self.stats = result.stderr
        stacks = Stacks(result.stdout)
        self.assertGreater(stacks.total, 0, "no samples were taken")
        return stacks

    def check(self, argv, share=0.99, tail=TAILS, stop="root", guessed=False, **walk):
        stacks = self.walk(argv, **walk)
        expressions = [re.compile(pattern(chain) + (tail + ";" if tail else "")) for chain in self.chains]
        wrong = []
        right = 0
        for count, why, names, decorated in stacks.all:
            joined = ";".join(names) + ";"
            ok = why == stop and any(e.fullmatch(joined) for e in expressions)
            if ok and not guessed and any(re.search(r"~[+!]*$", frame) for frame in decorated):
                ok = False
            right += count if ok else 0
            if not ok:
                wrong.append(f"{count} {why} {';'.join(decorated)[:600]}")
        detail = "\n".join(wrong[:12])
        self.assertGreaterEqual(right / stacks.total, share,
                                f"{argv}: {right} of {stacks.total} right; announced {self.chains}; wrong:\n{detail}")
        return stacks


class Plain(ChainTest):
    def test_prologues_and_epilogues_of_optimized_code(self):
        self.check(["chain_plain"], samples=1000)

    def test_a_thread_ends_at_clone(self):
        self.check(["chain_plain", "thread"])

    def test_alloca_large_frames_and_realigned_stacks(self):
        self.check(["chain_frames"], stack_bytes=65528 - 8)

    def test_tail_calls_and_a_noreturn_call_at_the_end(self):
        self.check(["chain_tail"])

    def test_a_profile_shows_functions_that_left_by_a_tail_call(self):
        with harness.Target("chain_tail") as target, tempfile.TemporaryDirectory() as folder:
            mark, out = harness.Footprint(target.pid), os.path.join(folder, "tail.pb.gz")
            result = harness.attach_while_it_works(target.pid, 30, "-hz", 250, "-o", out)
            self.assertEqual(result.returncode, 0, result.stderr)
            mark.check_unchanged(self)
            profile = harness.Profile.read(out)
        share = profile.share(lambda stack, labels: stack[:5] == ["spin", "tail_target", "tail_caller", "never_returns", "ends_in_call"])
        self.assertGreaterEqual(share, 0.95, [stack for stack, _, _ in profile.samples])
        self.assertRegex("\n".join(profile.comments), r"put back after tail calls [1-9]")

    def test_binding_stubs(self):
        self.check(["chain_calls", "plt"], env={**os.environ, "LD_BIND_NOW": ""}, samples=1000)

    def test_the_kernels_library(self):
        self.check(["chain_calls", "vdso"], samples=1000)

    def test_exception_in_flight_with_a_destructor_running(self):
        self.check(["chain_throw"])

    def test_exceptions_thrown_all_the_time(self):
        # While libgcc moves to the landing pad it overwrites its own frame with the new one: there is no right answer.
        self.check(["chain_throw", "loop"], samples=1000, share=0.95)


class Signals(ChainTest):
    def test_handler_on_the_normal_stack(self):
        stacks = self.check(["chain_signal"])
        for _, _, names, decorated in stacks.all:
            self.assertIn("trap_here!", decorated, "the interrupted frame's pc is no return address")

    def test_handler_on_an_alternate_stack(self):
        stacks = self.check(["chain_signal", "alt"], stack_bytes=8192)
        self.assertIn("main+", stacks.all[0][3], "the normal stack is read from the live process")


class Deep(ChainTest):
    def test_forty_kilobytes_with_a_copy_of_eight(self):
        stacks = self.check(["chain_deep", "100", "400"], stack_bytes=8192)
        self.assertIn("main+", stacks.all[0][3])

    def test_128_kilobytes_with_a_copy_of_32(self):
        self.check(["chain_deep", "300", "400"])

    def test_a_megabyte(self):
        self.check(["chain_deep", "2500", "400"], cap=4096)

    def test_recursion_of_100000_frames_is_bounded(self):
        stacks = self.walk(["chain_deep", "100000", "0"], cap=512, samples=50)
        for _, stop, names, _ in stacks.all:
            self.assertEqual(stop, "depth")
            self.assertEqual(names, ["bottom"] + ["descend"] * 511)

    def test_recursion_of_100000_frames_whole(self):
        self.check(["chain_deep", "100000", "0"], cap=200000, samples=5)

    def test_two_moments_are_never_mixed(self):
        stacks = self.walk(["chain_deep", "100", "400", "flip"], stack_bytes=8192, samples=400)
        whole = 0
        for count, stop, names, decorated in stacks.all:
            joined = ";".join(names)
            self.assertFalse("descend" in names and "other_way" in names, f"two moments in one stack: {joined}")
            self.assertIn(stop, ("root", "copy-end"), joined)
            whole += count if stop == "root" else 0
        self.assertGreater(whole, 0)


class NoTables(ChainTest):
    def test_debug_frame_only(self):
        self.check(["chain_debug_frame"], samples=1000)

    def test_debug_frame_in_a_separate_debug_file(self):
        harness.need("objcopy")
        with tempfile.TemporaryDirectory() as directory:
            full = harness.target_path("chain_debug_frame")
            binary, debug = os.path.join(directory, "chain"), os.path.join(directory, "chain.debug")
            for argv in (["objcopy", "--only-keep-debug", full, debug], ["strip", "-o", binary, full],
                         ["objcopy", f"--add-gnu-debuglink={debug}", binary]):
                self.assertEqual(harness.run(argv).returncode, 0)
            self.check([binary])

    def test_no_tables_with_frame_pointers(self):
        self.check(["chain_no_tables_fp"], guessed=True, samples=1000)

    def test_no_tables_without_frame_pointers(self):
        self.check(["chain_no_tables"], guessed=True, samples=1000)

    def test_assembly_with_frame_pointer(self):
        self.check(["chain_asm", "fp"], guessed=True)

    def test_assembly_without_frame_pointer(self):
        self.check(["chain_asm", "nofp"], guessed=True)

    def test_assembly_leaf(self):
        self.check(["chain_asm", "leaf"], guessed=True)

    def test_code_made_at_run_time_with_frame_pointer(self):
        self.check(["chain_jit", "fp"], guessed=True)

    def test_code_made_at_run_time_without_frame_pointer(self):
        self.check(["chain_jit", "nofp"], guessed=True)

    def test_stack_that_was_switched_to_and_fro(self):
        self.check(["chain_switch"])

    def test_coroutine_ends_at_its_trampoline(self):
        self.check(["chain_coroutine"], tail="")


class Files(ChainTest):
    def test_static(self):
        self.check(["chain_static"])

    def test_static_pie(self):
        self.check(["chain_static_pie"])

    def test_not_position_independent(self):
        self.check(["chain_no_pie"])

    def test_library_whose_file_is_deleted(self):
        self.check(["chain_library", LIB, "deleted"])

    def test_library_in_a_memfd(self):
        self.check(["chain_library", LIB, "memfd"])

    def test_library_that_comes_and_goes(self):
        # Where the mappings are a moment old, the library's own frames have no map; all others must be right.
        self.check(["chain_library", LIB, "reload"], share=0.9, reloads=True)

    def test_six_hundred_mappings(self):
        self.check(["chain_library", LIB, "many"])


class Musl(ChainTest):
    def need(self, name):
        if not os.path.exists(harness.target_path(name)):
            self.skipTest("musl-gcc is not installed (musl-tools)")

    def test_static(self):
        self.need("chain_musl_static")
        self.check(["chain_musl_static"], guessed=True)

    def test_static_thread(self):
        self.need("chain_musl_static")
        self.check(["chain_musl_static", "thread"], guessed=True)

    def test_dynamic(self):
        self.need("chain_musl_shared")
        self.check(["chain_musl_shared"], guessed=True)

    def test_signal(self):
        self.need("chain_musl_signal")
        self.check(["chain_musl_signal", "alt"], guessed=True)


class Languages(ChainTest):
    def build(self, argv, **more):
        if not os.path.exists(argv[0]):
            self.skipTest(f"{os.path.basename(argv[0])} is not installed")
        self.dir = tempfile.mkdtemp(prefix="cprof-test-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        binary = os.path.join(self.dir, "chain")
        result = harness.run([*argv, "-o", binary, *more.pop("after")], env={**os.environ, **more})
        self.assertEqual(result.returncode, 0, result.stderr)
        return binary

    def go(self, *flags, source="chain.go"):
        return self.build(["/usr/lib/go-1.19/bin/go", "build", *flags], GOFLAGS="-mod=mod", GO111MODULE="off", CGO_ENABLED="1",
                          GOROOT="", GOCACHE=os.path.abspath(os.path.join(harness.BUILD, "go-cache")), after=[os.path.join(LANG, source)])

    def test_go(self):
        # The rest is the runtime's own threads.
        self.check([self.go()], tail="", share=0.95)

    def test_go_stripped_has_only_frame_pointers(self):
        self.check([self.go("-ldflags=-s -w")], tail="", guessed=True, share=0.95)

    def test_go_with_c_stripped_has_its_own_names(self):
        # The C start code stands before Go's; what is found nowhere but in Go's table must not be off by that.
        for mode in ("exe", "pie"):
            binary = self.go(f"-buildmode={mode}", "-ldflags=-s -w", source="chain_cgo.go")
            with self.subTest(mode=mode):
                self.check([binary, "go"], tail="", guessed=True, share=0.95)

    def test_c_called_from_go_goes_on_where_it_was_called(self):
        for mode in ("exe", "pie"):
            binary = self.go(f"-buildmode={mode}", source="chain_cgo.go")
            with self.subTest(mode=mode):
                # Of the runtime's own threads nothing is said here. A call lasts for many samples.
                stacks = self.walk([binary, "c"])
                right = re.compile(pattern(self.chains[0]))
                inner = [(n, why == "root" and right.fullmatch(";".join(names) + ";")) for n, why, names, _ in stacks.all
                         if "c_leaf" in names]
                total = sum(n for n, _ in inner)
                self.assertGreater(total, 0)
                self.assertGreaterEqual(sum(n for n, ok in inner if ok) / total, 0.9, stacks.all)

    def test_go_called_from_c_goes_on_in_c(self):
        right = re.compile(r"main\.leaf;(main\.goSide;)?_cgoexp_[^;]*;.*runtime\.cgocallback(\.abi0)?;crosscall2;goSide;c_outer;([^;]*;)?"
                           r"runtime\.asmcgocall(\.abi0)?;.*main\.call;main\.main;runtime\.main;runtime\.goexit(\.abi0)?")
        for mode in ("exe", "pie"):
            binary = self.go(f"-buildmode={mode}", source="chain_callback.go")
            with self.subTest(mode=mode):
                stacks = self.walk([binary])
                inner = [(n, why == "root" and right.fullmatch(";".join(names))) for n, why, names, _ in stacks.all if "main.leaf" in names]
                total = sum(n for n, _ in inner)
                self.assertGreater(total, 0)
                self.assertGreaterEqual(sum(n for n, ok in inner if ok) / total, 0.9, stacks.all)

    def test_rust(self):
        rustc = shutil.which("rustc") or "rustc"
        self.check([self.build([rustc, "-O", "-C", "debuginfo=0"], after=[os.path.join(LANG, "chain.rs")])],
                   status=-15)


class Attach(ChainTest):
    """The same through cprof-attach and its profile, kernel frames included."""

    def profile(self, argv, *options):
        with harness.Target(argv) as victim, tempfile.TemporaryDirectory() as directory:
            before = harness.Footprint(victim.pid)
            path = os.path.join(directory, "cpu.pb.gz")
            result = harness.attach("-p", victim.pid, "-seconds", 1, "-hz", 500, "-v", "-o", path, *options)
            self.assertEqual(result.returncode, 0, result.stderr)
            before.check_unchanged(self)
            self.said = result.stderr
            profile = harness.Profile.read(path)
        chains = [line[6:] for line in victim.said if line.startswith("chain ")]
        self.expressions = [re.compile(pattern(chain) + TAILS + ";") for chain in chains]
        self.kernel_ids = {m["id"] for m in profile.mappings if "kernel" in m["file"]}
        return profile

    def stacks(self, profile):
        """(count, kernel names, user names) of each sample; fails where kernel frames are not the inner ones."""
        for sample in profile.raw["sample"]:
            ids = sample["location_id"]
            kernel = [profile.locations[i]["mapping"] in self.kernel_ids for i in ids]
            n = kernel.index(False) if False in kernel else len(ids)
            self.assertNotIn(True, kernel[n:], "a kernel frame outside of a user frame")
            yield sample["value"][0], profile.stack(ids[:n]), profile.stack(ids[n:])

    def check_profile(self, argv, *options, share=0.99):
        profile = self.profile(argv, *options)
        right = total = 0
        wrong = []
        for count, kernel, user in self.stacks(profile):
            total += count
            if any(e.fullmatch(";".join(user) + ";") for e in self.expressions):
                right += count
            else:
                wrong.append(f"{count} {kernel} {user}"[:500])
        self.assertGreater(total, 0)
        self.assertGreaterEqual(right / total, share, "\n".join(wrong[:5]))
        return profile

    def test_signal_handler_on_an_alternate_stack(self):
        self.check_profile(["chain_signal", "alt"], "-user-only")
        self.assertRegex(self.said, r"ended by root \d+ \(100.0 %\)")

    def test_a_megabyte_of_stack_in_400_frames(self):
        self.check_profile(["chain_deep", "400", "2500"], "-user-only")
        self.assertRegex(self.said, r"read later from the live process [1-9]")

    def test_guesses_are_counted_and_told(self):
        profile = self.check_profile(["chain_asm", "nofp"], "-user-only")
        self.assertRegex(self.said, r"of which guessed [1-9]")
        self.assertTrue(any("of which guessed" in comment for comment in profile.comments), profile.comments)

    def test_deep_recursion_is_cut_and_says_so(self):
        profile = self.profile(["chain_deep", "100000", "0"], "-user-only")
        for _, _, user in self.stacks(profile):
            self.assertEqual(user[-1], "[truncated]")
            self.assertEqual(user[0], "bottom")
            self.assertEqual(set(user[1:-1]), {"descend"})
        self.assertRegex(self.said, r"depth \d+ \(100.0 %\)")
        self.assertTrue(any(" depth " in comment for comment in profile.comments), profile.comments)

    def test_kernel_frames_of_a_system_call_stand_inside_of_the_users(self):
        profile = self.check_profile(["chain_calls", "kernel"])
        if not self.kernel_ids:
            self.skipTest("kernel frames are not permitted here")
        in_kernel = sum(count for count, kernel, _ in self.stacks(profile) if kernel)
        self.assertGreater(in_kernel / profile.total(), 0.5)

    def test_kernel_frames_of_interrupts_stand_inside_of_the_users(self):
        self.check_profile(["chain_plain"])


if __name__ == "__main__":
    harness.main()
