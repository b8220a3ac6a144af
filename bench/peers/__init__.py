"""Other gateways that this one is measured beside, installed where they can be kept."""
