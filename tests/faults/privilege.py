"""Root may read and write everywhere, whatever the modes of files say: here it gives that up."""

import ctypes
import os

VERSION = 0x20080522


class Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def give_up() -> None:
    """Let modes hold for this process as for anybody else's; for good."""
    if os.geteuid() != 0:
        return
    header, none = Header(VERSION, 0), (Data * 2)()
    if ctypes.CDLL(None, use_errno=True).capset(ctypes.byref(header), none) != 0:
        raise OSError(ctypes.get_errno(), "the rights of root cannot be given up")
