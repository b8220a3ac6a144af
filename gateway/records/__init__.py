"""The gateway's database: one for all areas, each of which declares its own tables."""
