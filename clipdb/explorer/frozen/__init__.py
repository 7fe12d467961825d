"""The explorer's pages as files: what goes in, how links between them are written, and the folder that holds them."""
