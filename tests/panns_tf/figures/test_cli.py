import pytest

from panns_tf.cli import main
from panns_tf.figures.classes import ENDS
from tests.panns_tf.figures.synthetic import LABELS, write_run


def printed(capsys, *words) -> str:
    assert main(["plot", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_curves(tmp_path, capsys):
    write_run(tmp_path / "runs/a", final=0.25)
    write_run(tmp_path / "runs/b", "Cnn6", stop=200)
    words = ("curves", tmp_path / "runs", "--output", tmp_path / "x")
    out = printed(capsys, *words, "--by", "arch")
    assert "Cnn14" in out
    assert "0.2500" in out
    assert "note: b: unfinished: step 200 of 600" in out
    names = sorted(path.name for path in (tmp_path / "x").iterdir())
    assert names == ["curves-dark.png", "curves.csv", "curves.png", "curves.svg"]
    assert out.rstrip().split("\n")[-1].startswith(f"Written: {tmp_path}/x/curves.png, ")
    for metric, name in (("loss", "loss"), ("mAUC", "curves_mAUC")):
        printed(capsys, *words, "--metric", metric)
        assert (tmp_path / "x" / f"{name}.png").exists()


def test_complexity_needs_no_runs(tmp_path, capsys):
    assert "Cnn14" in printed(capsys, "complexity", "--output", tmp_path)
    assert (tmp_path / "complexity.svg").is_file()


def test_classes_with_label_quality(tmp_path, capsys):
    write_run(tmp_path / "a", ap=[0.1, None, 0.3])
    quality = tmp_path / "qa.csv"
    quality.write_text("mid,rated,true\na,10,5\nb,0,0\nc,8,8\n")
    words = ("classes", tmp_path / "a", "--label-quality", quality, "--output", tmp_path / "x")
    out = printed(capsys, *words)
    lines = {line.split("  ")[0]: line.split()[-3:] for line in out.splitlines() if line}
    assert lines["dog"] == ["0.1000", "1", "0.5000"]
    assert lines[LABELS[1]] == ["wind", "Cnn14", "0"]
    assert (
        f"1 of 3 classes undefined, without a positive held-out clip, and left empty: {LABELS[1]}"
        in out
    )


def test_many_classes_make_two_figures(tmp_path, capsys):
    labels = [f"class {i}" for i in range(70)]
    write_run(tmp_path / "a", labels=labels, ap=[i / 70 for i in range(70)])
    printed(capsys, "classes", tmp_path / "a", "--output", tmp_path / "x")
    rows = [
        len((tmp_path / f"x/{n}.csv").read_text().splitlines()) for n in ("classes", "classes_all")
    ]
    assert rows == [2 * ENDS + 1, 71]


def test_all_draws_what_it_can_and_reports_what_it_cannot(tmp_path, capsys):
    write_run(tmp_path / "runs/a", ap=[0.1, 0.2, 0.3])
    write_run(tmp_path / "runs/b", "Cnn6", stop=200, clips=90)
    out = printed(capsys, "all", tmp_path / "runs", "--output", tmp_path / "x")
    names = {path.stem for path in (tmp_path / "x").glob("*.svg")}
    assert names == {"curves", "curves-2", "loss", "loss-2", "complexity", "classes"}
    assert "classes-2: not drawn: none of the 1 runs has an evaluation with per_class.csv" in out
    assert "fewshot: not drawn: no result in any file; see plot fewshot --help" in out
    assert "note: figures-2: d/eval (3 classes, 90 clips): b" in out
    (tmp_path / "runs/r.csv").write_text(
        "task,strategy,clips_per_class,seed,metric,value\nesc50,scratch,1,0,accuracy,0.125\n"
    )
    out = printed(capsys, "fewshot", tmp_path / "runs/r.csv", "--output", tmp_path / "x")
    assert "0.1250" in out
    assert (tmp_path / "x/fewshot.png").is_file()


def test_mistakes_write_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words, said in (
        (("curves", "absent"), "no such directory: absent"),
        (("fewshot", "absent.csv"), "absent.csv cannot be read: No such file"),
        (("classes", "."), "no run in ."),
    ):
        with pytest.raises(ValueError, match=said):
            main(["plot", *words, "--output", "x"])
    for words in ([], ["curves"], ["pie", "a"], ["all", "a"]):
        with pytest.raises(SystemExit):
            main(["plot", *words])
        assert capsys.readouterr().err.startswith("usage: panns-tf plot")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SystemExit):
        main(["plot", "fewshot", "--help"])
    assert "task,strategy,clips_per_class,seed,metric,value" in capsys.readouterr().out
