"""Models served by others. Each script is run by a Python that has the other's server, and by nothing of ours."""
