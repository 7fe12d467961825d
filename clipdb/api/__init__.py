"""What `import clipdb` gives: the one place where reading an index and running a model meet."""
