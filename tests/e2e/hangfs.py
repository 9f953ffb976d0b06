#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A file system with one file, `file`, that can be read and mapped but never finishes a write: a dead NFS server.

    hangfs.py DIRECTORY [PROGRAM UID [close] [NAME=PATH...]]

Ends with 77 where no such file system can be mounted here: the kernel knows of none, or this user may not.
With a program `file` has its bytes and can be run, and the mount is that user's: nobody else is let in, not even root. NAME=PATH: there is a file NAME too, with the bytes of PATH. With `close` who closes it waits for ever, killed or not. Mounts itself there by FUSE, says "ready", and serves until it is killed; everybody who waits for it gets an error then.
Speaks the kernel's protocol itself (linux/fuse.h, version 7.31): no library is needed."""

import ctypes
import errno
import os
import struct
import sys

LOOKUP, FORGET, GETATTR, OPEN, READ, WRITE, STATFS, INIT = 1, 2, 3, 14, 15, 16, 17, 26
FLUSH, OPENDIR, INTERRUPT, BATCH_FORGET = 25, 27, 36, 42
DIRECTORY, FILE = 1, 2  # node ids
ENOENT, ENOSYS = 2, 38
FOR_AN_HOUR = 3600
NOT_HERE, EXIT_SKIPPED = (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EACCES, errno.EPERM), 77

FILES, OWNER = {b"file": bytes(4096)}, 0  # their node ids are FILE and those that follow


def content(node):
    return list(FILES.values())[node - FILE]


def attributes(node):
    """struct fuse_attr: ino, size, blocks, three times and their nanoseconds, mode, nlink, uid, gid, rdev, blksize, flags."""
    mode, size = (0o40777, 0) if node == DIRECTORY else (0o100777 if OWNER else 0o100666, len(content(node)))
    return struct.pack("<6Q10I", node, size, -(-size // 512), 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(operation, node, body):
    """The answer's bytes, a negative error, or None for none ever."""
    if operation == INIT:
        return struct.pack("<4I2H2I2HI7I", 7, 31, 0, 0, 16, 12, 4096, 1, 1, 0, 0, *[0] * 7)
    if operation == LOOKUP:
        name = body.rstrip(b"\0")
        if name not in FILES:
            return -ENOENT
        found = FILE + list(FILES).index(name)
        return struct.pack("<4Q2I", found, 0, FOR_AN_HOUR, FOR_AN_HOUR, 0, 0) + attributes(found)
    if operation == GETATTR:
        return struct.pack("<Q2I", FOR_AN_HOUR, 0, 0) + attributes(node)
    if operation in (OPEN, OPENDIR):
        return struct.pack("<Q2I", 1, 0, 0)
    if operation == STATFS:
        return struct.pack("<5Q10I", 0, 0, 0, 0, 0, 4096, 255, 4096, *[0] * 7)
    if operation == READ:
        offset, size = struct.unpack_from("<QI", body, 8)
        return content(node)[offset:offset + size]
    if operation in (WRITE, FORGET, BATCH_FORGET, INTERRUPT) or (operation == FLUSH and "close" in sys.argv):
        return None
    return -ENOSYS


def end(what, error):
    print(f"{what}: {os.strerror(error)}", file=sys.stderr)
    sys.exit(EXIT_SKIPPED if error in NOT_HERE else 1)


def main():
    global OWNER
    if len(sys.argv) > 2:
        OWNER = int(sys.argv[3])
        for more in [f"file={sys.argv[2]}", *(word for word in sys.argv[4:] if "=" in word)]:
            name, path = more.split("=", 1)
            with open(path, "rb") as file:
                FILES[name.encode()] = file.read()
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        fd = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        end("open /dev/fuse", error.errno)
    options = f"fd={fd},rootmode=40000,user_id={OWNER},group_id={OWNER}"
    if libc.mount(b"hangfs", sys.argv[1].encode(), b"fuse", 0, options.encode()) != 0:
        end("mount a FUSE file system", ctypes.get_errno())
    print("ready", flush=True)
    while True:
        request = os.read(fd, 1 << 20)
        _, operation, unique, node = struct.unpack_from("<2I2Q", request)
        reply = answer(operation, node, request[40:])
        if reply is not None:
            body, error = (reply, 0) if isinstance(reply, bytes) else (b"", reply)
            os.write(fd, struct.pack("<IiQ", 16 + len(body), error, unique) + body)


if __name__ == "__main__":
    main()
