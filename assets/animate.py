"""Screenshots of the app as one short animated picture for the README; `make pictures` takes and joins them.

    python assets/animate.py FRAMES FILE.webp

A frame is called NUMBER-MILLISECONDS.png: its place, and how long it is shown.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

WIDTH = 1000
LARGEST = 1_500_000
"""Bytes: what a README may ask of its readers."""
QUALITIES = (70, 55, 40, 25)
MOST_MOVING = 60
"""Frames of things that move; on a slow machine training gives more, and only some are taken."""
HELD_MS = 1000
"""Frames that are shown for so long are all taken."""


def animate(folder: Path, target: Path) -> int:
    """Join the frames in `folder`; return the size of the file in bytes.

    Raises:
        SystemExit: There are no frames, or the file is too large at any quality.
    """
    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise SystemExit(f"no frames in {folder}: run `make pictures`")
    moving = [path for path in paths if _time_ms(path) < HELD_MS]
    taken = set(moving[:: 1 + len(moving) // MOST_MOVING])
    paths = [path for path in paths if path in taken or _time_ms(path) >= HELD_MS]
    frames = [_shrunk(path) for path in paths]
    times = [_time_ms(path) for path in paths]
    for quality in QUALITIES:
        frames[0].save(
            target,
            save_all=True,
            append_images=frames[1:],
            duration=times,
            loop=0,
            quality=quality,
            method=6,
            minimize_size=True,
        )
        if (size := target.stat().st_size) <= LARGEST:
            return size
    raise SystemExit(f"{target} has {size:,} bytes, more than {LARGEST:,}: take fewer frames")


def _time_ms(path: Path) -> int:
    return int(path.stem.partition("-")[2])


def _shrunk(path: Path) -> Image.Image:
    with Image.open(path) as image:
        height = round(image.height * WIDTH / image.width)
        return image.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    size = animate(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write(f"{sys.argv[2]}: {size:,} bytes\n")
