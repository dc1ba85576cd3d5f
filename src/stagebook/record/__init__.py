"""The journal, written and read, and the shape of a run as others see it. Nothing here decides or starts anything."""
