"""Our own YAML: read, checked, expanded, cached by content. Nothing of other systems' formats."""
