"""What runs a model, and knows no database: loading, preprocessing, the decomposition into heads."""
