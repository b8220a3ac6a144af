"""/mcp: the mesh's agents, collections and passed-on servers as tools, by the Model Context Protocol."""
