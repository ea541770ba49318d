"""Arguments that several commands share; those of settings are derived from the settings classes.

`with_settings` gives a command one option per setting, grouped by the methods that have it. After `--method
NAME`, the help lists the settings of that method alone, with its defaults.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter, Token

from nasviz.catalog import HOW_TO_WRITE, NETWORKS, InputSpec, NetworkSource, Setting, Value, image_and_others
from nasviz.catalog.genotype import LONGEST_GENOTYPE
from nasviz.catalog.user_modules import callable_name, import_folder
from nasviz.cli.text import typed
from nasviz.errors import InvalidSettingError
from nasviz.guarded_files import read_regular
from nasviz.settings import AUTO, METHOD, METHODS, RunSettings, find_method
from nasviz.settings.files import read_settings
from nasviz.settings.method import method_settings

__all__ = [
    "AsJson",
    "Config",
    "Detach",
    "Download",
    "NetworkName",
    "NetworkOptions",
    "Quiet",
    "RunName",
    "RunsFolder",
    "Trust",
    "method_in",
    "settings_of",
    "source_of",
    "with_settings",
]

RUNS = Path("runs")
CODE = ("data", "loss", "metric")
"""Settings that may name the user's own code."""
_LONGEST_PATH = 4096
_NETWORKS = ", ".join(key for key, entry in NETWORKS.items() if entry.builder)
_NETWORK_HELP = (
    f"{_NETWORKS}, a classifier of torchvision, timm.NAME, your own PACKAGE.MODULE:CALLABLE or"
    " ./FILE.py:CALLABLE, the folder of a saved sub-network, or published weights: timm:NAME,"
    " torchvision:NAME:WEIGHTS, hf:ORG/NAME."
)

RunsFolder = Annotated[
    Path, Parameter("--runs", env_var="NASVIZ_RUNS", metavar="DIR", help="Folder of runs, or NASVIZ_RUNS.")
]
AsJson = Annotated[bool, Parameter("--json", show_default=False, help="Print the result as JSON.")]
Quiet = Annotated[bool, Parameter("--quiet", show_default=False, help="Print only the result.")]
Detach = Annotated[bool, Parameter("--detach", show_default=False, help="Train in the background.")]
RunName = Annotated[str, Parameter(name="RUN", help="Id of a run, or its folder.")]
Trust = Annotated[
    tuple[Path, ...],
    Parameter(
        "--trust",
        metavar="DIR",
        show_default=False,
        help="Folder that your own Python may be imported from. Repeatable.",
    ),
]
NetworkName = Annotated[str, Parameter(name="NETWORK", help=_NETWORK_HELP)]
Config = Annotated[
    Path | None,
    Parameter(
        "--config",
        metavar="FILE",
        help="Settings in YAML, TOML or JSON, or an earlier run. Options override them.",
    ),
]
Download = Annotated[
    bool,
    Parameter(
        "--download",
        show_default=False,
        help="Download missing data into --data-folder, and published weights, and verify checksums.",
    ),
]


def _inputs(kind: Any, tokens: Sequence[Token]) -> tuple[InputSpec, ...]:
    return tuple(InputSpec.parse(token.value) for token in tokens)


def _assignments(kind: Any, tokens: Sequence[Token]) -> tuple[tuple[str, Value], ...]:
    return tuple(_assignment(token.value) for token in tokens)


@Parameter(name="*", group=Group("Network", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """What the network takes, and where it comes from."""

    input: Annotated[
        tuple[Any, ...],
        Parameter(
            "--input",
            converter=_inputs,
            metavar="SIZES",
            show_default=False,
            help=f"What the network takes: {HOW_TO_WRITE}; NAME=... for an argument by name. Repeatable.",
        ),
    ] = ()
    classes: Annotated[
        int | None, Parameter("--classes", metavar="N", show_default=False, help="Number of classes.")
    ] = None
    weights: Annotated[
        str | None,
        Parameter(
            "--weights",
            metavar="FILE",
            show_default=False,
            help="Trained weights: safetensors, a file of torch.save, a checkpoint, or a folder of shards.",
        ),
    ] = None
    ema: Annotated[
        bool,
        Parameter("--ema", show_default=False, help="Load the averaged weights (EMA) of --weights."),
    ] = False
    skip_head: Annotated[
        bool,
        Parameter(
            "--skip-head",
            show_default=False,
            help="Load all of --weights but the head, for another number of classes.",
        ),
    ] = False
    trust: Trust = ()
    settings: Annotated[
        tuple[Any, ...],
        Parameter(
            "--set",
            converter=_assignments,
            metavar="NAME=VALUE",
            show_default=False,
            help="Setting of the network, such as width=0.25. Repeatable.",
        ),
    ] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """Trusted folders, as absolute paths."""
        return tuple(str(folder.expanduser().resolve()) for folder in self.trust)


ANY_NETWORK = NetworkOptions()


def settings_of(
    model: str | None, config: Path | None, network: NetworkOptions, given: Mapping[str, Any]
) -> RunSettings:
    """Return the settings of a run; options override a file.

    Args:
        model: Name of the network, or None to take that of the file.
        config: File of settings.
        network: Options of the network.
        given: Settings that were given as options, by flat name.

    Raises:
        NasvizError: A setting is missing, unknown or out of its range.
    """
    values = {} if config is None else read_settings(config)
    own = {name: given[name] for name in CODE if name in given}
    trusting = _trusting(network, model, *own.values())
    if model is not None:
        values["network"] = source_of(model, trusting)
    elif isinstance(name := values.get("network"), str):
        values["network"] = _named_source(name, network)
    elif "network" in values:
        values["network"] = _network_of_file(network, values["network"])
    else:
        raise InvalidSettingError("a run needs a network: --model demonet, or `network` in a --config file")
    given = {**given, **{name: _by_module(value, trusting) for name, value in own.items()}}
    of_file = any(":" in str(values.get(name, "")) for name in CODE if name not in own)
    if of_file or any(":" in str(given[name]) for name in own):
        # Typing a file trusts its folder, but not for what a file of settings names.
        values["trust"] = (network if of_file else trusting).folders
    if config is None:
        return RunSettings.of(**values | dict(given))
    return RunSettings.of(**values).changed(**given)


def _trusting(options: NetworkOptions, *names: Any) -> NetworkOptions:
    """Return options that trust the folders of Python files among `names`, unless folders were given.

    Only for names that a person typed: `./file.py:callable` then says as much as `python file.py`.
    """
    if options.trust:
        return options
    every = [part for name in names for part in ((name,) if isinstance(name, str) else name or ())]
    folders = (import_folder(part.removesuffix(":min").removesuffix(":max")) for part in every)
    return replace(options, trust=tuple(dict.fromkeys(folder for folder in folders if folder)))


def _by_module(value: Any, network: NetworkOptions) -> Any:
    """Return names of callables, `./file.py:callable`, as `package.module:callable`."""
    if isinstance(value, str):
        name, end = (value[:-4], value[-4:]) if value.endswith((":min", ":max")) else (value, "")
        return callable_name(name, network.folders) + end
    return tuple(_by_module(part, network) for part in value)


def source_of(name: str, options: NetworkOptions) -> NetworkSource:
    """Return the network of a name that was typed, or the sub-network saved there, with its options.

    A Python file that is named, `./file.py:callable`, is trusted with its folder.
    """
    return _named_source(name, _trusting(options, name))


def _named_source(name: str, options: NetworkOptions) -> NetworkSource:
    from nasviz.runs import Run, is_subnet  # with numpy, which help does not need
    from nasviz.runs.files import CONFIG, SUBNET

    folder = Path(name).expanduser().resolve()
    shape, inputs = image_and_others(options.input)
    words = (shape, options.classes, options.weights)
    choices: dict[str, Any] = {"ema": options.ema, "skip_head": options.skip_head}
    settings = dict(options.settings)
    if "genotype" in settings:
        settings["genotype"] = _genotype(str(settings["genotype"]))
    if len(Path(name).parts) > 1 and is_subnet(folder):
        if folder.name == SUBNET and (folder.parent / CONFIG).is_file():
            name = Run(folder.parent).settings.network.name_of_subnet
        else:
            name = re.sub(r"\W+", "_", folder.name, flags=re.ASCII)[:64] or "subnet"
        return NetworkSource(name, *words, settings=settings, subnet=str(folder), inputs=inputs, **choices)
    name = callable_name(name, options.folders)
    return NetworkSource(name, *words, options.folders, settings, inputs=inputs, **choices)


def _network_of_file(options: NetworkOptions, network: Any) -> NetworkSource:
    """Return the network of a settings file; user code needs `--trust` here, whatever the file says."""
    if replace(options, trust=()) != ANY_NETWORK:
        raise InvalidSettingError(
            "--set, --input, --classes and --weights change the network of --model; name it there, or change"
            " the file of --config"
        )
    document = dict(network) if isinstance(network, Mapping) else {}
    if ":" in str(document.get("name", "")):
        document["trust"] = list(options.folders)
    return NetworkSource.from_json(document)


def _genotype(text: str) -> str:
    """Return the genotype that a finished run or a file holds; other text as it is."""
    from nasviz.runs import Run  # with numpy, which help does not need
    from nasviz.runs.files import CONFIG

    if text.startswith(("Genotype", "|", "{")) or len(text) > _LONGEST_PATH:
        return text
    path = Path(text).expanduser()
    for folder in (path, RUNS / text):
        if (folder / CONFIG).is_file():
            return Run(folder).genotype.text
    return read_regular(path, LONGEST_GENOTYPE).decode(errors="replace") if path.is_file() else text


def _assignment(text: str) -> tuple[str, Value]:
    name, sign, value = text.partition("=")
    if not sign or not name.isidentifier():
        raise InvalidSettingError(f"{text!r} is not a setting; write NAME=VALUE, such as width=0.25")
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


# ---- options derived from settings ----


class _WithOptions:
    """A command with an option for each of some fields; it receives those that were given as keywords."""

    def __init__(
        self, command: Callable[..., int], derive: Callable[[], Iterable[inspect.Parameter]]
    ) -> None:
        functools.update_wrapper(self, command)
        self._command, self._derive = command, derive
        self._signature: tuple[tuple[str, ...], inspect.Signature] | None = None

    def __call__(self, *args: Any, **options: Any) -> int:
        """Run the command."""
        return self._command(*args, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        """Signature with the options, made once per command line: parsing reads it a dozen times."""
        words = typed.get()
        if self._signature is None or self._signature[0] is not words:
            signature = inspect.signature(self._command, eval_str=True)
            own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
            self._signature = words, signature.replace(parameters=[*own, *self._derive()])
        return self._signature[1]


def with_settings(
    fields: Mapping[str, Setting] | None = None,
) -> Callable[[Callable[..., int]], _WithOptions]:
    """Return a decorator that gives a command, which takes `**given`, an option for each field.

    Args:
        fields: By name; None for every setting of a run and of each method.
    """

    def derive() -> Iterable[inspect.Parameter]:
        if fields is None:
            return _parameters(method_in(typed.get()))
        return [_parameter(field.group, [("", field)]) for field in fields.values()]

    return lambda command: _WithOptions(command, derive)


def method_in(arguments: Sequence[str]) -> str | None:
    """Return the method that a command line names, before it is parsed; None where it names none.

    Examples:
        >>> method_in(["train", "--model", "demonet", "--method", "DARTS", "--help"])
        'darts'
    """
    for place, word in enumerate(arguments):
        option, sign, value = word.partition("=")
        if option.lower().removeprefix("--") in METHOD:
            value = value if sign else "".join(arguments[place + 1 : place + 2])
            name = value.lower().replace("-", "_")
            return name if name in METHODS else None
    return None


def _parameters(method: str | None) -> Iterator[inspect.Parameter]:
    """Yield a parameter for every setting; `method` limits the help, not what can be given.

    So a setting which the method does not have is answered with the methods that have it.
    """
    for field in RunSettings.fields().values():
        yield _parameter(field.group, [("", field)])
    choices: Any = Literal[tuple(METHODS)]
    named: Any = Annotated[
        choices | None,
        Parameter(
            name=[f"--{name}" for name in METHOD],
            group=_group("Search method"),
            converter=_read_method,
            show_default=lambda _: next(iter(METHODS)),
            help="Search method; `--method NAME --help` lists the settings of that method alone.",
        ),
    ]
    yield inspect.Parameter("method", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=named)
    for title, names in _by_holders(method).items():
        for name in names:
            fields = [(key, kind.fields()[name]) for key, kind in METHODS.items() if kind.has(name)]
            shown = [(key, field) for key, field in fields if method in (None, key)]
            yield _parameter(title, shown or fields, parse=_merged(fields), is_shown=bool(shown))


def _by_holders(method: str | None) -> dict[str, list[str]]:
    """Return names of settings by their heading."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for kind in METHODS.values() for name in kind.fields()):
        holders = [key for key, kind in METHODS.items() if kind.has(name)]
        if method is not None and method in holders:
            title = f"Settings of {method}"
        elif len(holders) == len(METHODS):
            title = "Settings of all methods"
        elif len(holders) > len(METHODS) // 2:
            title = f"Settings of all methods but {', '.join(k for k in METHODS if k not in holders)}"
        else:
            title = f"Settings of {', '.join(holders)}"
        found.setdefault(title, []).append(name)
    return found


def _merged(fields: Sequence[tuple[str, Setting]]) -> Setting:
    """Return one setting that accepts what any of the methods accepts; the settings class checks the rest."""
    choices = dict.fromkeys(choice for _, field in fields for choice in field.choices)
    has_auto = any(field.has_auto for _, field in fields)
    return replace(fields[0][1], choices=tuple(choices), has_auto=has_auto)


_groups: dict[str, Group] = {}


def _group(title: str) -> Group:
    """Return the group of a heading; groups are listed in the order of their first use."""
    return _groups.setdefault(title, Group(title, sort_key=10 + len(_groups)))


def _parameter(
    title: str, fields: Sequence[tuple[str, Setting]], *, parse: Setting | None = None, is_shown: bool = True
) -> inspect.Parameter:
    field, default = parse or fields[0][1], _defaults(fields)
    choices: Any = Literal[field.choices or ("",)]
    kinds: dict[str, Any] = {"bool": bool, "names": tuple[str, ...], "choice": choices}
    parameter = Parameter(
        name=[f"--{name.replace('_', '-')}" for name in (field.name, *field.aliases)],
        group=_group(title or "Options"),
        help=fields[0][1].help,
        metavar=field.metavar or {"int": "N", "steps": "N", "share": "N", "float": "X"}.get(field.kind),
        show=is_shown,
        show_default=lambda _: default,
        converter=None if field.kind in ("bool", "names") else functools.partial(_read, field),
        negative_bool=("no-",),
        negative_iterable=(),
    )
    annotation: Any = Annotated[kinds.get(field.kind, Any) | None, parameter]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _defaults(fields: Sequence[tuple[str, Setting]]) -> str:
    """Return the default, or those of the methods where they differ."""
    values = [_shown(field.default) for _, field in fields]
    if len(set(values)) == 1:
        return values[0]
    return "; ".join(f"{name}: {value}" for (name, _), value in zip(fields, values, strict=True))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in (None, ()) else str(value)


def _read(field: Setting, kind: Any, tokens: Sequence[Token]) -> Any:
    """Return the value of an option; names are not case-sensitive."""
    text = tokens[0].value
    if field.kind == "choice":
        if text.lower() in field.choices:
            return text.lower()
        raise ValueError(f"{text!r} is not one of {', '.join(field.choices)}")
    if field.has_auto and text.lower() == AUTO:
        return AUTO
    try:
        if field.kind in ("steps", "share"):
            return int(text) if text.isdecimal() else float(text)
        return {"int": int, "float": float}.get(field.kind, str)(text)
    except ValueError:
        raise ValueError(f"{text!r} must be {field.describe()}") from None


def _read_method(kind: Any, tokens: Sequence[Token]) -> str:
    return method_settings(find_method(tokens[0].value)()).name
