"""Files that lie, explode or want to run code, each made on the spot; the canary is a folder they make."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

MIB = 2**20
Make = Callable[[Path, Path], Path]
EVIL_NAMES = (
    "<img src=x onerror=alert(1)>",
    "[c](javascript:alert(1))",
    "</script><script>alert(1)</script>",
    "line\nbreak\r\n",
    "../../etc/passwd",
    "x" * 10_000,
    '"]; evil [URL="javascript:alert(1)"',
    "\x1b[31mred\x07\x00",
    "\u202egnp.exe",
    "=cmd|'/c calc'!A1",
    "$(touch canary)",
)
"""HTML, links, broken lines, paths, length, DOT, control characters, writing direction, formulas, shells."""


class Payload:
    """Makes the canary where a pickle of it is opened as pickles are."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> object:
        return os.mkdir, (str(self.canary),)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def pickle_in_archive(folder: Path, canary: Path) -> Path:
    torch.save({"conv1.weight": Payload(canary)}, folder / "archive.pt")
    return folder / "archive.pt"


def pickle_alone(folder: Path, canary: Path) -> Path:
    return written(folder / "alone.pt", pickle.dumps({"conv1.weight": Payload(canary)}, protocol=2))


def pickle_of_old(folder: Path, canary: Path) -> Path:
    torch.save({"w": Payload(canary)}, folder / "old.pth", _use_new_zipfile_serialization=False)
    return folder / "old.pth"


def whole_module(folder: Path, canary: Path) -> Path:
    torch.save(nn.Linear(2, 2), folder / "module.pt")
    return folder / "module.pt"


def program(folder: Path, canary: Path) -> Path:
    """An archive of torch.export whose example inputs are a pickle."""
    path = folder / "program.pt2"
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),)), path)
    with zipfile.ZipFile(path, "a") as archive:
        buffer = io.BytesIO()
        torch.save(Payload(canary), buffer)
        archive.writestr("archive/data/sample_inputs/evil.pt", buffer.getvalue())
        archive.writestr("archive/evil.pkl", pickle.dumps(Payload(canary)))
    return path


def program_in_disguise(folder: Path, canary: Path) -> Path:
    return program(folder, canary).rename(folder / "disguise.pt")


def bomb(folder: Path, canary: Path) -> Path:
    """0.3 MiB that unfold to 300."""
    with zipfile.ZipFile(folder / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        with archive.open("archive/data/0", "w") as member:
            for _ in range(300):
                member.write(bytes(MIB))
    assert (folder / "bomb.pt").stat().st_size < MIB
    return folder / "bomb.pt"


def one_member_many_times(folder: Path, canary: Path) -> Path:
    """A directory that names the same megabyte ten thousand times."""
    with zipfile.ZipFile(folder / "again.pt", "w") as archive:
        archive.writestr("archive/data/0", bytes(MIB))
        for number in range(1, 10_000):
            again = copy.copy(archive.filelist[0])
            again.filename = f"archive/data/{number}"
            archive.filelist.append(again)
    return folder / "again.pt"


def lying_size(folder: Path, canary: Path) -> Path:
    """Four numbers that call themselves a thousand million."""
    torch.save({"conv1.weight": torch.arange(4.0)}, folder / "honest")
    size = b"J" + struct.pack("<i", 10**9)
    with zipfile.ZipFile(folder / "honest") as honest, zipfile.ZipFile(folder / "size.pt", "w") as lying:
        for name in honest.namelist():
            content = honest.read(name)
            if name.endswith("data.pkl"):
                assert content.count(b"K\x04") == 2
                content = content.replace(b"K\x04", size)
            lying.writestr(name, content)
    return folder / "size.pt"


def header(folder: Path, name: str, table: object, data: bytes = b"", size: int | None = None) -> Path:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return written(folder / name, struct.pack("<Q", len(text) if size is None else size) + text + data)


def terabyte_header(folder: Path, canary: Path) -> Path:
    return header(folder, "terabyte.safetensors", {}, size=2**40)


def terabyte(folder: Path, canary: Path) -> Path:
    with (folder / "hole.safetensors").open("wb") as file:
        file.truncate(2**40)
    return folder / "hole.safetensors"


def lying_shape(folder: Path, canary: Path) -> Path:
    table = {"conv1.weight": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}
    return header(folder, "shape.safetensors", table, b"1234")


def overlapping(folder: Path, canary: Path) -> Path:
    row = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    return header(folder, "overlap.safetensors", {f"t{i}": row for i in range(1000)}, b"1234")


def deep_header(folder: Path, canary: Path) -> Path:
    return header(folder, "deep.safetensors", b'{"a":' * 100_000)


def evil_names(folder: Path, canary: Path) -> Path:
    save_file({name: torch.zeros(1) for name in EVIL_NAMES}, folder / "names.safetensors")
    return folder / "names.safetensors"


def link_elsewhere(folder: Path, canary: Path) -> Path:
    (folder / "link.pt").symlink_to("/etc/passwd")
    return folder / "link.pt"


def pipe(folder: Path, canary: Path) -> Path:
    """Reading it would wait for ever."""
    os.mkfifo(folder / "pipe.pt")
    return folder / "pipe.pt"


def endless(folder: Path, canary: Path) -> Path:
    (folder / "endless.pt").symlink_to("/dev/zero")
    return folder / "endless.pt"


UNREADABLE, NONE = "cannot be read as tensors only", "no file of weights"
WEIGHTS: dict[str, tuple[Make, str]] = {
    "pickle in an archive": (pickle_in_archive, UNREADABLE),
    "pickle alone": (pickle_alone, UNREADABLE),
    "pickle of old": (pickle_of_old, UNREADABLE),
    "whole module": (whole_module, UNREADABLE),
    "exported program": (program, "a program of torch.export: code"),
    "exported program in disguise": (program_in_disguise, "a program of torch.export: code"),
    "zip bomb": (bomb, "rejected unopened"),
    "one member many times": (one_member_many_times, "rejected unopened"),
    "lying size": (lying_size, UNREADABLE),
    "empty": (lambda folder, canary: written(folder / "empty.pt", b""), UNREADABLE),
    "empty safetensors": (
        lambda folder, canary: written(folder / "e.safetensors", b""),
        "no safetensors file",
    ),
    "header of a terabyte": (terabyte_header, "no safetensors file"),
    "file of a terabyte": (terabyte, r"bytes; (the limit is|at most)"),
    "lying shape": (lying_shape, "no safetensors file"),
    "overlapping tensors": (overlapping, "no safetensors file"),
    "deep header": (deep_header, "no safetensors file"),
    "evil names": (evil_names, "does not fit this DemoNet"),
    "link elsewhere": (link_elsewhere, UNREADABLE),
    "pipe": (pipe, NONE),
    "endless device": (endless, NONE),
}
"""By name: how to make it, and what is said of it."""
