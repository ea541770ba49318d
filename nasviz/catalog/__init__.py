"""Catalog of networks, saliency scores and data sets, as data; search methods are in `nasviz.settings`.

Each entry is an `Entry` with settings, citation and published figures. The catalog does not need torch;
`nasviz.models`, `nasviz.saliency` and `nasviz.data` implement the entries.
"""

from nasviz.catalog.datasets import DATASETS, FACTS, IMAGE_FOLDER, DataFacts, data_title
from nasviz.catalog.entry import Configuration, Entry, Figure, Selection, Setting, Value
from nasviz.catalog.inputs import HOW_TO_WRITE, InputSpec, image_and_others, read_inputs
from nasviz.catalog.metrics import ACCURACY, METRICS, Metric, find_metric, metric_of
from nasviz.catalog.networks import KINDS, NETWORKS, find
from nasviz.catalog.presets import PRESETS, Preset, Printed, Row, find_preset
from nasviz.catalog.registering import REGISTERED, register_dataset, register_network, resolve
from nasviz.catalog.saliencies import SALIENCIES, SaliencyEntry, register_saliency, step_saliencies
from nasviz.catalog.source import CALLABLE, NetworkSource, is_modest

__all__ = [
    "ACCURACY",
    "CALLABLE",
    "DATASETS",
    "FACTS",
    "HOW_TO_WRITE",
    "IMAGE_FOLDER",
    "KINDS",
    "METRICS",
    "NETWORKS",
    "PRESETS",
    "REGISTERED",
    "SALIENCIES",
    "Configuration",
    "DataFacts",
    "Entry",
    "Figure",
    "InputSpec",
    "Metric",
    "NetworkSource",
    "Preset",
    "Printed",
    "Row",
    "SaliencyEntry",
    "Selection",
    "Setting",
    "Value",
    "data_title",
    "find",
    "find_metric",
    "find_preset",
    "image_and_others",
    "is_modest",
    "metric_of",
    "read_inputs",
    "register_dataset",
    "register_network",
    "register_saliency",
    "resolve",
    "step_saliencies",
]
