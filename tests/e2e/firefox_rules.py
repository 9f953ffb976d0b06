# SPDX-License-Identifier: Apache-2.0
"""What a file for the Firefox Profiler has to be: the rules that its processed format, version 56, is described by.

Source: firefox-devtools/profiler, src/types/profile.ts, src/types/markers.ts and docs-developer/CHANGELOG-formats.md. There is no package of its loader to be had.
"""

COLORS = {"transparent", "purple", "green", "orange", "yellow", "lightblue", "blue", "brown", "magenta", "red", "lightred", "darkgrey", "grey"}
PLACES = {"marker-chart", "marker-table", "timeline-overview", "timeline-memory", "timeline-ipc", "timeline-fileio", "stack-chart"}
FORMATS = {"url", "file-path", "sanitized-string", "string", "unique-string", "duration", "time", "seconds", "milliseconds", "microseconds", "nanoseconds",
           "bytes", "percentage", "integer", "decimal", "pid", "tid", "list", "flow-id", "terminating-flow-id"}
COLUMNS = {
    "stackTable": ["frame", "prefix"],
    "frameTable": ["address", "inlineDepth", "category", "subcategory", "func", "nativeSymbol", "innerWindowID", "line", "column"],
    "funcTable": ["name", "isJS", "relevantForJS", "resource", "fileName", "lineNumber", "columnNumber"],
    "resourceTable": ["lib", "name", "host", "type"],
    "nativeSymbols": ["libIndex", "address", "name", "functionSize"],
    "samples": ["stack", "time", "weight"],
    "markers": ["data", "name", "startTime", "endTime", "phase", "category"],
}


class Rules:
    def __init__(self, profile):
        self.profile, self.problems = profile, []

    def want(self, good, *what):
        if not good:
            self.problems.append(" ".join(map(str, what)))

    def index(self, value, n, *what, null=None):
        is_null = value is null if null is None else value == null
        self.want(is_null or (type(value) is int and 0 <= value < n), *what, value, "of", n)

    def meta(self):
        meta = self.profile["meta"]
        self.want(meta["preprocessedProfileVersion"] == 56, "version", meta["preprocessedProfileVersion"])
        for key, kind in {"interval": (int, float), "startTime": (int, float), "processType": int, "product": str, "stackwalk": int, "version": int,
                          "markerSchema": list, "symbolicated": bool}.items():
            self.want(isinstance(meta.get(key), kind), "meta", key, meta.get(key))
        self.want(meta["interval"] > 0, "interval", meta["interval"])
        self.want(meta["sampleUnits"] == {"time": "ms", "eventDelay": "ms", "threadCPUDelta": "ns"}, "units", meta["sampleUnits"])
        self.categories = meta["categories"]
        self.want(any(category["color"] == "grey" for category in self.categories), "no grey category")
        for category in self.categories:
            self.want(category["color"] in COLORS and category["subcategories"][0] == "Other" and category["name"], "category", category)
        self.schemas = {schema["name"]: schema for schema in meta["markerSchema"]}
        for schema in self.schemas.values():
            self.want(set(schema["display"]) <= PLACES and "data" not in schema, "schema", schema)
            for field in schema["fields"]:
                self.want(field["key"] and field["format"] in FORMATS, "field", field)

    def libs(self):
        for lib in self.profile["libs"]:
            for key in ("arch", "name", "path", "debugName", "debugPath", "breakpadId"):
                self.want(isinstance(lib[key], str), "lib", key, lib)
            self.want(lib["codeId"] is None or isinstance(lib["codeId"], str), "codeId", lib)

    def tables(self, thread):
        for table, columns in COLUMNS.items():
            for column in columns:
                self.want(len(thread[table][column]) == thread[table]["length"], table, column, "is not as long as the table")
        length = {table: thread[table]["length"] for table in COLUMNS}
        strings = len(self.profile["shared"]["stringArray"])
        stacks, frames, funcs, resources = (thread[table] for table in ("stackTable", "frameTable", "funcTable", "resourceTable"))
        for i, (frame, prefix) in enumerate(zip(stacks["frame"], stacks["prefix"])):
            self.index(frame, length["frameTable"], "frame of stack", i)
            self.index(prefix, i, "prefix of stack", i)
        for i in range(length["frameTable"]):
            self.index(frames["func"][i], length["funcTable"], "func of frame", i)
            self.index(frames["category"][i], len(self.categories), "category of frame", i)
            self.want(frames["category"][i] is None or frames["subcategory"][i] == 0, "subcategory of frame", i)
            self.index(frames["nativeSymbol"][i], length["nativeSymbols"], "symbol of frame", i)
            self.want(frames["line"][i] is None or frames["line"][i] > 0, "line of frame", i)
        for i in range(length["funcTable"]):
            self.index(funcs["name"][i], strings, "name of func", i)
            self.want(type(funcs["name"][i]) is int, "func without a name", i)
            self.index(funcs["fileName"][i], strings, "file of func", i)
            self.index(funcs["resource"][i], length["resourceTable"], "resource of func", i, null=-1)
            self.want(funcs["isJS"][i] is False and funcs["relevantForJS"][i] is False, "func", i)
        for i in range(length["resourceTable"]):
            self.index(resources["lib"][i], len(self.profile["libs"]), "lib of resource", i)
            self.index(resources["name"][i], strings, "name of resource", i)
            self.want(resources["type"][i] == 1 and resources["host"][i] is None, "resource", i)

    def samples(self, thread):
        samples = thread["samples"]
        for stack in samples["stack"]:
            self.index(stack, thread["stackTable"]["length"], "stack of a sample")
        times = samples["time"]
        self.want(all(a <= b for a, b in zip(times, times[1:])), "times go back")
        self.want(samples["weightType"] in ("samples", "tracing-ms", "bytes"), "weightType", samples["weightType"])
        if "threadCPUDelta" in samples:
            self.want(len(samples["threadCPUDelta"]) == samples["length"], "threadCPUDelta")

    def markers(self, thread):
        markers = thread["markers"]
        for i in range(markers["length"]):
            self.index(markers["name"][i], len(self.profile["shared"]["stringArray"]), "name of marker", i)
            self.index(markers["category"][i], len(self.categories), "category of marker", i)
            self.want(markers["phase"][i] == 1 and markers["startTime"][i] <= markers["endTime"][i], "marker", i)
            data = markers["data"][i]
            self.want(data["type"] in self.schemas, "marker of no schema", data)
            if "cause" in data:
                self.index(data["cause"]["stack"], thread["stackTable"]["length"], "stack of marker", i)

    def thread(self, thread):
        for key, kind in {"processType": str, "processStartupTime": (int, float), "registerTime": (int, float), "name": str, "isMainThread": bool,
                          "pid": str, "tid": (int, str), "pausedRanges": list}.items():
            self.want(isinstance(thread.get(key), kind), "thread", key, thread.get(key))
        for key in ("processShutdownTime", "unregisterTime"):
            self.want(key in thread, "thread without", key)
        self.tables(thread)
        self.samples(thread)
        self.markers(thread)


def problems(profile):
    """Which rules a loaded file breaks."""
    rules = Rules(profile)
    rules.meta()
    rules.libs()
    rules.want(isinstance(profile["shared"]["stringArray"], list) and all(isinstance(s, str) for s in profile["shared"]["stringArray"]), "strings")
    for thread in profile["threads"]:
        rules.thread(thread)
    return rules.problems


def stacks(profile, thread):
    """(time, names leaf first, weight) of each sample of a thread in which something runs."""
    strings, samples = profile["shared"]["stringArray"], thread["samples"]
    for stack, time, weight in zip(samples["stack"], samples["time"], samples["weight"]):
        names = []
        while stack is not None:
            func = thread["frameTable"]["func"][thread["stackTable"]["frame"][stack]]
            names.append(strings[thread["funcTable"]["name"][func]])
            stack = thread["stackTable"]["prefix"][stack]
        if names:
            yield time, names, weight
