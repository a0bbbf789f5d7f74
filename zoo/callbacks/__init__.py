"""Lightning callbacks for training, evaluation and prediction."""
