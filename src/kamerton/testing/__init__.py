"""Tools for testing calls, shipped with the product: virtual time, engines that behave, conformance suites."""
