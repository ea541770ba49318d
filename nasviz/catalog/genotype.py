"""Genotypes: the operations that a search has kept in each type of cell, as checked data.

A genotype is written as in its papers: `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[2, ...],
reduce=[...], ...)` for the cells of DARTS, with a list per node where nodes keep unequal numbers of
operations; `Genotype(recurrent=[('tanh', 0), ...], concat=[...])` for its recurrent cell; and
`|nor_conv_3x3~0|+|none~0|skip_connect~1|+...` for NAS-Bench-201, `a+b~0` for two operations on an edge.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nasviz.errors import InvalidSettingError

__all__ = [
    "ACTIVATION_NAMES",
    "DARTS_V2",
    "LONGEST_GENOTYPE",
    "OPERATION_NAMES",
    "CellChoice",
    "Genotype",
    "GenotypeKind",
    "is_genotype",
    "read_genotype",
]

LONGEST_GENOTYPE = 64 * 2**10
"""Characters of a genotype that are read."""
MAX_NODES = 16
MAX_OPERATIONS = 512
OPERATION_NAMES = (
    *("none", "noise", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5"),
    *("sep_conv_7x7", "dil_conv_3x3", "dil_conv_5x5", "nor_conv_1x1", "nor_conv_3x3"),
)
"""Operations on images; `nasviz.models.operations` builds them."""
ACTIVATION_NAMES = ("none", "tanh", "relu", "sigmoid", "identity")
"""Operations of a recurrent cell."""
GenotypeKind = Literal["darts", "nas_bench_201", "recurrent"]
_INPUTS: dict[str, int] = {"normal": 2, "reduce": 2, "cell": 1, "recurrent": 1}
_EDGE = re.compile(r"([A-Za-z0-9_]{1,32}(?:\+[A-Za-z0-9_]{1,32})*)~([0-9]{1,2})")
_IDENTITIES = ("skip_connect", "identity")

Node = tuple[tuple[str, Annotated[int, Field(ge=0, lt=MAX_NODES + 2)]], ...]
"""What a node sums: operations, with the state that each reads; inputs of the cell count first."""


class CellChoice(BaseModel):
    """One type of cell."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    type: Literal["normal", "reduce", "cell", "recurrent"]
    nodes: Annotated[tuple[Node, ...], Field(min_length=1, max_length=MAX_NODES)]
    concat: Annotated[tuple[int, ...], Field(min_length=1, max_length=MAX_NODES)]
    """States that are the output of the cell."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        known = ACTIVATION_NAMES if self.type == "recurrent" else OPERATION_NAMES
        first = _INPUTS[self.type]
        alive = set(range(first))
        if sum(map(len, self.nodes)) > MAX_OPERATIONS:
            raise ValueError(f"a cell has more than {MAX_OPERATIONS} operations")
        for number, node in enumerate(self.nodes):
            for name, state in node:
                if name not in known:
                    raise ValueError(f"unknown operation {name[:40]!r}; choose from {', '.join(known)}")
                if state not in alive:
                    raise ValueError(
                        f"node {number} of the {self.type} cell reads state {state}, which is not there yet"
                    )
            if len(set(node)) < len(node):
                raise ValueError(f"node {number} of the {self.type} cell has an operation twice")
            if node:
                alive.add(first + number)
        odd = [state for state in self.concat if state < first or state not in alive]
        if odd or len(set(self.concat)) < len(self.concat):
            raise ValueError(f"the output of the {self.type} cell names state {odd or self.concat}")
        return self

    @property
    def num_operations(self) -> int:
        """Number of operations on edges, without `none`."""
        return sum(name != "none" for node in self.nodes for name, _ in node)

    @property
    def num_identities(self) -> int:
        """Number of skip connections among them."""
        return sum(name in _IDENTITIES for node in self.nodes for name, _ in node)


class Genotype(BaseModel):
    """Operations that a search has kept in each type of cell; any number of them per node.

    Examples:
        >>> found = read_genotype("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|")
        >>> found.kind, found.cells[0].nodes[1], found.skip_share
        ('nas_bench_201', (('skip_connect', 1),), 0.3333333333333333)
        >>> read_genotype(found.text) == found
        True
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    cells: Annotated[tuple[CellChoice, ...], Field(min_length=1, max_length=2)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        types = [cell.type for cell in self.cells]
        if types not in (["normal", "reduce"], ["normal"], ["cell"], ["recurrent"]):
            raise ValueError(f"it has cells of the types {', '.join(types)}; normal and reduce were expected")
        return self

    @property
    def kind(self) -> GenotypeKind:
        """Family of networks that it fits."""
        first = self.cells[0].type
        return "darts" if first == "normal" else "nas_bench_201" if first == "cell" else "recurrent"

    @property
    def takes_auxiliary(self) -> bool:
        """Whether its network may have an auxiliary head and drop operations."""
        return self.kind == "darts"

    def cell(self, type_name: str) -> CellChoice:
        """Return the cell of a type; reduction cells without one of their own are normal ones."""
        return next((cell for cell in self.cells if cell.type == type_name), self.cells[0])

    @property
    def skip_share(self) -> float:
        """Share of skip connections among all operations (RARTS dissertation, table 3.3)."""
        total = sum(cell.num_operations for cell in self.cells)
        return sum(cell.num_identities for cell in self.cells) / max(1, total)

    @property
    def text(self) -> str:
        """The genotype as its papers write it, on one line."""
        if self.kind == "nas_bench_201":
            return "+".join(
                f"|{'|'.join(_edge(node, state) for state in range(1 + number))}|"
                for number, node in enumerate(self.cells[0].nodes)
            )
        fields = []
        for cell in self.cells:
            is_even = len({len(node) for node in cell.nodes}) == 1 and bool(cell.nodes[0])
            pairs: object = (
                [p for node in cell.nodes for p in node] if is_even else list(map(list, cell.nodes))
            )
            concat = "concat" if cell.type == "recurrent" else f"{cell.type}_concat"
            fields += [f"{cell.type}={pairs}", f"{concat}={list(cell.concat)}"]
        return f"Genotype({', '.join(fields)})"


def read_genotype(given: object) -> Genotype:
    """Return a genotype from its text, from JSON with an entry `genotype`, or by the name `darts_v2`.

    Raises:
        InvalidSettingError: It is none; the message says what is wrong.
    """
    if isinstance(given, Genotype):
        return given
    if isinstance(given, Mapping):
        given = given.get("genotype")
    if not isinstance(given, str) or not given.strip() or len(given) > LONGEST_GENOTYPE:
        raise _refusal(given, f"it must be text of at most {LONGEST_GENOTYPE} characters")
    text = given.strip()
    try:
        if text.lower() == "darts_v2":
            return DARTS_V2
        if text.startswith("{"):
            return read_genotype(json.loads(text))
        return Genotype(cells=tuple(_string(text) if text.startswith("|") else _call(text)))
    except ValidationError as error:
        raise _refusal(text, str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from error
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        words = "it is nested too deeply" if isinstance(error, RecursionError | MemoryError) else str(error)
        raise _refusal(text, words) from error


def is_genotype(text: str) -> bool:
    """Return whether a network can be built from a text: cells of the user's own have other operations."""
    try:
        read_genotype(text)
    except InvalidSettingError:
        return False
    return True


def _refusal(given: object, words: str) -> InvalidSettingError:
    return InvalidSettingError(
        f"{str(given)[:60]!r} is no genotype: {' '.join(words.split())[:300]}; expected the text that `nasviz"
        " genotype` prints, such as Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[...], ...)"
    )


def _edge(node: Node, state: int) -> str:
    return f"{'+'.join(name for name, read in node if read == state) or 'none'}~{state}"


def _string(text: str) -> Iterable[CellChoice]:
    """Read the string of NAS-Bench-201."""
    nodes = []
    for number, part in enumerate(text.strip("|").split("|+|")):
        edges = [_EDGE.fullmatch(edge) for edge in part.split("|")]
        if not all(edges) or [int(edge[2]) for edge in edges if edge] != list(range(number + 1)):
            raise ValueError(f"node {number} must list one edge from each state before it, such as none~0")
        pairs = [(name, int(edge[2])) for edge in edges if edge for name in edge[1].split("+")]
        nodes.append(tuple(pair for pair in pairs if pair[0] != "none"))
    if len(nodes) != 3:
        raise ValueError(f"a cell of NAS-Bench-201 has 3 nodes, this one has {len(nodes)}")
    yield CellChoice(type="cell", nodes=tuple(nodes), concat=(len(nodes),))


def _call(text: str) -> Iterable[CellChoice]:
    """Read `Genotype(...)`, whose arguments are literals; nothing is evaluated."""
    call = ast.parse(text, mode="eval").body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "Genotype":
        raise ValueError("it is no call of Genotype(...)")
    if call.args or len(call.keywords) > 4:
        raise ValueError("its arguments have no names, or are too many")
    given = {str(word.arg): _literal(word.value) for word in call.keywords}
    for name in ("normal", "reduce", "recurrent"):
        if name in given:
            concat = given.pop("concat" if name == "recurrent" else f"{name}_concat", None)
            yield _cell(name, given.pop(name), concat)
    if given:
        raise ValueError(f"it has the argument {next(iter(given))[:40]!r}")


def _literal(node: ast.expr) -> Any:
    """Return a literal; `range(a, b)` of two small numbers is one, as in the code of DARTS."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        ends = [ast.literal_eval(argument) for argument in node.args]
        if len(ends) == 2 and all(isinstance(end, int) and 0 <= end <= MAX_NODES + 2 for end in ends):
            return list(range(*ends))
    return ast.literal_eval(node)


def _cell(type_name: Any, value: Any, concat: Any) -> CellChoice:
    first = _INPUTS[type_name]
    if not isinstance(value, list | tuple) or not all(isinstance(part, list | tuple) for part in value):
        raise ValueError(f"{type_name} must be a list of pairs, or of lists of pairs")
    if concat is not None and not (
        isinstance(concat, list | tuple) and concat and all(isinstance(state, int) for state in concat)
    ):
        raise ValueError(f"the output of the {type_name} cell must be a list of states")
    is_flat = all(len(part) == 2 and isinstance(part[0], str) for part in value)
    if not is_flat or not value:
        nodes = value
    else:
        # Nodes that keep as many operations each are written one behind the other.
        num_nodes = max(concat) - first + 1 if concat else len(value) // (2 if first == 2 else 1)
        if num_nodes < 1 or len(value) % num_nodes:
            raise ValueError(f"{len(value)} operations cannot be shared evenly by {num_nodes} nodes")
        each = len(value) // num_nodes
        nodes = [value[start : start + each] for start in range(0, len(value), each)]
    if any(isinstance(part, str) or len(part) != 2 for node in nodes for part in node):
        raise ValueError(f"an operation of the {type_name} cell must be a pair of name and state")
    made = tuple(tuple((part[0], part[1]) for part in node if part[0] != "none") for node in nodes)
    if concat is None:
        concat = [first + number for number, node in enumerate(made) if node]
    return CellChoice(type=type_name, nodes=made, concat=tuple(concat))


DARTS_V2 = Genotype(
    cells=(
        CellChoice(
            type="normal",
            nodes=(
                (("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
                (("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
                (("sep_conv_3x3", 1), ("skip_connect", 0)),
                (("skip_connect", 0), ("dil_conv_3x3", 2)),
            ),
            concat=(2, 3, 4, 5),
        ),
        CellChoice(
            type="reduce",
            nodes=(
                (("max_pool_3x3", 0), ("max_pool_3x3", 1)),
                (("skip_connect", 2), ("max_pool_3x3", 1)),
                (("max_pool_3x3", 0), ("skip_connect", 2)),
                (("skip_connect", 2), ("max_pool_3x3", 1)),
            ),
            concat=(2, 3, 4, 5),
        ),
    )
)
"""What second-order DARTS derived on CIFAR-10 (Liu et al., 2019, figures 4 and 5)."""
