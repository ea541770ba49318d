"""Sub-networks: zero, erase, slice, construct, measure, save and export."""

from nasviz.subnet.construct import Report, Subnetwork, construct
from nasviz.subnet.exports import OnnxExport, Pt2Export, export_onnx, export_pt2
from nasviz.subnet.files import IMPORTING_FILES, load, save, write_network
from nasviz.subnet.latency import Latency, measure_latencies, measure_latency, measure_vertices
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
