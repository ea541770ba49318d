"""What a network is, as data: trace graph, segments, removal structures, search space, construction plan.

No torch here: everything in this room can be saved as JSON and read anywhere.
"""

from nasviz.graph.budget import BudgetFit, CostBand, fit_budget
from nasviz.graph.collapsible import Collapsible, collapsible
from nasviz.graph.dependency import DependencyGraph
from nasviz.graph.gates import Gate
from nasviz.graph.plan import ConstructionPlan, Fill
from nasviz.graph.segments import Segment, SegmentGraph, segment
from nasviz.graph.selection import SelectionStep
from nasviz.graph.space import Group, SearchSpace, search_space
from nasviz.graph.structures import RemovalStructure, Slice
from nasviz.graph.switchable import Switchable
from nasviz.graph.trace_graph import Input, Output, TraceGraph, Vertex

__all__ = [
    "BudgetFit",
    "Collapsible",
    "ConstructionPlan",
    "CostBand",
    "DependencyGraph",
    "Fill",
    "Gate",
    "Group",
    "Input",
    "Output",
    "RemovalStructure",
    "SearchSpace",
    "Segment",
    "SegmentGraph",
    "SelectionStep",
    "Slice",
    "Switchable",
    "TraceGraph",
    "Vertex",
    "collapsible",
    "fit_budget",
    "search_space",
    "segment",
]
