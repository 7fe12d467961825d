"""What there is to review, and what was decided."""
