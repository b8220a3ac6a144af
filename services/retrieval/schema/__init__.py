"""What retrieval keeps beside its collections."""
