"""Measures Stratum beside the plain script it replaces, on one generated database, in one run."""
