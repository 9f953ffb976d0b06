# SPDX-License-Identifier: Apache-2.0
"""Other Debian releases to run something in: a tree that debootstrap makes, from where this machine's packages come from, and
commands in it that see this machine's processes. What is mounted there is so for the command alone, so nothing stays mounted."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
from harness import ROOT, need, need_namespaces, run  # noqa: E402

TREES = os.environ.get("CPROF_TREES", os.path.join(ROOT, "build/trees"))
ENTER = 'for name in proc sys dev; do mount --rbind "/$name" "$0/$name" || exit 1; done; exec chroot "$0" "$@"'
ENVIRONMENT = {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TERM": "dumb", "DEBIAN_FRONTEND": "noninteractive"}


def need_trees():
    """Skips where none can be made."""
    need("debootstrap")
    need_namespaces("--mount")


def tree(release, name=None):
    """The folder of a minimal tree, made at the first call and kept; with a name, a copy of its own, made anew."""
    base = os.path.join(TREES, release)
    if not os.path.exists(f"{base}.made"):
        shutil.rmtree(base, ignore_errors=True)
        os.makedirs(TREES, exist_ok=True)
        mirror = subprocess.run([os.path.join(ROOT, "packaging/debian-mirror")], check=True, capture_output=True, text=True).stdout.strip()
        done = run(["debootstrap", "--variant=minbase", release, base, mirror], timeout=1800)
        if done.returncode:
            raise AssertionError(f"debootstrap {release}: {(done.stdout + done.stderr)[-2000:]}")
        for file in ("resolv.conf", "hosts"):
            shutil.copy(f"/etc/{file}", f"{base}/etc/{file}")
        open(f"{base}.made", "wb").close()
    if not name:
        return base
    copy = os.path.join(TREES, name)
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["cp", "-a", base, copy], check=True)
    return copy


def inside(folder, argv):
    """The arguments of a command that runs argv in the tree, with the same process id; its environment is ENVIRONMENT."""
    return ["unshare", "--mount", "sh", "-c", ENTER, folder, *argv]
