"""The command line: one file per verb family; nothing here decides anything about data."""
