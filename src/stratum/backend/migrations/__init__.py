"""The steps that bring the console's own database from any release's schema to this one's."""
