"""What is true: controlled experiments on real runs. What would happen is `plan`."""
