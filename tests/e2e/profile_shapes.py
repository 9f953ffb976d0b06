# SPDX-License-Identifier: Apache-2.0
"""Profiles in the shapes that other people's programs write: what they fill in, what they leave out, and what is odd about them.

Everything is made here, from a seed; nothing is fetched. A shape is a row of PRODUCERS with a row of TWISTS: sixty of them. The field numbers
are those of pprof's profile.proto.
"""
import gzip
import random


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def integer(field, number):
    return varint(field << 3) + varint(number) if number else b""


def message(field, text):
    return varint(field << 3 | 2) + varint(len(text)) + text


def packed(field, numbers):
    return message(field, b"".join(varint(number) for number in numbers))


def unpacked(field, numbers):
    return b"".join(varint(field << 3) + varint(number) for number in numbers)


class Strings:
    def __init__(self):
        self.index = {"": 0}

    def __call__(self, text):
        return self.index.setdefault(text, len(self.index))

    def table(self):
        return b"".join(message(6, text.encode()) for text in self.index)


# What each leaves out or does its own way. `types` are the sample types, `names` what functions are called.
GO = ["main.main", "main.(*Server).handle", "runtime.mallocgc", "runtime.gcBgMarkWorker", "net/http.(*conn).serve", "main.glob..func1",
      "main.Map[...].Get", "encoding/json.Marshal", "runtime.main", "main.recurse"]
CXX = ["main", "std::vector<int, std::allocator<int> >::push_back", "operator new", "(anonymous namespace)::work", "ns::Class::method",
       "__libc_start_main", "memcpy", "ns::fib", "std::_Function_handler<void ()>::_M_invoke", "_start"]
SCRIPT = ["<module>", "handle (app.py)", "render", "<lambda>", "Klass.method", "loop", "α.β", "recurse", "<native>", "import_module"]
JAVA = ["java.lang.Thread.run", "com.example.Main.main", "com.example.Main$Inner.lambda$0", "java.util.HashMap.get", "GC", "Interpreter",
        "com.example.Work.step", "libjvm.so", "com.example.Main.recurse", "start_thread"]
PRODUCERS = {
    "go_cpu": {"types": [("samples", "count"), ("cpu", "nanoseconds")], "names": GO, "period": ("cpu", "nanoseconds", 10000000), "mappings": 1,
               "lines": True, "time": True, "duration": 10 * 10**9},
    "go_heap": {"types": [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")],
                "names": GO, "period": ("space", "bytes", 524288), "mappings": 1, "lines": True, "bytes": True, "default": "inuse_space",
                "time": True},
    "go_mutex": {"types": [("contentions", "count"), ("delay", "nanoseconds")], "names": GO, "period": ("contentions", "count", 1),
                 "mappings": 1, "lines": True, "time": True},
    "perf_data": {"types": [("cycles_sample", "count"), ("cycles_event", "count")], "names": CXX, "mappings": 3, "addresses": True,
                  "labels": True},
    "native_agent": {"types": [("cpu", "nanoseconds")], "names": CXX, "mappings": 2, "addresses": True, "inline": True, "lines": True,
                     "period": ("cpu", "nanoseconds", 52631578), "duration": 19 * 10**9, "labels": True},
    "rust": {"types": [("samples", "count"), ("cpu", "nanoseconds")], "names": CXX, "mappings": 0, "inline": True, "lines": True,
             "period": ("cpu", "nanoseconds", 1000000)},
    "python": {"types": [("cpu", "nanoseconds")], "names": SCRIPT, "mappings": 0, "lines": True, "labels": True},
    "node": {"types": [("sample", "count"), ("wall", "nanoseconds")], "names": SCRIPT, "mappings": 0, "lines": True, "start": True,
             "period": ("wall", "nanoseconds", 10000000), "duration": 10**9},
    "java": {"types": [("cpu", "nanoseconds")], "names": JAVA, "mappings": 1, "labels": True, "time": True},
    "tcmalloc": {"types": [("objects", "count"), ("space", "bytes")], "names": CXX, "mappings": 2, "addresses": True, "bytes": True,
                 "drop": "operator new|memcpy", "period": ("space", "bytes", 2097152)},
    "ebpf": {"types": [("on_cpu", "milliseconds"), ("off_cpu", "microseconds")], "names": CXX, "mappings": 4, "addresses": True,
             "unnamed": True, "labels": True},
    "counts": {"types": [("events", "")], "names": SCRIPT, "mappings": 0, "doc": True, "comments": True},
}
# Those that only tests/rig/differential.py takes: what is rarer, or newer than Debian's pprof.
RUBY = ["<main>", "block in <main>", "Foo#bar", "Foo.baz", "Kernel#require", "Array#each", "(cfunc)", "GC", "rescue in Foo#bar", "Integer#times"]
DOTNET = ["System.Threading.Thread.StartCallback", "App.Program!<Main>$", "System.Collections.Generic.List`1[System.__Canon].Add",
          "[Native]", "App.Work+<>c__DisplayClass0_0.<Run>b__0", "|lm:App |ns:App |ct:Work |fn:Run", "CPU_TIME", "UNMANAGED_CODE_TIME", "Work", "?!?"]
MANGLED = ["_ZN2ns5Class6methodEv", "_ZNSt6vectorIiSaIiEE9push_backERKi", "main", "_RNvC6_123foo3bar", "_Z3fibi", "memcpy@plt",
           "_ZN4core3fmt5write17h0123456789abcdefE", "_start", "", "?fn@@YAXXZ"]
MORE_PRODUCERS = {
    "async_java": {"types": [("cpu", "nanoseconds")], "names": [n.replace(".", "/") for n in JAVA], "mappings": 0, "lines": True, "folded": True},
    "jfr": {"types": [("alloc_in_new_tlab_objects", "count"), ("alloc_in_new_tlab_bytes", "bytes")], "names": JAVA, "mappings": 0, "lines": True,
            "labels": True, "time": True, "duration": 60 * 10**9},
    "dotnet": {"types": [("cpu", "nanoseconds"), ("cpu-samples", "count"), ("alloc-samples", "count"), ("alloc-size", "bytes"),
                         ("exception", "count"), ("lock-count", "count"), ("lock-time", "nanoseconds")], "names": DOTNET, "mappings": 2,
               "units": True, "time": True, "default": "exception"},
    "ruby": {"types": [("samples", "count"), ("wall", "microseconds")], "names": RUBY, "mappings": 0, "lines": True, "start": True,
             "period": ("wall", "microseconds", 1000), "units": True},
    "php": {"types": [("sample", "count"), ("wall-time", "seconds")], "names": ["{main}", "App\\Kernel::handle", "{closure}", "eval()'d code", "PDO->query",
            "include", "array_map", "App\\Work->run", "recurse", "gc"], "mappings": 0, "lines": True, "comments": True},
    "v8_heap": {"types": [("objects", "count"), ("space", "bytes")], "names": ["(root)", "(anonymous)", "(garbage collector)", "require node:fs", "loop",
                "a.b", "Klass.method", "<anon>:1", "async f", "get x"], "mappings": 0, "lines": True, "columns": True, "period": ("space", "bytes", 524288)},
    "parca": {"types": [("samples", "count")], "names": CXX, "mappings": 5, "odd_files": True, "addresses": True, "unnamed": True, "labels": True,
              "period": ("cpu", "nanoseconds", 52631578), "time": True, "duration": 10 * 10**9, "many_labels": True},
    "otel": {"types": [("off_cpu", "nanoseconds"), ("samples", "count")], "names": GO, "mappings": 3, "odd_files": True, "columns": True, "lines": True,
             "inline": True, "units": True, "doc": True},
    "mangled": {"types": [("cpu", "nanoseconds")], "names": MANGLED, "system_names": True, "mappings": 2, "lines": True, "inline": True,
                "drop": "memcpy.*|_start", "keep": "main|_Z3fib.*"},
    "memory": {"types": [("allocations", "count"), ("size", "KiB"), ("leaked", "MB")], "names": SCRIPT, "mappings": 0, "lines": True, "bytes": True},
    "huge": {"types": [("events", "count"), ("energy", "\u00b5J"), ("t", "weeks")], "names": GO, "mappings": 1, "huge": True,
             "period": ("events", "count", -5), "duration": -10**9},
    "gcu": {"types": [("cpu", "GCUs"), ("wait", "m"), ("n", "")], "names": CXX, "mappings": 1, "folded": True, "duration": 123456, "units": True},
}
# What can be odd about any of them.
TWISTS = {
    "plain": {},
    "sparse_ids": {"ids": (1000003, 97), "unpacked": True},
    "repeated": {"repeat": 3, "empty_stack": True, "plain_bytes": True},
    "negative": {"sign": -1, "deep": True},
    "zeroes": {"zero": True, "no_flags": True, "bare_lines": True},
}


class Maker:
    def __init__(self, producer, twist, seed):
        self.p, self.t = (PRODUCERS | MORE_PRODUCERS)[producer], TWISTS[twist]
        self.random, self.strings = random.Random(seed), Strings()
        self.first, self.step = self.t.get("ids", (1, 1))

    def number(self, i):
        return self.first + i * self.step

    def mapping(self, i):
        start = 0x400000 + i * 0x10000000
        flags = b"" if self.t.get("no_flags") else b"".join(integer(field, 1) for field in (7, 8, 9))
        file = f"/opt/app/lib{i}.so" if i else "/opt/app/bin/app"
        if self.p.get("odd_files"):
            file = ["[kernel.kallsyms]_text", "//anon", "", "/opt/my app/a b (deleted)", "[vdso]"][i]
        return message(3, integer(1, self.number(i)) + integer(2, start) + integer(3, start + 0x100000) + integer(4, i * 0x1000)
                       + integer(5, self.strings(file)) + integer(6, self.strings(f"{i:040x}")) + flags)

    def location(self, i):
        names, lines = self.p["names"], []
        if not (self.p.get("unnamed") and i % 3 == 0):
            for depth in range(2 if self.p.get("inline") and i % 4 == 1 else 1):
                where = 10 + i * 3 + depth if self.p.get("lines") and not (self.t.get("bare_lines") and i % 5 == 0) else 0
                column = integer(3, 1 + i % 7) if self.p.get("columns") else b""
                lines.append(message(4, integer(1, self.number((i + depth) % len(names))) + integer(2, where) + column))
        mapping = self.p["mappings"] and self.number(i % self.p["mappings"])
        address = 0x400000 + (i % self.p["mappings"]) * 0x10000000 + 0x100 + i * 16 if self.p["mappings"] else 0
        return message(4, integer(1, self.number(i)) + integer(2, mapping) + integer(3, address) + b"".join(lines)
                       + integer(5, int(bool(self.p.get("folded")) and i % 3 == 0)))

    def function(self, i):
        name = self.strings(self.p["names"][i])
        if self.p.get("system_names"):
            return message(5, integer(1, self.number(i)) + integer(2, name if i % 2 else 0) + integer(3, name) + integer(4, self.strings("/src/m.cc")))
        file = self.strings(f"/src/app/file{i % 4}.x" if self.p.get("lines") else "")
        return message(5, integer(1, self.number(i)) + integer(2, name) + integer(3, name) + integer(4, file)
                       + integer(5, 5 if self.p.get("start") else 0))

    def labels(self):
        out = b""
        if self.p.get("bytes"):
            out += message(3, integer(1, self.strings("bytes")) + integer(3, self.random.choice([16, 1024, 4096, 1 << 20])))
        if self.p.get("labels"):
            out += message(3, integer(1, self.strings("thread")) + integer(2, self.strings(self.random.choice(["main", "worker 1", "io"]))))
            out += message(3, integer(1, self.strings("tid")) + integer(3, self.random.randrange(1, 5)) + integer(4, self.strings("id")))
        if self.p.get("units"):
            for key, number, unit in (("request", self.random.randrange(1, 4000), "microseconds"), ("gr\u00f6\u00dfe", self.random.randrange(1, 9), "kilobytes"),
                                      ("odd", self.random.randrange(3), "widgets"), ("both", self.random.randrange(3), "")):
                out += message(3, integer(1, self.strings(key)) + integer(3, number) + integer(4, self.strings(unit)))
            out += message(3, integer(1, self.strings("both")) + integer(2, self.strings(self.random.choice(["x:y", "a,b", ""]))))
        if self.p.get("many_labels"):
            for i in range(7):
                out += message(3, integer(1, self.strings(f"label_{i}")) + integer(2, self.strings(f"v{self.random.randrange(6)}")))
        return out

    def sample(self, n_locations):
        deep = self.random.randrange(20, 60) if self.t.get("deep") else self.random.randrange(1, 9)
        stack = [self.number(self.random.randrange(n_locations)) for _ in range(deep)]
        values = [self.random.randrange(1, 1000) * (10**6 if unit == "nanoseconds" else 1) * self.t.get("sign", 1)
                  for _, unit in self.p["types"]]
        if self.p.get("huge"):
            values = [self.random.choice([2**55, 2**53 + 1, 10**12, 3, 2**54 - 1]) for _ in values]
        if self.t.get("zero") and self.random.random() < 0.4:
            values = [0] * len(values)
        if self.t.get("sign") and self.random.random() < 0.5:
            values = [-value for value in values]
        if self.t.get("empty_stack") and self.random.random() < 0.1:
            stack = []
        numbers = unpacked if self.t.get("unpacked") else packed
        return message(2, (numbers(1, stack) if stack else b"") + numbers(2, values) + self.labels())

    def bytes(self):
        p, n_locations = self.p, 24
        samples = [self.sample(n_locations) for _ in range(40)] * self.t.get("repeat", 1)
        out = b"".join(message(1, integer(1, self.strings(kind)) + integer(2, self.strings(unit))) for kind, unit in p["types"])
        out += b"".join(samples)
        out += b"".join(self.mapping(i) for i in range(p["mappings"]))
        out += b"".join(self.location(i) for i in range(n_locations))
        out += b"".join(self.function(i) for i in range(len(p["names"])))
        out += integer(7, self.strings(p.get("drop", ""))) + integer(8, self.strings(p.get("keep", ""))) + integer(9, 1790000000 * 10**9 if p.get("time") else 0)
        out += integer(10, p.get("duration", 0))
        if "period" in p:
            kind, unit, period = p["period"]
            out += message(11, integer(1, self.strings(kind)) + integer(2, self.strings(unit))) + integer(12, period)
        if p.get("comments"):
            out += packed(13, [self.strings("made by hand"), self.strings("of two lines")])
        out += integer(14, self.strings(p.get("default", ""))) + integer(15, self.strings("https://example.com/doc" if p.get("doc") else ""))
        out += self.strings.table()
        return out if self.t.get("plain_bytes") else gzip.compress(out, mtime=0)


def all_shapes(more=False):
    """Name and bytes of each; `more`: the rarer ones, too."""
    for number, producer in enumerate(PRODUCERS | MORE_PRODUCERS if more else PRODUCERS):
        for twist in TWISTS:
            yield f"{producer}-{twist}", Maker(producer, twist, number).bytes()
