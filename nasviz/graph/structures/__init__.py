"""Removal structures: discovery, validity, gates, switches and the choice of what goes."""
