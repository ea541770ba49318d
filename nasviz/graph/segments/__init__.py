"""Segments: vertices that are kept or removed together (Algorithm 2 of ASGNAS)."""
