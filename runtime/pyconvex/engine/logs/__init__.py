"""What functions and requests leave behind."""
