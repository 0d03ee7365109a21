"""What is expected of data, and what checking it found."""
