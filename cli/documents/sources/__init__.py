"""Where documents come from besides files: sites, archives, exports of other systems, checkouts."""
