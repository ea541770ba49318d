"""Gates and operations without parameters, which are not removal structures."""

from __future__ import annotations

import streamlit as st

from nasviz.draw.labels import clean
from nasviz.graph import SearchSpace, count_switchable
from nasviz.ui import session

__all__ = ["choose_gates", "show"]

MOST_ROWS = 200
"""Maximum number of table rows."""
GATES = (
    "A gate scales another value, as in squeeze-and-excitation. With its parameters at zero, it is a nonzero"
    " constant, so it is not a removal structure. It can be replaced by this constant exactly, here or on the"
    " page Sub-network. Searches do not replace gates, and K does not count them."
)
SWITCHABLE = (
    "Pooling and identity operations have no parameters that training could set to zero. A switch, a scalar"
    " factor on each of them, makes them removable: GSparsity adds switches automatically, and"
    " `nasviz.add_switches` adds them in Python. Other searches do not count these operations in K."
)
COUNTED = "Only counts: the network and the K of a search do not change."


def show(space: SearchSpace) -> None:
    """List the gates and the operations without parameters, if the network has any."""
    gates, operations = space.gates, space.switchable
    if gates:
        title = f"{_number(len(gates), 'gate')} replaceable by a constant"
        with st.expander(title, icon=":material/tune:"):
            st.caption(GATES)
            st.dataframe(_gates(session.key_of(space), space), hide_index=True, column_config=_COLUMNS)
    if operations:
        title = f"{_number(len(operations), 'operation')} without parameters: pooling and identity"
        with st.expander(title, icon=":material/toggle_on:"):
            st.caption(SWITCHABLE)
            if st.toggle("Show K with switches", key="gates_and_switches.count", help=COUNTED):
                removable, most = _counted(session.key_of(space), space)
                st.markdown(f"With switches: **{removable}** structures, maximum K **{most}**.")
            st.dataframe(_switchable(space), hide_index=True)


def choose_gates(space: SearchSpace, title: str, key: str) -> tuple[int, ...]:
    """Let the user choose gates, by default those of the preview; show nothing if the space has none."""
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
    """Return one row per gate with its savings; `key` identifies the space."""
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
    """Return the number of structures and the maximum K with switches; `key` identifies the space."""
    switched = count_switchable(_space)
    return len(switched.removable), switched.max_sparsity


def _switchable(space: SearchSpace) -> list[dict[str, str]]:
    return [
        {
            "operation": clean(operation.name),
            "read by": ", ".join(clean(space.trace[joint].name) for joint in operation.joints),
            "also removed": ", ".join(clean(space.trace[v].name) for v in operation.vertices) or "nothing",
        }
        for operation in space.switchable[:MOST_ROWS]
    ]


def _number(count: int, word: str) -> str:
    return f"1 {word}" if count == 1 else f"{count} {word}s"
