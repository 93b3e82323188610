"""The network of a trial as a file that plain PyTorch loads, and as a registered model in MLflow."""
