# SPDX-License-Identifier: Apache-2.0
"""cprof on other programs' texts: what does not belong there is told once and left out, and reports are made of the rest."""
import os
import subprocess
import tempfile
import unittest

import harness
from harness import CPROF

ODD = b"main;work 5\nWARNING: 3 samples lost\nmain;work;leaf 7\nmain;cut o"
PERF = (b"Warning: Processed 9 events and lost 1 chunks!\n\n"
        b"app 100 [000]    10.000001: syscalls:sys_exit_read: 0xfffffffffffffffe\n"
        b"\t    7f0000001000 leaf+0xb (/usr/lib/libc.so.6)\n\t          401010 main+0x10 (/usr/bin/app)\n\n"
        b"app 100 [000]    10.000002: syscalls:sys_exit_read: 7f3bb4a0b000\n"
        b"\t    7f0000001000 leaf+0xb (/usr/lib/libc.so.6)\n\t          401010 main+0x10 (/usr/bin/app)\n")


def cprof(*arguments, stdin, status=0):
    run = subprocess.run([CPROF, *arguments], input=stdin, timeout=60, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if run.returncode != status:
        raise AssertionError(f"{arguments}: exit {run.returncode}: {run.stderr.decode()}")
    return run.stdout.decode(), run.stderr.decode()


class ViewerTexts(unittest.TestCase):
    def test_odd_lines_are_told_once_on_standard_error(self):
        for report in ("-top", "-tree", "-folded", "-json", "-comments"):
            out, err = cprof(report, "-", stdin=ODD)
            self.assertEqual((out + err).count("left out"), 1, out + err)
            self.assertIn("-: 2 lines were left out, the first at byte 12: not \"FRAME;FRAME COUNT\": WARNING: 3 samples lost", err)
        self.assertEqual(cprof("-folded", "-", stdin=ODD)[0], "main;work 5\nmain;work;leaf 7\n")
        self.assertNotIn("left out", cprof("-top", "-", stdin=b"main;a 1\n")[1])

    def test_the_shell_tells_them_once(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(ODD)
            file.flush()
            out, err = cprof(file.name, stdin=b"top\ntop\ntree\n")
            self.assertEqual((out + err).count("left out"), 1, out + err)

    def test_a_file_that_is_made_of_them_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            made = os.path.join(folder, "made.pb.gz")
            cprof("-proto", f"-output={made}", "-", stdin=ODD)
            self.assertIn("2 lines were left out", cprof("-comments", made, stdin=b"")[0])

    def test_what_tracepoints_return_is_no_frame(self):
        out, err = cprof("-top", "-", stdin=PERF)
        self.assertRegex(out, r"(?m)^ +2 +100% +100% +2 +100% +leaf$")
        self.assertNotIn("<unknown>", out)
        self.assertIn("1 line was left out, at byte 0", err)

    def test_text_of_another_system_is_read(self):
        for encoded in (ODD.decode().encode("utf-16"), b"\xef\xbb\xbf" + ODD, ODD.replace(b"\n", b"\r\n")):
            self.assertEqual(cprof("-folded", "-", stdin=encoded)[0], "main;work 5\nmain;work;leaf 7\n")

    def test_two_counts_are_two_sample_types(self):
        text = b"main;a 5 7\nmain;b 2 9\n"
        out, err = cprof("-folded", "-", stdin=text)
        self.assertEqual(out, "main;a 7\nmain;b 9\n")
        self.assertIn('"after", is shown', err)
        self.assertEqual(cprof("-folded", "-sample_index=before", "-", stdin=text)[0], "main;a 5\nmain;b 2\n")

    def test_a_text_that_is_no_profile_is_still_refused(self):
        for text in (b"just some text\n", b"a\nb\nc 3\n", b"{\"a\": 3}\n", b"<html>\nx 1\n</html>\n"):
            _, err = cprof("-top", "-", stdin=text, status=1)
            self.assertTrue(err.startswith("cprof: "), err)


if __name__ == "__main__":
    harness.main()
