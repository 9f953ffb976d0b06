# SPDX-License-Identifier: Apache-2.0
"""What a real Go program answered to 114 requests, put to -http: the same, or a difference that docs/http.md tells of."""

import concurrent.futures
import http.client
import json
import os
import unittest

import harness
from harness import Profile, Target
from test_http import Server, need_root

RECORDED = os.path.join(harness.SHARED, "rig", "go-pprof-contract.jsonl")
HEADERS = ("Content-Type", "Content-Disposition", "X-Content-Type-Options", "X-Go-Pprof", "Location")
SOON = 1.0  # seconds in which a request for a longer profile has not been answered

# Where we differ: what is answered, and why. What is here and does not differ fails, too.
OTHER_SITES = (403, "pages of other sites get nothing")
TOO_LONG = (400, "a ceiling, instead of years or an overflow")
NO_TRACE = (501, "there is no scheduler of Go's to trace")
DIFFERENT = {
    "heap foreign Host": OTHER_SITES,
    "heap foreign Origin": OTHER_SITES,
    "heap seconds=1000000000": TOO_LONG,
    "heap seconds=9223372036854775807": TOO_LONG,
    "profile seconds=1e9": TOO_LONG,
    "profile seconds=1000000000": TOO_LONG,
    "profile seconds=1.5": (200, "parts of a second can be had"),
    "concurrent profile 2 (0.3 s later)": (200, "several at once share a recording"),
    **{name: NO_TRACE for name in ("trace seconds=1", "trace seconds=0.2", "trace seconds=abc", "trace seconds=0",
                                   "trace seconds=-1", "trace HEAD", "trace during a profile")},
}


def kind_of(body):
    return "empty" if not body else "gzip" if body[:2] == b"\x1f\x8b" else "text"


def answer_of(server, row, timeout):
    """(status, headers, body); status 0: not answered in time, as in the recording."""
    class Connection(http.client.HTTPConnection):
        _http_vsn, _http_vsn_str = (10, "HTTP/1.0") if row.get("proto") == "1.0" else (11, "HTTP/1.1")

    connection = Connection("127.0.0.1", server.port, timeout=timeout)
    headers = dict(row.get("headers") or {})
    try:
        connection.putrequest(row["method"], row["path"], skip_host="Host" in headers, skip_accept_encoding=True)
        body = (row.get("body") or "").encode()
        if body:
            headers["Content-Length"] = str(len(body))
        for item in headers.items():
            connection.putheader(*item)
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    except TimeoutError:
        return 0, {}, b""
    finally:
        connection.close()


def difference(server, row):
    """What is not as recorded, in words; "" where nothing is."""
    goes_on = row["status"] == 0 or row["seconds"] > 10
    status, headers, body = answer_of(server, row, SOON if goes_on and row["name"] not in DIFFERENT else 60)
    want = 0 if goes_on else row["status"]
    if status != want:
        return f"{status} for {want}: {body[:200]}"
    if not status:
        return ""
    for name in HEADERS:
        if headers.get(name) != row["response_headers"].get(name):
            return f"{name}: {headers.get(name)} for {row['response_headers'].get(name)}"
    if kind_of(body) != row["body_kind"]:
        return f"{kind_of(body)} for {row['body_kind']}"
    if kind_of(body) == "gzip":
        types = ["/".join(pair) for pair in Profile(body).sample_types]
        return "" if types == row["profile"]["sample_types"] else f"types {types}"
    if status >= 300 and row["method"] != "HEAD" and body.decode() != row["body_text"]:
        return f"the text {body} for {row['body_text']}"
    return ""


class Recorded(unittest.TestCase):
    def test_answers_are_those_of_go_but_for_what_is_listed(self):
        need_root()
        if not os.path.exists(RECORDED):
            self.skipTest(f"{RECORDED} is not there")
        with open(RECORDED) as file:
            rows = [json.loads(line) for line in file]
        with Target("hot") as target, Server("-p", target.pid) as server:
            with concurrent.futures.ThreadPoolExecutor(24) as pool:
                found = dict(zip((row["name"] for row in rows), pool.map(lambda row: difference(server, row), rows)))
            self.assertTrue(target.alive())
        self.assertEqual({name: what for name, what in found.items() if what and name not in DIFFERENT}, {})
        for name, (status, _) in DIFFERENT.items():
            self.assertTrue(found[name].startswith(f"{status} for "), f"{name}: {found[name] or 'is as recorded'}")


if __name__ == "__main__":
    harness.main()
