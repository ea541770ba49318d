"""Which channel groups go: those of lowest saliency, as long as every operator keeps a channel."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from nasviz.graph.channels.groups import ChannelStructure, Floor

__all__ = ["max_groups", "select"]


def max_groups(structures: Sequence[ChannelStructure], floors: Sequence[Floor], divisible: int) -> int:
    """How many groups can surely go together; the most, where no axis has channels of several structures."""
    kept = _witness(structures, floors)
    return sum(s.width - (s.step(divisible) if s.id in kept else 0) for s in structures)


def select(
    structures: Sequence[ChannelStructure],
    floors: Sequence[Floor],
    saliency: Mapping[int, float],
    k: int,
    divisible: int,
) -> tuple[int, ...]:
    """The groups that go, by id; `k` of them, or fewer where widths are rounded up."""
    home = {group: s for s in structures for group in s.groups}
    order = sorted(home, key=lambda group: (saliency[group], group))
    chosen = _greedy(home, floors, order, k)
    if len(chosen) < k:  # some axis with channels of several structures was emptied down to an unlucky rest
        chosen = _greedy(home, _alone(_witness(structures, floors), floors), order, k)
    return tuple(sorted(_rounded(structures, chosen, divisible)))


def _greedy(
    home: Mapping[int, ChannelStructure], floors: Sequence[Floor], order: Sequence[int], k: int
) -> list[int]:
    """One after the other, each that leaves every floor something."""
    width = {s.id: s.width for s in home.values()}
    left = [sum(width.get(i, 0) for i in floor.structures) for floor in floors]
    watched: dict[int, list[int]] = {}
    for number, floor in enumerate(floors):
        for i in floor.structures:
            watched.setdefault(i, []).append(number)
    chosen: list[int] = []
    for group in order:
        if len(chosen) == k:
            break
        mine = watched.get(home[group].id, [])
        if all(left[number] > 1 for number in mine):
            chosen.append(group)
            for number in mine:
                left[number] -= 1
    return chosen


def _witness(structures: Sequence[ChannelStructure], floors: Sequence[Floor]) -> set[int]:
    """Structures that satisfy all floors if each of them keeps something: a small set, found greedily."""
    alive = {s.id for s in structures}
    kept = {floor.structures[0] for floor in floors if len(floor.structures) == 1} & alive
    for floor in floors:
        candidates = alive.intersection(floor.structures)
        if candidates and kept.isdisjoint(candidates):
            kept.add(min(candidates))
    return kept


def _alone(kept: Collection[int], floors: Sequence[Floor]) -> list[Floor]:
    vertices = {i: floor.vertex for floor in floors for i in floor.structures}
    return [Floor((i,), vertices[i]) for i in sorted(kept)]


def _rounded(structures: Sequence[ChannelStructure], chosen: Sequence[int], divisible: int) -> list[int]:
    """Give the best of the chosen back until each structure keeps a multiple of its step, or all."""
    if divisible == 1:
        return list(chosen)
    place = {group: number for number, group in enumerate(chosen)}
    found: list[int] = []
    for s in structures:
        mine = sorted(place[group] for group in s.groups if group in place)
        step = s.step(divisible)
        kept = -(-(s.width - len(mine)) // step) * step
        found += [chosen[number] for number in mine[: max(0, s.width - kept)]]
    return found
