"""What happens around a model while it trains and predicts."""
