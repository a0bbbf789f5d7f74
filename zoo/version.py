"""The version of the package, which the wheel takes from here."""

__version__ = "0.2.0.dev0"
