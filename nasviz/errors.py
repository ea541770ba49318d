"""Exceptions and warnings of nasviz.

Each exception also derives from the built-in that a caller would expect, so `except ValueError` works, and
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
_MAX_LENGTH = 4000


class NasvizError(Exception):
    """Base class of all exceptions of nasviz.

    Messages quote values that may come from untrusted files, so long words and long messages are abbreviated.

    Examples:
        >>> len(str(NasvizError("no vertex " + "x" * 10_000)))
        171
    """

    def __str__(self) -> str:
        text = str(self.args[0]) if len(self.args) == 1 else super().__str__()
        text = _LONG_WORD.sub(lambda word: f"{word[0][:120]}…{word[0][-40:]}", text)
        half = _MAX_LENGTH // 2
        return text if len(text) <= _MAX_LENGTH else f"{text[:half]} … {text[-half:]}"


class NasvizWarning(UserWarning):
    """Base class of all warnings of nasviz."""


class UncheckedFilesWarning(NasvizWarning):
    """A saved network has no checksums, so damage to its files cannot be detected."""


class NothingZeroWarning(NasvizWarning):
    """A construction should remove zeros, but few or none were found."""


class TrainingChangedWarning(NasvizWarning):
    """A traced network behaves differently from the original model in training mode."""


class ArgumentError(NasvizError, TypeError):
    """An argument has a type that the function does not accept."""


class GraphError(NasvizError, ValueError):
    """A graph violates one of its invariants (see `TraceGraph.lint`)."""


class UnknownVertexError(NasvizError, KeyError):
    """A vertex, segment or structure is not part of the graph."""


class UnknownNameError(NasvizError, KeyError):
    """A network, method, saliency or data set is not part of the catalog."""


class InputError(NasvizError, ValueError):
    """A traced network or sub-network was called with inputs that differ from those of the trace."""


class InvalidSettingError(NasvizError, ValueError):
    """A setting is unknown, out of range, or incompatible with another one."""


class ConsentNeededError(NasvizError):
    """The user of this session has not agreed yet to import user code or to trace a large network.

    Attributes:
        asked: The object to agree to: a network source, or one import of the settings of a run.
    """

    def __init__(self, message: str, asked: object) -> None:
        super().__init__(message)
        self.asked = asked


class UntrustedCodeError(InvalidSettingError):
    """Settings refer to user code outside the trusted folders."""


class InvalidSparsityError(InvalidSettingError):
    """More structures should be removed than possible, or erasing them disconnects an output."""


class TraceError(NasvizError, RuntimeError):
    """A network could not be traced; the message names the operator and the line of the user's code."""


class ParityError(TraceError):
    """The outputs of the traced network differ from those of the original module."""


class OnnxError(NasvizError, ValueError):
    """An ONNX file is damaged, inconsistent, too large, or refers to other files."""


class ConstructionError(NasvizError, RuntimeError):
    """A sub-network could not be constructed from a network and a set of structures."""


class MissingPackageError(NasvizError, ModuleNotFoundError):
    """A package that this part of nasviz needs is not installed; the message says which extra installs it."""


class ExportError(NasvizError, RuntimeError):
    """An export failed, or does not reproduce the network when read back."""


class WeightsError(NasvizError, ValueError):
    """A file of weights does not match the network."""


class DataError(NasvizError, ValueError):
    """A data set or document is missing, damaged or not in the expected format."""


class DamagedFileError(DataError):
    """A file does not match the checksum that was recorded when it was written."""


class UnsafeFileError(DataError):
    """A path is a link, pipe, device or oversized file instead of a regular file; it was not opened."""


class CheckpointError(NasvizError, RuntimeError):
    """No valid checkpoint of a run was found."""


class RunNotFoundError(NasvizError, FileNotFoundError):
    """A run folder does not exist."""


class RunBusyError(NasvizError, RuntimeError):
    """A run already has a worker."""


class RunStateError(NasvizError, RuntimeError):
    """A run is not in a state that allows the requested action."""


class StorageError(NasvizError, OSError):
    """A disk is full, or the user lacks permission to read or write."""


class NonFiniteLossError(NasvizError, ArithmeticError):
    """The loss became NaN or infinite; the run stops at its last valid checkpoint."""


class TrainingError(NasvizError, RuntimeError):
    """Training cannot start or continue, because of the network, the data or the machine."""


class DeadNetworkError(TrainingError):
    """A search has silenced all that leads to an output of the network."""


class ProcessesError(NasvizError, RuntimeError):
    """The training processes of a run have diverged, or one of them has ended."""


class LostProcessError(ProcessesError):
    """Another process of the run has ended; a restart resumes from the last checkpoint."""


class JobError(NasvizError, RuntimeError):
    """A task in a child process failed; the message comes from the child."""


class LayoutError(NasvizError, RuntimeError):
    """Graphviz failed to lay out a graph, or exceeded the time limit."""


class ViewerError(NasvizError, RuntimeError):
    """The JavaScript modules of the viewer cannot be linked."""


def require_type(argument: str, value: Any, kinds: type | tuple[type, ...], wanted: str, remedy: str) -> None:
    """Check that an argument is an instance of `kinds`.

    Raises:
        ArgumentError: It is not; the message states the argument, its type, and what to do.

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
