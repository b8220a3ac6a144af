"""What all rooms speak of: messages, tools, events and passages. A leaf: it imports no other room, and no wire."""
