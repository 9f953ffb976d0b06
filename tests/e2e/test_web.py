# SPDX-License-Identifier: Apache-2.0
"""cprof -http: its pages' numbers against the text reports, what it refuses, and the pages in a browser where there is one."""

import contextlib
import http.client
import http.server
import itertools
import json
import os
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
import urllib.parse

import harness
import profile_shapes as shapes
from harness import CPROF, SHARED

GOLDEN = os.path.join(SHARED, "pprof-golden")
ENVIRONMENT = dict(os.environ, TZ="UTC", PPROF_BINARY_PATH="/nonexist")


def golden(name):
    path = os.path.join(GOLDEN, "inputs", name)
    if not os.path.exists(path):
        raise unittest.SkipTest("no ../shared/pprof-golden here")
    return path


def cprof(*arguments, cwd=None, status=0):
    run = subprocess.run([CPROF, *arguments], timeout=100, check=False, env=ENVIRONMENT, cwd=cwd, capture_output=True)
    if run.returncode != status:
        raise AssertionError(f"{arguments}: exit {run.returncode}: {run.stderr.decode()}")
    return run.stdout


def heap_with_a_history():
    """What -leaks records, as the fuzzer has it behind the byte that chooses a report."""
    file = tempfile.NamedTemporaryFile(suffix=".pb.gz")
    with open(os.path.join(harness.ROOT, "tests", "fuzz", "corpus", "input_format", "leaks"), "rb") as seed:
        file.write(seed.read()[1:])
    file.flush()
    return file


class Server:
    """cprof -http on a free port, for the time of a with."""

    def __init__(self, *arguments, address="127.0.0.1:0", cwd=None, environment=None, browser=False):
        self.process = subprocess.Popen([CPROF, f"-http={address}", *([] if browser else ["-no_browser"]), *arguments],
                                        env=environment or ENVIRONMENT, cwd=cwd, text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.said = []
        for line in self.process.stderr:
            self.said.append(line)
            found = re.search(r"Serving web UI on (http://127\.0\.0\.1:(\d+)|unix:.*)", line)
            if found:
                self.url, self.port = found.group(1), int(found.group(2) or 0)
                return
        raise AssertionError(f"it did not start: {self.said}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=60)
        if self.process.returncode or "Sanitizer" in said:
            raise AssertionError(f"exit {self.process.returncode}: {said}")

    def ask(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=100)
        with contextlib.closing(connection):
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def json(self, page, status=200, **query):
        got, _, body = self.ask(f"/{page}?{urllib.parse.urlencode(query)}", Accept="application/json")
        if got != status:
            raise AssertionError(f"{page} {query}: {got}: {body[:300]}")
        return json.loads(body)

    def text(self, page, **query):
        got, _, body = self.ask(f"/{page}?{urllib.parse.urlencode(dict(query, format='text'))}")
        if got != 200:
            raise AssertionError(f"{page} {query}: {got}: {body[:300]}")
        return body


def values(nodes):
    return [(node["name"], node["flat"], node["cum"]) for node in nodes]


class Numbers(unittest.TestCase):
    """A page says what the command line says."""

    INPUTS = {"cpu.pb.gz": ["samples", "cpu"], "heap.pb.gz": ["inuse_space", "inuse_objects"], "go_mutex.pb.gz": ["delay"], "redis_inlines.pb.gz": [None]}

    def test_tables_have_the_values_of_the_reports(self):
        for name, types in self.INPUTS.items():
            path = golden(name)
            with self.subTest(name), Server("-symbolize=none", path) as server:
                for si in types:
                    query, options = ({"si": si}, [f"-sample_index={si}"]) if si else ({}, [])
                    data = server.json("top", **query)
                    report = json.loads(cprof("-json", "-symbolize=none", *options, path))
                    self.assertEqual(values(data["nodes"]), values(report["nodes"]))
                    self.assertEqual((data["total"], data["unit"]), (report["total"], report["unit"]))
                    self.assertEqual(server.text("top", **query), cprof("-top", "-symbolize=none", *options, path))

    def test_every_page_has_the_text_of_its_report(self):
        path = golden("cpu.pb.gz")
        with Server("-symbolize=none", path, cwd=GOLDEN) as server:
            for page, option in (("peek", "-peek=line3"), ("traces", "-traces"), ("source", "-list=line3"), ("graph", "-dot"), ("flamegraph", "-folded")):
                query = {"f": "line3"} if "line3" in option else {}
                focus = ["-focus=line3"] if query else []
                self.assertEqual(server.text(page, **query), cprof("-symbolize=none", option, *focus, path, cwd=GOLDEN), page)

    def test_the_flame_graph_is_that_of_the_file(self):
        path = golden("go_heap.pb.gz")
        with Server(path) as server:
            page = cprof("-flamegraph", path).decode()
            inside = json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', page, re.S).group(1))
            self.assertEqual(server.json("flamegraph"), inside)
            self.assertEqual(server.json(""), inside)

    def test_peek_has_the_calls_of_the_graph(self):
        path = golden("cpu.pb.gz")
        with Server("-symbolize=none", "-nodefraction=0", "-edgefraction=0", path) as server:
            graph, peek = server.json("graph"), server.json("peek", f=".")
            names = [node["name"] for node in graph["nodes"]]
            calls = sorted((names[call["from"]], names[call["to"]], call["value"]) for call in graph["calls"])
            self.assertGreater(len(calls), 3)
            self.assertEqual(calls, sorted((node["name"], call["name"], call["value"]) for node in peek["nodes"] for call in node["callees"]))
            self.assertEqual(calls, sorted((call["name"], node["name"], call["value"]) for node in peek["nodes"] for call in node["callers"]))
            mean, wanted = server.json("peek", f=".", mean="1"), server.json("graph", mean="1")
            names = [node["name"] for node in wanted["nodes"]]
            self.assertEqual(sorted((names[call["from"]], names[call["to"]], call["value"]) for call in wanted["calls"]),
                             sorted((node["name"], call["name"], call["value"]) for node in mean["nodes"] for call in node["callees"]))
            self.assertNotEqual(mean["nodes"], peek["nodes"])

    def test_source_lines_have_their_weight(self):
        path = golden("cpu.pb.gz")
        report = json.loads(cprof("-json", "-lines", "-symbolize=none", "-focus=line200", path))["nodes"]
        wanted = {(node["function"], node["line"]): (node["flat"], node["cum"]) for node in report if node["function"].startswith("line200")}
        with Server("-symbolize=none", f"-source_path={GOLDEN}/src", "-trim_path=testdata", path, cwd=GOLDEN) as server:
            routines = server.json("source", f="line200")["routines"]
        self.assertEqual({(routine["function"], line): (flat, cum) for routine in routines for line, flat, cum, _ in routine["lines"] if flat or cum}, wanted)
        self.assertEqual({routine["function"] for routine in routines}, {"line2000", "line2001"})
        for routine in routines:
            self.assertEqual([text for _, _, _, text in routine["lines"]], [f"line{line % 10}" for line, _, _, _ in routine["lines"]])

    def test_traces_add_up(self):
        path = golden("heap.pb.gz")
        with Server("-symbolize=none", path) as server:
            data = server.json("traces", trim="false")
            self.assertEqual(sum(trace["value"] for trace in data["traces"]), data["total"])
            self.assertEqual(data["n"], len(data["traces"]))

    def test_the_command_line_is_the_state_that_pages_begin_with(self):
        path = golden("cpu.pb.gz")
        with Server("-symbolize=none", "-sample_index=samples", "-focus=line3", "-lines", path) as server:
            self.assertEqual(values(server.json("top")["nodes"]),
                             values(json.loads(cprof("-json", "-symbolize=none", "-sample_index=samples", "-focus=line3", "-lines", path))["nodes"]))
            self.assertEqual(values(server.json("top", f="", g="functions", si="cpu")["nodes"]),
                             values(json.loads(cprof("-json", "-symbolize=none", "-sample_index=cpu", path))["nodes"]))

    def test_several_sources_and_a_base(self):
        path, other = golden("cpu.pb.gz"), golden("cpusmall.pb.gz")
        with Server("-symbolize=none", "-diff_base", path, path, other) as server:
            report = json.loads(cprof("-json", "-symbolize=none", "-diff_base", path, path, other))
            self.assertEqual(values(server.json("top")["nodes"]), values(report["nodes"]))
            alone = json.loads(cprof("-json", "-symbolize=none", path, other))
            self.assertEqual(values(server.json("top", base="none")["nodes"]), values(alone["nodes"]))
            same = server.json("top", base="1", profile="1")
            self.assertEqual(same["nodes"], [])

    def test_changes_are_those_of_the_reports(self):
        before, after = golden("cpusmall.pb.gz"), golden("cpu.pb.gz")
        arguments = ("-symbolize=none", "-trim=false", "-diff_base", before, after)
        report = {node["name"]: (node["flat"], node["cum"]) for node in json.loads(cprof("-json", *arguments))["nodes"]}
        listed = json.loads(cprof("-movements_json", *arguments))
        changes = {row["name"]: (row["flat_after"] - row["flat_before"], row["cum_after"] - row["cum_before"]) for row in listed["entries"]}
        self.assertEqual(changes, {name: change for name, change in report.items() if any(change)})
        self.assertEqual((listed["before"], listed["after"]), tuple(json.loads(cprof("-json", "-symbolize=none", path))["total"] for path in (before, after)))
        with Server(*arguments) as server:
            self.assertEqual(server.json("movements"), listed)
            self.assertEqual(server.text("movements"), cprof("-movements", *arguments))
            self.assertIn("nothing to compare", server.json("movements", 400, base="none")["error"])
            total = server.json("movements", norm="total")
            self.assertEqual(total["before"], listed["before"])
            self.assertLess(abs(total["after"] - total["before"]), total["before"] / 100)
        self.assertIn(b"Nothing changed", cprof("-movements", "-symbolize=none", "-diff_base", after, after))
        # Both sides are kept apart wherever they are asked for, not with -diff_base alone.
        self.assertEqual(json.loads(cprof("-movements_json", "-symbolize=none", "-trim=false", "-base", before, after)), listed)
        with Server("-symbolize=none", "-trim=false", before) as server, open(after, "rb") as file:
            number = json.loads(server.ask("/upload?name=after", "POST", file.read())[2])["number"]
            self.assertEqual(server.json("movements", profile=number, base=1), listed)
        cprof("-movements", after, status=2)

    def test_leaks_are_those_of_the_report(self):
        with heap_with_a_history() as file, Server("-symbolize=none", file.name) as server:
            self.assertEqual(server.json("leaks"), json.loads(cprof("-leaks_json", "-symbolize=none", file.name)))
            self.assertEqual(server.text("leaks"), cprof("-leaks", "-symbolize=none", file.name))
        with Server("-symbolize=none", golden("cpu.pb.gz")) as server:
            self.assertIn("has no history", server.json("leaks", 422)["error"])

    def test_what_chance_explains_is_told_by_counts(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("a", "b")]
            for path, text in zip(paths, ("main;near 100\nmain;far 100\nmain;same 5\n", "main;near 127\nmain;far 129\nmain;same 5\n")):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            rows = {row["name"]: row for row in json.loads(cprof("-movements_json", "-diff_base", *paths))["entries"]}
        # 27 of sqrt(227) are 1.79 deviations, 29 of sqrt(229) 1.92, so both are within; 56 of all 466 are 2.59
        self.assertEqual([rows["near"]["flat_sure"], rows["far"]["flat_sure"], rows["main"]["cum_sure"]], [False, False, True])
        self.assertNotIn("same", rows)

    def test_modules_are_a_granularity(self):
        path = golden("redis_inlines.pb.gz")
        with Server("-symbolize=none", path) as server:
            nodes = server.json("top", g="modules", trim="false")["nodes"]
            self.assertLess(len(nodes), 20)
            self.assertEqual(sum(node["flat"] for node in nodes), server.json("top")["total"])

    def test_download_is_the_filtered_profile(self):
        path = golden("cpu.pb.gz")
        with tempfile.NamedTemporaryFile() as file, Server("-symbolize=none", path) as server:
            status, headers, body = server.ask("/download?f=line3")
            self.assertEqual((status, headers["Content-Disposition"]), (200, 'attachment; filename="profile.pb.gz"'))
            file.write(body)
            file.flush()
            self.assertEqual(cprof("-raw", file.name), cprof("-raw", self.proto(path)))

    def proto(self, path):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        out = os.path.join(folder.name, "p.pb.gz")
        cprof("-proto", "-symbolize=none", "-focus=line3", f"-output={out}", path)
        return out


def timed_profile(key="time_ms", first=0):
    """Two samples every 10 ms for a second: in early() and running at first, in late() and waiting then."""
    text, samples = shapes.Strings(), b""
    for i in range(100):
        labels = [shapes.integer(1, text(key)) + shapes.integer(3, first + i * 10) + shapes.integer(4, text("milliseconds")),
                  shapes.integer(1, text("state")) + shapes.integer(2, text("running" if i < 50 else "waiting"))]
        samples += shapes.message(2, shapes.packed(1, [1 if i < 50 else 2]) + shapes.packed(2, [2]) + b"".join(shapes.message(3, label) for label in labels))
    kinds = shapes.message(1, shapes.integer(1, text("samples")) + shapes.integer(2, text("count")))
    for number, name in ((1, "early"), (2, "late")):
        kinds += shapes.message(4, shapes.integer(1, number) + shapes.message(4, shapes.integer(1, number)))
        kinds += shapes.message(5, shapes.integer(1, number) + shapes.integer(2, text(name)))
    return kinds + samples + text.table()


def sourced_profile(files, lines=(1,)):
    """A sample in a function of each of these files, in each of these lines."""
    text, out = shapes.Strings(), b""
    out += shapes.message(1, shapes.integer(1, text("samples")) + shapes.integer(2, text("count")))
    for function, path in enumerate(files, 1):
        out += shapes.message(5, shapes.integer(1, function) + shapes.integer(2, text(f"f{function}")) + shapes.integer(4, text(path)))
    for number, (function, line) in enumerate(itertools.product(range(1, len(files) + 1), lines), 1):
        out += shapes.message(2, shapes.packed(1, [number]) + shapes.packed(2, [1]))
        out += shapes.message(4, shapes.integer(1, number) + shapes.message(4, shapes.integer(1, function) + shapes.integer(2, line)))
    return out + text.table()


@contextlib.contextmanager
def pretended(name, fifo, script):
    """The environment with a program of this name in PATH, which has the pipe open as its descriptor 3."""
    os.mkfifo(fifo)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.open(os.path.join(folder, name), os.O_CREAT | os.O_WRONLY, 0o755), "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nexec 3>{fifo}\n{script}\n")
        yield dict(ENVIRONMENT, PATH=f"{folder}:{ENVIRONMENT['PATH']}")


def next_bytes(pipe):
    """What comes next from a pipe that does not block; b"" at its end, which is not before somebody has written."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    if not poll.poll(60_000):
        raise AssertionError("nothing comes from the pipe, and it has no end")
    return pipe.read(4096)


class Time(unittest.TestCase):
    """Samples that say when they were taken."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.timed, cls.plain = os.path.join(cls.folder.name, "timed.pb"), os.path.join(cls.folder.name, "plain")
        with open(cls.timed, "wb") as file:
            file.write(timed_profile())
        with open(cls.plain, "w", encoding="utf-8") as file:
            file.write("main 1\n")

    def test_the_strip_has_all_values_and_every_page_is_narrowed_down(self):
        with Server(self.timed) as server:
            strip = server.json("time")
            self.assertEqual((strip["key"], strip["from"], strip["to"], sum(strip["values"])), ("time_ms", 0, 990_000_000, 200))
            self.assertEqual({row["name"]: sum(row["values"]) for row in strip["splits"][0]["series"]}, {"running": 100, "waiting": 100})
            self.assertEqual(values(server.json("top", time="0,500000000")["nodes"]), [("early", 100, 100)])
            self.assertEqual(values(server.json("top", time="490000000,510000000")["nodes"]), [("early", 2, 2), ("late", 2, 2)])
            self.assertEqual(server.json("traces", time="980000000,2000000000")["n"], 2)
            self.assertEqual(sum(server.json("time", time="0,500000000")["values"]), 200)
            for wrong in ("5", "5,", "9,3", "x,y", "1,99999999999999999999"):
                self.assertIn("parameter time", server.json("top", 400, time=wrong)["error"])

    def test_from_and_to_are_a_part_counted_from_the_beginning(self):
        with Server(self.timed) as server:
            self.assertEqual(values(server.json("top", to="500ms")["nodes"]), [("early", 100, 100)])
            self.assertEqual(values(server.json("top", **{"from": "490ms", "to": "510ms"})["nodes"]), [("early", 2, 2), ("late", 2, 2)])
            self.assertEqual(sum(server.json("time", **{"from": "490ms"})["values"]), 200)  # the strip shows all of it
            self.assertIn("is not before", server.json("top", 400, **{"from": "2s", "to": "1s"})["error"])
            self.assertIn("is not a duration", server.json("top", 400, **{"from": "x"})["error"])
        with Server("-from=490ms", self.timed) as server:
            self.assertEqual(values(server.json("top", to="510ms")["nodes"]), [("early", 2, 2), ("late", 2, 2)])

    def test_from_and_to_count_from_the_same_where_the_strip_chooses_a_part(self):
        for key, first in (("time_ms", 0), ("timestamp_ms", 1_700_000_000_000)):
            path, ns = os.path.join(self.folder.name, key), first * 1_000_000
            with open(path, "wb") as file:
                file.write(timed_profile(key, first))
            with self.subTest(key), Server(path) as server:
                part = f"{ns + 485_000_000},{ns + 2_000_000_000}"
                self.assertEqual(values(server.json("top", time=part, to="505ms")["nodes"]), [("early", 2, 2), ("late", 2, 2)])
                self.assertEqual(values(server.json("top", time=part, **{"from": "895ms"})["nodes"]), [("late", 20, 20)])

    def test_without_labels_there_is_no_strip(self):
        with Server(self.plain) as server:
            self.assertNotIn("values", server.json("time"))
            self.assertIn(b'"timed":false', server.ask("/")[2])
            self.assertEqual(server.json("top", time="0,5")["total"], 1)


class Live(unittest.TestCase):
    """A source that can be recorded again."""

    INDEX = b"<a href='profile?debug=1'>profile</a><a href='heap?debug=1'>heap</a><a href='cmdline?debug=1'>cmdline</a>"

    def serve(self, pages, certificate=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.split("?")[0]
                asked.append(self.path)
                body = pages.get(path)
                self.send_response(200 if body is not None else 404)
                self.end_headers()
                self.wfile.write(body or b"not here")

            def log_message(self, *_):
                pass

        asked = []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(lambda: (server.shutdown(), thread.join(), server.server_close()))
        return server.server_address[1], asked

    def state(self, server, path="/"):
        page = server.ask(path)[2].decode()
        return json.loads(re.search(r'<script id="state"[^>]*>(.*?)</script>', page, re.S).group(1))

    def test_it_is_recorded_again_and_the_others_stay(self):
        pages = {"/debug/pprof/": self.INDEX, "/debug/pprof/profile": b"main;a 1\n", "/debug/pprof/heap": b"main;heap 7\n"}
        port, asked = self.serve(pages)
        with Server(f"127.0.0.1:{port}/debug/pprof/profile") as server:
            self.assertEqual(self.state(server)["kinds"], ["profile", "heap"])
            pages["/debug/pprof/profile"] = b"main;a 4\n"
            status, _, body = server.ask("/record?seconds=3", "POST")
            self.assertEqual((status, json.loads(body)), (200, {"number": 2}))
            self.assertIn("/debug/pprof/profile?seconds=3", asked)
            self.assertEqual([row["number"] for row in self.state(server)["recordings"]], [1, 2])
            self.assertEqual(values(server.json("top", profile=2, base=1)["nodes"]), [("a", 3, 3), ("main", 0, 3)])
            number = json.loads(server.ask("/record?what=heap", "POST")[2])["number"]
            self.assertEqual(values(server.json("top", profile=number)["nodes"]), [("heap", 7, 7), ("main", 0, 7)])
            self.assertEqual(server.ask("/record?what=../../etc", "POST")[0], 400)
            del pages["/debug/pprof/profile"]
            self.assertGreaterEqual(server.ask("/record", "POST")[0], 400)
            for _ in range(20):
                number = json.loads(server.ask("/record?what=heap", "POST")[2])["number"]
            kept = [row["number"] for row in self.state(server)["recordings"]]
            self.assertEqual((len(kept), kept[0], kept[-1]), (16, 1, number))

    def test_who_need_not_prove_who_he_is_need_not_for_other_profiles_either(self):
        harness.need("openssl")
        with tempfile.NamedTemporaryFile() as pem:
            made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", pem.name, "-out", pem.name,
                                   "-days", "2", "-subj", "/CN=elsewhere"], timeout=60, check=False, capture_output=True, text=True)
            self.assertEqual(made.returncode, 0, made.stderr)
            port, _ = self.serve({"/debug/pprof/": self.INDEX, "/debug/pprof/profile": b"main;a 1\n", "/debug/pprof/heap": b"main;heap 7\n"}, pem.name)
        with Server(f"https+insecure://127.0.0.1:{port}/debug/pprof/profile") as server:
            self.assertEqual(self.state(server)["kinds"], ["profile", "heap"])
            self.assertEqual(server.ask("/record?what=heap", "POST")[0], 200)

    def test_a_token_lets_in(self):
        with tempfile.TemporaryDirectory() as folder:
            token, profile = os.path.join(folder, "token"), os.path.join(folder, "p")
            for path, text in ((token, "secret-word\n"), (profile, "main 1\n")):
                with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
                    file.write(text)
            with Server(f"-http-token-file={token}", profile) as server:
                self.assertEqual(server.ask("/top")[0], 401)
                self.assertEqual(server.ask("/top", Authorization="Bearer secret-word")[0], 200)


class Attached(unittest.TestCase):
    """The same view below /ui/ of cprof-attach -http."""

    def test_a_process_is_recorded_and_shown(self):
        with harness.Target("hot") as target:
            process = subprocess.Popen([harness.ATTACH, "-p", str(target.pid), "-no-cache", "-modes", "cpu", "-http", "127.0.0.1:0"],
                                       stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
            said = process.stderr.readline()
            server = Server.__new__(Server)
            server.process, server.port = process, int(re.search(r":(\d+)/", said).group(1))
            with server:
                self.assertIn(b'"recordings":[]', server.ask("/ui/")[2])
                status, _, body = server.ask("/ui/record?seconds=1&what=profile", "POST")
                self.assertEqual(status, 200, body)
                data = server.json("ui/top", profile=json.loads(body)["number"])
                self.assertGreater(data["total"], 0)
                self.assertIn("hash_blocks", [node["name"] for node in data["nodes"]])
                self.assertEqual(server.ask("/debug/pprof/")[0], 200)


class Refusals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.profile = os.path.join(cls.folder.name, "p")
        with open(cls.profile, "w", encoding="utf-8") as file:
            file.write("main;work;spin 60\nmain;work 30\nmain;idle 10\n<script>alert(1)</script>;\u202egnp 1\n")
        cls.server = cls.enterClassContext(Server(cls.profile))

    def test_names_of_other_machines_and_pages_of_other_sites(self):
        self.assertEqual(self.server.ask("/top", Host="evil.example")[0], 403)
        self.assertEqual(self.server.ask("/top", Origin="http://evil.example")[0], 403)
        self.assertEqual(self.server.ask("/top", Sec_Fetch_Site="cross-site")[0], 403)
        self.assertEqual(self.server.ask("/upload", "POST", b"a 1\n", Origin="http://evil.example")[0], 403)
        self.assertEqual(self.server.ask("/top")[0], 200)

    def test_paths_and_methods(self):
        for path in ("/nothing", "/../etc/passwd", "/ui/x", "/source/x"):
            self.assertEqual(self.server.ask(path)[0], 404, path)
        self.assertEqual(self.server.ask("/top", "POST", b"x")[0], 405)
        self.assertEqual(self.server.ask("/upload")[0], 405)
        self.assertEqual(self.server.ask("/record", "POST")[0], 400)
        self.assertEqual(self.server.ask("/ui/flamegraph?f=main")[0], 200)
        self.assertEqual(self.server.ask("/top", "HEAD")[2], b"")

    def test_errors_say_what_is_wrong(self):
        self.assertIn("parameter g", self.server.json("top", 400, g="nonsense")["error"])
        self.assertIn("nonsense", self.server.json("top", 400, si="nonsense")["error"])
        self.assertIn("regexp", self.server.json("top", 400, f="(")["error"])
        self.assertIn("recording 77", self.server.json("top", 400, profile="77")["error"])
        self.assertIn("no matches", self.server.json("peek", 422, f="nobody")["error"])
        for path, method, status, words in (("/top?format=json&g=nonsense", "GET", 400, "parameter g"), ("/nothing?format=json", "GET", 404, "no such page"),
                                            ("/top", "POST", 405, "not posted to"), ("/record", "POST", 400, "nothing to record again"), ("/upload", "POST", 422, "empty")):
            got, headers, body = self.server.ask(path, method)
            self.assertEqual((got, headers["Content-Type"]), (status, "application/json"), path)
            self.assertIn(words, json.loads(body)["error"])
        self.assertEqual(self.server.ask("/nothing")[1]["Content-Type"], "text/plain; charset=utf-8")

    def test_only_the_pages_own_script_runs(self):
        _, headers, body = self.server.ask("/")
        policy = headers["Content-Security-Policy"]
        self.assertRegex(policy, r"default-src 'none'; script-src 'sha256-[^']*'; style-src 'sha256-[^']*'; connect-src 'self'")
        self.assertIn("frame-ancestors 'none'", policy)
        self.assertNotIn(b"alert(1)", body)
        self.assertLess(len(body), 200_000)

    def test_an_upload_is_read_and_compared(self):
        status, _, body = self.server.ask("/upload?name=after", "POST", b"main;work;spin 80\nmain;idle 10\n")
        number = json.loads(body)["number"]
        self.assertEqual(status, 200)
        nodes = {node["name"]: node for node in self.server.json("top", profile=number, base=1)["nodes"]}
        self.assertEqual((nodes["spin"]["flat"], nodes["work"]["cum"]), (20, -10))
        self.assertEqual(self.server.ask("/upload", "POST", b"\x00\x01nonsense")[0], 422)
        self.assertEqual(self.server.ask("/upload", "POST", b"")[0], 422)

    def test_a_source_outside_of_the_path_is_not_read(self):
        inside = os.path.join(self.folder.name, "sources")
        outside, hostile = os.path.join(self.folder.name, "secret.c"), os.path.join(self.folder.name, "hostile.pb")
        os.mkdir(inside)
        os.symlink(outside, os.path.join(inside, "link.c"))
        for path, text in ((outside, "the secret\n"), (os.path.join(inside, "own.c"), "my own line\n")):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        with open(hostile, "wb") as file:
            file.write(sourced_profile([outside, "../secret.c", "link.c", "own.c"]))
        with Server(f"-source_path={inside}", hostile) as server:
            for whole in ("0", "1"):
                body = server.ask(f"/source?f=.&whole={whole}&format=json")[2]
                self.assertNotIn(b"the secret", body)
                routines = json.loads(body)["routines"]
                self.assertEqual(["failure" in routine for routine in routines], [True, True, True, False])
                self.assertEqual(routines[3]["lines"], [[1, 1, 1, "my own line"]])
        with Server("-source_path=/", hostile) as server:  # so the names do lead there
            self.assertIn(b"the secret", server.ask("/source?f=.&format=json")[2])

    def test_lines_that_no_file_has_are_not_counted_through(self):
        far, page = os.path.join(self.folder.name, "far.pb"), os.path.join(self.folder.name, "far.html")
        with open(far, "wb") as file:
            file.write(sourced_profile(["nowhere.c"], [7, 2**62, 2**63 - 1]))
        cprof("-weblist=.", f"-output={page}", far)
        with open(page, encoding="utf-8") as file:
            self.assertIn(str(2**62), file.read())
        with Server(far) as server:
            self.assertEqual(server.json("source", f=".", whole="1")["routines"][0]["lines"], [])

    def test_a_client_that_leaves_ends_what_was_begun_for_it(self):
        fifo = os.path.join(self.folder.name, "dot.fifo")
        with pretended("dot", fifo, 'echo begun >&3; exec sleep 100') as environment:
            with Server(self.profile, environment=environment) as server, open(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as said:
                with socket.create_connection(("127.0.0.1", server.port)) as client:
                    client.sendall(b"GET /graph?format=svg HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    self.assertEqual(next_bytes(said), b"begun\n")
                self.assertEqual(next_bytes(said), b"")  # nobody has its end open any more
                self.assertEqual(server.ask("/top?format=json")[0], 200)

    def test_the_browser_has_the_signals_of_a_program(self):
        environment = dict(ENVIRONMENT, BROWSER="grep -hE ^Sig(Blk|Ign) /proc/self/status")  # and the address, which is no file
        with Server(self.profile, environment=environment, browser=True) as server:
            lines = [server.process.stdout.readline() for _ in range(2)]
        # but those two signals that the C library keeps for itself
        self.assertEqual([int(line.split()[1], 16) & 0x7fffffff for line in lines], [0, 0], lines)

    def test_an_address_that_others_reach_is_refused(self):
        run = subprocess.run([CPROF, "-http=0.0.0.0:0", "-no_browser", self.profile], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(run.returncode, 2)
        self.assertIn("other machines", run.stderr)

    def test_a_unix_socket(self):
        path = os.path.join(self.folder.name, "s")
        with Server(self.profile, address=f"unix:{path}"), socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"GET /top?format=text HTTP/1.0\r\n\r\n")
            self.assertIn(b"spin", b"".join(iter(lambda: client.recv(65536), b"")))
        self.assertFalse(os.path.exists(path))


class Modules(unittest.TestCase):
    """The scripts of the pages, by node."""

    FOLDER = os.path.join(harness.ROOT, "convert", "web", "assets")

    def test_the_layout_of_graphs_and_the_addresses_of_links(self):
        run = subprocess.run([harness.need("node"), os.path.join(os.path.dirname(os.path.abspath(__file__)), "web_modules.mjs"), self.FOLDER],
                             timeout=120, check=False, capture_output=True, text=True)
        self.assertEqual((run.returncode, [line for line in run.stdout.splitlines() if not line.startswith("ok ")]), (0, []), run.stderr)

    def test_every_module_is_a_module(self):
        node = harness.need("node")
        for name in sorted(os.listdir(self.FOLDER)):
            if name.endswith(".mjs"):
                subprocess.run([node, "--check", os.path.join(self.FOLDER, name)], check=True, timeout=60)


class Browser(unittest.TestCase):
    """What a browser makes of the pages."""

    @classmethod
    def setUpClass(cls):
        cls.chromium = shutil.which("chromium")
        if not cls.chromium:
            raise unittest.SkipTest("chromium is not installed")

    def show(self, server, path):
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run([self.chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=20000",
                                  f"--user-data-dir={folder}/user", "--dump-dom", f"{server.url}{path}"], timeout=90, check=False, capture_output=True, text=True)
        self.assertEqual([line for line in run.stderr.splitlines() if "CONSOLE" in line], [], path)
        return run.stdout

    def test_pages_show_their_numbers_and_run_nothing_of_a_name(self):
        with tempfile.NamedTemporaryFile("w", suffix=".folded") as file:
            file.write("main;work;spin 60\nmain;work 30\nmain;<img src=x onerror=alert(1)> 10\n")
            file.flush()
            with Server(file.name) as server:
                top = self.show(server, "/top")
                rows = re.findall(r'<tr><td class="num">([^<]*)</td><td class="num">([^<]*)</td>.*?<a [^>]*>(.*?)</a>', top)
                self.assertEqual(rows, [("60", "60.00%", "spin"), ("30", "30.00%", "work"), ("10", "10.00%", "&lt;img src=x onerror=alert(1)&gt;"), ("0", "0.00%", "main")])
                self.assertIn("<td>60</td><td>60.00%</td>", self.show(server, "/?i=img"))
                self.assertIn("Which function?", self.show(server, "/source"))
                self.assertIn('class="notice bad"', self.show(server, "/top?f=("))
                self.assertIn("Nothing changed", self.show(server, "/movements?base=1"))
                self.assertNotIn(">Leaks<", top)
                self.assertRegex(top, r'<input type="text" name="f"[^>]* placeholder="regular expression"')
        with heap_with_a_history() as file, Server(file.name) as server:
            leaks = self.show(server, "/leaks")
            self.assertRegex(leaks, r'aria-current="page">Leaks</a>')
            self.assertRegex(leaks, r'<polyline points="[-\d., ]+"')
            self.assertIn(">leak_slowly</a>", leaks)


if __name__ == "__main__":
    harness.main()
