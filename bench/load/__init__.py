"""Load of many connections from processes of their own; `python -m bench.load` is one by itself."""
