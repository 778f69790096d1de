"""The console's HTTP API: users, sessions, and what it asks the agent for."""
