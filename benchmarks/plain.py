"""Search as a practitioner's script would, with Optuna, a PyTorch loop and MLflow at each epoch.

This script is the baseline of `end_to_end.py`. It makes its databases, `optuna.db` and
`mlflow.db`, in a folder that exists and holds neither.

    python benchmarks/plain.py --folder DIR [--trials 64] [--epochs 200] [--no-tracking] [--median]
                               [--mnist DATA_DIR]

Prints a JSON object: trials by state, epochs trained, the best value, and the seconds from the imports to the end.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--no-tracking", action="store_true")
    parser.add_argument("--median", action="store_true", help="prune with Optuna's MedianPruner, at every epoch")
    parser.add_argument("--mnist", type=Path, help="torchvision's MNIST there, batches of 4096, instead of digits")
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
    if args.mnist is None:
        x, y = load_digits(return_X_y=True)
        batch_size, hidden = 128, [128, 128]
    else:
        from torchvision.datasets import MNIST

        official = MNIST(str(args.mnist), train=True)
        x, y = official.data.flatten(1).float().numpy(), official.targets.numpy()
        batch_size, hidden = 4096, [128, 128, 128]
    x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    if args.mnist is None:  # which has no official test rows
        x_train, _, y_train, _ = train_test_split(x_train, y_train, test_size=0.25, stratify=y_train, random_state=0)
    scaler = StandardScaler().fit(x_train)
    tensors = [torch.tensor(scaler.transform(part), dtype=torch.float32) for part in (x_train, x_val)]
    train = TensorDataset(tensors[0], torch.tensor(y_train))
    x_val_tensor, y_val_tensor = tensors[1], torch.tensor(y_val)
    epochs_trained = 0

    def objective(trial: optuna.Trial) -> float:
        nonlocal epochs_trained
        strength = trial.suggest_float("l2", 1e-6, 1e-1, log=True)
        widths = (x.shape[1], *hidden)
        layers = [part for pair in pairwise(widths) for part in (nn.Linear(*pair), nn.LeakyReLU())]
        model = nn.Sequential(*layers, nn.Linear(widths[-1], 10))
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
        criterion = nn.CrossEntropyLoss()
        loader = DataLoader(train, batch_size=batch_size, shuffle=True)
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
            if args.median:
                trial.report(val_loss, epoch)
                if trial.should_prune():
                    raise optuna.TrialPruned
        return best

    def tracked(trial: optuna.Trial) -> float:
        with mlflow.start_run(run_name=f"trial-{trial.number}"):
            value = objective(trial)
            mlflow.log_params(trial.params)
            mlflow.log_metric("best_val_loss", value)
            return value

    pruner = optuna.pruners.MedianPruner() if args.median else optuna.pruners.NopPruner()
    storage = f"sqlite:///{args.folder}/optuna.db"
    study = optuna.create_study(storage=storage, study_name="plain", direction="minimize", pruner=pruner)
    study.optimize(tracked if tracking else objective, n_trials=args.trials)
    states = [trial.state.name.lower() for trial in study.get_trials(deepcopy=False)]
    counts = {state: states.count(state) for state in dict.fromkeys(states)}
    outcome = {"trials": counts, "epochs": epochs_trained, "best": {"value": study.best_value}}
    print(json.dumps(outcome | {"seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
