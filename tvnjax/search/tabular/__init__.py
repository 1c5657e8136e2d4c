"""Recorded benchmarks: networks with their accuracies, latencies and seconds, looked up instead of trained."""
