"""What a network is, as data: trace graph, segments, removal structures, search space, construction plan.

No torch here: everything in this room can be saved as JSON and read anywhere.
"""

from nasviz.graph.budget import BudgetFit, CostBand, LatencyTable, fit_budget
from nasviz.graph.cells.insertions import Insertion, SwitchPlan, count_switchable, plan_switches
from nasviz.graph.channels.space import ChannelMember, ChannelSpace, ChannelStructure
from nasviz.graph.construction import ConstructionPlan, Fill, Gather
from nasviz.graph.operators.zeros import Fold
from nasviz.graph.random_validity import Chance, chances
from nasviz.graph.segments import (
    Collapsible,
    DependencyGraph,
    GrowthStep,
    Segment,
    SegmentGraph,
    blocks,
    collapsible,
    growth,
    segment,
)
from nasviz.graph.selection import SelectionStep
from nasviz.graph.space import Group, SearchSpace, optimizer_of, register_optimizer, search_space
from nasviz.graph.structures import Gate, Origin, RemovalStructure, Switchable, Variable, VariablePartition
from nasviz.graph.switches import Switch, by_edge, by_node
from nasviz.graph.trace_graph import Input, Output, Slice, TraceGraph, Vertex, is_switch, is_switch_parameter

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
