"""The revisions. The name of each is the number of the schema that it leads to."""
