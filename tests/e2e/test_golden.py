# SPDX-License-Identifier: Apache-2.0
"""cprof's reports against the original tool's golden outputs, byte for byte.

The data is ../shared/pprof-golden (see its README); where it is missing the tests are skipped and say so.
"""
import os
import subprocess
import tempfile
import unittest

import harness
from harness import CPROF, SHARED

GOLDEN = os.path.join(SHARED, "pprof-golden")
ENVIRONMENT = dict(os.environ, TZ="UTC", PPROF_BINARY_PATH="/nonexist")
# These have no mapping. Reading one from the command line adds an empty one, which the golden text has not.
WITHOUT_MAPPING = {"java.contention", "java.cpu", "java.heap"}


def cprof(arguments):
    run = subprocess.run([CPROF] + arguments, cwd=GOLDEN, env=ENVIRONMENT, timeout=60,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if run.returncode != 0:
        raise AssertionError(f"cprof {' '.join(arguments)}: {run.stderr.decode()}")
    return run.stdout


def cases():
    with open(os.path.join(GOLDEN, "cases.tsv"), encoding="utf-8") as table:
        for line in table:
            if line.startswith("CLI_OK"):
                yield [field.strip() for field in line.rstrip("\n").split("\t")[1:5]]


@unittest.skipUnless(os.path.isdir(GOLDEN), "no ../shared/pprof-golden here")
class Golden(unittest.TestCase):
    maxDiff = 4000

    def compare(self, got, path):
        with open(path, "rb") as golden:
            want = golden.read()
        self.assertEqual(got.decode("utf-8", "replace"), want.decode("utf-8", "replace"), path)

    def test_every_case_of_the_table_prints_its_golden_output(self):
        count = 0
        for first, arguments, source, golden in cases():
            count += 1
            with self.subTest(golden=golden, arguments=arguments):
                source = os.path.join("inputs", source)
                with tempfile.TemporaryDirectory() as scratch:
                    if first:
                        saved = os.path.join(scratch, "first.pb.gz")
                        with open(saved, "wb") as out:
                            out.write(cprof(first.split() + [source]))
                        source = saved
                    got = cprof(arguments.split() + [source])
                self.compare(got, os.path.join(GOLDEN, "golden", golden))
        self.assertEqual(count, 48)

    def test_old_formats_read_as_the_original_tool_reads_them(self):
        folder = os.path.join(GOLDEN, "profile_testdata")
        count = 0
        for name in sorted(os.listdir(folder)):
            if not os.path.exists(os.path.join(folder, name + ".string")):
                continue
            count += 1
            with self.subTest(name=name):
                got = cprof(["-raw", "-symbolize=none", "-all_frames", os.path.join(folder, name)])
                if name in WITHOUT_MAPPING:
                    got = got.replace(b" M=1 ", b" ").replace(b"1: 0x0/0x0/0x0   \n", b"")
                self.compare(got, os.path.join(folder, name + ".string"))
        self.assertEqual(count, 14)


if __name__ == "__main__":
    harness.main()
