"""Benchmarks and studies behind ``docs/benchmarks``. Nothing of the product imports from here."""
