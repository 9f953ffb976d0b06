#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A file system with one file, `file`, that can be read and mapped but never finishes a write: a dead NFS server.

    hangfs.py DIRECTORY

Mounts itself there by FUSE, says "ready", and serves until it is killed; everybody who waits for it gets an error then.
Speaks the kernel's protocol itself (linux/fuse.h, version 7.31): no library is needed."""

import ctypes
import os
import struct
import sys

LOOKUP, FORGET, GETATTR, OPEN, READ, WRITE, INIT, OPENDIR, INTERRUPT, BATCH_FORGET = 1, 2, 3, 14, 15, 16, 26, 27, 36, 42
DIRECTORY, FILE = 1, 2  # node ids
ENOENT, ENOSYS = 2, 38
FOR_AN_HOUR = 3600


def attributes(node):
    """struct fuse_attr: ino, size, blocks, three times and their nanoseconds, mode, nlink, uid, gid, rdev, blksize, flags."""
    mode, size = (0o40777, 0) if node == DIRECTORY else (0o100666, 4096)
    return struct.pack("<6Q10I", node, size, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(operation, node, body):
    """The answer's bytes, a negative error, or None for none ever."""
    if operation == INIT:
        return struct.pack("<4I2H2I2HI7I", 7, 31, 0, 0, 16, 12, 4096, 1, 1, 0, 0, *[0] * 7)
    if operation == LOOKUP:
        if body.rstrip(b"\0") != b"file":
            return -ENOENT
        return struct.pack("<4Q2I", FILE, 0, FOR_AN_HOUR, FOR_AN_HOUR, 0, 0) + attributes(FILE)
    if operation == GETATTR:
        return struct.pack("<Q2I", FOR_AN_HOUR, 0, 0) + attributes(node)
    if operation in (OPEN, OPENDIR):
        return struct.pack("<Q2I", 1, 0, 0)
    if operation == READ:
        return bytes(4096)
    if operation in (WRITE, FORGET, BATCH_FORGET, INTERRUPT):
        return None
    return -ENOSYS


def main():
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0"
    if libc.mount(b"hangfs", sys.argv[1].encode(), b"fuse", 0, options.encode()) != 0:
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
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
