"""Questions that mean the same: gates on what they say, a verifier of pairs, a threshold that each answer learns."""
