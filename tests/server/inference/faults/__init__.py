"""What serving does when its models, its processes or its stores fail."""
