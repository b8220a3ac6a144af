"""What callers speak, translated: no face decides anything."""
