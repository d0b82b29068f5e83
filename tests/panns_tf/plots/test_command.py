import pytest

from panns_tf.__main__ import main
from panns_tf.plots.command import ENDS
from tests.panns_tf.plots.synthetic import LABELS, write_run


def printed(capsys, *words) -> str:
    assert main(["plot", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_curves(tmp_path, capsys):
    write_run(tmp_path / "runs/a", final=0.25)
    write_run(tmp_path / "runs/b", "Cnn6", stop=200)
    out = printed(capsys, "curves", tmp_path / "runs", "--by", "arch", "--output", tmp_path / "x")
    assert "Cnn14" in out
    assert "0.2500" in out
    assert "note: b: unfinished: step 200 of 600" in out
    names = sorted(path.name for path in (tmp_path / "x").iterdir())
    assert names == ["curves-dark.png", "curves.csv", "curves.png", "curves.svg"]
    assert out.rstrip().split("\n")[-1].startswith(f"Written: {tmp_path}/x/curves.png, ")


@pytest.mark.parametrize(
    ("words", "figure"),
    [
        (("--metric", "loss"), "loss"),
        (("--metric", "mAUC"), "curves_mAUC"),
    ],
)
def test_figures_of_other_metrics_have_other_names(tmp_path, capsys, words, figure):
    write_run(tmp_path / "runs/a")
    printed(capsys, "curves", tmp_path / "runs", *words, "--output", tmp_path / "x")
    assert (tmp_path / "x" / f"{figure}.png").exists()
    assert not (tmp_path / "x" / "curves.png").exists()


def test_complexity_needs_no_runs(tmp_path, capsys):
    assert "Cnn14" in printed(capsys, "complexity", "--output", tmp_path)
    assert (tmp_path / "complexity.svg").is_file()


def test_classes_with_label_quality(tmp_path, capsys):
    write_run(tmp_path / "a", ap=[0.1, None, 0.3])
    quality = tmp_path / "qa.csv"
    quality.write_text("mid,rated,true\na,10,5\nb,0,0\nc,8,8\n")
    words = ("classes", tmp_path / "a", "--label-quality", quality, "--output", tmp_path / "x")
    out = printed(capsys, *words)
    lines = {line.split("  ")[0]: line.split()[-2:] for line in out.splitlines() if line}
    assert lines["dog"] == ["0.50", "0.1000"]
    assert lines[LABELS[1]] == ["unknown", "undefined"]


def test_many_classes_make_two_figures(tmp_path, capsys):
    labels = [f"class {i}" for i in range(70)]
    write_run(tmp_path / "a", labels=labels, ap=[i / 70 for i in range(70)])
    printed(capsys, "classes", tmp_path / "a", "--output", tmp_path / "x")
    rows = [
        len((tmp_path / f"x/{n}.csv").read_text().splitlines()) for n in ("classes", "classes_all")
    ]
    assert rows == [2 * ENDS + 1, 71]


def test_fewshot(tmp_path, capsys):
    (tmp_path / "r.csv").write_text(
        "task,strategy,clips_per_class,seed,metric,value\nesc50,scratch,1,0,accuracy,0.125\n"
    )
    out = printed(capsys, "fewshot", tmp_path / "r.csv", "--output", tmp_path / "x")
    assert "0.1250" in out
    assert (tmp_path / "x/fewshot.png").is_file()


def test_all_draws_what_it_can_and_says_what_it_cannot(tmp_path, capsys):
    write_run(tmp_path / "runs/a", ap=[0.1, 0.2, 0.3])
    write_run(tmp_path / "runs/b", "Cnn6", stop=200, clips=90)
    out = printed(capsys, "all", tmp_path / "runs", "--output", tmp_path / "x")
    names = {path.stem for path in (tmp_path / "x").glob("*.svg")}
    assert names == {"curves", "curves-2", "loss", "loss-2", "complexity", "classes"}
    assert "classes-2: not drawn: none of the 1 runs has an evaluation with per_class.csv" in out
    assert "fewshot: not drawn: no result file among the runs" in out
    assert "note: figures-2: d/eval (3 classes, 90 clips): b" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("curves", "absent"), "no such directory: absent"),
        (("fewshot", "absent.csv"), "no such file: absent.csv"),
        (("classes", "."), "no run in ."),
    ],
)
def test_mistakes_write_nothing(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        main(["plot", *words, "--output", "x"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [[], ["curves"], ["pie", "a"], ["all", "a"]], ids=" ".join)
def test_other_words_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        main(["plot", *words])
    assert capsys.readouterr().err.startswith("usage: python -m panns_tf plot")


def test_the_result_files_are_documented(capsys):
    with pytest.raises(SystemExit):
        main(["plot", "fewshot", "--help"])
    assert "task,strategy,clips_per_class,seed,metric,value" in capsys.readouterr().out
