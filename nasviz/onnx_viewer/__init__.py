"""ONNX files as trace graphs, to look at: no network is built and no code of the file runs."""
