"""Waits that are easily told wrong: idle pools that look like locks, locks that look like pools, owners in other processes."""

import os
import re
import unittest

import harness

IS_ROOT = os.geteuid() == 0
METHODS = ("bpf", "perf") if IS_ROOT else ("perf",)


def kinds_of(profile):
    """{kind: (contention ns, parked ns)} of all samples but those of the pair with the pthread mutex."""
    kinds = {}
    for stack, values, labels in profile.samples:
        if not stack[0].endswith("pthread_mutex_lock"):
            had = kinds.get(labels["kind"], (0, 0))
            kinds[labels["kind"]] = (had[0] + values[1], had[1] + values[3])
    return kinds


class Pools(harness.TempDir):
    """pools.c: who waits for work is not in the default view, who waits for a lock is, whatever futexes they are made of."""

    def profile(self, argv, method, mode="block"):
        """The profile of a program that goes on working afterwards."""
        out = self.path("pools.pb.gz")
        target = harness.Target(argv)
        try:
            before = harness.Footprint(target.pid)
            result = harness.attach("-p", target.pid, "-mode", mode, "-block-method", method, "-seconds", 0.4, "-f", "-o",
                                    out)
            self.assertEqual(result.returncode, 0, result.stderr)
            before.check_unchanged(self)
        except BaseException:
            target.close(check=False)
            raise
        jobs = int(re.search(r"jobs (\d+)", target.close()).group(1))
        self.assertGreater(jobs, 0)
        return harness.Profile.read(out), result.stderr

    def contends(self, argv, method, kind):
        profile, _ = self.profile(argv, method)
        kinds = kinds_of(profile)
        self.assertIn(kind, kinds)
        contention, parked = kinds[kind]
        self.assertGreater(contention, 9 * parked, kinds)

    def parks(self, argv, method, kind, beside=True):
        profile, said = self.profile(argv, method)
        kinds = kinds_of(profile)
        self.assertIn(kind, kinds)
        contention, parked = map(sum, zip(*kinds.values()))
        self.assertGreater(parked, 99 * contention, kinds)
        self.assertNotIn("futex", kinds)
        told = re.search(r"([\d.]+) s in (\d+) waits for work \((.*)\) are not in the default view: .* parked_delay", said)
        self.assertTrue(told, said)
        self.assertAlmostEqual(float(told.group(1)) * 1e9, profile.total(3), delta=1e7)
        self.assertIn(kind, told.group(3))
        self.assertIn(told.group(0), " ".join(profile.comments))
        if beside:  # the one real lock is what the default view shows
            self.assertGreater(profile.share(lambda stack, labels: "waiter" in stack, 1), 0.9)

    def test_idle_pools_are_parked(self):
        for method in METHODS:
            for shape, kind in (("epoch", "park"), ("flag", "park"), ("sem", "semaphore")):
                with self.subTest(method=method, shape=shape):
                    self.parks(["pools", shape], method, kind)

    @unittest.skipUnless(IS_ROOT, "the BPF tier needs root")
    def test_a_counter_with_the_value_of_a_lock_is_none(self):
        self.parks([harness.target_path("pools_nameless"), "two"], "bpf", "park", beside=False)

    def test_glib(self):
        harness.need_library("libglib-2.0.so.0")
        for method in METHODS:
            with self.subTest(method=method):
                self.parks(["pools", "glib"], method, "condvar")

    def test_locks_of_futexes_contend(self):
        for method in METHODS:
            for shape in ("drepper", "parked"):
                with self.subTest(method=method, shape=shape):
                    self.contends([harness.target_path("pools_nameless"), shape], method, "mutex")
            with self.subTest(method=method, shape="ticket"):
                self.contends(["pools", "ticket"], method, "mutex")

    def test_a_semaphore_that_limits_contends(self):
        for method in METHODS:
            with self.subTest(method=method):
                self.contends(["pools", "limit"], method, "semaphore")

    def test_openmp(self):
        program = harness.target_path("pools_openmp")
        if not os.path.exists(program):
            self.skipTest("the compiler has no OpenMP")
        os.environ["OMP_WAIT_POLICY"] = "passive"
        self.addCleanup(os.environ.pop, "OMP_WAIT_POLICY")
        for method in METHODS:
            with self.subTest(method=method):
                self.parks([program], method, "park", beside=False)
        profile, _ = self.profile([program, "critical"], METHODS[0])
        self.assertGreater(kinds_of(profile)["mutex"][0], 0)
        os.environ["OMP_WAIT_POLICY"] = "active"
        self.parks([program], METHODS[0], "park", beside=False)

    def test_tbb(self):
        program = harness.target_path("pools_tbb")
        if not os.path.exists(program):
            self.skipTest("libtbb-dev is not installed")
        for method in METHODS:
            with self.subTest(method=method):
                self.parks([program], method, "park", beside=False)

    def test_in_mutex_mode_who_hands_out_work_is_charged_with_nothing(self):
        for method in METHODS:
            with self.subTest(method=method):
                profile, _ = self.profile(["pools", "epoch"], method, "mutex")
                self.assertEqual(sum(values[1] for stack, values, _ in profile.samples if "holder" not in stack and
                                     "waiter" not in stack), 0)
                profile, _ = self.profile(["pools", "drepper2"], method, "mutex")
                self.assertGreater(sum(values[1] for stack, values, _ in profile.samples if "holds" in stack), 0)


if __name__ == "__main__":
    harness.main()
