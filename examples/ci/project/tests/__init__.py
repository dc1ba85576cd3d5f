"""The tests, by how much of the shop they need."""
