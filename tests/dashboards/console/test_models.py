import pytest

from dashboards.console import models
from dashboards.console.models import NEWEST, code, in_html, named
from tests.dashboards.console.conftest import Living
from tests.search.conftest import add_job, make_spec
from tests.search.service.api.served import Served
from tests.search.service.api.stories import TOLD


def test_a_card_is_shown_below_the_headings_of_its_page_and_holds_no_html() -> None:
    shown = in_html("# Digits\n\n|a|b|\n|-|-:|\n|1|2|\n\n<script>x</script> [l](javascript:x)\n")
    assert "<h4>Digits</h4>" in shown
    assert "<script" not in shown
    assert "href" not in shown
    assert "style=" not in shown


@pytest.mark.parametrize(
    ("names", "varies", "part"),
    [
        (["model.onnx", "model.pt2"], False, 'model.run(None, {"x": x})'),
        (["model.onnx"], True, 'model.run(None, {"x": x, "lengths": numpy.array([8])})'),
        (["model.pt2"], False, "model(torch.randn(1, 8, 3))"),
        (["model.pt2"], True, "model(torch.randn(1, 8, 3), torch.tensor([8]))"),
        ([], True, ""),
    ],
)
def test_the_code_loads_what_is_offered(names: list[str], varies: bool, part: str) -> None:
    assert part in code(names, {"steps": 8, "features": 3, "varies": varies})


def test_a_champion_is_shown_however_many_came_after_it(
    empty: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its registry is told by hand: twenty jobs with a model each would take minutes."""
    jobs = [f"new-{number:02d}" for number in range(NEWEST)]
    for number, job_id in enumerate(["champion", "old", *jobs]):
        add_job(empty.store, make_spec(), job_id, created_at=float(number), model="null")
    monkeypatch.setattr(models, "reigns", lambda *_: [{"job": "champion"}])
    (listed,) = named(empty.service)
    assert [job["id"] for job in listed["jobs"]] == [*reversed(jobs), "champion"]


def test_a_model_is_offered_with_its_files_and_nobody_knows_its_reign(shown: Living) -> None:
    answer = shown.served.client.get(f"{shown.url}/jobs/{TOLD}/files")
    assert answer.status_code == 200
    assert "weights.safetensors" in answer.text
