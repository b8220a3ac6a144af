"""The guards as a service to those behind the gateway: what agents read is screened here too."""
