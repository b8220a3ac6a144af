"""The audit: who did what, when, what was decided and why, as a chain of records that nobody changes unseen."""
