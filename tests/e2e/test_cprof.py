# SPDX-License-Identifier: Apache-2.0
"""The program cprof as its users meet it: files, pipes, URLs, the shell, pictures, and everything that can be wrong."""

import contextlib
import fcntl
import gzip
import http.server
import json
import os
import pty
import re
import select
import shutil
import subprocess
import tempfile
import termios
import threading
import time
import unittest

import harness
from harness import BUILD, CPROF, ROOT

FOLDED = b"main;work;spin 60\nmain;work 30\nmain;idle 10\n"


def cprof(*arguments, stdin=None, status=0, env=None, cwd=None):
    run = subprocess.run([CPROF, *arguments], input=stdin, timeout=60, check=False, cwd=cwd,
                         env=dict(os.environ, TZ="UTC", **(env or {})), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if run.returncode != status:
        raise AssertionError(f"{arguments}: exit {run.returncode}, want {status}: {run.stderr.decode()}")
    return run.stdout, run.stderr.decode()


def children(pid):
    """The names of a process's children."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as pids:
        names = []
        for child in pids.read().split():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may have ended meanwhile
                with open(f"/proc/{child}/comm", encoding="ascii", errors="replace") as name:
                    names.append(name.read().strip())
        return names


class Server(http.server.BaseHTTPRequestHandler):
    profile = b""
    asked = []
    together = threading.Barrier(2, timeout=60)

    def do_GET(self):  # noqa: N802, the base class's name
        Server.asked.append(self.path)
        if self.path.startswith("/busy"):
            self.answer(500, "text/plain; charset=utf-8", b"Could not enable CPU profiling: in use\n")
        elif self.path.startswith("/together"):
            Server.together.wait()  # nobody gets an answer before both have asked
            self.answer(200, "application/octet-stream", Server.profile)
        else:
            self.answer(200, "application/octet-stream", Server.profile)

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Symbols(http.server.BaseHTTPRequestHandler):
    """A server of profiles that are text, and of the names to their addresses."""
    only_get = False
    heap = b"heap profile: 4: 400 [4: 400] @ heapprofile\n3: 300 [3: 300] @ 0x1001 0x2001\n1: 100 [1: 100] @ 0x2001\n"
    names = {0x1000: b"inner", 0x2000: b"outer(int)"}

    def do_GET(self):  # noqa: N802
        path, _, query = self.path.partition("?")
        if path.endswith("/heap"):
            self.answer(200, Symbols.heap)
        elif path in ("/debug/pprof/symbol", "/pprof/symbol"):
            self.name(query)
        else:
            self.answer(404, b"")

    def do_POST(self):  # noqa: N802
        addresses = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.only_get or not self.path.endswith("/symbol"):
            self.answer(405 if self.only_get and self.path.endswith("/symbol") else 404, b"")
        else:
            self.name(addresses)

    def name(self, addresses):
        known = [(a, Symbols.names[int(a, 16)]) for a in addresses.split("+") if int(a, 16) in Symbols.names]
        self.answer(200, b"num_symbols: 1\n" + b"".join(b"%s\t%s\n" % (a.encode(), name) for a, name in known))

    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Cprof(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.file = os.path.join(cls.folder.name, "a.pb.gz")
        cls.proto, _ = cprof("-proto", "-", stdin=FOLDED)
        with open(cls.file, "wb") as out:
            out.write(cls.proto)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def test_protoc_reads_what_proto_writes(self):
        if not shutil.which("protoc"):
            self.skipTest("protoc is not installed")
        text = subprocess.run(["protoc", "--decode=perftools.profiles.Profile", f"-I{ROOT}/convert/profile", "profile.proto"],
                              input=gzip.decompress(self.proto), stdout=subprocess.PIPE, check=True).stdout.decode()
        self.assertEqual(sorted(re.findall(r"value: (\d+)", text)), ["10", "30", "60"])
        self.assertIn('string_table: "spin"', text)

    def test_raw_shows_the_numbers_that_a_file_gives_its_parts(self):
        inner, outer = bytes([8, 0xe8, 7, 16, 7, 24, 9]), bytes([8, 2, 24, 5])  # locations 1000 (of mapping 7) and 2
        wire = (b"\x0a\x02\x08\x01" + b"\x12\x07\x08\xe8\x07\x08\x02\x10\x03" + b"\x1a\x02\x08\x07" + b"\x22\x07" + inner +
                b"\x22\x04" + outer + b"\x32\x00\x32\x01n")
        out, _ = cprof("-raw", "-", stdin=wire)
        self.assertIn(b"          3: 1000 2 \nLocations\n  1000: 0x9 M=7 \n     2: 0x5 \nMappings\n7: ", out)

    def test_several_files_add_up_and_a_base_is_taken_away(self):
        out, _ = cprof("-top", self.file, self.file)
        self.assertIn(b"of 200 total", out)
        out, _ = cprof("-top", "-base", self.file, self.file, self.file)
        self.assertIn(b"of 100 total", out)
        out, _ = cprof("-top", "-diff_base", self.file, self.file)
        self.assertIn(b"accounting for 0", out)

    def test_a_missing_file_is_said_and_left_out_where_there_are_others(self):
        out, err = cprof("-top", self.file, self.path("nowhere"))
        self.assertIn(b"of 100 total", out)
        self.assertIn("nowhere: open", err)
        self.assertIn("Fetched 1 source profiles out of 2", err)
        _, err = cprof("-top", self.path("nowhere"), status=1)
        self.assertIn("No such file or directory", err)

    def test_a_device_without_an_end_is_not_read_for_ever(self):
        _, err = cprof("-top", "/dev/zero", status=1)
        self.assertIn("/dev/zero: more than 64 MB; no profile is that large", err)

    def test_usage_errors_exit_with_2_and_name_the_way_out(self):
        for arguments, want in ((["-topp", self.file], "did you mean -top"), (["-top"], "no profile source"),
                                (["-top", "-tree", self.file], "at most one output format"),
                                (["-top", "-base=a", "-diff_base=b", self.file], "cannot both be specified"),
                                (["-top", "-normalize", self.file], "must have base profile"),
                                (["-top", "-cum", "-flat", self.file], "conflicting options set"),
                                (["-top", "-focus=(a", self.file], "parsing focus regexp: error parsing regexp: missing closing )"),
                                (["-top", "-focus=(?=a)b", self.file], "unsupported Perl syntax"),
                                (["-top", "-symbolize=nnone", self.file], '"nnone" is neither a mode nor a file'),
                                (["-top", "-sample_index=nope", self.file], "must be one of: [samples]")):
            with self.subTest(arguments=arguments):
                _, err = cprof(*arguments, status=2)
                self.assertIn(want, err)

    def test_modes_of_symbolizing_are_words_in_any_case(self):
        self.assertEqual(cprof("-top", "-symbolize=None:Demangle=FULL", self.file), cprof("-top", "-symbolize=none", self.file))

    def test_the_habits_of_other_tools_lead_to_what_is_here(self):
        options = set(re.findall(r"^  -(\w+)", cprof("-help")[0].decode(), re.M))
        with open(os.path.join(ROOT, "convert/cli/cprof.c"), encoding="utf-8") as source:
            habits = re.search(r"habits\[\] = \{(.*?)\n\};", source.read(), re.S)[1]
        rows = re.findall(r'\{ "([^"]*)",\s*"([^"]*)" \}', habits)
        self.assertGreater(len(rows), 10)
        for typed, hint in rows:
            for word in typed.split():
                self.assertNotIn(word, options, "nobody sees the hint")
            for name in re.findall(r"did you mean -(\w+)", hint):
                self.assertIn(name, options, hint)
        for argument, want in (("-ui", "-http=127.0.0.1:8999"), ("--collapsed", "-folded"), ("-tpo", "-top"), ("-zzz", "-help lists")):
            _, said = cprof(argument, self.file, status=2)
            self.assertIn(want, said)
        self.assertNotIn("did you mean", cprof("-quux", self.file, status=2)[1])

    def test_a_damaged_file_gives_its_offset_and_exit_1(self):
        plain = gzip.decompress(self.proto)
        for cut in range(1, len(plain), 7):
            run = subprocess.run([CPROF, "-top", "-"], input=plain[:cut], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, check=False, timeout=60)
            self.assertIn(run.returncode, (0, 1))
            if run.returncode:
                self.assertRegex(run.stderr.decode(), r"byte \d+|no samples")
        _, err = cprof("-top", "-", stdin=self.proto[:40], status=1)
        self.assertIn("the data ends early at byte 40", err)

    def test_urls_are_fetched_at_the_same_time_with_seconds_and_kept(self):
        Server.profile = self.proto
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_port}"
        saved = self.path("saved")
        try:
            out, err = cprof("-top", "-seconds=3", f"{host}/debug/pprof/profile", env={"PPROF_TMPDIR": saved})
            self.assertIn(b"of 100 total", out)
            self.assertEqual(Server.asked[-1], "/debug/pprof/profile?seconds=3")
            self.assertIn("Please wait... (3s)", err)
            kept = [os.path.join(saved, name) for name in os.listdir(saved)]
            self.assertEqual(cprof("-top", kept[0])[0], out)
            cprof("-top", f"http://{host}/p?seconds=5&x=1", env={"PPROF_TMPDIR": saved})
            self.assertEqual(Server.asked[-1], "/p?seconds=5&x=1")
            out, _ = cprof("-top", f"{host}/together/1", f"http://{host}/together/2", env={"PPROF_TMPDIR": saved})
            self.assertIn(b"of 200 total", out)
            cprof("-top", "-seconds=2", host, env={"PPROF_TMPDIR": saved})
            self.assertEqual(Server.asked[-1], "/debug/pprof/profile?seconds=2")
            _, err = cprof("-top", f"http://{host}/busy", status=1)
            self.assertIn("the server answers 500: Could not enable CPU profiling: in use", err)
        finally:
            server.shutdown()
            server.server_close()
        _, err = cprof("-top", f"http://{host}/gone", status=1)
        self.assertIn("connect", err)

    def test_addresses_are_named_by_the_server_that_they_came_from(self):
        for only_get in (False, True):  # Go's own server takes no POST there since its version 1.22
            with self.subTest(only_get=only_get):
                server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Server", (Symbols,), {"only_get": only_get}))
                threading.Thread(target=server.serve_forever, daemon=True).start()
                url = f"http://127.0.0.1:{server.server_port}"
                try:
                    for path in ("/debug/pprof/heap?debug=1", "/pprof/heap"):
                        out, err = cprof("-top", url + path, env={"PPROF_TMPDIR": self.path("named")})
                        self.assertRegex(out, rb"300B 75.00% .* inner\n")
                        self.assertRegex(out, rb"100B .* 400B +100%  outer\(int\)\n")
                        self.assertNotIn("names from", err)
                    out, _ = cprof("-top", "-symbolize=local", url + "/pprof/heap", env={"PPROF_TMPDIR": self.path("named")})
                    self.assertNotIn(b"inner", out)
                    out, err = cprof("-top", url + "/other/heap", env={"PPROF_TMPDIR": self.path("named")})
                    self.assertIn(b"of 400B total", out)  # without names, but not without a report
                    self.assertIn(f"names from {url}/other/symbolz: the server answers 404", err)
                finally:
                    server.shutdown()
                    server.server_close()

    def test_what_is_no_profile_is_called_by_its_name(self):
        for start, what, hint in ((b"PERFILE2\0\0", "a recording of perf", "perf script -i FILE"),
                                  (b"\x7fELF\2\1", "a program", "cprof PROGRAM PROFILE"),
                                  (b"\n <!DOCTYPE html>", "from byte 2 on it is a web page", "/debug/pprof/heap"),
                                  (b"\x28\xb5\x2f\xfd\0", "compressed with zstd", "zstd -dc"),
                                  (b"go 1.19 trace\0\0\0", "an execution trace", "go tool trace"),
                                  (b"goroutine 1 [running]:\n", "stacks of goroutines", "debug=1"),
                                  (b"dear diary\n", "text of no known kind: dear diary", "as text it is none of"),
                                  (b"\xfd7zXZ\0main;b 3\nmain;c 4\n", "compressed with xz", "xz -dc"),
                                  (b"\xff\xfe\0\0m\0\0\0", "text in UTF-32", "iconv"),
                                  (b"FLR\0\0\2", "a recording of Java's flight recorder", "jfrconv")):
            with self.subTest(start=start):
                _, err = cprof("-top", "-", stdin=start, status=1)
                self.assertIn(what, err)
                self.assertIn(hint, err)

    def test_heap_dumps_of_jemalloc_are_named_cut_and_compared(self):
        jemalloc = harness.need_library("libjemalloc.so.2")
        harness.need("gcc")
        with open(self.path("leaks.c"), "w", encoding="ascii") as out:
            out.write("""#include <stdlib.h>
#define NOINLINE __attribute__((noinline, noclone))
NOINLINE void keep(void *p) { __asm__ volatile("" : : "r"(p) : "memory"); }
NOINLINE void leak_early(size_t n) { keep(malloc(n)); keep(0); }
NOINLINE void leak_late(size_t n) { keep(malloc(n)); keep(0); }
int mallctl(const char *, void *, size_t *, void *, size_t);
int main(int argc, char **argv)
{
	for (int i = 0; i < 100; i++)
		leak_early(10240);
	if (mallctl("prof.dump", 0, 0, &argv[1], sizeof(char *)))
		return 1;
	for (int i = 0; i < 50; i++)
		leak_late(20480);
	return mallctl("prof.dump", 0, 0, &argv[2], sizeof(char *)) != 0;
}
""")
        program, first, second = self.path("leaks"), self.path("first.heap"), self.path("second.heap")
        subprocess.run(["gcc", "-g", "-O1", "-o", program, self.path("leaks.c"), jemalloc], check=True)
        # Each allocation is a sample, so the numbers are exact.
        done = subprocess.run([program, first, second], env={"MALLOC_CONF": "prof:true,lg_prof_sample:0"}, check=False)
        if done.returncode:
            self.skipTest("this jemalloc is built without profiling")
        top, _ = cprof("-top", "-unit=bytes", second)
        self.assertRegex(top, rb"1024000B .* leak_early\n")
        self.assertRegex(top, rb"1024000B .* leak_late\n")
        self.assertNotIn(b"libjemalloc", top)
        self.assertIn(b"libjemalloc", cprof("-top", "-all_frames", second)[0])
        grown, _ = cprof("-top", "-unit=bytes", "-base", first, second)
        self.assertRegex(grown, rb"1024000B .* leak_late\n")
        self.assertNotRegex(grown, rb"[1-9]\d*B .* leak_early\n")

    def test_the_shell_works_on_a_pipe(self):
        target = self.path("out.txt")
        lines = f"top1\ntop 2 -cum\nfocus=idle\ntop\n:\ntree > {target}\ntpo\nmovements\nsample_index=7\no\nhelp peek\nq\ntop\n"
        out, err = cprof(self.file, stdin=lines.encode())
        text = out.decode()
        self.assertEqual(text.count("flat%"), 3)  # nothing after q
        self.assertIn("Showing top 1 nodes out of 4", text)
        self.assertIn("Active filters:\n   focus=idle", text)
        self.assertIn("peek RE", text)
        self.assertIn('unrecognized command: "tpo"', err)
        self.assertIn("movements: there are no two sides to compare\nhint: begin with cprof -diff_base", err)
        self.assertIn(b"Nothing changed", cprof("-diff_base", self.file, self.file, stdin=b"movements\n")[0])
        self.assertIn("sample_index \"7\" must be one of", err)
        self.assertIn("granularity               = functions", err)
        with open(target, encoding="utf-8") as saved:
            self.assertIn("spin", saved.read())

    def test_the_shell_takes_its_pictures_with_it(self):
        folder, browser = self.path("pictures"), self.path("browser")
        os.mkdir(folder)
        with open(browser, "w", encoding="ascii") as script:  # says what it was given, and that others cannot read it
            script.write(f"#!/bin/sh\nstat -c '%a %n' \"$1\" >> {folder}.said\necho seen > {folder}.pipe\n")
        os.chmod(browser, 0o755)
        os.mkfifo(folder + ".pipe")
        shell = subprocess.Popen([CPROF, self.file], stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                 env=dict(os.environ, TMPDIR=folder, BROWSER=browser))
        shell.stdin.write(b"weblist main\n")
        shell.stdin.flush()
        with open(folder + ".pipe", encoding="ascii") as pipe:
            self.assertEqual(pipe.read(), "seen\n")
        self.assertEqual(len(os.listdir(folder)), 1)
        shell.communicate(b"quit\n", timeout=60)
        self.assertEqual(shell.returncode, 0)
        with open(folder + ".said", encoding="ascii") as said:
            self.assertRegex(said.read(), rf"^600 {folder}/cprof-\w{{6}}/cprof001\.html\n$")
        self.assertEqual(os.listdir(folder), [])

    def test_the_shell_edits_completes_and_remembers_on_a_terminal(self):
        master, slave = pty.openpty()
        shell = subprocess.Popen([CPROF, self.file], stdin=slave, stdout=slave, stderr=subprocess.DEVNULL, close_fds=True,
                                 start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                 env=dict(os.environ, TERM="dumb", HOME=self.folder.name, XDG_STATE_HOME=""))
        os.close(slave)
        seen = b""

        def wait_for(what):
            nonlocal seen
            while what not in seen:
                ready, _, _ = select.select([master], [], [], 60)
                self.assertTrue(ready, f"no {what!r} in {seen!r}")
                seen += os.read(master, 4096)
            seen = seen[seen.index(what) + len(what):]

        def wait_for_prompt():
            """libedit writes the prompt before it takes the keys: a Ctrl-D in between is the terminal's, not the shell's."""
            wait_for(b"(cprof) ")
            while termios.tcgetattr(master)[3] & termios.ICANON:
                time.sleep(0.001)

        try:
            wait_for_prompt()
            os.write(master, b"topp\b2\n")  # a letter taken back
            wait_for(b"Showing top 2 nodes out of 4")
            wait_for_prompt()
            os.write(master, b"foc\t=idle\n")
            wait_for(b"=idle")  # completing draws the prompt again
            wait_for_prompt()
            os.write(master, b"top\n")
            wait_for(b"focus=idle")
            wait_for_prompt()
            for typed, whole in ((b"sort=c\t", b"sort=cum"), (b"granularity = filef\t", b"= filefunctions"), (b"trim=t\t", b"trim=true"),
                                 (b"sample_index=s\t", b"sample_index=samples"), (b"granularity=fu\t", b"granularity=functions")):
                os.write(master, typed + b"\n")
                wait_for(whole)
                wait_for_prompt()
            os.write(master, b"unwanted\x03")  # Ctrl-C gives up the line
            wait_for_prompt()
            os.mkfifo(self.path("nobody_reads"))
            os.write(master, f"top > {self.path('nobody_reads')}\n".encode())
            wait_for(b"nobody_reads")
            while "cprof" not in children(shell.pid):  # the report waits for a reader that never comes
                time.sleep(0.02)
            os.write(master, b"\x03")  # ... and a report that takes too long
            wait_for_prompt()
            os.write(master, b"top\n")  # nothing of what was set is lost
            wait_for(b"focus=idle")
            wait_for_prompt()
            os.write(master, b"\x04")
            wait_for(b"\n")  # the next prompt begins a line of its own
            self.assertEqual(shell.wait(20), 0)
        finally:
            shell.kill()
            os.close(master)
        with open(self.path(".cprof_history"), encoding="utf-8") as history:
            self.assertIn("top2", history.read())

    def test_files_for_browsers_and_programs_are_not_poured_over_a_terminal(self):
        for report, suffix in (("flamegraph", "html"), ("speedscope", "speedscope.json"), ("proto", "pb.gz"), ("callgrind", "callgrind")):
            with self.subTest(report):
                folder = self.path(f"terminal-{report}")
                os.mkdir(folder)
                master, slave = pty.openpty()
                done = subprocess.run([CPROF, f"-{report}", self.file], stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.PIPE,
                                      cwd=folder, timeout=60, check=True)
                os.close(slave)
                self.assertIn(f"profile001.{suffix}", done.stderr.decode())
                self.assertEqual(os.listdir(folder), [f"profile001.{suffix}"])
                with self.assertRaises(OSError):  # nothing was written, and nobody is left to write
                    os.read(master, 1)
                os.close(master)
                self.assertTrue(cprof(f"-{report}", self.file)[0])  # a pipe gets it as ever

    def test_our_own_formats_say_what_the_profile_says(self):
        out, _ = cprof("-folded", self.file)
        self.assertEqual(sorted(out.splitlines()), sorted(FOLDED.splitlines()))
        data = json.loads(cprof("-json", self.file)[0])
        self.assertEqual({node["name"]: (node["flat"], node["cum"]) for node in data["nodes"]},
                         {"spin": (60, 60), "work": (30, 90), "idle": (10, 10), "main": (0, 100)})
        self.assertEqual(len(data["calls"]), 3)
        scope = json.loads(cprof("-speedscope", self.file)[0])
        self.assertEqual(sum(scope["profiles"][0]["weights"]), 100)
        self.assertEqual(scope["profiles"][0]["endValue"], 100)
        stack = scope["profiles"][0]["samples"][0]
        self.assertEqual([scope["shared"]["frames"][frame]["name"] for frame in stack], ["main", "work", "spin"])

    def test_graphviz_draws(self):
        harness.need("dot", "Graphviz is not installed")
        self.assertTrue(cprof("-svg", self.file)[0].lstrip().startswith(b"<?xml"))
        self.assertTrue(cprof("-png", self.file)[0].startswith(b"\x89PNG"))

    def test_the_absence_of_graphviz_is_explained(self):
        _, err = cprof("-svg", self.file, status=1, env={"PATH": "/nonexistent"})
        self.assertIn("`dot` of Graphviz is not installed", err)
        self.assertIn("apt-get install graphviz", err)

    def test_web_hands_the_picture_to_the_browser(self):
        harness.need("dot", "Graphviz is not installed")
        browser = self.path("browser")
        with open(browser, "w", encoding="utf-8") as script:
            script.write(f"#!/bin/sh\ncp \"$1\" {self.path('shown')}\n")
        os.chmod(browser, 0o755)
        cprof("-web", self.file, env={"BROWSER": browser, "TMPDIR": self.folder.name})
        with open(self.path("shown"), "rb") as shown:
            self.assertIn(b"<svg", shown.read())

    def test_disasm_and_weblist_show_the_code_of_a_program(self):
        program = os.path.join(BUILD, "targets", "hot")
        if not shutil.which("objdump") or not os.path.exists(program):
            self.skipTest("no objdump or no target program")
        symbols = subprocess.run(["nm", "-C", program], stdout=subprocess.PIPE, text=True, check=True).stdout
        address = int(next(line.split()[0] for line in symbols.splitlines() if line.endswith(" T main")), 16)
        script = f"hot 1/1 1.0: 1000000 cpu-clock:\n\t{address:x} main+0x0 ({program})\n\n"
        out = cprof("-disasm=^main$", "-", stdin=script.encode())[0].decode()
        self.assertIn("ROUTINE ======================== main\n", out)
        self.assertRegex(out, rf"1ms +1ms +{address:x}: [a-z]")
        page = self.path("w.html")
        cprof("-weblist=main", f"-output={page}", "-", stdin=script.encode())
        with open(page, encoding="utf-8") as text:
            self.assertIn("<h2>main", text.read())
        _, err = cprof("-disasm=nothing_like_it", "-", stdin=script.encode(), status=1)
        self.assertIn("no matches found for regexp: nothing_like_it", err)

    def test_functions_beside_each_other_cost_one_run_of_objdump(self):
        program = os.path.join(BUILD, "targets", "hot")
        if not shutil.which("objdump") or not os.path.exists(program):
            self.skipTest("no objdump or no target program")
        runs = self.path("runs")
        with open(os.open(self.path("objdump"), os.O_CREAT | os.O_WRONLY, 0o755), "w", encoding="utf-8") as script:
            script.write(f"#!/bin/sh\necho run >>{runs}\nexec {shutil.which('objdump')} \"$@\"\n")
        symbols = subprocess.run(["nm", program], stdout=subprocess.PIPE, text=True, check=True).stdout
        names = {line.split()[2]: line.split()[0] for line in symbols.splitlines() if line.endswith((" T main", " T _start"))}
        self.assertEqual(len(names), 2)
        samples = "".join(f"hot 1/1 1.0: 1000000 cpu-clock:\n\t{address} {name}+0x0 ({program})\n\n" for name, address in names.items())
        out = cprof("-disasm=^(main|_start)$", f"-tools={self.folder.name}", "-", stdin=samples.encode())[0].decode()
        for name, address in names.items():
            self.assertRegex(out, rf"ROUTINE =+ {name}\n.*\n +1ms +1ms +{int(address, 16):x}: [a-z]")
        with open(runs, encoding="utf-8") as file:
            self.assertEqual(file.read(), "run\n")

    def test_weblist_shows_an_instruction_once_whatever_byte_of_it_was_recorded(self):
        """Callers are recorded one byte before their return address, leaves at their own: both are rows of one call."""
        program = os.path.join(BUILD, "targets", "hot")
        if not shutil.which("objdump") or not os.path.exists(program):
            self.skipTest("no objdump or no target program")
        code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", program], stdout=subprocess.PIPE, text=True, check=True).stdout
        lines = code[code.index("<main>:"):].splitlines()
        at = next(i for i, line in enumerate(lines) if "call" in line)
        call, behind = (int(line.split(":")[0], 16) for line in lines[at:at + 2])
        script = "".join(f"hot 1/1 1.0: {weight} cpu-clock:\n\t{address:x} main+0x0 ({program})\n  hot.c:7\n\n"
                         for address, weight in ((call, 1000), (behind - 1, 2000), (call + 1, 4000)))
        page = self.path("once.html")
        cprof("-weblist=^main$", f"-output={page}", "-unit=us", "-", stdin=script.encode())
        with open(page, encoding="utf-8") as text:
            rows = [line for line in re.sub("<[^>]*>", "\n", text.read()).splitlines() if "call" in line and f" {call:x}: " in line]
        self.assertEqual(len(rows), 1, rows)
        self.assertEqual(rows[0].split()[:2], ["7us", "7us"], rows)

    def test_all_frames_makes_files_that_drop_none(self):
        heap = b"heap profile: 1: 100 [1: 100] @ heapprofile\n1: 100 [1: 100] @ 0x1001\n"
        kept, _ = cprof("-proto", "-output=/dev/stdout", "-", stdin=heap)
        none, _ = cprof("-all_frames", "-proto", "-output=/dev/stdout", "-", stdin=heap)
        self.assertIn(b"tc_malloc", gzip.decompress(kept))
        self.assertNotIn(b"tc_malloc", gzip.decompress(none))

    def test_a_reader_that_goes_away_ends_the_report_quietly(self):
        many = b"".join(b"a;b%d 1\n" % i for i in range(50000))
        run = subprocess.run(f"{CPROF} -traces - | head -1", shell=True, input=many, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, check=True, timeout=60)
        self.assertEqual(run.stdout, b"Type: samples\n")


if __name__ == "__main__":
    harness.main()
