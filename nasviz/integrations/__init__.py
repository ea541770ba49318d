"""Callbacks for training frameworks: `lightning`, `transformers` and `accelerate`, one module each.

A module imports its framework, which must be installed. Live trackers (TensorBoard, MLflow, Weights & Biases,
Trackio) lie in `nasviz.runs.trackers`.
"""
