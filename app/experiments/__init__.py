"""The study's experiments on this machine: real load, real measurements, the service's own code."""
