#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random functions, hooked by the real patch code and run beside themselves unhooked: the short form of tests/generated/run, the same
rounds every time."""

import os
import subprocess
import unittest

import harness


class Generated(unittest.TestCase):
    def test_random_functions_do_hooked_what_they_do_unhooked(self):
        run = os.path.join(harness.ROOT, "tests", "generated", "run")
        result = subprocess.run([run, "1", "1", "60"], capture_output=True, text=True, env=dict(os.environ, CPROF_BUILD=harness.BUILD), check=False)
        if result.returncode == 77:
            self.skipTest(result.stdout.strip())
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r"[1-9]\d* functions")


if __name__ == "__main__":
    harness.main()
