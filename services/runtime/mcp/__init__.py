"""Servers of the Model Context Protocol, of which this process is a client: sessions, and what bounds them."""
