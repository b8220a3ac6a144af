"""The one pipeline of every call of a model, whatever face it came by: admitted, screened, metered, settled."""
