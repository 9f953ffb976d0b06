# SPDX-License-Identifier: Apache-2.0
"""The flame graph's page: its data against the other reports, its modules by node, and the page in a browser where there is one."""

import base64
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import unittest

import harness
import profile_shapes as shapes
from harness import CPROF, ROOT, SHARED

GOLDEN = os.path.join(SHARED, "pprof-golden", "inputs")
MODULES = os.path.join(ROOT, "convert", "output", "assets", "flame")
LIMIT = 1_000_000


def cprof(*arguments, stdin=None):
    run = subprocess.run([CPROF, *arguments], input=stdin, timeout=100, check=False, env=dict(os.environ, TZ="UTC"),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if run.returncode:
        raise AssertionError(f"{arguments}: exit {run.returncode}: {run.stderr.decode()}")
    return run.stdout


def data_of(page):
    return json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', page.decode(), re.S).group(1))


def flame(*arguments, stdin=None):
    return data_of(cprof("-flamegraph", *arguments, stdin=stdin))


def walk(data, tree):
    """Each node's depth, name (None: joined), own values by column and the same with what is below."""
    names = data["functions"]["name"] + tree["groups"]
    depths, own = [], list(zip(*tree["self"]))
    for i, up in enumerate(tree["up"]):
        depths.append(depths[i - 1] + 1 - up if i else 0)
    sums, path = [list(values) for values in own], []
    parents = []
    for i, depth in enumerate(depths):
        path = path[:depth] + [i]
        parents.append(path[depth - 1] if depth else None)
    for i in range(len(depths) - 1, -1, -1):
        if parents[i] is not None:
            sums[parents[i]] = [a + b for a, b in zip(sums[parents[i]], sums[i])]
    return [(depths[i], names[frame] if frame >= 0 else None, list(own[i]), sums[i]) for i, frame in enumerate(tree["frame"])]


def golden_inputs():
    if not os.path.isdir(GOLDEN):
        raise unittest.SkipTest("no ../shared/pprof-golden here")
    return [os.path.join(GOLDEN, name) for name in sorted(os.listdir(GOLDEN))]


class Data(unittest.TestCase):
    def test_a_small_profile_is_there_whole_and_in_order(self):
        data = flame("-", stdin=b"main;work;spin 60\nmain;work 30\nmain;idle 10\n")
        self.assertEqual(data["types"], [{"name": "samples", "unit": "count", "total": 100}])
        self.assertEqual(walk(data, data["trees"][0]), [(0, "main", [0], [100]), (1, "work", [30], [90]), (2, "spin", [60], [60]),
                                                        (1, "idle", [10], [10])])
        self.assertEqual((data["unlisted"], data["diff"]), (0, False))

    def test_numbers_are_those_of_the_reports(self):
        for path in golden_inputs():
            with self.subTest(os.path.basename(path)):
                data = flame(path)
                report = json.loads(cprof("-json", "-nodecount=1000000", "-nodefraction=0", path))
                column, functions = data["type"], data["functions"]
                self.assertEqual(data["types"][column]["total"], report["total"])
                mine = dict(zip(functions["name"], zip(functions["flat"][column], functions["cum"][column])))
                truth = {node["name"]: (node["flat"], node["cum"]) for node in report["nodes"]}
                for name, sums in mine.items():
                    self.assertEqual(sums, truth.get(name, (0, 0)), name)
                if not data["unlisted"]:
                    self.assertLessEqual(set(truth), set(mine))
                for tree in data["trees"]:
                    roots = [node[3][column] for node in walk(data, tree) if node[0] == 0]
                    self.assertEqual(sum(roots), sum(node["flat"] for node in report["nodes"]), tree["by"])

    def test_functions_tell_their_file_and_first_line(self):
        text, out = shapes.Strings(), b""
        for n, (name, file, begin) in enumerate((("main", "src/main.c", 10), ("work", "src/main.c", 0), ("gone", "", 0)), 1):
            out += shapes.message(5, shapes.integer(1, n) + shapes.integer(2, text(name)) + shapes.integer(4, text(file)) + shapes.integer(5, begin))
            for line in (31, 30):
                out += shapes.message(4, shapes.integer(1, 2 * n + line % 2) + shapes.message(4, shapes.integer(1, n) + shapes.integer(2, line if file else 0)))
                out += shapes.message(2, shapes.packed(1, [2 * n + line % 2]) + shapes.packed(2, [n]))
        kind = shapes.message(1, shapes.integer(1, text("samples")) + shapes.integer(2, text("count")))
        for options, wanted in (([], {"main": ("src/main.c", 10), "work": ("src/main.c", 30), "gone": None}), (["-files"], {"src/main.c": None, "<unknown>": None})):
            data = flame(*options, "-symbolize=none", "-", stdin=kind + out + text.table())
            functions = data["functions"]
            self.assertEqual({name: (data["files"][file], line) if file >= 0 else None
                              for name, file, line in zip(functions["name"], functions["file"], functions["line"], strict=True)}, wanted)

    def test_a_comparison_has_both_sides(self):
        with tempfile.TemporaryDirectory() as folder:
            old, new = os.path.join(folder, "old"), os.path.join(folder, "new")
            for path, text in ((old, "main;same 5\nmain;less 9\n"), (new, "main;same 5\nmain;less 2\nmain;more 4\n")):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            data = flame("-diff_base", old, new)
            self.assertTrue(data["diff"])
            self.assertEqual({name: sums for _, name, _, sums in walk(data, data["trees"][0])},
                             {"main": [11, 14], "same": [5, 5], "less": [2, 9], "more": [4, 0]})
            self.assertEqual(data["types"][0]["total"], 14)

    def test_what_narrow_callers_call_keeps_its_name_and_weight(self):
        lines = b"".join(b"main;caller_number_%d;via_%d;hot 1\n" % (i, i) for i in range(60000))
        data = flame("-", stdin=lines)
        nodes = walk(data, data["trees"][0])
        self.assertEqual(sum(sums[0] for _, name, _, sums in nodes if name == "hot"), 60000)
        self.assertEqual(data["functions"]["cum"][0][data["functions"]["name"].index("hot")], 60000)
        self.assertEqual(min(data["trees"][0]["frame"]), -60000)

    def test_labels_are_trees_of_their_own(self):
        path = os.path.join(GOLDEN, "heap_tags.pb.gz")
        golden_inputs()
        data = flame(path)
        self.assertEqual([tree["by"] for tree in data["trees"]][0], "")
        self.assertIn("request", [tree["by"] for tree in data["trees"]])
        for tree in data["trees"][1:]:
            roots = [name for depth, name, _, _ in walk(data, tree) if depth == 0]
            self.assertGreater(len(tree["groups"]), 1)
            self.assertEqual([name for name in roots if name is not None], tree["groups"])

    def test_any_profile_stays_below_a_megabyte(self):
        wide = b"".join(b"main;" + b";".join(b"function_%d" % (i * 7 % 9000 + d) for d in range(20)) + b" %d\n" % (i % 9 + 1)
                        for i in range(20000))
        long = b"".join(b"main;" + b"<\"%d" % i * 2000 + b" %d\n" % (i + 1) for i in range(500))
        deep = b";".join(b"f%d" % (i % 3) for i in range(200000)) + b" 7\n"
        for what, text, total, least in (("wide", wide, None, 2000), ("long names", long, 125250, 30), ("deep", deep, 7, 5000)):
            with self.subTest(what):
                page = cprof("-flamegraph", "-", stdin=text)
                self.assertLess(len(page), LIMIT)
                data = data_of(page)
                roots = [sums[0] for depth, _, _, sums in walk(data, data["trees"][0]) if depth == 0]
                self.assertEqual(sum(roots), total or data["types"][0]["total"])
                self.assertGreater(len(data["trees"][0]["up"]), least)

    def test_names_without_room_are_known(self):
        lines = [f"main;caller_{i}\u00e9{i % 7};hot" for i in range(20000)]
        data = flame("-", stdin="".join(f"{line} 1\n" for line in lines).encode())
        before, others = "", []
        for same, rest in zip(data["others"]["same"], data["others"]["rest"], strict=True):
            before = before[:same] + rest
            others.append(before)
        self.assertEqual(len(others), data["unlisted"])
        self.assertGreater(len(others), 10000)
        self.assertEqual(set(others) | set(data["functions"]["name"]), {name for line in lines for name in line.split(";")})

    def test_equal_input_gives_an_equal_page(self):
        lines = b"".join(b"main;f%d;g%d %d\n" % (i % 700, i % 31, i % 5 + 1) for i in range(5000))
        self.assertEqual(cprof("-flamegraph", "-", stdin=lines), cprof("-flamegraph", "-", stdin=lines))


class File(unittest.TestCase):
    def setUp(self):
        self.page = cprof("-flamegraph", "-", stdin=b"</script><b>;<img src=x onerror=alert(1)>;a 1\n").decode()

    def test_it_asks_nobody_for_anything(self):
        code = re.sub(r'<script id="data".*?</script>', "", self.page, flags=re.S)
        self.assertNotRegex(code, r"(src|href)=|url\(|https?://|\bimport |\bfetch\(|XMLHttpRequest|innerHTML|\beval\(")

    def test_names_are_never_markup(self):
        self.assertNotIn("</script><b>", self.page)
        self.assertNotIn("<img", self.page)

    def test_its_policy_names_its_script_and_style_and_no_other(self):
        for kind, tag in (("script", r'<script type="module">'), ("style", "<style>")):
            text = re.search(f"{tag}(.*?)</{kind}>", self.page, re.S).group(1)
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            self.assertIn(f"{kind}-src 'sha256-{digest}'", self.page)
        self.assertIn("default-src 'none'", self.page)

    def test_its_script_is_one(self):
        node = harness.need("node")
        script = re.search(r'<script type="module">(.*?)</script>', self.page, re.S).group(1)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "page.mjs")
            with open(path, "w", encoding="utf-8") as file:
                file.write(script)
            subprocess.run([node, "--check", path], check=True, timeout=60)


class Modules(unittest.TestCase):
    def test_trees_steps_search_and_names(self):
        """Each line of flamegraph_modules.mjs that begins with ok or not ok is a check."""
        node = harness.need("node")
        run = subprocess.run([node, os.path.join(os.path.dirname(__file__), "flamegraph_modules.mjs"), MODULES],
                             timeout=60, check=False, capture_output=True, text=True)
        self.assertEqual((run.returncode, run.stderr), (0, ""), run.stdout)
        self.assertGreater(run.stdout.count("ok "), 15)
        self.assertNotIn("not ok", run.stdout)

    def test_a_search_tells_how_much_it_cannot_know(self):
        node = harness.need("node")
        rng = random.Random(20261128)
        hot = [f"main;caller_number_{i};hot".split(";") for i in range(60000)]
        deep = [["main", *(f"function_{rng.randrange(2000)}" for _ in range(rng.randrange(1, 7))), f"leaf_{rng.randrange(20)}"]
                for _ in range(40000)]
        script = f"""
            const from = (name) => import("file://{MODULES}/" + name + ".mjs");
            const {{ readProfile }} = await from("profile"), {{ searchTree }} = await from("search"), {{ framesThatMatch }} = await from("transform");
            const profile = readProfile(JSON.parse((await import("node:fs")).readFileSync(process.argv[2], "utf8")));
            const {{ tree, names }} = profile.trees[0];
            for (const pattern of process.argv.slice(3)) {{
              const {{ least, most }} = searchTree(tree, framesThatMatch(names, pattern), 0, profile.functions, !profile.unlisted);
              console.log(least, most);
            }}"""
        for stacks, patterns, exact in ((hot, ["hot", "main", "caller", "nothing"], ["hot", "main"]),
                                        (deep, ["main", "leaf", "leaf_7$", "function_1", "^function_77$", "nothing"], ["main", "leaf_7$"]),
                                        (deep[:500], ["leaf_7$", "function_1", "nothing"], ["leaf_7$", "function_1", "nothing"])):
            with tempfile.TemporaryDirectory() as folder:
                for name, text in (("s.mjs", script), ("d.json", json.dumps(flame("-", stdin="".join(
                        ";".join(stack) + " 1\n" for stack in stacks).encode())))):
                    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                        file.write(text)
                done = subprocess.run([node, os.path.join(folder, "s.mjs"), os.path.join(folder, "d.json"), *patterns],
                                      capture_output=True, text=True, check=True, timeout=60)
            for pattern, line in zip(patterns, done.stdout.splitlines(), strict=True):
                with self.subTest(f"{pattern} of {len(stacks)}"):
                    least, most = map(int, line.split())
                    truth = sum(any(re.search(pattern, name) for name in stack) for stack in stacks)
                    self.assertLessEqual(least, truth)
                    self.assertGreaterEqual(most, truth)
                    if pattern in exact:
                        self.assertEqual((least, most), (truth, truth))


    def test_a_sandwich_has_the_numbers_of_peek(self):
        """Callers and callees of each function that is never below itself, against the calls of the report."""
        node = harness.need("node")
        script = f"""
            const from = (name) => import("file://{MODULES}/" + name + ".mjs");
            const {{ readProfile }} = await from("profile"), {{ callersTree, calleesTree, outermost, sums }} = await from("tree");
            const profile = readProfile(JSON.parse((await import("node:fs")).readFileSync(process.argv[2], "utf8")));
            const {{ tree, names }} = profile.trees[0], column = profile.type, weigh = (values) => values[column], said = [];
            for (let f = 0; f < names.length; f++) {{
              if (outermost(tree, new Set([f])).length !== tree.frame.filter((frame) => frame === f).length) continue;
              for (const [way, side] of [["callers", callersTree(tree, f, weigh)], ["callees", calleesTree(tree, f, weigh)]]) {{
                const sum = sums(side, column);
                for (let i = 1; i < side.n; i++) if (side.depth[i] === 1) said.push([way, names[f], names[side.frame[i]], sum[i]]);
              }}
            }}
            console.log(JSON.stringify(said));"""
        for path in golden_inputs():
            data = flame(path)
            if data["unlisted"] or min(data["trees"][0]["frame"], default=-1) < 0 or len(data["functions"]["name"]) > 300:
                continue
            report = json.loads(cprof("-json", "-nodecount=1000000", "-nodefraction=0", "-edgefraction=0", path))
            names = [node["name"] for node in report["nodes"]]
            calls = {(names[call["from"]], names[call["to"]]): call["value"] for call in report["calls"]}
            with tempfile.TemporaryDirectory() as folder, self.subTest(os.path.basename(path)):
                for name, text in (("s.mjs", script), ("d.json", json.dumps(data))):
                    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                        file.write(text)
                done = subprocess.run([node, os.path.join(folder, "s.mjs"), os.path.join(folder, "d.json")],
                                      capture_output=True, text=True, check=True, timeout=60)
                for way, name, other, value in json.loads(done.stdout):
                    call = (other, name) if way == "callers" else (name, other)
                    self.assertEqual(calls.get(call, 0), value, call)


class Browser(unittest.TestCase):
    """What a browser makes of the page: its document after the script has run, for an address that says what to show."""

    @classmethod
    def setUpClass(cls):
        cls.chromium = shutil.which("chromium")
        if not cls.chromium:
            raise unittest.SkipTest("chromium is not installed")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def show(self, fragment, *arguments, stdin=None):
        path = os.path.join(self.folder, "page.html")
        with open(path, "wb") as file:
            file.write(cprof("-flamegraph", *arguments, stdin=stdin))
        run = subprocess.run([self.chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
                              f"--user-data-dir={self.folder}/user", "--dump-dom", f"file://{path}#{fragment}"],
                             timeout=90, check=False, capture_output=True, text=True)
        self.assertEqual([line for line in run.stderr.splitlines() if "CONSOLE" in line], [])
        return run.stdout

    def text(self, page, tag):
        return re.sub(r"<[^>]*>", "", re.search(rf'id="{tag}"[^>]*>(.*?)</(?:span|tbody|div|h1)>', page, re.S).group(1))

    def test_search_counts_the_whole_profile(self):
        lines = b"".join(b"main;caller_number_%d;hot 1\n" % i for i in range(60000))
        page = self.show("find=hot", "-", stdin=lines)
        self.assertTrue(self.text(page, "found").startswith("100.00% in 1 name"), self.text(page, "found"))
        self.assertIn("<td>60,000</td><td>100.00%</td>", page)

    def test_search_is_sure_where_no_other_name_matches(self):
        golden_inputs()
        page = self.show("find=time.%5BNn%5Dow", os.path.join(GOLDEN, "large.cpu.pb.gz"))
        self.assertTrue(self.text(page, "found").startswith("94.92% in 2 names"), self.text(page, "found"))

    def test_hostile_names_are_shown_and_never_run(self):
        page = self.show("", "-", stdin="<img src=x onerror=alert(1)>;\u202egnp.exe 1\n".encode())
        self.assertIn("&lt;img src=x onerror=alert(1)&gt;", page)
        self.assertIn("\\u202egnp.exe", page)

    def test_steps_of_the_address_are_taken(self):
        page = self.show("hide=%5Ework%24&ignore=idle", "-", stdin=b"main;work;spin 60\nmain;work 30\nmain;idle 10\n")
        rows = re.findall(r"<tr[^>]*>(.*?)</tr>", re.search(r'<tbody id="rows">(.*?)</tbody>', page, re.S).group(1))
        self.assertEqual([re.findall(r"<td[^>]*>(.*?)</td>", row)[0::2] for row in rows], [["30", "90", "main"], ["60", "60", "spin"]])

    def test_an_empty_comparison_says_so(self):
        path = os.path.join(self.folder, "a")
        with open(path, "w", encoding="utf-8") as file:
            file.write("main;work 3\n")
        page = self.show("", "-diff_base", path, path)
        self.assertRegex(page, r'<div id="same" role="status">Nothing changed')


if __name__ == "__main__":
    harness.main()
