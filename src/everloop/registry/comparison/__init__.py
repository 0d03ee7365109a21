"""Champion and challenger: two versions of a model, side by side."""
