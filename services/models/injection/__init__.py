"""How likely a text is to give orders to a language model that are not its reader's to give: prompt injection."""
