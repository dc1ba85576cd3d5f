"""Whether a stage takes part: `when` in CEL, `changed` against a revision, policies by place. Starts nothing."""
