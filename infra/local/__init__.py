"""The supervisor behind `headworks up`: a whole mesh as processes of one machine, out of one data directory."""
