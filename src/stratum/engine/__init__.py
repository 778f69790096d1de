"""Verbs: one file per verb; each reads as observe, plan, guard, run, verify, record."""
