"""What table functions are made of: who asks, about what, and how vectors are compared."""
