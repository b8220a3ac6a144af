"""Collections as vector stores, and the files that are put into them."""
