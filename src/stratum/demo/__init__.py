"""The story told by `stratum demo`: a ledger under live writes, and the accidents that befall it."""
