"""The socast service: API, use cases, store, planning and command line."""
