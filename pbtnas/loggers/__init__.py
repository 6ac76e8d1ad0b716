"""Tells loggers what a run's records say: TensorBoard, Weights & Biases, MLflow, or your own."""
