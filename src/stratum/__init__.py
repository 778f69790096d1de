"""Stratum deploys an application made of containers and PostgreSQL, and proves its data is safe."""

__version__ = "0.1.0"
