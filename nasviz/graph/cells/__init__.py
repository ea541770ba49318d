"""Cells of a supernet: their graphs, genotypes and derivation."""
