# SPDX-License-Identifier: Apache-2.0
"""Names that mean something to the language of a report: quotes, backslashes, separators, markup, in every format of cprof.

Each report is read by a reader of its format's own, and has to give the names back. Names are drawn with a fixed seed, so a
failure can be repeated; more of them: CPROF_SEED=7 CPROF_NAMES=2000 python3 tests/e2e/test_viewer_names.py
"""

import gzip
import json
import os
import random
import re
import shutil
import subprocess
import unittest
import xml.etree.ElementTree as ET

import harness
from harness import CPROF, TempDir, need, run
from test_security_text import field, varint

SEED = int(os.environ.get("CPROF_SEED", "20261128"))
NAMES = int(os.environ.get("CPROF_NAMES", "200"))
PIECES = ['"', "\\", "\\\\", '\\"', "'", ";", ":", "::", ".", ",", "=", "(", ")", "[", "]", "[...]", "{", "}", "<", ">", "|", "&",
          "&amp;", "&#65;", "&str;", "&lt", "</script>", "<!--", "]]>", "\\N", "\\l", "\\n", "\\u0041", "%s", "%d", "$", "`", "#", "@",
          "->", "//", "*/", "/", " ", "5", "-1", "a", "Bcd", "operator", "\u00e9", "\u65e5\u672c", "\U0001f600", "(1)", "fn=", "_[k]"]

# What a terminal, or a reader of lines, acts on: all formats of lines show it as \x1b, those of JSON keep it.
CONTROLS = ["\n", "\r", "\r\n", "\t", "\a", "\x1b[31m", "\x1b]0;x\a", "\x7f", "\u0085", "\u009b1m", "\u2028", "\u202e", "\ufeff"]


def escape(text):
    """As cprof shows it in text."""
    def show(char):
        if char.isprintable():
            return char
        return {"\n": "\\n", "\t": "\\t"}.get(char, f"\\x{ord(char):02x}" if char < "\x80" else f"\\u{ord(char):04x}")
    return "".join(map(show, text))



def draw(rng, pieces):
    """A name that neither begins nor ends with a blank, which some readers strip."""
    return "x" + "".join(rng.choice(pieces) for _ in range(rng.randrange(1, 7))) + rng.choice('"\\;x>)&')


def profile(rng, n, pieces):
    """A pprof file of n stacks of two frames; every kind of string in it is drawn. Also the functions' names."""
    strings, numbers = [""], {"": 0}

    def string(text):
        if text not in numbers:
            numbers[text] = len(strings)
            strings.append(text)
        return numbers[text]
    names = sorted({draw(rng, pieces) for _ in range(n)})
    out = field(1, field(1, string(draw(rng, pieces))) + field(2, string(draw(rng, pieces))))
    out += field(3, field(1, 1) + field(2, 0x1000) + field(3, 1 << 40) + field(5, string("/bin/" + draw(rng, pieces).replace("/", "_"))) + field(7, 1))
    for i, name in enumerate(names, 1):
        out += field(5, field(1, i) + field(2, string(name)) + field(4, string("/src/" + draw(rng, pieces).replace("/", "_"))))
        out += field(4, field(1, i) + field(2, 1) + field(3, 0x1000 + i) + field(4, field(1, i) + field(2, 7)))
        label = field(3, field(1, string(draw(rng, pieces))) + field(2, string(draw(rng, pieces))))
        label += field(3, field(1, string("bytes")) + field(3, i) + field(4, string(draw(rng, pieces))))
        out += field(2, field(1, varint(i) + varint(1)) + field(2, varint(1000 + i)) + label)
    last = len(names) + 1  # a frame without a name is called by its file
    out += field(4, field(1, last) + field(2, 1) + field(3, 0x9000))
    out += field(2, field(1, varint(last) + varint(1)) + field(2, varint(5000)))
    return gzip.compress(out + b"".join(field(6, text.encode()) for text in strings)), names


def unescape_dot(text):
    """A string of Graphviz's language as it is drawn, lines joined by a blank."""
    plain = re.sub(r"\\(.)", lambda m: "\n" if m[1] in "nlr" else m[1], text)
    return plain.replace("&amp;", "&")


class Names(TempDir):
    PIECES = PIECES

    def setUp(self):
        super().setUp()
        rng = random.Random(SEED)
        packed, self.raw = profile(rng, NAMES, self.PIECES)
        self.names = [escape(name) for name in self.raw]
        with open(self.path("p.pb.gz"), "wb") as file:
            file.write(packed)

    def report(self, *args, **more):
        done = run([CPROF, "-trim=false", "-nodecount=100000", *args, self.path("p.pb.gz")], **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def assert_names(self, found, what):
        missing = [name for name in self.names if name not in found]
        self.assertEqual(missing[:5], [], f"{what}: {len(missing)} of {len(self.names)} missing, CPROF_SEED={SEED}")

    def test_dot_is_a_language_whose_strings_hold_any_name(self):
        quoted = r'"((?:[^"\\]|\\.)*)"'
        attribute = rf'\w+ ?= ?(?:{quoted}|[\w.]+)'
        statement = re.compile(rf'(?:digraph {quoted} {{|}}|node \[[^\]]*\]|subgraph cluster_L {{ {quoted} \[(?:{attribute} ?)+\] }}'
                               rf'|\w+(?: -> \w+)? \[(?:{attribute} ?)+\])')
        for more in ([], ["-call_tree"], ["-lines"], ["-addresses"], ["-files"]):
            text = self.report("-dot", *more)
            for line in text.splitlines():
                self.assertRegex(line, re.compile(rf"^{statement.pattern}$"))
            shown = {unescape_dot(match).rsplit(" (", 1)[0] for match in re.findall(rf" tooltip={quoted}", text)}
            if not more:
                self.assert_names(shown, "dot")

    def test_graphviz_draws_what_is_in_the_names(self):
        need("dot", "graphviz is not installed")
        # Graphviz is slow on a thousand boxes: these names are one function each, and no labels.
        picture = self.report("-svg", "-taghide=.", "-output=/dev/stdout", timeout=100)
        # Of two blanks it makes the second one that does not break.
        titles = {a.get("{http://www.w3.org/1999/xlink}title", "").replace("\xa0", " ").rsplit(" (", 1)[0]
                  for a in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}a")}
        # Graphviz reads backslashes of tooltips a second time, however often they are escaped for the first.
        self.names = [name for name in self.names if "\\" not in name]
        self.assert_names(titles, "svg")

    def test_graphviz_draws_labels(self):
        need("dot", "graphviz is not installed")
        self.names = self.names[:20]
        picture = self.report("-svg", "-focus=^(" + "|".join(map(re.escape, self.names)) + ")$", "-output=/dev/stdout")
        ET.fromstring(picture)

    def test_json_speedscope_and_the_flame_graph_are_json(self):
        self.names = self.raw
        self.assert_names({node["function"] for node in json.loads(self.report("-json"))["nodes"] if "function" in node}, "json")
        self.assert_names({frame["name"] for frame in json.loads(self.report("-speedscope"))["shared"]["frames"]}, "speedscope")
        page = self.report("-flamegraph")
        scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.S)
        self.assertEqual(len(scripts), 2, "a name has ended the script that it is in")
        self.assert_names(set(json.loads(scripts[0])["functions"]["name"]), "flamegraph")

    def test_callgrind_gives_names_by_number(self):
        names, number = set(), re.compile(r"^(?:fn|cfn)=\((\d+)\)(?: (.*))?$")
        known = {}
        for at, line in enumerate(self.report("-callgrind", "-output=/dev/stdout").splitlines()):
            if match := number.match(line):
                if match[2] is not None:
                    self.assertNotIn(match[1], known)
                    known[match[1]] = match[2]
                names.add(known[match[1]])
            elif line.startswith("events:"):
                self.assertEqual(len(line.split()), 2, line)
            elif line and at > 1:
                self.assertRegex(line, r"^(?:(?:fl|ob|cfl|fn|cfn)=|calls=0 |(?:\*|[-+]?\w+) (?:\*|\d+) -?\d+$)")
        self.assert_names(names, "callgrind")

    def test_folded_stacks_are_read_back(self):
        text = self.report("-folded")
        leaves = {line.rsplit(" ", 1)[0].split(";")[-1] for line in text.splitlines()}
        changed = {name.replace(";", ":") for name in self.names}
        self.assertEqual(changed - leaves, set())
        again = run([CPROF, "-folded", "-"], input=text)
        self.assertEqual(sorted(again.stdout.splitlines()), sorted(text.splitlines()), again.stderr)

    def test_the_source_page_is_html(self):
        # Names stand between tags; a name that is markup would be read as such.
        page = self.report("-weblist=.", "-output=/dev/stdout")
        self.assertNotRegex(page, re.compile(r"</script>[^<]*</script>", re.S))
        self.assertEqual(page.count("<script"), page.count("</script>"))


class Controls(Names):
    """The same with control characters: a name is one line, in every format, and none of it reaches a terminal as it is."""
    PIECES = PIECES + CONTROLS * 3

    def test_no_format_has_a_character_that_acts(self):
        for option in ("-top", "-tree", "-peek=.", "-traces", "-raw", "-tags", "-dot", "-folded", "-callgrind", "-weblist=.", "-comments"):
            text = self.report(option, "-output=/dev/stdout")
            acting = {char for char in text if not char.isprintable() and char not in "\n\t"}
            self.assertEqual(acting, set(), option)


if __name__ == "__main__":
    harness.main()
