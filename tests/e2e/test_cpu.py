# SPDX-License-Identifier: Apache-2.0
# alone: shares of processors are compared
"""-mode cpu on real processes: right functions, right shares, right labels, by every way of opening events."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import harness
from harness import Footprint, Profile, Target, TempDir, attach, attach_while_it_works, cpu_ticks, run, target_path

ROOTS = {"_start", "__clone3", "clone3", "__clone", "clone", "ret_from_fork_asm"}


def rooted_share(profile):
    return profile.share(lambda stack, labels: stack[-1] in ROOTS)


@contextlib.contextmanager
def endless(argv):
    """A program that knows no SIGTERM: it must live as long as we look, and is killed then."""
    target = Target(argv)
    try:
        yield target
        assert target.alive(), f"{argv[0]} died"
    finally:
        target.process.kill()
        target.process.communicate()


class Base(TempDir):
    def profile(self, pid, *args, seconds=0.8):
        out = self.path("cpu.pb.gz")
        done = attach("-p", pid, "-seconds", seconds, "-o", out, "-f", *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.stderr = done.stderr
        return Profile.read(out)

    def profile_work(self, pid, *args, seconds=0.8, ticks=None):
        """The same, but on until the target has worked: half of that time, unless `ticks` of CPU time are asked for."""
        out = self.path("cpu.pb.gz")
        done = attach_while_it_works(pid, ticks or seconds * 50, "-o", out, "-f", *args, seconds=0 if ticks else seconds)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.stderr, self.worked = done.stderr, done.worked
        return Profile.read(out)


class Cpu(Base):

    def test_the_demo_target_shows_its_functions_threads_and_lines(self):
        with Target("hot") as target:
            before = Footprint(target.pid)
            profile = self.profile_work(target.pid, seconds=2)
            before.check_unchanged(self)
        self.assertEqual(profile.sample_types, [("samples", "count"), ("cpu", "nanoseconds")])
        self.assertEqual((profile.period_type, profile.period), ([("cpu", "nanoseconds")], 10_000_000))
        self.assertEqual(profile.default_sample_type, "cpu")
        self.assertGreater(profile.total(), 15)
        self.assertEqual(profile.total(1), profile.total() * 10_000_000)
        self.assertGreaterEqual(rooted_share(profile), 0.99)
        self.assertGreater(profile.share(lambda s, l: "hash_blocks" in s or "fill_blocks" in s or "sort_round" in s), 0.97)
        # The truth that the target prints: who works below what.
        in_crunch = lambda s, l: l.get("thread") == "crunch"
        crunch = profile.share(in_crunch)
        self.assertGreater(crunch, 0.25)
        self.assertGreater(profile.share(lambda s, l: in_crunch(s, l) and "crunch" in s), 0.98 * crunch)
        sorter = profile.share(lambda s, l: l.get("thread") == "sorter")
        self.assertGreater(profile.share(lambda s, l: l.get("thread") == "sorter" and "sort_round" in s), 0.95 * sorter)
        # The inlined function comes before the one it is inlined into, at one address.
        lines = [loc["lines"] for loc in profile.locations.values()]
        inlined = [[line["name"] for line in names] for names in lines if len(names) > 1]
        self.assertIn(["mix_hash", "hash_blocks"], inlined)
        with open(os.path.join(harness.ROOT, "tests/targets/hot.c")) as file:
            start = 1 + [i for i, text in enumerate(file) if "uint64_t hash_blocks(" in text][0]
        found = [line for names in lines for line in names if line["name"] == "hash_blocks"]
        self.assertTrue(all(start <= line["line"] <= start + 10 for line in found), found)
        self.assertTrue(all(abs(line["start_line"] - start) <= 1 for line in found), found)
        self.assertTrue(found[0]["file"].endswith("tests/targets/hot.c"))

    def test_mappings_are_the_real_ones_and_the_program_comes_first(self):
        with Target("hot") as target:
            profile = self.profile_work(target.pid)
            with open(f"/proc/{target.pid}/maps") as file:
                real = {tuple(line.split()[0].split("-")): line.split() for line in file if "x" in line.split()[1]}
        self.assertEqual(os.path.basename(profile.mappings[0]["file"]), "hot")
        self.assertEqual(len(profile.mappings[0]["build_id"]), 40)
        self.assertTrue(profile.mappings[0]["has_functions"])
        self.assertTrue(profile.mappings[0]["has_inline_frames"])
        for mapping in profile.mappings:
            if mapping["file"].startswith("["):
                continue
            line = real[(f"{mapping['start']:x}".zfill(12), f"{mapping['limit']:x}".zfill(12))]
            self.assertEqual(mapping["offset"], int(line[2], 16))
            self.assertEqual(mapping["file"], line[5])
        ranges = {m["id"]: (m["start"], m["limit"]) for m in profile.mappings}
        for location in profile.locations.values():
            low, high = ranges[location["mapping"]]
            self.assertTrue(low <= location["address"] < high, location)

    def test_callers_addresses_lie_inside_the_call(self):
        with Target("hot") as target:
            profile = self.profile_work(target.pid, ticks=60)
        done = run(["objdump", "-d", "--no-show-raw-insn", target_path("hot")])
        starts = {int(m.group(1), 16): m.group(2) for m in re.finditer(r"^\s+([0-9a-f]+):\s+(\S+)", done.stdout, re.M)}
        base = profile.mappings[0]["start"] - profile.mappings[0]["offset"]
        checked = 0
        kernel = {m["id"] for m in profile.mappings if m["file"].startswith("[kernel")}
        for sample in profile.raw["sample"]:
            places = [profile.locations[place] for place in sample["location_id"]]
            for inner, location in zip(places, places[1:]):
                # What the kernel interrupted is no caller: its address is that of the instruction itself.
                if location["mapping"] != 1 or inner["mapping"] in kernel:
                    continue
                # The byte after our address starts an instruction: ours is the last byte of the call.
                address = location["address"] - base
                self.assertIn(address + 1, starts)
                self.assertEqual(starts[max(start for start in starts if start <= address)], "call")
                checked += 1
        self.assertGreater(checked, 10)

    def test_comments_tell_version_command_kernel_and_counts(self):
        with Target("hot") as target:
            for _ in range(10):
                profile = self.profile(target.pid, "-label", "env=prod")
                if profile.duration_nanos < 0.85e9:  # on a busy machine we may be late to end it, but not always
                    break
        text = "\n".join(profile.comments)
        self.assertRegex(text, r"cprof-attach \d+\.\d+")
        self.assertIn(f"command: cprof-attach -p {target.pid}", text)
        self.assertIn(os.uname().release, text)
        self.assertRegex(text, r"samples: \d+, lost: 0, truncated stacks: \d+")
        self.assertTrue(all(labels["env"] == "prod" for _, _, labels in profile.samples))
        self.assertGreater(profile.time_nanos, 1_600_000_000 * 10**9)
        self.assertAlmostEqual(profile.duration_nanos / 1e9, 0.8, delta=0.05)

    def test_every_way_of_opening_counts_the_same_cpu_time(self):
        for how in ("cpu", "thread-cpu", "thread"):
            with self.subTest(how), Target("hot") as target:
                profile = self.profile_work(target.pid, "-open", how, "-hz", "500", "-v", ticks=100)
                self.assertIn(f"per {how} ", self.stderr)
                # Between here and there some time passes that only one of us counts. A thread more or less is further off.
                self.assertLessEqual(profile.total(1) / 1e7, self.worked * 1.3 + 10)
                self.assertGreaterEqual(profile.total(1) / 1e7, self.worked * 0.8 - 5)
                self.assertGreaterEqual(rooted_share(profile), 0.99)

    def test_kernel_frames_stand_above_user_frames_unless_left_out(self):
        with Target(["turns", "kernel"]) as target:
            profile = self.profile_work(target.pid)
            start, ticks = time.monotonic(), cpu_ticks(target.pid)
            without = self.profile_work(target.pid, "-user-only")
            ticks = (cpu_ticks(target.pid) - ticks) / (time.monotonic() - start)
        kernel_ids = {m["id"] for m in profile.mappings if m["file"].startswith("[kernel")}
        self.assertTrue(kernel_ids)
        for sample in profile.raw["sample"]:
            kinds = [profile.locations[i]["mapping"] in kernel_ids for i in sample["location_id"]]
            self.assertEqual(kinds, sorted(kinds, reverse=True), "kernel frames come first")
        reading = profile.share(lambda s, l: "kernel_work" in s and len(s) > s.index("kernel_work") and
                                any("read" in name for name in s[:s.index("kernel_work")]))
        self.assertGreater(reading, 0.95)
        self.assertFalse([m for m in without.mappings if m["file"].startswith("[kernel")])
        self.assertGreater(without.total(), 0.6 * ticks - 3)  # the time stays

    def test_kernel_functions_are_read_from_the_kernel_once_per_boot(self):
        strace = harness.need("strace")
        env, out, calls = {**os.environ, "XDG_CACHE_HOME": self.path("cache")}, self.path("cpu.pb.gz"), self.path("calls")
        with open("/proc/kallsyms") as file:
            real = {line.split()[2].split(".")[0] for line in file}
            file.seek(0)
            if not int(file.readline().split()[0], 16) and os.geteuid() != 0:
                self.skipTest("kallsyms hides its addresses")
        asked = []
        with Target(["turns", "kernel"]) as target:
            for turn in ("first", "cached", "broken", "cached again", "-no-cache"):
                if turn == "broken":
                    with open(self.path("cache/cprof/kernel.names"), "r+b") as file:
                        file.write(b"not ours")
                done = attach_while_it_works(target.pid, 15, "-hz", "500", "-o", out, "-f",
                                             *([turn] if turn[0] == "-" else []), env=env,
                                             tool=[strace, "-D", "-f", "-qq", "-e", "trace=openat", "-o", calls, harness.ATTACH])
                self.assertEqual(done.returncode, 0, done.stderr)
                profile = Profile.read(out)
                kernel = {m["id"] for m in profile.mappings if m["file"].startswith("[kernel")}
                names = {loc["lines"][0]["name"] for loc in profile.locations.values() if loc["mapping"] in kernel}
                self.assertTrue(names)
                self.assertFalse({name.split(".")[0] for name in names} - real, turn)
                with open(calls) as file:
                    asked.append("/proc/kallsyms" in file.read())
        self.assertEqual(asked, [True, False, True, False, True])
        self.assertEqual(os.stat(self.path("cache/cprof/kernel.names")).st_mode & 0o777, 0o600)

    def test_several_processes_in_one_profile_are_told_apart_by_pid(self):
        with Target("hot") as one, Target(["threads", "sleep", "3"]) as two:
            profile = self.profile(f"{one.pid},{two.pid}")
        pids = {labels["pid"] for _, _, labels in profile.samples}
        self.assertEqual(pids, {one.pid, two.pid})
        self.assertTrue(profile.share(lambda s, l: l["pid"] == two.pid and "busy_one" in s) > 0.1)
        self.assertFalse([s for s, _, l in profile.samples if l["pid"] == two.pid and "hash_blocks" in s])

    def test_rate_and_stack_size_are_taken(self):
        with Target(["threads", "sleep", "0"]) as target:
            fast = self.profile_work(target.pid, "-hz", "1000", "-stack-bytes", "4k")
        self.assertEqual(fast.period, 1_000_000)
        self.assertGreater(fast.total(), 30)

    def test_another_event_has_types_of_its_own(self):
        with Target("hot") as target:
            profile = self.profile_work(target.pid, "-event", "context-switches", "-hz", "1000")
        self.assertEqual(profile.sample_types, [("samples", "count"), ("context-switches", "count")])
        self.assertEqual(profile.default_sample_type, "context-switches")

    def test_events_are_listed_and_unknown_ones_refused(self):
        listed = attach("-event", "list")
        self.assertEqual(listed.returncode, 0)
        self.assertIn("CPU-CLOCK", listed.stdout)
        with Target("hot") as target:
            bogus = attach("-p", target.pid, "-event", "no-such-event")
            self.assertEqual(bogus.returncode, 2, bogus.stderr)
            self.assertIn("-event list", bogus.stderr)
            if "no processor counters" not in listed.stderr:
                self.skipTest("this machine has a PMU, so cycles can be counted")
            missing = attach("-p", target.pid, "-event", "cycles", "-o", self.path("x"))
        self.assertEqual(missing.returncode, 1, missing.stderr)
        self.assertIn("cannot count that event", missing.stderr)
        self.assertFalse(os.path.exists(self.path("x")))

    def test_a_start_waits_for_no_library_that_it_does_not_need(self):
        """libcurl and libpfm4 cost more milliseconds than opening the events; the profile's time is when they are open."""
        for event, wanted in (("cpu-clock", False), ("page-faults", False), ("perf::PAGE-FAULTS", True)):
            with self.subTest(event), Target(["threads", "sleep", "1000"]) as target:
                tool = harness.Process([harness.ATTACH, "-p", str(target.pid), "-seconds", "0", "-event", event, "-o", self.path("x"),
                                         "-f"], stderr=subprocess.PIPE, text=True)
                tool.stderr.readline()
                loaded, deadline = "", time.monotonic() + 60
                while "perf_event" not in loaded and time.monotonic() < deadline:
                    loaded = Path(f"/proc/{tool.pid}/maps").read_text()
                tool.send_signal(signal.SIGINT)
                said = tool.communicate()[1]
                self.assertEqual(tool.returncode, 0, said)
                self.assertEqual("libpfm" in loaded, wanted)
                self.assertNotIn("libcurl", loaded)

    def test_the_thread_created_later_is_seen_with_its_name(self):
        for how in ("cpu", "thread-cpu", "thread"):
            with self.subTest(how), Target(["threads", "churn", "20", "60"]) as target:
                profile = self.profile_work(target.pid, "-open", how, "-hz", "500", ticks=60)
                self.assertGreater(profile.share(lambda s, l: "brief_work" in s), 0.9, self.stderr)
                if how != "thread":  # which looks for new threads every 100 ms
                    self.assertGreaterEqual(profile.total(1) / 1e7, self.worked * 0.7 - 5, "something was missed")
                # Until it notices the interrupt some more may pass.
                self.assertLessEqual(profile.total(1) / 1e7, self.worked * 1.3 + 10, "something was counted twice")
                self.assertTrue(all(l["thread"] == "threads" for _, _, l in profile.samples))

    def test_a_thread_created_while_events_are_opened_is_not_counted_twice(self):
        """Its creator's events are inherited: with events of its own as well it had two clocks."""
        with Target(["threads", "sleep", "1000"]) as target:
            threads = len(os.listdir(f"/proc/{target.pid}/task"))
            tool = subprocess.Popen([harness.ATTACH, "-p", str(target.pid), "-seconds", "0.3", "-open", "thread-cpu", "-v", "-o",
                                     self.path("x")], stderr=subprocess.PIPE, text=True)
            while tool.poll() is None and len(os.listdir(f"/proc/{tool.pid}/fd")) < 300:
                pass
            os.kill(target.pid, signal.SIGUSR1)
            said = tool.communicate()[1]
            self.assertEqual(len(os.listdir(f"/proc/{target.pid}/task")), threads + 20)
        self.assertEqual(tool.returncode, 0, said)
        self.assertEqual(int(re.search(r"\): (\d+) descriptors", said).group(1)), threads * os.cpu_count(), said)

    def test_threads_too_brief_for_a_clock_of_their_own_are_told(self):
        """Ten milliseconds between samples, threads of one: per thread none of them is ever sampled."""
        for how in ("cpu", "thread-cpu"):
            with self.subTest(how), Target(["threads", "churn", "200", "1"]) as target:
                profile = self.profile_work(target.pid, "-open", how, ticks=80)
                text = "\n".join(profile.comments)
                if how == "cpu":
                    self.assertGreater(profile.share(lambda s, l: "brief_work" in s), 0.5)
                    self.assertNotIn("processor time were sampled", self.stderr + text)
                else:
                    self.assertRegex(self.stderr, r"only \d\.\d\d of \d\.\d\d s of processor time were sampled: a thread that "
                                                  r"works for less than 10 ms in all leaves no sample with -open thread-cpu")
                    self.assertIn("warning: only ", text)

    def test_a_walk_that_ends_early_is_marked_and_counted(self):
        with Target(["turns", "lost"]) as target:
            profile = self.profile_work(target.pid, "-v")
        marked = profile.share(lambda s, l: s[-1] == "[truncated]" and "no_way_back" in s)
        self.assertGreater(marked, 0.9)
        truncated = int(re.search(r"truncated stacks: (\d+)", "\n".join(profile.comments)).group(1))
        self.assertEqual(truncated, sum(v[0] for s, v, _ in profile.samples if s[-1] == "[truncated]"))
        self.assertRegex(self.stderr, r"[1-9]\d*\.\d % truncated")

    def test_frames_that_were_guessed_are_told_apart(self):
        def marked(profile):
            return {c.removeprefix("#guessed frame: ") for c in profile.comments if c.startswith("#guessed frame: ")}

        with Target("chain_no_tables_fp") as target:
            profile = self.profile_work(target.pid, ticks=30)
        self.assertLessEqual({"leaf", "middle", "outer"}, marked(profile))
        self.assertNotIn("tick", marked(profile))
        page = run([harness.CPROF, "-flamegraph", "-o", "/dev/stdout", self.path("cpu.pb.gz")]).stdout
        functions = json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', page, re.S).group(1))["functions"]
        self.assertEqual({functions["name"][i] for i in functions["guessed"]}, marked(profile))
        with Target("chain_plain") as target:
            self.assertEqual(marked(self.profile_work(target.pid, ticks=30)), set())

    def test_packed_debug_information_is_unpacked_while_sampling_and_names_the_same(self):
        """By a child of ours that must not be needed: a run that is stopped at once, before it has made anything, has names too."""
        harness.need("objcopy")
        packed = self.path("packed")
        subprocess.run(["objcopy", "--compress-debug-sections=zlib", target_path("hot"), packed], check=True)
        with Target([packed]) as target:
            whole = self.profile_work(target.pid, "-v", "-no-cache", seconds=2)
            said = re.search(r"prepared while sampling: ([\d.]+) MB of debug information", self.stderr)
            self.assertTrue(said, self.stderr)
            self.assertGreater(float(said.group(1)), 0)
            brief = self.profile_work(target.pid, "-no-cache", ticks=20)
        for profile in (whole, brief):
            lines = [loc["lines"] for loc in profile.locations.values()]
            inlined = [[line["name"] for line in names] for names in lines if len(names) > 1]
            self.assertTrue(inlined or profile is brief)
            self.assertTrue(any(line["file"].endswith("tests/targets/hot.c") and line["line"] for names in lines for line in names))

    def test_go_tool_pprof_reads_top_list_and_traces(self):
        pprof = harness.go_pprof()
        out = self.path("cpu.pb.gz")
        with Target("hot") as target:
            self.profile_work(target.pid)
        top = run([*pprof, "-top", out], cwd=self.dir).stdout
        self.assertRegex(top, r"mix_hash \(inline\)")
        listed = run([*pprof, "-list", "hash_blocks", "-source_path", harness.ROOT, out], cwd=self.dir).stdout
        self.assertRegex(listed, r"ROUTINE =+ hash_blocks in .*tests/targets/hot\.c")
        self.assertRegex(listed, r"ms\s+\d+:\s+h = mix_hash\(h, words\[i\] \+ round\);")
        traces = run([*pprof, "-traces", out], cwd=self.dir).stdout
        self.assertRegex(traces, r"hash_blocks[^\n]*\n\s+crunch\n\s+start_thread\n\s+(__)?clone3")

    def test_our_top_names_the_same_hot_function_as_go(self):
        pprof = harness.go_pprof()
        with Target("shapes") as target:
            self.profile_work(target.pid)
        out = self.path("cpu.pb.gz")
        ours = run([harness.CPROF, "-top", out]).stdout
        theirs = run([*pprof, "-top", out], cwd=self.dir).stdout
        rows = lambda text: [line.split() for line in text.split("cum%\n", 1)[1].splitlines()]
        self.assertEqual(rows(ours), rows(theirs))


class Programs(Base):
    """Programs as people run them."""

    def test_cpp_templates_and_inlines_are_named_briefly(self):
        with Target("shapes") as target:
            profile = self.profile_work(target.pid)
        names = {line["name"] for loc in profile.locations.values() for line in loc["lines"]}
        self.assertIn("square", {n.split("<")[0] for n in names})
        self.assertIn("shapes::Polygon::area", names)
        self.assertIn("shapes::survey", names)
        system = {line["system_name"] for loc in profile.locations.values() for line in loc["lines"]}
        self.assertIn("_ZNK6shapes7PolygonILi3EE4areaEm", system)
        self.assertGreaterEqual(rooted_share(profile), 0.99)

    def test_a_static_program(self):
        with Target("hot_static") as target:
            profile = self.profile_work(target.pid)
        self.assertGreater(profile.share(lambda s, l: "crunch" in s or "sorter" in s), 0.97)
        self.assertGreaterEqual(rooted_share(profile), 0.99)

    def test_python_running_a_loop(self):
        python = harness.need("python3.11")
        loop = "import sys\nprint('ready', flush=True)\nx = 0\nwhile True:\n    x = (x * 31 + 7) % 1000003\n"
        with endless([python, "-c", loop]) as target:
            profile = self.profile_work(target.pid)
        self.assertGreater(profile.share(lambda s, l: "_PyEval_EvalFrameDefault" in s), 0.9)
        self.assertGreaterEqual(rooted_share(profile), 0.99)

    def test_redis_under_load(self):
        server, bench = harness.need("redis-server"), harness.need("redis-benchmark")
        socket = self.path("redis.sock")
        process = subprocess.Popen([server, "--port", "0", "--unixsocket", socket, "--save", "", "--daemonize", "no"],
                                   stdout=subprocess.PIPE, text=True)
        try:
            for line in process.stdout:
                if "eady to accept connections" in line or "server is now ready" in line:
                    break
            load = subprocess.Popen([bench, "-s", socket, "-q", "-n", "10000000", "-t", "set"],
                                    stdout=subprocess.DEVNULL)
            try:
                profile = self.profile_work(process.pid, seconds=2)
            finally:
                load.kill()
                load.wait()
            self.assertIsNone(process.poll(), "redis-server died")
        finally:
            process.terminate()
            process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)
        self.assertGreater(profile.total(), 3)
        self.assertEqual(profile.mappings[0]["file"], os.path.realpath(server))
        self.assertGreaterEqual(rooted_share(profile), 0.99)

    def test_a_rust_program(self):
        rustc = harness.need("rustc", "no Rust toolchain is installed")
        source = self.path("spin.rs")
        with open(source, "w") as file:
            file.write("""
mod work {
    #[inline(never)]
    pub fn collatz<T: Into<u64>>(start: T) -> u64 {
        let (mut n, mut steps) = (start.into(), 0);
        while n != 1 { n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 }; steps += 1; }
        steps
    }
}
fn main() {
    println!("pid {}\\nready", std::process::id());
    let mut sum = 0u64;
    for i in (1..u32::MAX).cycle() { let n = work::collatz(i); sum = sum.wrapping_add(unsafe { std::ptr::read_volatile(&n) }); }
    println!("{}", sum);
}
""")
        done = run([rustc, "-O", "-g", "-o", self.path("spin"), source])
        self.assertEqual(done.returncode, 0, done.stderr)
        with endless([self.path("spin")]) as target:
            profile = self.profile_work(target.pid)
        # main's own loop takes some of the time too: a twentieth, give or take.
        self.assertGreater(profile.share(lambda s, l: any("collatz" in name for name in s)), 0.85)
        names = {line["name"] for loc in profile.locations.values() for line in loc["lines"]}
        self.assertIn("spin::work::collatz", names)


if __name__ == "__main__":
    harness.main()
