"""Strategies that ask for evaluations, one network after another."""
