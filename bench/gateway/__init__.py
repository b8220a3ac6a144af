"""The gateway with its policy, beside other gateways."""
