"""What Python and JavaScript agree on: `shared.json` is made here, and the JavaScript tests read it too."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from nasviz.draw import Overlay
from nasviz.draw.live_frame import NOT_MEASURED, LiveFrame, StructureState
from nasviz.draw.packing import NO_BIN, pack_bins, pack_floats, pack_ints
from nasviz.draw.palette import BINS, STATES
from nasviz.draw.svg import ATTRIBUTES, ELEMENTS

SHARED = Path(__file__).with_name("shared.json")
FLOATS = [0.0, -1.5, 0.1, 1e-8, 12345.0, -3.25e9, math.nan]
INTS = [0, 1, -1, 49_999, 2**31 - 1, -(2**31)]


def shared() -> dict[str, Any]:
    """Everything that both sides know, with values in the clear and as Python packs them."""
    bins = [[], [0], [3, NOT_MEASURED], [0, 1, 2, 3, 4, 5, 6, 7, 8], [NOT_MEASURED] * 3, [8] * 40]
    return {
        "num_bins": BINS,
        "no_bin": NO_BIN,
        "states": sorted(set(STATES) - {"ancestor", "descendant"}),
        "svg": {"elements": sorted(ELEMENTS), "attributes": sorted(ATTRIBUTES)},
        "floats": {"packed": pack_floats(FLOATS), "values": [None if math.isnan(x) else x for x in FLOATS]},
        "ints": {"packed": pack_ints(INTS), "values": INTS},
        "bins": [{"packed": pack_bins(b), "values": [min(x, NO_BIN) for x in b]} for b in bins],
        "overlays": [{"ids": ids, "plain": o.payload(), "packed": o.packed(ids)} for ids, o in overlays()],
        "frame": {"rows": FRAME.rows(), "payload": FRAME.payload(), **clear(FRAME)},
    }


def overlays() -> list[tuple[list[str], Overlay]]:
    ids = [f"n{i}" for i in range(5)]
    notes = {"n0": "saliency 0.5", "n3": "saliency 0.25; erased: selected", "n4": "protected <b>&"}
    return [
        (ids, Overlay()),
        (ids, Overlay("Saliency", "cividis", {"n0": 8, "n3": 0}, ("0.25", "0.5"), {}, notes)),
        (ids, Overlay(states={"n1": ("erased",), "n2": ("selected", "zero"), "n4": ("erased",)})),
        (ids[:2], Overlay("MACs", "viridis", {"n0": 1, "n1": 2}, ("1", "2"), {"n1": ("sliced",)}, {})),
    ]


FRAME = LiveFrame(
    state="running",
    phase="projection",
    step=3,
    total_steps=10,
    facts=(("loss", "0.5"),),
    phases=(("warm-up", 0, 1), ("projection", 2, 3)),
    curves=(
        {"name": "loss", "title": "Loss", "points": [[0, 2.5], [3, 0.12346]], "marks": [[3, 0.5, "full"]]},
        {"name": "lr", "title": "Learning rate", "points": [], "marks": []},
    ),
    structures=(
        StructureState(1, "conv1-bn1", "alive", 0.25),
        StructureState(7, "conv2", "zero", None),
        StructureState(9, "conv3", "selected", 1e-7),
    ),
    heat_steps=(0, 1, 3),
    heat=bytes([0, 1, 8, NOT_MEASURED, NOT_MEASURED, NOT_MEASURED, 3, 4, 5]),
    events=((2, "selected", "conv3 is selected"),),
)


def clear(frame: LiveFrame) -> dict[str, Any]:
    structures = [{"id": s.id, "name": s.name, "state": s.state, "score": s.score} for s in frame.structures]
    bins = np.minimum(np.frombuffer(frame.heat, np.uint8), NO_BIN).tolist()
    return {"structures": structures, "curves": list(frame.curves), "bins": bins}


def test_the_shared_cases_are_what_python_packs() -> None:
    text = json.dumps(shared(), indent=1, allow_nan=False) + "\n"
    if os.environ.get("NASVIZ_SNAPSHOTS"):
        SHARED.write_text(text)
    assert json.loads(SHARED.read_text()) == json.loads(text)


def test_packed_bins_take_half_a_byte_each_and_everything_above_is_no_bin() -> None:
    assert len(pack_bins([1] * 30_000)) == 20_000  # 15,000 bytes in base64
    assert pack_bins([NO_BIN]) == pack_bins([200])
    assert pack_bins([NO_BIN]) != pack_bins([0])
