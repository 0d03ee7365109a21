"""The inference door: every client's protocol in front of one data plane."""
