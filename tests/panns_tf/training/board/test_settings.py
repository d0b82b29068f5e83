from panns_tf.config import TrainConfig
from panns_tf.training.board.settings import as_markdown, hyperparameters


def test_what_differs_from_the_defaults_stands_out():
    text = as_markdown({"steps": 7, "batch_size": 32, "ema": None, "data": "a|b"})
    assert text.splitlines()[2:] == [
        "| steps | **7** |",
        "| batch_size | 32 |",
        "| data | **a\\|b** |",
    ]


def test_hyperparameters_are_what_decides_the_outcome():
    found = hyperparameters(TrainConfig(run_dir="somewhere", seed=3))
    assert found["seed"] == 3
    assert found["mixup"] == "features"
    assert not {"run_dir", "ema", "pictures", "log_steps"} & set(found)
