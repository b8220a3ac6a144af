"""The places where something is kept of people, each of which hands it out and erases it."""
