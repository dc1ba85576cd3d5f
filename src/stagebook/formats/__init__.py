"""Files to pipelines and back, one package a format. Never runs anything."""
