"""The backup service: runs the jobs and the schedule, watches, and answers the backend."""
