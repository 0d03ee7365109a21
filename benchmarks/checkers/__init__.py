"""One suite in the words of several checkers, each run as a process of its own: `python CHECKER.py TABLE SUITE`."""
