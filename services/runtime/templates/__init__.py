"""Templates that strangers may write: Jinja in a sandbox that counts what a rendering takes."""
