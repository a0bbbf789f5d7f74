"""Errors, checks, files, console: small, and nothing about digits."""
