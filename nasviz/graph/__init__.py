"""What a network is, as data: trace graph, segments, removal structures, search space, construction plan.

No torch here: everything in this room can be saved as JSON and read anywhere.
"""

from nasviz.graph.budget import BudgetFit, CostBand, fit_budget
from nasviz.graph.cells.insertions import Insertion
from nasviz.graph.cells.switching import SwitchPlan, count_switchable, plan_switches
from nasviz.graph.channels.groups import ChannelMember, ChannelStructure
from nasviz.graph.channels.space import ChannelSpace
from nasviz.graph.construction.plan import ConstructionPlan
from nasviz.graph.construction.zero_propagation import Fill
from nasviz.graph.latency import LatencyTable
from nasviz.graph.operators.index_maps import Gather
from nasviz.graph.operators.propagation import Fold
from nasviz.graph.random_validity import Chance, chances
from nasviz.graph.registry import optimizer_of, register_optimizer
from nasviz.graph.segments.blocks import blocks
from nasviz.graph.segments.collapsible import Collapsible, collapsible
from nasviz.graph.segments.dependency import DependencyGraph
from nasviz.graph.segments.segment_graph import GrowthStep, Segment, SegmentGraph, growth, segment
from nasviz.graph.space import Group, SearchSpace, search_space
from nasviz.graph.structures.discovery import RemovalStructure
from nasviz.graph.structures.gates import Gate
from nasviz.graph.structures.partition import Origin, Variable, VariablePartition
from nasviz.graph.structures.selection import SelectionStep
from nasviz.graph.structures.switchable import Switchable
from nasviz.graph.structures.switches import Switch, by_edge, by_node, is_switch, is_switch_parameter
from nasviz.graph.trace_graph import Input, Output, Slice, TraceGraph, Vertex

__all__ = [
    "BudgetFit",
    "Chance",
    "ChannelMember",
    "ChannelSpace",
    "ChannelStructure",
    "Collapsible",
    "ConstructionPlan",
    "CostBand",
    "DependencyGraph",
    "Fill",
    "Fold",
    "Gate",
    "Gather",
    "Group",
    "GrowthStep",
    "Input",
    "Insertion",
    "LatencyTable",
    "Origin",
    "Output",
    "RemovalStructure",
    "SearchSpace",
    "Segment",
    "SegmentGraph",
    "SelectionStep",
    "Slice",
    "Switch",
    "SwitchPlan",
    "Switchable",
    "TraceGraph",
    "Variable",
    "VariablePartition",
    "Vertex",
    "blocks",
    "by_edge",
    "by_node",
    "chances",
    "collapsible",
    "count_switchable",
    "fit_budget",
    "growth",
    "is_switch",
    "is_switch_parameter",
    "optimizer_of",
    "plan_switches",
    "register_optimizer",
    "search_space",
    "segment",
]
