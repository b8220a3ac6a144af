"""How good search and quotes are on manuals as Debian ships them."""
