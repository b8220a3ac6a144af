"""Sensitive words and topics: long lists, searched in linear time."""
