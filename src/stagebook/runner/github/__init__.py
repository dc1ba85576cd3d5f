"""How a job of GitHub Actions is done here."""
