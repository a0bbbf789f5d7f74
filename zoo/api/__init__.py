"""The zoo in Python: training, comparing and classifying, with results that show themselves in a notebook."""
