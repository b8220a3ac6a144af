"""One model asked, or several in its place: which target is asked, what is done about its faults."""
