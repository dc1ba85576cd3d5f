"""How a job of GitLab CI is done here."""
