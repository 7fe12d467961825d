"""Names of heads and verdicts on their spans, by whoever gave them: labellers, judges, people, papers."""
