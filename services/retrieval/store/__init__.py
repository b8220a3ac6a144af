"""Where passages and documents are kept: one Protocol, two engines."""
