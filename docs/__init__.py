"""The documentation's pages, and what generates their tables."""
