"""The MCP servers that a tenant has registered: where they are, what they are asked with, and sessions with them."""
