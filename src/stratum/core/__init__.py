"""Nouns: pure records and rules. No clock, environment, disk, network or subprocess here."""
