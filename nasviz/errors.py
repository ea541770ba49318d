"""Every error that nasviz raises on purpose.

Each leaf refines the built-in a caller would expect, so `except ValueError` works where it should, and
`except NasvizError` catches them all.
"""

import re
from typing import Any

__all__ = [
    "ArgumentError",
    "CheckpointError",
    "ConsentNeededError",
    "ConstructionError",
    "DamagedFileError",
    "DataError",
    "ExportError",
    "GraphError",
    "InputError",
    "InvalidSettingError",
    "InvalidSparsityError",
    "JobError",
    "LayoutError",
    "LostProcessError",
    "NasvizError",
    "NasvizWarning",
    "NonFiniteLossError",
    "NothingZeroWarning",
    "OnnxError",
    "ParityError",
    "ProcessesError",
    "RunBusyError",
    "RunNotFoundError",
    "RunStateError",
    "StorageError",
    "TraceError",
    "TrainingChangedWarning",
    "TrainingError",
    "UncheckedFilesWarning",
    "UnknownNameError",
    "UnknownVertexError",
    "UnsafeFileError",
    "UntrustedCodeError",
    "ViewerError",
    "WeightsError",
    "require_type",
]


_LONG_WORD = re.compile(r"\S{300,}")
_LONGEST = 4000


class NasvizError(Exception):
    """Base of all errors that nasviz raises on purpose.

    Messages quote what was found, and that may come from anybody's file: what is too long to be read is left
    out of the middle.

    Examples:
        >>> len(str(NasvizError("no vertex " + "x" * 10_000)))
        171
    """

    def __str__(self) -> str:
        text = str(self.args[0]) if len(self.args) == 1 else super().__str__()
        text = _LONG_WORD.sub(lambda word: f"{word[0][:120]}…{word[0][-40:]}", text)
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


class NasvizWarning(UserWarning):
    """Base of all warnings that nasviz issues."""


class UncheckedFilesWarning(NasvizWarning):
    """A saved network has no checksums, so that damage to its files would not be noticed."""


class NothingZeroWarning(NasvizWarning):
    """A construction was to cut what is zero, and little or nothing is."""


class TrainingChangedWarning(NasvizWarning):
    """A traced network computes in training mode something other than the model it was traced from."""


class ArgumentError(NasvizError, TypeError):
    """An argument is of a kind that the function does not take."""


class GraphError(NasvizError, ValueError):
    """A graph breaks one of its own rules (see `TraceGraph.lint`)."""


class UnknownVertexError(NasvizError, KeyError):
    """A vertex, segment or structure was named that the graph does not hold."""


class UnknownNameError(NasvizError, KeyError):
    """A network, optimizer, saliency or data set was named that the catalog does not hold."""


class InputError(NasvizError, ValueError):
    """A traced network or sub-network was called with inputs of another shape, kind or number than traced."""


class InvalidSettingError(NasvizError, ValueError):
    """A setting is out of range or does not fit another one."""


class ConsentNeededError(NasvizError):
    """Nobody in this session has agreed yet to what would be imported or traced.

    Attributes:
        asked: What would be: a network source, or one import of a run's settings.
    """

    def __init__(self, message: str, asked: object) -> None:
        super().__init__(message)
        self.asked = asked


class UntrustedCodeError(InvalidSettingError):
    """Settings name user code that lies outside the trusted folders."""


class InvalidSparsityError(InvalidSettingError):
    """More removal structures were asked for than can go, or the erased set cuts an output off."""


class TraceError(NasvizError, RuntimeError):
    """A network could not be traced; the message names the operator and the line of the user's code."""


class ParityError(TraceError):
    """The traced network answers differently from the user's module."""


class OnnxError(NasvizError, ValueError):
    """An ONNX file is damaged, contradicts itself, is too large, or reaches for other files."""


class ConstructionError(NasvizError, RuntimeError):
    """A sub-network could not be constructed from a network and a set of structures."""


class ExportError(NasvizError, RuntimeError):
    """An export was written but does not read back as the network it came from."""


class WeightsError(NasvizError, ValueError):
    """A file of weights does not fit the network."""


class DataError(NasvizError, ValueError):
    """A data set is missing, damaged or laid out differently from what is expected."""


class DamagedFileError(DataError):
    """A file does not have the checksum that was recorded when it was written."""


class UnsafeFileError(DataError):
    """A link, a pipe, a device or a huge file lies where a regular file is expected; it was not opened."""


class CheckpointError(NasvizError, RuntimeError):
    """No checkpoint of a run can be read."""


class RunNotFoundError(NasvizError, FileNotFoundError):
    """A run folder does not exist, or no longer."""


class RunBusyError(NasvizError, RuntimeError):
    """A run already has a worker."""


class RunStateError(NasvizError, RuntimeError):
    """A run is not in a state in which it could do what was asked."""


class StorageError(NasvizError, OSError):
    """A disk is full, or does not let this user read or write."""


class NonFiniteLossError(NasvizError, ArithmeticError):
    """The loss became NaN or infinite; the run stops at its last good checkpoint."""


class TrainingError(NasvizError, RuntimeError):
    """A training cannot begin or go on, for a reason that lies in the network, the data or the machine."""


class ProcessesError(NasvizError, RuntimeError):
    """Processes that train one run together no longer hold the same network, or one of them ended."""


class LostProcessError(ProcessesError):
    """Another process of the run has ended; who starts them again goes on from the last checkpoint."""


class JobError(NasvizError, RuntimeError):
    """Work in a child process failed; the message is the child's own."""


class LayoutError(NasvizError, RuntimeError):
    """Graphviz could not lay a graph out, in time or at all."""


class ViewerError(NasvizError, RuntimeError):
    """The JavaScript modules of the viewer cannot be linked."""


def require_type(argument: str, value: Any, kinds: type | tuple[type, ...], wanted: str, remedy: str) -> None:
    """Refuse an argument that is of none of `kinds`.

    Raises:
        ArgumentError: The message names the argument, what was found, and what to do.

    Examples:
        >>> require_type("net", 3, str, "a traced network", "trace the model first")
        Traceback (most recent call last):
        ...
        nasviz.errors.ArgumentError: net must be a traced network, not int; trace the model first
    """
    if not isinstance(value, kinds):
        kind = value.__name__ if isinstance(value, type) else type(value).__name__
        found = f"the class {kind} itself" if isinstance(value, type) else kind
        raise ArgumentError(f"{argument} must be {wanted}, not {found}; {remedy}")
