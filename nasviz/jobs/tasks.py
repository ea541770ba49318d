"""Tasks of worker processes: for each a request and a result, declared here once.

A task is one `Request` class with its result, and one function in `nasviz.jobs.worker` that carries it out.
Requests and results are plain data and travel as JSON. Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import core_schema

from nasviz.catalog import NetworkSource
from nasviz.errors import OnnxError
from nasviz.graph import LatencyTable, SearchSpace
from nasviz.guarded_files import is_regular
from nasviz.jobs.cache import files_of, saved_files
from nasviz.jobs.job import Limits
from nasviz.runs import UserImport
from nasviz.runs.files import CHECKPOINT, END

__all__ = [
    "Analysis",
    "Analyze",
    "Comparison",
    "Computed",
    "Construct",
    "Constructed",
    "Download",
    "DownloadWeights",
    "Downloaded",
    "Export",
    "ExportFormat",
    "Exported",
    "ExportedFile",
    "Latency",
    "Lesson",
    "Names",
    "Preview",
    "Reopen",
    "Reopened",
    "Request",
    "Scores",
    "TimeSubnet",
    "TimeVertices",
    "Timing",
    "TimmNames",
    "ViewOnnx",
]


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


ResultT = TypeVar("ResultT", bound=BaseModel)


class Request(_Plain, Generic[ResultT]):
    """Arguments of a task. A subclass names the type of its result: `class Analyze(Request[Analysis])`.

    Every `NetworkSource` among the fields is checked against the trusted folders before the task starts, in
    the server and in the worker. A task that can import other Python overrides `imported_run` or
    `imported_data`.

    Examples:
        >>> Analyze.task_name(), Analyze.result_type().__name__
        ('analyze', 'Analysis')
    """

    limits: ClassVar[Limits] = Limits()
    """Time and memory of the task."""
    is_isolated: ClassVar[bool] = False
    """Whether the task runs in a worker of its own, which ends with it."""

    @classmethod
    def task_name(cls) -> str:
        """Return the name of the task in messages and on the wire."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def result_type(cls) -> type[ResultT]:
        """Return the class of the result."""
        (found,) = (
            base.__pydantic_generic_metadata__["args"][0]
            for base in cls.__mro__
            if issubclass(base, Request) and base.__pydantic_generic_metadata__["args"]
        )
        return found  # type: ignore[no-any-return]

    def files(self) -> list[str] | None:
        """Return the files whose content determines the result; None if the result must not be cached.

        Raises:
            WeightsError: A file is gone, or too large.
        """
        return None

    def imported_run(self) -> Path | None:
        """Return the folder of a run whose network, data and loss the task imports."""
        return None

    def imported_data(self) -> UserImport | None:
        """Return the user's own data set that the task imports."""
        return None


class _Json:
    """Annotation of a class that has `to_json` and `from_json`."""

    def __get_pydantic_core_schema__(self, kind: Any, handler: object) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, kind) else kind.from_json(value),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value.to_json()),
        )


Network = Annotated[NetworkSource, _Json()]
Space = Annotated[SearchSpace, _Json()]
Table = Annotated[LatencyTable, _Json()]
Shapes = tuple[tuple[int, ...], ...]
ExportFormat = Literal["onnx", "onnx_plain", "pt2", "source"]


class Analysis(_Plain):
    """A traced network and its search space."""

    space: Space
    parity: Mapping[str, float] = {}
    """Largest relative error between trace and module by mode; empty for what cannot be run."""
    rung: str
    """How the network was traced."""
    warnings: tuple[str, ...] = ()
    changed_training: tuple[str, ...] = ()
    """Differences between training the traced network and training the module."""
    free_axes: Mapping[str, tuple[int, ...]] = {}
    fixed_axes: Mapping[str, Mapping[int, str]] = {}
    """Why each of the other axes is fixed."""
    seconds: float


class Analyze(Request[Analysis]):
    """Build a network, trace it and generate its search space."""

    source: Network
    protect: tuple[str | int, ...] = ()
    """What must stay (see `search_space`)."""
    collapse: tuple[str, ...] = ()
    """Classes or path patterns of modules that count as one vertex each."""
    frozen: str = "protected"
    """Whether structures with frozen parameters stay or may be removed (see `search_space`)."""

    def files(self) -> list[str] | None:
        """Return the files of the network's weights."""
        return files_of(self.source)


class Scores(_Plain):
    """Saliency scores by structure id."""

    scores: dict[int, float]
    seconds: float


class Preview(Request[Scores]):
    """Score every removal structure of an untrained network on one batch."""

    source: Network
    data: str
    """Name of the data set, or a callable of the user's own."""
    saliency: str = "snip"
    data_folder: str | None = None
    trust: tuple[str, ...] = ()
    """Folders that a callable may be imported from."""
    protect: tuple[str | int, ...] = ()
    collapse: tuple[str, ...] = ()
    frozen: str = "protected"
    batch_size: int = 64
    seed: int = 0
    """Seed of the weights and of the order of the data."""

    def files(self) -> list[str] | None:
        """Return the files of the network's weights; None for data from a folder, which may change."""
        return files_of(self.source) if self.data_folder is None else None

    def imported_data(self) -> UserImport | None:
        """Return the callable that `data` names."""
        return UserImport("data", self.data, self.trust) if ":" in self.data else None


class Constructed(_Plain):
    """A sub-network that was written to a folder."""

    report: dict[str, Any]
    """Content of its `report.json`, with the modules that it imports."""
    folder: Path


class Construct(Request[Constructed]):
    """Zero structures, slice them out, compare both networks, write the smaller one to a folder.

    Exactly one of `run`, whose latest weights are taken, and `source` is given.
    """

    erased: tuple[int, ...]
    gates: tuple[int, ...] = ()
    """Ids of gates to replace by their value at zero."""
    run: Path | None = None
    source: Network | None = None
    protect: tuple[str | int, ...] = ()
    """What stays in the search space of a source; a run has its own."""
    collapse: tuple[str, ...] = ()
    frozen: str = "protected"
    folder: Path | None = None
    """Where the sub-network is written; None for `by-hand` in the run's folder."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.run is None) == (self.source is None) or self.folder is self.run is None:
            raise ValueError("give either the folder of a run, or a source and a folder to write to")
        return self

    def imported_run(self) -> Path | None:
        """Return the run whose network is built."""
        return self.run


class Reopened(_Plain):
    """The search space of a sub-network."""

    space: Space


class Reopen(Request[Reopened]):
    """Read a constructed sub-network back and trace it."""

    folder: Path
    inputs: Shapes
    """Shapes of its inputs, batch first."""

    def files(self) -> list[str] | None:
        """Return the files of the sub-network."""
        return saved_files(self.folder)


class ExportedFile(_Plain):
    """One exported file, with the largest relative error that reading it back has shown."""

    path: Path
    bytes: int
    max_relative_error: float
    nodes: int | None = None
    """Number of nodes of an ONNX graph."""
    free_axes: dict[str, tuple[int, ...]] = {}
    """Axes of each input of an ONNX file that may have other sizes."""


class Exported(_Plain):
    """Files of a sub-network."""

    files: dict[ExportFormat, ExportedFile]
    errors: dict[ExportFormat, str] = {}
    """Why a format could not be written."""
    full: str
    """Result of the comparison with the full network, in words."""


class Export(Request[Exported]):
    """Write a constructed sub-network in formats that other programs read; check each by reading it back."""

    limits: ClassVar[Limits] = Limits(time_s=900)

    folder: Path
    inputs: Shapes
    formats: tuple[ExportFormat, ...] = ("onnx", "source")
    """`onnx_plain` is ONNX with one node per operator, not simplified; `source` is Python and weights."""
    opset: int = 20
    """Version of the operators of an ONNX file."""
    dtype: Literal["float16"] | None = None
    """Precision of an ONNX file; `None` for that of the weights."""
    run: Path | None = None
    """Run that left the sub-network, whose stored full network it is compared with. None of its code is
    imported, so this is no `imported_run`."""

    def files(self) -> list[str] | None:
        """Return the files of the sub-network and of the run's result."""
        own = [] if self.run is None else [self.run / CHECKPOINT, self.run / END]
        return saved_files(self.folder) + [str(path) for path in own if is_regular(path)]


class Computed(_Plain):
    """Numbers of a lesson, by name."""

    values: dict[str, Any]


class Lesson(Request[Computed]):
    """Compute one of `nasviz.train.lessons`."""

    name: str
    numbers: dict[str, Any] = {}


class Timing(_Plain):
    """Latency of every operator of a network."""

    table: Table


class TimeVertices(Request[Timing]):
    """Time every operator of a network, whatever its weights; measured again for every request."""

    source: Network
    data: str | None = None
    """Name of the data set that the network would be built for."""
    batch_size: int = 1
    device: str = "auto"


class Latency(_Plain):
    """Duration of one forward pass, in milliseconds."""

    median_ms: float
    iqr_ms: float
    num_repeats: int
    batch_size: int
    device: str


class Comparison(_Plain):
    """Latencies of a full network and its sub-network, and of every operator of the full one."""

    full: Latency
    subnet: Latency
    table: Table


class TimeSubnet(Request[Comparison]):
    """Time a constructed sub-network and its full network in turn; measured again for every request."""

    source: Network
    folder: Path
    data: str | None = None
    batch_size: int = 1
    device: str = "auto"

    def files(self) -> list[str] | None:
        """Check that the sub-network is there; a measurement is never cached."""
        saved_files(self.folder)
        return None


class Downloaded(_Plain):
    """The folder of a data set, or the place of weights."""

    folder: Path


class Download(Request[Downloaded]):
    """Download a published data set into a folder, which may take minutes: no other task waits for it."""

    limits: ClassVar[Limits] = Limits(time_s=6 * 3600)  # STL-10 is 2.6 GB
    is_isolated: ClassVar[bool] = True

    data: str
    folder: Path


class DownloadWeights(Request[Downloaded]):
    """Download published weights into the caches of torch and Hugging Face."""

    limits: ClassVar[Limits] = Limits(time_s=6 * 3600)
    is_isolated: ClassVar[bool] = True

    weights: str


class Names(_Plain):
    """Names of networks."""

    names: tuple[str, ...]


class TimmNames(Request[Names]):
    """List every network that the installed timm can build."""

    def files(self) -> list[str] | None:
        """Return no file: the result depends on the installation only."""
        return []


class ViewOnnx(Request[Analysis]):
    """Read an untrusted ONNX file to display its graphs, in a worker of its own."""

    limits: ClassVar[Limits] = Limits(time_s=60, memory_mb=4096)
    is_isolated: ClassVar[bool] = True

    path: Path
    name: str = ""
    """The owner's name of the file, for messages; empty for the name of `path`."""
    protect: tuple[str | int, ...] = ()
    collapse: tuple[str, ...] = ()

    def files(self) -> list[str] | None:
        """Check that the file is there; its result is not cached.

        Raises:
            OnnxError: There is no such file.
        """
        if not self.path.is_file():
            raise OnnxError("there is no such ONNX file any more; choose it again")
        return None
