"""What tests and benchmarks share: real database servers, and checks that watch every test."""
