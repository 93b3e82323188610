"""The export of a trial's network, to a file that plain PyTorch loads and to the model registry of MLflow."""
