"""Pages: translate what services answer into HTML, decide nothing."""
