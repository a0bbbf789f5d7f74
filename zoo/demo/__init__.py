"""Web page that classifies a drawing with every network."""
