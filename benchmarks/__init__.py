"""What Soteira costs, beside the floor and beside others: `scripts/bench` runs it and writes docs/benchmarks.md."""
