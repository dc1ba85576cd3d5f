"""What would happen and what is allowed: caps of providers, use against limits. Runs nothing."""
