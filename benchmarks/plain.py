"""The script that a practitioner would write: Optuna, a PyTorch loop, MLflow at each epoch. The benchmarks' baseline.

Its databases, `optuna.db` and `mlflow.db`, lie in a folder that exists and holds neither.

    python benchmarks/plain.py --folder DIR [--trials 64] [--epochs 200] [--no-tracking]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--no-tracking", action="store_true")
    args = parser.parse_args()
    started = time.monotonic()

    import optuna
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    tracking = not args.no_tracking
    if tracking:
        import mlflow

        mlflow.set_tracking_uri(f"sqlite:///{args.folder}/mlflow.db")
        mlflow.set_experiment("plain")

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    x, y = load_digits(return_X_y=True)
    x_train, x_rest, y_train, y_rest = train_test_split(x, y, test_size=0.4, stratify=y, random_state=0)
    x_val, _, y_val, _ = train_test_split(x_rest, y_rest, test_size=0.5, stratify=y_rest, random_state=0)
    scaler = StandardScaler().fit(x_train)
    tensors = [torch.tensor(scaler.transform(part), dtype=torch.float32) for part in (x_train, x_val)]
    train = TensorDataset(tensors[0], torch.tensor(y_train))
    x_val_tensor, y_val_tensor = tensors[1], torch.tensor(y_val)
    epochs_trained = 0

    def objective(trial: optuna.Trial) -> float:
        nonlocal epochs_trained
        strength = trial.suggest_float("l2", 1e-6, 1e-1, log=True)
        model = nn.Sequential(
            nn.Linear(64, 128), nn.LeakyReLU(), nn.Linear(128, 128), nn.LeakyReLU(), nn.Linear(128, 10)
        )
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
        criterion = nn.CrossEntropyLoss()
        loader = DataLoader(train, batch_size=128, shuffle=True)
        best = float("inf")
        for epoch in range(args.epochs):
            model.train()
            total = 0.0
            for features, labels in loader:
                optimiser.zero_grad()
                loss = criterion(model(features), labels)
                penalty = strength * sum(weight.square().sum() for weight in model.parameters())
                (loss + penalty).backward()
                optimiser.step()
                total += loss.item() * len(labels)
            model.eval()
            with torch.no_grad():
                logits = model(x_val_tensor)
                val_loss = criterion(logits, y_val_tensor).item()
                accuracy = (logits.argmax(1) == y_val_tensor).float().mean().item()
                flat = torch.cat([weight.flatten() for weight in model.parameters()])
                sparsity = (flat.abs() < 1e-6).float().mean().item()
            best = min(best, val_loss)
            epochs_trained += 1
            if tracking:
                metrics = {"train_loss": total / len(train), "val_loss": val_loss, "val_accuracy": accuracy}
                mlflow.log_metrics(metrics | {"sparsity": sparsity}, step=epoch)
        return best

    def tracked(trial: optuna.Trial) -> float:
        with mlflow.start_run(run_name=f"trial-{trial.number}"):
            value = objective(trial)
            mlflow.log_params(trial.params)
            mlflow.log_metric("best_val_loss", value)
            return value

    study = optuna.create_study(storage=f"sqlite:///{args.folder}/optuna.db", study_name="plain", direction="minimize")
    study.optimize(tracked if tracking else objective, n_trials=args.trials)
    complete = len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))
    outcome = {"trials": {"complete": complete}, "epochs": epochs_trained, "best": study.best_value}
    print(json.dumps(outcome | {"seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
