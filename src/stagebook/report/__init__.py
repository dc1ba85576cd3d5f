"""What people see: terminal text. Takes values and documents, reads no files, decides nothing."""
