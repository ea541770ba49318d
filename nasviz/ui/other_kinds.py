"""What is no removal structure and yet could change: gates, and operations without variables."""

from __future__ import annotations

import streamlit as st

from nasviz.draw.labels import clean
from nasviz.graph import SearchSpace, count_switchable
from nasviz.ui import session

__all__ = ["choose_gates", "other_kinds"]

MOST_ROWS = 200
"""Of a list, so that a page stays light."""
GATES = (
    "A gate scales another value, as squeeze-and-excite does. With its variables at zero it is a constant,"
    " not zero, and zero in its place would silence what it scales: so it is no structure. It can be replaced"
    " by its constant, exactly. That is yours to choose, here or on the page Sub-network: no search does it,"
    " and K does not count it."
)
SWITCHABLE = (
    "Pooling and identity edges have no variables that could become zero, so no training marks them"
    " redundant. With a switch on each, a number that scales it, they are structures too: GSparsity puts them"
    " in by itself, and `nasviz.add_switches` does in Python. No other search counts them in its K."
)
COUNTED = "Counted only: the network and the K of a search stay as they are."


def other_kinds(space: SearchSpace) -> None:
    """List the gates and the operations without variables of a network that has any."""
    gates, operations = space.gates, space.switchable
    if gates:
        title = f"{_number(len(gates), 'gate')}: replaced by a number, not erased"
        with st.expander(title, icon=":material/tune:"):
            st.caption(GATES)
            st.dataframe(_gates(session.key_of(space), space), hide_index=True, column_config=_COLUMNS)
    if operations:
        title = f"{_number(len(operations), 'operation')} without variables: pooling and identity edges"
        with st.expander(title, icon=":material/toggle_on:"):
            st.caption(SWITCHABLE)
            if st.toggle("How far K would go with them", key="other_kinds.count", help=COUNTED):
                removable, most = _counted(session.key_of(space), space)
                st.markdown(
                    f"With a switch on each: **{removable}** structures, at most **{most}** together."
                )
            st.dataframe(_switchable(space), hide_index=True)


def choose_gates(space: SearchSpace, title: str, key: str) -> tuple[int, ...]:
    """A choice among the gates, those of the trial at first; empty, and nothing shown, where there are none.

    Args:
        space: Whose gates.
        title: Of the widget.
        key: Of the widget.
    """
    names = {gate.id: f"{gate.id} · {clean(gate.name)}" for gate in space.gates}
    if not names:
        return ()
    known = [i for i in session.current().gates if i in names]
    chosen = st.multiselect(
        title,
        list(names),
        default=known,
        format_func=names.__getitem__,
        key=key,
        placeholder="Choose gates",
        help=GATES,
    )
    return tuple(sorted(chosen))


_COLUMNS = {
    "saves parameters": st.column_config.NumberColumn(format="localized"),
    "saves MACs": st.column_config.NumberColumn(format="localized"),
}


@st.cache_data(max_entries=12, show_spinner=False)
def _gates(key: str, _space: SearchSpace) -> list[dict[str, str | int | float]]:
    """One row a gate of the space that `key` stands for, with what the network saves without it."""
    rows: list[dict[str, str | int | float]] = []
    for gate in _space.gates[:MOST_ROWS]:
        plan = _space.plan((), gates=(gate.id,))
        rows.append(
            {
                "id": gate.id,
                "gate": clean(gate.name),
                "value at zero": gate.value,
                "scales": clean(_space.trace[gate.product].name),
                "saves parameters": plan.params_before - plan.params_after,
                "saves MACs": plan.macs_before - plan.macs_after,
            }
        )
    return rows


@st.cache_data(max_entries=12, show_spinner=False)
def _counted(key: str, _space: SearchSpace) -> tuple[int, int]:
    """Structures, and how many can go together, with switches on the space that `key` stands for."""
    switched = count_switchable(_space)
    return len(switched.removable), switched.max_sparsity


def _switchable(space: SearchSpace) -> list[dict[str, str]]:
    return [
        {
            "operation": clean(operation.name),
            "read by": ", ".join(clean(space.trace[joint].name) for joint in operation.joints),
            "goes with it": ", ".join(clean(space.trace[v].name) for v in operation.vertices) or "nothing",
        }
        for operation in space.switchable[:MOST_ROWS]
    ]


def _number(count: int, word: str) -> str:
    return f"1 {word}" if count == 1 else f"{count} {word}s"
