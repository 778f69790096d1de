"""The web console: pages made on the server, which talk HTTP to the backend and to nothing else."""
