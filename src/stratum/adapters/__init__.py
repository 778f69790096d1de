"""The outside world, one module per brand name."""
