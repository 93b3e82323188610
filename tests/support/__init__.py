"""Helpers of the tests; benchmarks and the scripts in `docs/` use some of them too."""
