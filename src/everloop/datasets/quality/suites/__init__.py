"""What stands around the checks of a dataset: where they gate, suites as files, suggestions, reports, quarantine."""
