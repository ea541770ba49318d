"""Sub-networks: zero, erase, slice, construct, measure, save and export."""

from nasviz.subnet.construct import Subnetwork, construct
from nasviz.subnet.files import IMPORTING_FILES, load, save, write_network
from nasviz.subnet.latency import Latency, measure_latencies, measure_latency, measure_vertices
from nasviz.subnet.onnx import OnnxExport, export_onnx
from nasviz.subnet.pt2 import Pt2Export, export_pt2
from nasviz.subnet.report import Report
from nasviz.subnet.zero import project_to_zero_

__all__ = [
    "IMPORTING_FILES",
    "Latency",
    "OnnxExport",
    "Pt2Export",
    "Report",
    "Subnetwork",
    "construct",
    "export_onnx",
    "export_pt2",
    "load",
    "measure_latencies",
    "measure_latency",
    "measure_vertices",
    "project_to_zero_",
    "save",
    "write_network",
]
