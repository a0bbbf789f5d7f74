"""What is measured: counts, calibration, intervals."""
