"""Sweeps over design points, and what to choose among them."""
