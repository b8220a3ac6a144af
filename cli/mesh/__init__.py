"""Verbs that start, observe and configure a mesh on this machine."""
