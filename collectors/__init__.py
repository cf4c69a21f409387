"""What runs beside a device: agent, spool, runners, load regimes, importers."""
