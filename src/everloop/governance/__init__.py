"""Who may do what, and proof of what was done: principals, roles, tokens, retention, the compliance report."""
