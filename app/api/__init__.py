"""HTTP endpoints: each translates a request, calls one service and translates the answer."""
