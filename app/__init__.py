"""The socast service: API, use cases, store, planning and command line."""

import os

# Numpy reads this once, as it is loaded. Matrices here are small: threads would wait for each other on busy
# cores (a Cholesky factorisation of 400 rows 400 ms instead of 2), and steal them from what is measured.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
