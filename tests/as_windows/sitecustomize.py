"""Hides from Python what Windows lacks, as far as nasviz uses it: a folder for PYTHONPATH.

The fake `msvcrt` locks bytes by locks of open file descriptions: as on Windows, descriptors of one process
exclude each other, and no lock outlives its process. Unlike there, readers of one byte share it. Nothing here
replaces a trial on Windows.
"""

import asyncio
import errno
import fcntl
import multiprocessing.connection
import os
import shutil
import signal
import struct
import subprocess
import sys
from types import ModuleType

_LOCK = struct.Struct("hhlli")  # struct flock of 64-bit Linux


def _locking(descriptor: int, mode: int, count: int) -> None:
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    kind = fcntl.F_RDLCK if flags & os.O_ACCMODE == os.O_RDONLY else fcntl.F_WRLCK
    kind = fcntl.F_UNLCK if mode == msvcrt.LK_UNLCK else kind
    place = os.lseek(descriptor, 0, os.SEEK_CUR)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _LOCK.pack(kind, os.SEEK_SET, place, count, 0))
    except BlockingIOError as error:
        raise PermissionError(errno.EACCES, "Permission denied") from error


_LOADED = asyncio, multiprocessing.connection, subprocess  # these take `msvcrt` for a sign of Windows
msvcrt = ModuleType("msvcrt")
msvcrt.LK_UNLCK, msvcrt.LK_NBLCK, msvcrt.locking = 0, 2, _locking
sys.modules["msvcrt"] = msvcrt
sys.modules["fcntl"] = None
os.environ.setdefault("USERNAME", "user")
for name in (
    "O_NOFOLLOW",
    "O_NONBLOCK",
    "O_CLOEXEC",
    "O_DIRECTORY",
    "getuid",
    "geteuid",
    "sched_getaffinity",
):
    delattr(os, name)
del signal.SIGHUP
shutil._use_fd_functions = False  # Python decides that when it loads the module
